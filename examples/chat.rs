//! Two terminals that talk: `chat DIRECTORY NAME` in each, with the same directory and two names.
//!
//! Each has a named pipe under its name, from which it reads. When both are open at both ends their names are not
//! needed any more and go, so that also who is killed leaves nothing. Ctrl+D and Ctrl+C leave.

#[path = "chat/goodbye.rs"]
mod goodbye;
#[path = "chat/message.rs"]
mod message;
#[path = "chat/screen.rs"]
mod screen;

use anyhow::{Context, Result, bail, ensure};
use goodbye::Goodbye;
use interlatch::ipc::Fifo;
use interlatch::sync::Patience;
use interlatch::{Buffer, PipeBuffer};
use message::Message;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use screen::Screen;
use std::convert::Infallible;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, name] = &arguments[..] else {
        bail!("expected DIRECTORY NAME");
    };
    ensure!(
        !name.is_empty() && !name.contains('/') && !name.starts_with('.'),
        "the name {name:?}: expected one without a slash, that does not begin with a dot"
    );
    let directory = Path::new(directory);
    let inbox = Fifo::create(directory.join(name), 0o600)?;
    let goodbye = Goodbye::removes(inbox.clone());
    goodbye.follows_signals()?;
    let Err(error) = talk(directory, name, &inbox, &goodbye);
    goodbye.say(Err(error))
}

fn talk(directory: &Path, name: &str, inbox: &Fifo, goodbye: &Goodbye) -> Result<Infallible> {
    println!("waiting for somebody in {}", directory.display());
    let other = wait_for_another(directory, name)?;
    let outbox = Fifo::at(directory.join(&other))?;
    // Who comes first in the alphabet listens first, so that they do not both wait for the other to listen.
    let (reader, writer) = if *name < *other {
        let reader = inbox.reader(Patience::Forever)?;
        (reader, outbox.writer(Patience::Forever)?)
    } else {
        let writer = outbox.writer(Patience::Forever)?;
        (inbox.reader(Patience::Forever)?, writer)
    };
    goodbye.removes_now();
    println!("{other} is here");
    let (mut screen, mut printer) = Screen::new(name)?;
    let incoming = PipeBuffer::<Message>::from_ends(Some(reader), None, None);
    let (listener, left) = (goodbye.clone(), format!("{other} has left"));
    std::thread::spawn(move || {
        for message in incoming.receiver().into_iter().flatten() {
            printer.print(&format!("{other}: {}", message.text()));
        }
        listener.say(Ok(left))
    });
    let outgoing = PipeBuffer::<Message>::from_ends(None, Some(writer), None);
    let sender = outgoing.sender()?;
    while let Some(line) = screen.line()? {
        for message in Message::of(&line) {
            // The other thread hears that nobody is there, and says so.
            let _ = sender.send(message);
        }
    }
    // While the pipe is open still: else the other one would leave, and that be heard first.
    goodbye.say(Ok("goodbye".to_owned()))
}

/// The name of the other one, when there is one.
fn wait_for_another(directory: &Path, name: &str) -> Result<String> {
    let events = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let appears = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    events.add_watch(directory, appears)?;
    loop {
        let mut others = Vec::new();
        for entry in directory.read_dir().context("reading the directory")? {
            let entry = entry?;
            let found = entry.file_name().into_string();
            if let Ok(found) = found
                && found != name
                && !found.contains(char::is_control)
                && entry.file_type()?.is_fifo()
            {
                others.push(found);
            }
        }
        match others.len() {
            0 => drop(events.read_events()?),
            1 => return Ok(others.remove(0)),
            _ => bail!("{} are here already: expected one", others.join(" and ")),
        }
    }
}
