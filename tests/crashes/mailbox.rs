//! A server and three clients share one message queue while they are killed at random moments and
//! replaced. Each reply reaches the client that asked, intact and once. No capacity is lost, and a
//! message is lost only if a process died while handling the message.
//!
//! The variables described in the module `soak` also control this soak.

use super::actor::report;
use super::harness::Test;
use super::soak::{WORKERS, run_and_kill, without_leaks, worker};
use interlatch::channel::RecvTimeoutError;
use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Acquire, Release};
use interlatch::sync::Timeout;
use interlatch::{MessageQueue, Region, ShmSafe};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    let name = "replies_reach_clients_while_processes_are_killed";
    vec![Test::alone(name, replies_reach_clients)]
}

/// The index of the worker that is the server. The other workers are clients.
const SERVER: usize = 0;

/// The message type of requests, which is greater than every process ID.
const REQUEST: i64 = 1 << 32;

/// The queue has capacity for one request of each client and some replies, so that every kind of
/// wait occurs.
const LIMITS: QueueLimits = QueueLimits {
    messages: 5,
    bytes: 600,
};

/// Counts of completed steps. Each count is incremented after its step.
#[repr(C)]
#[derive(ShmSafe)]
struct Tally {
    asked: AtomicU64,
    /// Requests received by a server.
    received: AtomicU64,
    answered: AtomicU64,
    /// Replies received by a client.
    delivered: AtomicU64,
    /// Replies to dead clients, removed by a server or by a client with the same process ID.
    removed: AtomicU64,
}

fn add_one(word: &AtomicU64) {
    // Release: the increment of the count pairs with the parent's Acquire load.
    word.fetch_add(1, Release);
}

fn message_type(number: i64) -> MessageType {
    MessageType::new(number).expect("positive")
}

/// Returns the reply to a number: the number itself, then up to 249 copies of its lowest byte.
fn reply(number: u64) -> Vec<u8> {
    let length = (number % 250) as usize;
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.resize(8 + length, number as u8);
    bytes
}

/// Returns the number to which the reply responds. Panics if the reply is torn.
fn request_of_reply(bytes: &[u8]) -> u64 {
    let number = bytes.first_chunk().expect("a number comes first");
    let number = u64::from_ne_bytes(*number);
    assert_eq!(bytes, reply(number), "a torn reply");
    number
}

fn short_timeout() -> Timeout {
    Timeout::after(Duration::from_millis(2))
}

/// Runs the server or a client in an actor until the actor is killed.
pub fn run(region: &Region, role: &str) {
    let (worker, random) = worker(role);
    let queue: &MessageQueue = region.attach("queue").expect("the queue");
    let tally: &Tally = region.attach("tally").expect("the tally");
    report("ready");
    match worker {
        SERVER => serve(queue, tally),
        _ => ask(queue, tally, random),
    }
}

fn serve(queue: &MessageQueue, tally: &Tally) {
    loop {
        let timeout = short_timeout();
        match queue.receive_value_with::<[u64; 2]>(Select::Type(message_type(REQUEST)), timeout) {
            Ok((_, [client, number])) => {
                add_one(&tally.received);
                // The send has a timeout, so that a client that does not receive cannot block the
                // server.
                let sent =
                    queue.send_with(message_type(client as i64), &reply(number), short_timeout());
                if sent.is_ok() {
                    add_one(&tally.answered);
                }
            }
            Err(RecvTimeoutError::Timeout) => remove_replies_to_dead_clients(queue, tally),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Removes a reply to a dead client, because no process would receive the reply and free its space
/// in the queue.
fn remove_replies_to_dead_clients(queue: &MessageQueue, tally: &Tally) {
    let any_reply = Select::LowestUpTo(message_type(REQUEST - 1));
    if let Ok(message) = queue.try_receive(any_reply) {
        request_of_reply(&message.bytes);
        let client = Pid::from_raw(message.message_type.get() as i32);
        let lives = kill(client, None).is_ok();
        if !lives
            || queue
                .send_with(message.message_type, &message.bytes, short_timeout())
                .is_err()
        {
            add_one(&tally.removed);
        }
    }
}

fn ask(queue: &MessageQueue, tally: &Tally, mut random: fastrand::Rng) {
    let this_process = MessageType::of_this_process();
    // Existing replies to this process ID belong to an earlier process that had the same ID.
    while queue.try_receive(Select::Type(this_process)).is_ok() {
        add_one(&tally.removed);
    }
    let (mut number, mut pending) = (random.u64(..1 << 32), Vec::new());
    loop {
        number += 1;
        let request = [this_process.get() as u64, number]
            .map(u64::to_ne_bytes)
            .concat();
        if queue
            .send_with(message_type(REQUEST), &request, short_timeout())
            .is_err()
        {
            continue;
        }
        add_one(&tally.asked);
        pending.push(number);
        let timeout = Timeout::after(Duration::from_millis(20));
        while let Ok(message) = queue.receive_with(Select::Type(this_process), timeout) {
            add_one(&tally.delivered);
            let number = request_of_reply(&message.bytes);
            let asked = pending.iter().position(|pending| *pending == number);
            // Replies to earlier requests may be late. No reply arrives twice, and no reply reaches
            // a client that did not ask.
            pending.remove(
                asked.unwrap_or_else(|| panic!("a reply to {number}, expected one of {pending:?}")),
            );
            if pending.is_empty() {
                break;
            }
        }
    }
}

fn replies_reach_clients() {
    without_leaks(|| {
        let region = Region::memfd("mailbox", 1 << 14).expect("a region");
        let queue: &MessageQueue = region.create("queue", LIMITS).expect("the region has room");
        let tally: &Tally = region.create("tally", ()).expect("the region has room");
        let deaths = run_and_kill("mailbox", &region);
        check_counts(queue, tally, &deaths);
    });
}

/// Checks that only messages of dead processes are lost and that no capacity is lost.
fn check_counts(queue: &MessageQueue, tally: &Tally, deaths: &[u64; WORKERS]) {
    let (mut requests, mut replies) = (0, 0);
    while let Ok(message) = queue.try_receive(Select::First) {
        match message.message_type.get() {
            REQUEST => requests += 1,
            _ => {
                request_of_reply(&message.bytes);
                replies += 1;
            }
        }
    }
    let servers: u64 = deaths[SERVER];
    let clients: u64 = deaths[SERVER + 1..].iter().sum();
    let read = |word: &AtomicU64| word.load(Acquire);
    let (asked, received, answered) = (
        read(&tally.asked),
        read(&tally.received),
        read(&tally.answered),
    );
    let (delivered, removed) = (read(&tally.delivered), read(&tally.removed));
    println!(
        "{asked} requests, {received} received, {answered} answered, {delivered} delivered, {removed} removed"
    );
    // A worker may die between a step and the increment of its count.
    check_flow("requests", (asked, clients), (received + requests, servers));
    check_flow(
        "replies",
        (answered, servers),
        (delivered + removed + replies, clients + servers),
    );
    assert!(delivered > clients, "clients received replies");
    has_full_capacity(queue);
}

/// Checks that the numbers of sent and received messages differ by at most one for each death.
fn check_flow(what: &str, (sent, senders): (u64, u64), (arrived, receivers): (u64, u64)) {
    assert!(
        sent <= arrived + receivers && arrived <= sent + senders,
        "{what}: {sent} sent, {senders} senders killed; {arrived} arrived, {receivers} receivers killed"
    );
}

fn has_full_capacity(queue: &MessageQueue) {
    let each = LIMITS.bytes as usize / LIMITS.messages as usize;
    for number in 1..=i64::from(LIMITS.messages) {
        queue
            .try_send(message_type(number), &vec![1; each])
            .expect("no message slot is lost");
    }
    assert!(
        queue.try_send(message_type(1), &[]).is_err(),
        "the queue is full"
    );
    while queue.try_receive(Select::First).is_ok() {}
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
    let all = vec![1; queue.max_length()];
    queue
        .try_send(message_type(1), &all)
        .expect("no byte is lost");
    assert_eq!(
        queue.try_receive(Select::First).expect("a message").bytes,
        all
    );
}
