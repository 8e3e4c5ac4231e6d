//! A server and many clients that know one name, and share one message queue, from any directory:
//! `mailbox NAME serve`, and then `mailbox NAME ask WORD...` as often as you like.
//!
//! The server says each word backwards. A request has one type, and the number of the client's process
//! inside; the reply has that number as its type. Kill any of them: the others go on, and wait for the next server.
//! `mailbox NAME stop`, Ctrl+C and `SIGTERM` end the server, which removes the name; `mailbox NAME remove` removes what
//! is left of one that was killed (`kill -9`).
//!
//! Exit status: 0 if all went well, 1 if not; 128 and the number of the signal that has ended the server.

#[path = "support/interruption.rs"]
mod interruption;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
use anyhow::{Context, Result, anyhow, bail};
use interlatch::channel::message_queue::{
    MessageQueueExt, MessageType, QueueLimits, ReceiveMessageError, Select, SendMessageError,
};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{MessageQueue, Region, RegionError, RegionName, RegionOptions, RobustMutex};
use interruption::Interruption;
use output::{end, say};
use std::process::ExitCode;
use std::time::Duration;

/// Above the numbers of all processes: in a container one of them may well be 1.
const REQUEST: i64 = 1 << 32;

/// What stands in a request where the number of a process should be, if it asks the server to stop.
const STOP: u32 = 0;

const LIMITS: QueueLimits = QueueLimits {
    messages: 64,
    bytes: 4096,
};

/// How long a client waits for room and for its reply.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server waits for room for a reply: a client that does not listen must not stop it.
const FOR_ONE_CLIENT: Duration = Duration::from_millis(100);

/// How long the server waits for a request before it looks whether the dead have left replies.
const QUIET: Duration = Duration::from_secs(1);

/// The server holds it, and counts what it has answered; so one can tell whether there is a server.
type Office = RobustMutex<u64>;

fn main() -> ExitCode {
    end("mailbox", run())
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, part, words @ ..] = &arguments[..] else {
        bail!("expected a name, and `serve`, `ask WORD...`, `stop` or `remove`");
    };
    let name = RegionName::posix(name)?;
    match (part.as_str(), words) {
        ("serve", []) => open(&name),
        ("ask", [_, ..]) => {
            let region = attach(&name)?;
            let queue = region.attach("queue").map_err(no_server)?;
            words.iter().try_for_each(|word| ask(queue, word))
        }
        ("ask", []) => bail!("expected a word to ask for"),
        ("stop", []) => stop(&attach(&name)?),
        ("remove", []) => Ok(name.remove()?),
        (other, _) => bail!("expected serve, ask, stop or remove, found {other:?}"),
    }
}

/// Only a server makes anything. A client that did would leave it.
fn attach(name: &RegionName) -> Result<Region> {
    RegionOptions::attach(name).map_err(no_server)
}

fn no_server(error: RegionError) -> anyhow::Error {
    match error {
        RegionError::NotFound(_) | RegionError::ObjectNotFound(_) => {
            anyhow!("no server: {error}")
        }
        other => other.into(),
    }
}

/// Serves, and removes the name whatever ends that.
fn open(name: &RegionName) -> Result<()> {
    let interruption = Interruption::held()?;
    let region = RegionOptions::new(1 << 16).create_or_attach(name)?;
    // First: who finds a queue finds out too whether there is a server.
    let office: &Office = region.create_or_attach("office", ())?;
    let queue = region.create_or_attach("queue", LIMITS)?;
    let mut answered = enter(office)?.context("there is a server already")?;
    *answered = 0;
    let removed = name.clone();
    interruption.puts_away(move || drop(removed.remove()));
    let served = serve(queue, &mut answered);
    name.remove()?;
    served
}

/// The place of the server, if there is none. A number is never half-changed, whoever has died there.
fn enter(office: &Office) -> Result<Option<RobustMutexGuard<'_, u64>>> {
    match office.lock_with(Timeout::NonBlocking) {
        Ok(place) => Ok(Some(place)),
        Err(RobustLockError::TimedOut) => Ok(None),
        Err(error) => match error.mark_consistent() {
            Ok(place) => Ok(Some(place)),
            Err(error) => bail!("the office of the server: {error}"),
        },
    }
}

/// What nobody reads would stop the next server at once.
fn stop(region: &Region) -> Result<()> {
    let queue = region.attach("queue").map_err(no_server)?;
    let office = region.attach("office").map_err(no_server)?;
    if enter(office)?.is_some() {
        bail!("no server: it was killed, and `remove` removes what it has left");
    }
    request(queue, STOP, "")
}

fn request(queue: &MessageQueue, from: u32, word: &str) -> Result<()> {
    let bytes = [&from.to_ne_bytes(), word.as_bytes()].concat();
    Ok(queue.send_timeout(MessageType::new(REQUEST)?, &bytes, TIMEOUT)?)
}

/// Answers until it is told to stop; what was asked before that is answered first.
fn serve(queue: &MessageQueue, answered: &mut u64) -> Result<()> {
    let requests = Select::Type(MessageType::new(REQUEST)?);
    loop {
        let request = match queue.receive_timeout(requests, QUIET) {
            Ok(message) => message.bytes,
            Err(ReceiveMessageError::NoMessage) => {
                remove_replies_to_the_dead(queue)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // Whoever knows the name may send anything.
        let Some((client, word)) = request.split_first_chunk() else {
            continue;
        };
        let Ok(client) = MessageType::of_process(u32::from_ne_bytes(*client)) else {
            return say(format_args!("answered {answered}"));
        };
        let word: String = String::from_utf8_lossy(word).chars().rev().collect();
        *answered += u64::from(reply(queue, client, word.as_bytes())?);
    }
}

/// False, if there is no room for it.
fn reply(queue: &MessageQueue, client: MessageType, bytes: &[u8]) -> Result<bool> {
    match queue.send_timeout(client, bytes, FOR_ONE_CLIENT) {
        Ok(()) => Ok(true),
        Err(SendMessageError::Full | SendMessageError::TooLong { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nobody will receive them, and they take room.
fn remove_replies_to_the_dead(queue: &MessageQueue) -> Result<()> {
    let replies = Select::LowestUpTo(MessageType::new(REQUEST - 1)?);
    for _ in 0..queue.len() {
        let Ok(message) = queue.try_receive(replies) else {
            break;
        };
        let process = format!("/proc/{}", message.kind.get());
        if std::path::Path::new(&process).exists() {
            reply(queue, message.kind, &message.bytes)?;
        }
    }
    Ok(())
}

fn ask(queue: &MessageQueue, word: &str) -> Result<()> {
    let me = MessageType::of_this_process();
    // What is there is for a process that had this number before.
    while queue.try_receive(Select::Type(me)).is_ok() {}
    request(queue, std::process::id(), word)?;
    match queue.receive_timeout(Select::Type(me), TIMEOUT) {
        Ok(reply) => say(String::from_utf8_lossy(&reply.bytes)),
        Err(ReceiveMessageError::NoMessage) => bail!("no reply within {TIMEOUT:?}"),
        Err(error) => Err(error.into()),
    }
}
