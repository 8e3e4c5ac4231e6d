//! A peer that writes anything into a queue: every operation ends, with a message or a typed error.
//!
//! `INTERLATCH_CASES` says how often, times 20; `INTERLATCH_SEED` repeats a run.

use super::number;
use interlatch::channel::message_queue::{
    LengthPolicy, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::sync::Timeout;
use interlatch::{MessageQueue, Region};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::time::Duration;

const LIMITS: QueueLimits = QueueLimits {
    messages: 5,
    bytes: 321,
};

/// Bytes of the queue from its limits on: these, where the oldest message begins, a summary, and the cells.
const ALL: usize = 8 + 8 + 48 + 128 * LIMITS.cells();

/// Behind the header.
const START: usize = 8192;
const SIZE: usize = START + 4096;

#[test]
fn whatever_a_peer_writes_every_operation_ends() {
    let (report, reports) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        scribble_and_use();
        report.send(()).expect("the test waits");
    });
    match reports.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("an operation does not end"),
        _ => thread.join().expect("no panic"),
    }
}

fn scribble_and_use() {
    let rounds = 20 * number("INTERLATCH_CASES").unwrap_or(256);
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{rounds} rounds, INTERLATCH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let region = Region::memfd("hostile", SIZE - START).expect("room");
    let queue: &MessageQueue = region.create("queue", LIMITS).expect("room");
    fill(queue);
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("one more"));
    let mut clean = vec![0; SIZE];
    file.read_exact_at(&mut clean, 0).expect("it is there");
    let object = place_of_the_limits(&clean);
    let mut received = 0_u64;
    for _ in 0..rounds {
        let mut bytes = clean.clone();
        scribble(&mut bytes[object..object + ALL], &mut random);
        file.write_all_at(&bytes, 0).expect("it is there");
        received += use_it(queue, &mut random);
    }
    assert!(received > rounds, "most works nevertheless: {received}");
    file.write_all_at(&clean, 0).expect("it is there");
    assert_eq!((queue.len(), queue.bytes()), (3, 1 + 150 + 10));
}

/// Three messages, one of them of two cells, and free cells that were used before.
fn fill(queue: &MessageQueue) {
    let kind = |number| MessageType::new(number).expect("positive");
    for (number, length) in [(1, 1), (2, 97), (3, 150), (2, 10)] {
        queue
            .try_send(kind(number), &vec![number as u8; length])
            .expect("room");
    }
    let gone = queue
        .try_receive(Select::LowestUpTo(kind(2)))
        .expect("sent");
    assert_eq!(gone.bytes.len(), 1);
    let gone = queue.try_receive(Select::Type(kind(2))).expect("sent");
    assert_eq!(gone.bytes.len(), 97);
    queue.try_send(kind(1), &[1]).expect("room");
}

/// Where the queue has its limits; behind them is everything but the lock.
fn place_of_the_limits(clean: &[u8]) -> usize {
    let limits = [LIMITS.messages.to_ne_bytes(), LIMITS.bytes.to_ne_bytes()].concat();
    let found = clean[START..]
        .windows(8)
        .position(|window| window == limits);
    START + found.expect("they are in the queue")
}

/// Changes some words of what begins with the limits.
fn scribble(bytes: &mut [u8], random: &mut fastrand::Rng) {
    // Links and lengths that are odd, and some that are possible.
    let odd = [
        0,
        8,
        9,
        97,
        800,
        u64::MAX,
        u64::MAX / 96,
        1 << 63,
        1 << 32,
        random.u64(..),
    ];
    for _ in 0..random.usize(1..8) {
        let at = random.usize(..bytes.len()) & !7;
        let word = match random.u8(..3) {
            0 => random.u64(1..10),
            1 => odd[random.usize(..odd.len())],
            // A length of a message, and one of a run.
            _ => random.u64(..400) | random.u64(..10) << 32,
        };
        bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
    }
    if random.bool() {
        // Whether all but the list was ever written: so it is written anew.
        bytes[16..24].fill(0);
    }
}

/// Some operations; how many of them have received something.
fn use_it(queue: &MessageQueue, random: &mut fastrand::Rng) -> u64 {
    let mut received = 0;
    for _ in 0..20 {
        let kind = MessageType::new(random.i64(1..4)).expect("positive");
        let select = match random.u8(..3) {
            0 => Select::First,
            1 => Select::Type(kind),
            _ => Select::LowestUpTo(kind),
        };
        let mut room = [0; 200];
        received += u64::from(match random.u8(..4) {
            0 => queue.try_receive(select).is_ok(),
            1 => queue
                .receive_into(
                    select,
                    &mut room,
                    LengthPolicy::Truncate,
                    Timeout::NonBlocking,
                )
                .is_ok(),
            2 => queue
                .receive_into(select, &mut room, LengthPolicy::Exact, Timeout::NonBlocking)
                .is_ok(),
            _ => {
                let _ = queue.try_send(kind, &room[..random.usize(..200)]);
                false
            }
        });
    }
    std::hint::black_box((queue.len(), queue.bytes(), queue.limits()));
    received
}
