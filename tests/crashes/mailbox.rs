//! A server and three clients on one message queue, one of them after the other killed at a random moment
//! and replaced: replies reach the one that has asked, whole and once; nothing is lost but with the dead,
//! and no room is.
//!
//! As long as `soak`, and by the same variables.

use super::actor::say;
use super::harness::Test;
use super::soak::{WORKERS, in_peace, kill_for, worker};
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
    let name = "replies_reach_their_clients_however_often_somebody_is_killed";
    vec![Test::new(name, soak)]
}

/// Worker 0; the others are clients.
const SERVER: usize = 0;

/// Above the numbers of all processes.
const REQUEST: i64 = 1 << 32;

/// Room for a request of each and some replies, so that all kinds of waiting happen.
const LIMITS: QueueLimits = QueueLimits {
    messages: 5,
    bytes: 600,
};

/// How much is known to have happened: each number is changed after that.
#[repr(C)]
#[derive(ShmSafe)]
struct Tally {
    asked: AtomicU64,
    /// Requests that a server has received, and replies that it has sent.
    heard: AtomicU64,
    answered: AtomicU64,
    /// Replies that a client has received.
    learned: AtomicU64,
    /// Replies to the dead, which a server has removed.
    removed: AtomicU64,
}

fn add_one(word: &AtomicU64) {
    // Release pairs with the Acquire of the parent.
    word.fetch_add(1, Release);
}

fn kind(number: i64) -> MessageType {
    MessageType::new(number).expect("positive")
}

/// A client that asks for this number gets so many bytes of it, behind the number.
fn reply(number: u64) -> Vec<u8> {
    let length = (number % 250) as usize;
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.resize(8 + length, number as u8);
    bytes
}

/// The number that the reply is to; it must be whole.
fn replied(bytes: &[u8]) -> u64 {
    let number = bytes.first_chunk().expect("a number comes first");
    let number = u64::from_ne_bytes(*number);
    assert_eq!(bytes, reply(number), "a torn reply");
    number
}

fn briefly() -> Timeout {
    Timeout::after(Duration::from_millis(2))
}

/// In an actor: serves or asks until it is killed.
pub fn play(region: &Region, part: &str) {
    let (worker, random) = worker(part);
    let queue: &MessageQueue = region.attach("queue").expect("the queue");
    let tally: &Tally = region.attach("tally").expect("the tally");
    say("ready");
    match worker {
        SERVER => serve(queue, tally),
        _ => ask(queue, tally, random),
    }
}

fn serve(queue: &MessageQueue, tally: &Tally) {
    loop {
        let timeout = briefly();
        match queue.receive_value_with::<[u64; 2]>(Select::Type(kind(REQUEST)), timeout) {
            Ok((_, [client, number])) => {
                add_one(&tally.heard);
                // A client that does not listen must not stop the server.
                let sent = queue.send_with(kind(client as i64), &reply(number), briefly());
                if sent.is_ok() {
                    add_one(&tally.answered);
                }
            }
            Err(RecvTimeoutError::Timeout) => remove_replies_to_the_dead(queue, tally),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Nobody will receive them, and they take room.
fn remove_replies_to_the_dead(queue: &MessageQueue, tally: &Tally) {
    let any_reply = Select::LowestUpTo(kind(REQUEST - 1));
    if let Ok(message) = queue.try_receive(any_reply) {
        replied(&message.bytes);
        let client = Pid::from_raw(message.message_type.get() as i32);
        let lives = kill(client, None).is_ok();
        if !lives
            || queue
                .send_with(message.message_type, &message.bytes, briefly())
                .is_err()
        {
            add_one(&tally.removed);
        }
    }
}

fn ask(queue: &MessageQueue, tally: &Tally, mut random: fastrand::Rng) {
    let me = MessageType::of_this_process();
    // What is there for this number is for one that had it before.
    while queue.try_receive(Select::Type(me)).is_ok() {
        add_one(&tally.removed);
    }
    let (mut number, mut known) = (random.u64(..1 << 32), Vec::new());
    loop {
        number += 1;
        let request = [me.get() as u64, number].map(u64::to_ne_bytes).concat();
        if queue.send_with(kind(REQUEST), &request, briefly()).is_err() {
            continue;
        }
        add_one(&tally.asked);
        known.push(number);
        let timeout = Timeout::after(Duration::from_millis(20));
        while let Ok(message) = queue.receive_with(Select::Type(me), timeout) {
            add_one(&tally.learned);
            let number = replied(&message.bytes);
            let asked = known.iter().position(|known| *known == number);
            // Replies to earlier numbers may be late; none comes twice, or to another client.
            known.remove(asked.unwrap_or_else(|| panic!("a reply to {number}, of {known:?}")));
            if known.is_empty() {
                break;
            }
        }
    }
}

fn soak() {
    in_peace(|| {
        let region = Region::memfd("mailbox", 1 << 14).expect("a region");
        let queue: &MessageQueue = region.create("queue", LIMITS).expect("room");
        let tally: &Tally = region.create("tally", ()).expect("room");
        let deaths = kill_for("mailbox", &region);
        settle(queue, tally, &deaths);
    });
}

/// Nothing is lost but with the dead, and there is as much room as ever.
fn settle(queue: &MessageQueue, tally: &Tally, deaths: &[u64; WORKERS]) {
    let (mut requests, mut replies) = (0, 0);
    while let Ok(message) = queue.try_receive(Select::First) {
        match message.message_type.get() {
            REQUEST => requests += 1,
            _ => {
                replied(&message.bytes);
                replies += 1;
            }
        }
    }
    let servers: u64 = deaths[SERVER];
    let clients: u64 = deaths[SERVER + 1..].iter().sum();
    let read = |word: &AtomicU64| word.load(Acquire);
    let (asked, heard, answered) = (
        read(&tally.asked),
        read(&tally.heard),
        read(&tally.answered),
    );
    let (learned, removed) = (read(&tally.learned), read(&tally.removed));
    println!(
        "{asked} requests, {heard} heard, {answered} answered, {learned} learned, {removed} removed"
    );
    // A death may come between what is done and the knowledge of it.
    agree("requests", (asked, clients), (heard + requests, servers));
    agree(
        "replies",
        (answered, servers),
        (learned + removed + replies, clients + servers),
    );
    assert!(learned > clients, "something happened");
    has_all_its_room(queue);
}

/// What went in, and what came out, each with as many more as those who may have died in between.
fn agree(what: &str, (sent, senders): (u64, u64), (arrived, receivers): (u64, u64)) {
    assert!(
        sent <= arrived + receivers && arrived <= sent + senders,
        "{what}: {sent} sent, {senders} senders killed; {arrived} arrived, {receivers} receivers killed"
    );
}

fn has_all_its_room(queue: &MessageQueue) {
    let each = LIMITS.bytes as usize / LIMITS.messages as usize;
    for number in 1..=i64::from(LIMITS.messages) {
        queue
            .try_send(kind(number), &vec![1; each])
            .expect("no room is lost");
    }
    assert!(queue.try_send(kind(1), &[]).is_err(), "it is full");
    while queue.try_receive(Select::First).is_ok() {}
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
    let all = vec![1; queue.max_length()];
    queue.try_send(kind(1), &all).expect("no byte is lost");
    assert_eq!(queue.try_receive(Select::First).expect("sent").bytes, all);
}
