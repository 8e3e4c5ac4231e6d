//! A chat between two terminals: `chat DIRECTORY NAME` in each, with the same directory and
//! different names.
//!
//! Each process reads from a named pipe with its name. Each pipe's name is removed once both ends
//! of both pipes are open. Ctrl+D and Ctrl+C leave the chat. If a process is killed while it waits,
//! the next process removes the pipe of the killed process. While two processes chat, a third one
//! is rejected.

#[path = "chat/exit.rs"]
mod exit;
#[path = "chat/meeting.rs"]
mod meeting;
#[path = "chat/message.rs"]
mod message;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
#[path = "chat/screen.rs"]
mod screen;

use anyhow::{Context, Result, bail, ensure};
use exit::Exit;
use interlatch::channel::{ChannelError, PipeBuffer};
use interlatch::platform::pipe::{Reader, Writer};
use interlatch::sync::Timeout;
use interlatch::{Channel, Receiver, Sender};
use interlatch_ipc::FifoError;
use meeting::{Arrival, Inbox, Meeting, is_valid_name};
use message::Message;
use output::say;
use screen::{Printer, Screen};
use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, Instant};

/// The timeout for the partner to open the other end of a pipe.
const TIMEOUT: Duration = Duration::from_secs(10);

type Pipe = PipeBuffer<Message>;

/// One side of a conversation.
struct Conversation {
    other: String,
    incoming: Receiver<'static, Pipe>,
    outgoing: Sender<'static, Pipe>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, name] = &arguments[..] else {
        bail!("expected DIRECTORY NAME");
    };
    ensure!(
        is_valid_name(name),
        "the name {name:?}: expected one without a slash that does not begin with a dot"
    );
    let exit = Exit::new();
    exit.on_signals()?;
    let Err(error) = chat(Path::new(directory), name, &exit);
    exit.finish(Err(error))
}

fn chat(directory: &Path, name: &str, exit: &Exit) -> Result<Infallible> {
    let meeting = Meeting::open(directory)?;
    let conversation = start_conversation(&meeting, directory, name, exit)?;
    exit.remove_now();
    say(format_args!("{} is here", conversation.other))?;
    let (mut screen, printer) = Screen::new(name)?;
    listen(
        conversation.other,
        conversation.incoming,
        printer,
        exit.clone(),
    );
    while let Some(line) = screen.line()? {
        for message in Message::split(&line) {
            // A failed send is ignored, because the other thread reports that the partner has left.
            let _ = conversation.outgoing.send(message);
        }
    }
    // The outgoing pipe is still open here. If it were closed, the partner could leave, and the
    // other thread could report that before this call.
    exit.finish(Ok("goodbye".to_owned()))
}

/// Starts a thread that prints the partner's messages until the end of the chat.
fn listen(other: String, incoming: Receiver<'static, Pipe>, mut printer: Printer, exit: Exit) {
    std::thread::spawn(move || {
        let print = |message: Result<Message, ChannelError>| {
            printer.print(&format!("{other}: {}", message?.text()?))
        };
        let printed = incoming.into_iter().try_for_each(print);
        exit.finish(printed.map(|()| format!("{other} has left")))
    });
}

/// Waits for a partner, or joins a waiting one.
fn start_conversation(
    meeting: &Meeting,
    directory: &Path,
    name: &str,
    exit: &Exit,
) -> Result<Conversation> {
    match meeting.join(name)? {
        Arrival::First(inbox) => {
            exit.remove_at_exit(inbox.fifo.clone());
            say(format_args!(
                "waiting for a partner in {}",
                directory.display()
            ))?;
            wait_for_another(meeting, &inbox)
        }
        Arrival::Second(inbox, other) => {
            exit.remove_at_exit(inbox.fifo.clone());
            say(format_args!(
                "waiting for {other} in {}",
                directory.display()
            ))?;
            join_other(meeting, &inbox, other, name)
        }
    }
}

/// Waits for a partner. The partner's first message is its name, which is also the name of its
/// pipe.
fn wait_for_another(meeting: &Meeting, inbox: &Inbox) -> Result<Conversation> {
    let reader = inbox.fifo.reader(Timeout::Infinite)?;
    let incoming = leak_pipe(Some(reader), None).receiver()?;
    let greeting = incoming.recv();
    let other = greeting.context("a partner left before its first message")?;
    let other = other.text()?;
    ensure!(
        is_valid_name(&other),
        "the partner has the invalid name {other:?}"
    );
    let writer = meeting.fifo_of(&other)?.writer(Timeout::after(TIMEOUT))?;
    let outgoing = leak_pipe(None, Some(writer)).sender()?;
    Ok(Conversation {
        other,
        incoming,
        outgoing,
    })
}

fn join_other(meeting: &Meeting, inbox: &Inbox, other: String, name: &str) -> Result<Conversation> {
    // Either the partner reads from its pipe, or the partner has ended.
    let writer = meeting.fifo_of(&other)?.writer(Timeout::NonBlocking)?;
    let outgoing = leak_pipe(None, Some(writer)).sender()?;
    for part in Message::split(name) {
        outgoing.send(part)?;
    }
    let reader = await_answer(meeting, inbox, &other)?;
    let incoming = leak_pipe(Some(reader), None).receiver()?;
    Ok(Conversation {
        other,
        incoming,
        outgoing,
    })
}

/// Waits until the partner opens the other end. The partner opens that end before its name is
/// removed.
fn await_answer(meeting: &Meeting, inbox: &Inbox, other: &str) -> Result<Reader> {
    const RETRY_INTERVAL: Duration = Duration::from_millis(100);
    let begin = Instant::now();
    loop {
        // This check precedes the attempt. If the partner ends after the check, only the next check
        // detects that.
        let has_gone = meeting.fifo_of(other).is_err() || begin.elapsed() > TIMEOUT;
        match inbox.fifo.reader(Timeout::after(RETRY_INTERVAL)) {
            Err(FifoError::NoWriter(_)) if has_gone => bail!("{other} does not answer"),
            Err(FifoError::NoWriter(_)) => {}
            opened => return Ok(opened?),
        }
    }
}

/// Creates one end of a pipe. The end stays open until the program ends, because threads of the
/// chat use it until then.
fn leak_pipe(reader: Option<Reader>, writer: Option<Writer>) -> &'static Pipe {
    Box::leak(Box::new(Pipe::from_ends(reader, writer, None)))
}
