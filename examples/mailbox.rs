//! A server and any number of clients that share a message queue under one name.
//!
//! Run `mailbox NAME serve`, and then `mailbox NAME ask WORD...` any number of times, from any
//! directory. The server reverses each word. All requests have the same type and contain the
//! client's process ID, which is the type of the reply. If one process is killed, the others
//! continue and wait for the next server.
//!
//! `mailbox NAME stop`, Ctrl+C and `SIGTERM` end the server, which removes the name. `mailbox NAME
//! remove` removes the region of a killed server.
//!
//! Exit status: 0 on success, 1 on failure, 128 plus the number of the signal that terminated the
//! server.

#[path = "support/interruption.rs"]
mod interruption;
#[path = "support/output.rs"]
#[allow(dead_code, reason = "other examples use more of it")]
mod output;
use anyhow::{Context, Result, anyhow, bail};
use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
use interlatch::channel::{ChannelError, RecvTimeoutError, SendTimeoutError};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{MessageQueue, Region, RegionError, RegionName, RegionOptions, RobustMutex};
use interruption::Interruption;
use output::{end, escaped, say};
use std::process::ExitCode;
use std::time::Duration;

/// The type of requests. It is greater than every process ID, because even the process ID 1 is
/// possible in a container.
const REQUEST: i64 = 1 << 32;

/// The value that replaces the process ID in a request that asks the server to stop.
const STOP: u32 = 0;

const LIMITS: QueueLimits = QueueLimits {
    messages: 64,
    bytes: 4096,
};

/// The timeout of a client for sending its request and for the reply.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of the server for sending a reply, so that a client cannot block it.
const REPLY_TIMEOUT: Duration = Duration::from_millis(100);

/// The server's timeout for a request, after which it removes replies to dead clients.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// The lock that a running server holds, with the number of the server's replies. A client checks
/// this lock to find out whether a server is running.
type ServerLock = RobustMutex<u64>;

fn main() -> ExitCode {
    end("mailbox", run())
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, command, words @ ..] = &arguments[..] else {
        bail!("expected a name, and `serve`, `ask WORD...`, `stop` or `remove`");
    };
    let name = RegionName::posix(name)?;
    match (command.as_str(), words) {
        ("serve", []) => run_server(&name),
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

/// Attaches to the region. Only a server creates the region, because a client would leave the
/// region behind.
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

/// Runs a server, and removes the name even if the server fails.
fn run_server(name: &RegionName) -> Result<()> {
    let interruption = Interruption::block()?;
    let region = RegionOptions::new(1 << 16).create_or_attach(name)?;
    // The lock is created before the queue, so a client that finds the queue can check for a
    // server.
    let server: &ServerLock = region.create_or_attach("server", ())?;
    let queue = region.create_or_attach("queue", LIMITS)?;
    let mut answered = try_become_server(server)?.context("a server is already running")?;
    *answered = 0;
    let removed = name.clone();
    interruption.on_signal(move || drop(removed.remove()));
    let served = serve(queue, &mut answered);
    name.remove()?;
    served
}

/// Locks the server's lock, or returns `None` if a server holds it.
///
/// The count is valid even if a server died, because a single write changes it.
fn try_become_server(server: &ServerLock) -> Result<Option<RobustMutexGuard<'_, u64>>> {
    match server.lock_with(Timeout::NonBlocking) {
        Ok(guard) => Ok(Some(guard)),
        Err(RobustLockError::TimedOut) => Ok(None),
        Err(error) => match error.mark_consistent() {
            Ok(guard) => Ok(Some(guard)),
            Err(error) => bail!("the lock of the server: {error}"),
        },
    }
}

/// Sends a request to stop. The function first checks that a server is running. Otherwise the
/// request would stop the next server.
fn stop(region: &Region) -> Result<()> {
    let queue = region.attach("queue").map_err(no_server)?;
    let server = region.attach("server").map_err(no_server)?;
    if try_become_server(server)?.is_some() {
        bail!("no server: it was killed; `remove` removes its region");
    }
    request(queue, STOP, "")
}

fn request(queue: &MessageQueue, from: u32, word: &str) -> Result<()> {
    let bytes = [&from.to_ne_bytes(), word.as_bytes()].concat();
    Ok(queue.send_timeout(MessageType::new(REQUEST)?, &bytes, TIMEOUT)?)
}

/// Answers requests until a request asks the server to stop. Earlier requests are answered first.
fn serve(queue: &MessageQueue, answered: &mut u64) -> Result<()> {
    let requests = Select::Type(MessageType::new(REQUEST)?);
    loop {
        let request = match queue.receive_timeout(requests, IDLE_TIMEOUT) {
            Ok(message) => message.bytes,
            Err(RecvTimeoutError::Timeout) => {
                remove_orphaned_replies(queue)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // Any process that knows the name may send any message.
        let Some((client, word)) = request.split_first_chunk() else {
            continue;
        };
        let Ok(client) = MessageType::from_process_id(u32::from_ne_bytes(*client)) else {
            return say(format_args!("answered {answered}"));
        };
        let word: String = String::from_utf8_lossy(word).chars().rev().collect();
        *answered += u64::from(reply(queue, client, word.as_bytes())?);
    }
}

/// Sends a reply; returns `false` if the queue has no free space.
fn reply(queue: &MessageQueue, client: MessageType, bytes: &[u8]) -> Result<bool> {
    match queue.send_timeout(client, bytes, REPLY_TIMEOUT) {
        Ok(()) => Ok(true),
        Err(
            SendTimeoutError::Timeout(())
            | SendTimeoutError::Failed((), ChannelError::MessageTooLong { .. }),
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes the replies to dead clients, because these replies would fill the queue.
fn remove_orphaned_replies(queue: &MessageQueue) -> Result<()> {
    let replies = Select::LowestUpTo(MessageType::new(REQUEST - 1)?);
    for _ in 0..queue.len() {
        let Ok(message) = queue.try_receive(replies) else {
            break;
        };
        let process = format!("/proc/{}", message.message_type.get());
        if std::path::Path::new(&process).exists() {
            reply(queue, message.message_type, &message.bytes)?;
        }
    }
    Ok(())
}

fn ask(queue: &MessageQueue, word: &str) -> Result<()> {
    let me = MessageType::of_this_process();
    // Remove replies to an earlier process with the same ID.
    while queue.try_receive(Select::Type(me)).is_ok() {}
    request(queue, std::process::id(), word)?;
    match queue.receive_timeout(Select::Type(me), TIMEOUT) {
        Ok(reply) => say(escaped(&reply.bytes)),
        Err(RecvTimeoutError::Timeout) => bail!("no reply within {TIMEOUT:?}"),
        Err(error) => Err(error.into()),
    }
}
