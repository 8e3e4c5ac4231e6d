//! A server and many clients that know one name, and share one message queue. Start them in any order, from
//! any directory: `mailbox NAME serve`, and `mailbox NAME ask WORD...` as often as you like.
//!
//! The server says each word backwards. A request has one type, and the number of the client's process
//! inside; the reply has that number as its type. Kill any of them: the others go on. `mailbox NAME stop`
//! ends the server, which removes the name; `mailbox NAME remove` removes what is left of a killed one.

use interlatch::{
    MessageQueue, MessageType, Messages, Options, QueueLimits, ReceiveMessageError, RegionName,
    Select, SendMessageError,
};
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
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the server waits for room for a reply: a client that does not listen must not stop it.
const FOR_ONE_CLIENT: Duration = Duration::from_millis(100);

/// How long the server waits for a request before it looks whether the dead have left replies.
const QUIET: Duration = Duration::from_secs(1);

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, part, words @ ..] = &arguments[..] else {
        return Err("expected a name, and `serve`, `ask WORD...`, `stop` or `remove`".into());
    };
    let name = RegionName::posix(name)?;
    match (part.as_str(), words) {
        ("serve", []) => {
            in_queue(&name, serve)?;
            Ok(name.remove()?)
        }
        ("ask", [_, ..]) => in_queue(&name, |queue| {
            words.iter().try_for_each(|word| ask(queue, word))
        }),
        ("ask", []) => Err("expected a word to ask for".into()),
        ("stop", []) => in_queue(&name, |queue| request(queue, STOP, "")),
        ("remove", []) => Ok(name.remove()?),
        (other, _) => Err(format!("expected serve, ask, stop or remove, found {other:?}").into()),
    }
}

fn in_queue(name: &RegionName, act: impl FnOnce(&MessageQueue) -> Outcome) -> Outcome {
    let region = Options::new(1 << 16).create_or_attach(name)?;
    act(region.create_or_attach("queue", LIMITS)?)
}

fn request(queue: &MessageQueue, from: u32, word: &str) -> Outcome {
    let bytes = [&from.to_ne_bytes(), word.as_bytes()].concat();
    Ok(queue.send_timeout(MessageType::new(REQUEST)?, &bytes, PATIENCE)?)
}

/// Answers until it is told to stop; what was asked before that is answered first.
fn serve(queue: &MessageQueue) -> Outcome {
    let requests = Select::Type(MessageType::new(REQUEST)?);
    let mut answered = 0;
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
            println!("answered {answered}");
            return Ok(());
        };
        let word: String = String::from_utf8_lossy(word).chars().rev().collect();
        answered += u64::from(reply(queue, client, word.as_bytes())?);
    }
}

/// False, if there is no room for it.
fn reply(queue: &MessageQueue, client: MessageType, bytes: &[u8]) -> Outcome<bool> {
    match queue.send_timeout(client, bytes, FOR_ONE_CLIENT) {
        Ok(()) => Ok(true),
        Err(SendMessageError::Full | SendMessageError::TooLong { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nobody will receive them, and they take room.
fn remove_replies_to_the_dead(queue: &MessageQueue) -> Outcome {
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

fn ask(queue: &MessageQueue, word: &str) -> Outcome {
    let me = MessageType::of_this_process();
    // What is there is for a process that had this number before.
    while queue.try_receive(Select::Type(me)).is_ok() {}
    request(queue, std::process::id(), word)?;
    match queue.receive_timeout(Select::Type(me), PATIENCE) {
        Ok(reply) => {
            println!("{}", String::from_utf8_lossy(&reply.bytes));
            Ok(())
        }
        Err(ReceiveMessageError::NoMessage) => Err(format!("no reply within {PATIENCE:?}").into()),
        Err(error) => Err(error.into()),
    }
}
