//! A peer writes random words into a queue. Every operation still returns a message or a typed
//! error.
//!
//! The number of rounds is 20 times `INTERLATCH_CASES`. `INTERLATCH_SEED` repeats a run.

use super::random::{env_number, seed};
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

/// The number of bytes from the queue's limits to its end: the limits, the oldest message, a
/// summary, and the cells.
const STATE_SIZE: usize = 8 + 8 + 48 + 128 * LIMITS.cells();

/// The offset of the objects, which follow the header of the region.
const START: usize = 8192;
const SIZE: usize = START + 4096;

#[test]
fn operations_on_a_corrupted_queue_end() {
    let (report, reports) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        corrupt_and_use();
        report.send(()).expect("the test receives");
    });
    match reports.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("an operation does not end"),
        _ => thread.join().expect("no panic"),
    }
}

fn corrupt_and_use() {
    let rounds = 20 * env_number("INTERLATCH_CASES").unwrap_or(256);
    println!("{rounds} rounds");
    let mut random = fastrand::Rng::with_seed(seed());
    let region = Region::memfd("hostile", SIZE - START).expect("the region can be created");
    let queue: &MessageQueue = region.create("queue", LIMITS).expect("the region has room");
    fill(queue);
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let file = File::from(descriptor.try_clone_to_owned().expect("a descriptor"));
    let mut clean = vec![0; SIZE];
    file.read_exact_at(&mut clean, 0)
        .expect("the memfd is readable and writable");
    let object = offset_of_limits(&clean);
    let mut received = 0_u64;
    for _ in 0..rounds {
        let mut bytes = clean.clone();
        corrupt(&mut bytes[object..object + STATE_SIZE], &mut random);
        file.write_all_at(&bytes, 0)
            .expect("the memfd is readable and writable");
        received += use_queue(queue, &mut random);
    }
    assert!(received > rounds, "most operations succeed: {received}");
    file.write_all_at(&clean, 0)
        .expect("the memfd is readable and writable");
    assert_eq!((queue.len(), queue.bytes()), (3, 1 + 150 + 10));
}

/// Leaves three messages in the queue, one of which occupies two cells, and free cells that were
/// used before.
fn fill(queue: &MessageQueue) {
    let message_type = |number| MessageType::new(number).expect("positive");
    for (number, length) in [(1, 1), (2, 97), (3, 150), (2, 10)] {
        queue
            .try_send(message_type(number), &vec![number as u8; length])
            .expect("the buffer has room");
    }
    let received = queue
        .try_receive(Select::LowestUpTo(message_type(2)))
        .expect("sent");
    assert_eq!(received.bytes.len(), 1);
    let received = queue
        .try_receive(Select::Type(message_type(2)))
        .expect("sent");
    assert_eq!(received.bytes.len(), 97);
    queue
        .try_send(message_type(1), &[1])
        .expect("the buffer has room");
}

/// Finds the offset of the queue's limits. In memory, all other fields except the
/// lock come after the limits.
fn offset_of_limits(clean: &[u8]) -> usize {
    let limits = [LIMITS.messages.to_ne_bytes(), LIMITS.bytes.to_ne_bytes()].concat();
    let found = clean[START..]
        .windows(8)
        .position(|window| window == limits);
    START + found.expect("the queue has its limits")
}

/// Corrupts some words of the queue at or after its limits.
fn corrupt(bytes: &mut [u8], random: &mut fastrand::Rng) {
    // These are special values for links and lengths, and some valid values.
    let special = [
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
        let offset = random.usize(..bytes.len()) & !7;
        let word = match random.u8(..3) {
            0 => random.u64(1..10),
            1 => special[random.usize(..special.len())],
            // The low half is the length of a message, and the high half is the length of a run of
            // cells.
            _ => random.u64(..400) | random.u64(..10) << 32,
        };
        bytes[offset..offset + 8].copy_from_slice(&word.to_ne_bytes());
    }
    if random.bool() {
        // Clearing the summary makes the queue rebuild all other data from the message list.
        bytes[16..24].fill(0);
    }
}

/// Performs some operations. Returns how many messages the operations received.
fn use_queue(queue: &MessageQueue, random: &mut fastrand::Rng) -> u64 {
    let mut received = 0;
    for _ in 0..20 {
        let message_type = MessageType::new(random.i64(1..4)).expect("positive");
        let select = match random.u8(..3) {
            0 => Select::First,
            1 => Select::Type(message_type),
            _ => Select::LowestUpTo(message_type),
        };
        let mut buffer = [0; 200];
        received += u64::from(match random.u8(..4) {
            0 => queue.try_receive(select).is_ok(),
            1 => queue
                .receive_into(
                    select,
                    &mut buffer,
                    LengthPolicy::Truncate,
                    Timeout::NonBlocking,
                )
                .is_ok(),
            2 => queue
                .receive_into(
                    select,
                    &mut buffer,
                    LengthPolicy::Exact,
                    Timeout::NonBlocking,
                )
                .is_ok(),
            _ => {
                let _ = queue.try_send(message_type, &buffer[..random.usize(..200)]);
                false
            }
        });
    }
    std::hint::black_box((queue.len(), queue.bytes(), queue.limits()));
    received
}
