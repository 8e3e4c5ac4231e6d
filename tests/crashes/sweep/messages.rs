//! The swept operations on a message queue.

use super::watchdog::PATIENCE;
use super::{NO_OPERATION, Objects, Operation};
use interlatch::MessageQueue;
use interlatch::channel::message_queue::{MessageCell, MessageQueueExt, MessageType, Select};
use interlatch::sync::Timeout;

/// A queue of at most three messages and 287 bytes.
pub type Queue = MessageQueue<[MessageCell; CELLS]>;

const CELLS: usize = 5;
const MESSAGES: i64 = 3;

/// The length in bytes of a message that occupies two cells.
const LENGTH: usize = 100;

/// The length in bytes of a message that occupies three cells.
const LONGER: usize = 230;

pub fn operations() -> [Operation; 6] {
    const OBJECT: &str = "message queue: ";
    [
        Operation {
            name: "send the first message",
            perform: |objects| send(objects, 2),
            check: |objects| contains_one_of(objects, &[&[], &[2]]),
            object: OBJECT,
            ..NO_OPERATION
        },
        Operation {
            name: "send that waits",
            prepare: |objects| (1..=2).for_each(|number| send(objects, number)),
            perform: |objects| send(objects, 3),
            unblock: |objects| receive(objects, 1),
            check: |objects| contains_one_of(objects, &[&[1, 2], &[2], &[2, 3]]),
            object: OBJECT,
            ..NO_OPERATION
        },
        Operation {
            name: "receive from the middle",
            prepare: |objects| {
                send_short(objects, 1);
                send(objects, 2);
                send_short(objects, 3);
            },
            perform: |objects| receive(objects, 2),
            check: |objects| contains_one_of(objects, &[&[1, 2, 3], &[1, 3]]),
            object: OBJECT,
            ..NO_OPERATION
        },
        Operation {
            name: "send into two separate ranges of cells",
            prepare: fragment_free_cells,
            perform: |objects| send_bytes(objects, 4, LONGER),
            check: |objects| contains_one_of(objects, &[&[2, 3], &[2, 3, 4]]),
            object: OBJECT,
            ..NO_OPERATION
        },
        Operation {
            name: "receive from two separate ranges of cells",
            prepare: |objects| {
                fragment_free_cells(objects);
                send_bytes(objects, 4, LONGER);
            },
            perform: |objects| receive(objects, 4),
            check: |objects| contains_one_of(objects, &[&[2, 3, 4], &[2, 3]]),
            object: OBJECT,
            ..NO_OPERATION
        },
        Operation {
            name: "receive that waits",
            prepare: |objects| send_short(objects, 1),
            perform: |objects| receive(objects, 2),
            unblock: |objects| send(objects, 2),
            check: |objects| contains_one_of(objects, &[&[1], &[1, 2]]),
            object: OBJECT,
            ..NO_OPERATION
        },
    ]
}

fn message_type(number: i64) -> MessageType {
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
    let sent = objects
        .messages
        .send_timeout(message_type(number), &bytes, PATIENCE);
    sent.expect("the queue has room");
}

fn receive(objects: &Objects, number: i64) {
    let select = Select::Type(message_type(number));
    let received = objects.messages.receive_timeout(select, PATIENCE);
    is_intact(number, &received.expect("the message was sent").bytes);
}

/// Leaves two messages in the queue that split the free cells into two ranges.
fn fragment_free_cells(objects: &Objects) {
    (1..=3).for_each(|number| send_short(objects, number));
    receive(objects, 1);
}

fn is_intact(number: i64, bytes: &[u8]) {
    assert!(
        bytes.iter().all(|byte| i64::from(*byte) == number),
        "torn message: {bytes:?}"
    );
}

/// Checks that the queue contains one of these lists of messages, and that no capacity is lost.
fn contains_one_of(objects: &Objects, lists: &[&[i64]]) {
    let queue = &objects.messages;
    let is_full = queue.len() as i64 == MESSAGES;
    if !is_full {
        let rest = queue.max_length() - queue.bytes();
        send_bytes(objects, 9, rest);
    }
    let mut found = drain(queue);
    assert!(is_full || found.pop() == Some(9), "the message sent last");
    assert!(lists.contains(&&found[..]), "{found:?} is not in {lists:?}");
    let all: Vec<i64> = (1..=MESSAGES).collect();
    all.iter().for_each(|number| send_short(objects, *number));
    let full = queue.send_with(message_type(9), &[], Timeout::NonBlocking);
    assert!(full.is_err(), "the queue is full");
    assert_eq!(drain(queue), all);
}

fn drain(queue: &Queue) -> Vec<i64> {
    let next = || {
        let message = queue.try_receive(Select::First).ok()?;
        is_intact(message.message_type.get(), &message.bytes);
        Some(message.message_type.get())
    };
    std::iter::from_fn(next).collect()
}
