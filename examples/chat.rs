//! Two terminals that talk: `chat DIRECTORY NAME` in each, with the same directory and two names.
//!
//! Each has a named pipe under its name, from which it reads. When both are open at both ends their names are not
//! needed any more and go. Ctrl+D and Ctrl+C leave. What somebody leaves who is killed while waiting (`kill -9`) is
//! removed by who comes next. While two talk, a third one is refused.

#[path = "chat/goodbye.rs"]
mod goodbye;
#[path = "chat/message.rs"]
mod message;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
#[path = "chat/place.rs"]
mod place;
#[path = "chat/screen.rs"]
mod screen;

use anyhow::{Context, Result, bail, ensure};
use goodbye::Goodbye;
use interlatch::channel::ChannelError;
use interlatch::platform::pipe::{Reader, Writer};
use interlatch::sync::Timeout;
use interlatch::{Channel, PipeBuffer, Receiver, Sender};
use interlatch_ipc::FifoError;
use message::Message;
use output::say;
use place::{Arrival, Endpoint, Place, is_name};
use screen::{Printer, Screen};
use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one who was there a moment ago may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

type Pipe = PipeBuffer<Message>;

/// What one has of the chat.
struct Talk {
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
        is_name(name),
        "the name {name:?}: expected one without a slash, that does not begin with a dot"
    );
    let goodbye = Goodbye::new();
    goodbye.follows_signals()?;
    let Err(error) = chat(Path::new(directory), name, &goodbye);
    goodbye.say(Err(error))
}

fn chat(directory: &Path, name: &str, goodbye: &Goodbye) -> Result<Infallible> {
    let place = Place::at(directory)?;
    let talk = meet(&place, directory, name, goodbye)?;
    goodbye.removes_now();
    say(format_args!("{} is here", talk.other))?;
    let (mut screen, printer) = Screen::new(name)?;
    listen(talk.other, talk.incoming, printer, goodbye.clone());
    while let Some(line) = screen.line()? {
        for message in Message::of(&line) {
            // The other thread hears that nobody is there, and says so.
            let _ = talk.outgoing.send(message);
        }
    }
    // While the pipe is open still: else the other one would leave, and that be heard first.
    goodbye.say(Ok("goodbye".to_owned()))
}

/// Prints what the other one says, in a thread, to the end of the chat.
fn listen(
    other: String,
    incoming: Receiver<'static, Pipe>,
    mut printer: Printer,
    goodbye: Goodbye,
) {
    std::thread::spawn(move || {
        let print = |message: Result<Message, ChannelError>| {
            printer.print(&format!("{other}: {}", message?.text()?))
        };
        let printed = incoming.into_iter().try_for_each(print);
        goodbye.say(printed.map(|()| format!("{other} has left")))
    });
}

/// Waits for another one, or joins the one who waits.
fn meet(place: &Place, directory: &Path, name: &str, goodbye: &Goodbye) -> Result<Talk> {
    match place.arrive(name)? {
        Arrival::First(seat) => {
            goodbye.removes(seat.inbox.clone());
            say(format_args!(
                "waiting for somebody in {}",
                directory.display()
            ))?;
            wait_for_another(place, &seat)
        }
        Arrival::Second(seat, other) => {
            goodbye.removes(seat.inbox.clone());
            say(format_args!(
                "waiting for {other} in {}",
                directory.display()
            ))?;
            join(place, &seat, other, name)
        }
    }
}

/// The second one says first how it is called, and thereby where it reads.
fn wait_for_another(place: &Place, seat: &Endpoint) -> Result<Talk> {
    let reader = seat.inbox.reader(Timeout::Infinite)?;
    let incoming = lasting(Some(reader), None).receiver()?;
    let greeting = incoming.recv();
    let other = greeting.context("somebody was there, and left without a word")?;
    let other = other.text()?;
    ensure!(is_name(&other), "somebody came who is called {other:?}");
    let writer = place.inbox_of(&other)?.writer(Timeout::after(TIMEOUT))?;
    let outgoing = lasting(None, Some(writer)).sender()?;
    Ok(Talk {
        other,
        incoming,
        outgoing,
    })
}

fn join(place: &Place, seat: &Endpoint, other: String, name: &str) -> Result<Talk> {
    // It reads there, or has gone.
    let writer = place.inbox_of(&other)?.writer(Timeout::NonBlocking)?;
    let outgoing = lasting(None, Some(writer)).sender()?;
    for part in Message::of(name) {
        outgoing.send(part)?;
    }
    let reader = await_answer(place, seat, &other)?;
    let incoming = lasting(Some(reader), None).receiver()?;
    Ok(Talk {
        other,
        incoming,
        outgoing,
    })
}

/// The other one opens this end, before its own name goes.
fn await_answer(place: &Place, seat: &Endpoint, other: &str) -> Result<Reader> {
    const A_WHILE: Duration = Duration::from_millis(100);
    let begin = Instant::now();
    loop {
        // Looked at before: whoever goes after this is too late for the last try only.
        let has_gone = place.inbox_of(other).is_err() || begin.elapsed() > TIMEOUT;
        match seat.inbox.reader(Timeout::after(A_WHILE)) {
            Err(FifoError::NoWriter(_)) if has_gone => bail!("{other} does not answer"),
            Err(FifoError::NoWriter(_)) => {}
            opened => return Ok(opened?),
        }
    }
}

/// One end, for as long as the program lasts: so do the chat and all its threads.
fn lasting(reader: Option<Reader>, writer: Option<Writer>) -> &'static Pipe {
    Box::leak(Box::new(Pipe::from_ends(reader, writer, None)))
}
