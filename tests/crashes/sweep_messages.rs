//! The operations of a message queue that a child is killed in.

use super::process::TIMEOUT;
use super::sweep::{NOTHING, Objects, Operation};
use interlatch::MessageQueue;
use interlatch::channel::message_queue::{MessageCell, MessageQueueExt, MessageType, Select};
use interlatch::sync::Timeout;

/// A queue for three messages and 287 bytes.
pub type Queued = MessageQueue<[MessageCell; CELLS]>;

const CELLS: usize = 5;
const MESSAGES: i64 = 3;

/// Bytes of a message that takes two of them.
const LENGTH: usize = 100;

/// Bytes of a message that takes three of them.
const LONGER: usize = 230;

pub fn operations() -> [Operation; 6] {
    const ON: &str = "message queue: ";
    [
        Operation {
            name: "send, the first of all",
            perform: |objects| send(objects, 2),
            check: |objects| holds_one_of(objects, &[&[], &[2]]),
            on: ON,
            ..NOTHING
        },
        Operation {
            name: "send that waits",
            prepare: |objects| (1..=2).for_each(|number| send(objects, number)),
            perform: |objects| send(objects, 3),
            forget_range: |objects| receive(objects, 1),
            check: |objects| holds_one_of(objects, &[&[1, 2], &[2], &[2, 3]]),
            on: ON,
            ..NOTHING
        },
        Operation {
            name: "receive from the middle",
            prepare: |objects| {
                send_short(objects, 1);
                send(objects, 2);
                send_short(objects, 3);
            },
            perform: |objects| receive(objects, 2),
            check: |objects| holds_one_of(objects, &[&[1, 2, 3], &[1, 3]]),
            on: ON,
            ..NOTHING
        },
        Operation {
            name: "send into two pieces",
            prepare: leave_two_pieces,
            perform: |objects| send_bytes(objects, 4, LONGER),
            check: |objects| holds_one_of(objects, &[&[2, 3], &[2, 3, 4]]),
            on: ON,
            ..NOTHING
        },
        Operation {
            name: "receive from two pieces",
            prepare: |objects| {
                leave_two_pieces(objects);
                send_bytes(objects, 4, LONGER);
            },
            perform: |objects| receive(objects, 4),
            check: |objects| holds_one_of(objects, &[&[2, 3, 4], &[2, 3]]),
            on: ON,
            ..NOTHING
        },
        Operation {
            name: "receive that waits",
            prepare: |objects| send_short(objects, 1),
            perform: |objects| receive(objects, 2),
            forget_range: |objects| send(objects, 2),
            check: |objects| holds_one_of(objects, &[&[1], &[1, 2]]),
            on: ON,
            ..NOTHING
        },
    ]
}

fn kind(number: i64) -> MessageType {
    MessageType::new(number).expect("positive")
}

fn send(objects: &Objects, number: i64) {
    send_bytes(objects, number, LENGTH);
}

fn send_short(objects: &Objects, number: i64) {
    send_bytes(objects, number, 1);
}

fn send_bytes(objects: &Objects, number: i64, length: usize) {
    let bytes = vec![number as u8; length];
    let sent = objects.messages.send_timeout(kind(number), &bytes, TIMEOUT);
    sent.expect("there is room");
}

fn receive(objects: &Objects, number: i64) {
    let select = Select::Type(kind(number));
    let received = objects.messages.receive_timeout(select, TIMEOUT);
    is_whole(number, &received.expect("it was sent").bytes);
}

/// Two messages in the middle of the cells.
fn leave_two_pieces(objects: &Objects) {
    (1..=3).for_each(|number| send_short(objects, number));
    receive(objects, 1);
}

fn is_whole(number: i64, bytes: &[u8]) {
    assert!(
        bytes.iter().all(|byte| i64::from(*byte) == number),
        "torn: {bytes:?}"
    );
}

/// The messages are one of these lists, and there is as much room as ever, beside them and afterwards.
fn holds_one_of(objects: &Objects, lists: &[&[i64]]) {
    let queue = &objects.messages;
    let is_full = queue.len() as i64 == MESSAGES;
    if !is_full {
        let rest = queue.max_length() - queue.bytes();
        send_bytes(objects, 9, rest);
    }
    let mut found = drain(queue);
    assert!(is_full || found.pop() == Some(9), "the last one");
    assert!(
        lists.contains(&&found[..]),
        "{found:?} is none of {lists:?}"
    );
    let all: Vec<i64> = (1..=MESSAGES).collect();
    all.iter().for_each(|number| send_short(objects, *number));
    let full = queue.send_with(kind(9), &[], Timeout::NonBlocking);
    assert!(full.is_err(), "it is full");
    assert_eq!(drain(queue), all);
}

fn drain(queue: &Queued) -> Vec<i64> {
    let next = || {
        let message = queue.try_receive(Select::First).ok()?;
        is_whole(message.message_type.get(), &message.bytes);
        Some(message.message_type.get())
    };
    std::iter::from_fn(next).collect()
}
