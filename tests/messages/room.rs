//! A message within the limits fits, after any sequence of sends and receives, even if the free
//! cells are fragmented.
//!
//! `INTERLATCH_CASES` sets the number of queues. `INTERLATCH_SEED` repeats a run.

use super::random::{env_number, seed};
use super::with_queue;
use interlatch::MessageQueue;
use interlatch::channel::message_queue::CELL_PAYLOAD;
use interlatch::channel::message_queue::{
    Message, MessageQueueExt, MessageType, QueueLimits, Select,
};

/// The number of sends and receives on each queue.
const STEPS: usize = 300;

#[test]
fn message_within_the_limits_always_fits() {
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..env_number("INTERLATCH_CASES").unwrap_or(256) {
        let limits = QueueLimits {
            messages: random.u32(1..8),
            bytes: random.u32(0..20 * CELL_PAYLOAD as u32),
        };
        with_queue(limits, |queue| {
            let mut expected = Vec::new();
            for number in 0..STEPS {
                match random.bool() {
                    true => send(queue, &mut expected, number, &mut random),
                    false => receive(queue, &mut expected, &mut random),
                }
                let bytes: usize = expected.iter().map(|message| message.bytes.len()).sum();
                assert_eq!((queue.len(), queue.bytes()), (expected.len(), bytes));
            }
        });
    }
}

/// Returns a random length. Some lengths are at a boundary: full cells, a full range of cells, or
/// the greatest length that fits.
fn length(room: usize, random: &mut fastrand::Rng) -> usize {
    let cells = random.usize(1..6);
    let boundaries = [
        cells * CELL_PAYLOAD,
        cells * 128 - (128 - CELL_PAYLOAD),
        room,
    ];
    let length = match random.bool() {
        true => boundaries[random.usize(..boundaries.len())] + random.usize(..2),
        false => random.usize(..=room),
    };
    length.min(room)
}

/// Sends a message that fits. If the queue holds the maximum number of messages, checks that the
/// send fails.
fn send(
    queue: &MessageQueue,
    expected: &mut Vec<Message>,
    number: usize,
    random: &mut fastrand::Rng,
) {
    let room = queue.max_length() - queue.bytes();
    let length = length(room, random);
    let message_type = MessageType::new(random.i64(1..4)).expect("positive");
    let bytes: Vec<u8> = (0..length)
        .map(|index| (number + index * 7) as u8)
        .collect();
    let has_room = expected.len() < queue.limits().messages as usize;
    let sent = queue.try_send(message_type, &bytes);
    assert_eq!(
        sent.is_ok(),
        has_room,
        "{length} bytes into {room}: {sent:?}"
    );
    if has_room {
        expected.push(Message::new(message_type, bytes));
    }
}

/// Receives the oldest message, or the oldest message of one type.
fn receive(queue: &MessageQueue, expected: &mut Vec<Message>, random: &mut fastrand::Rng) {
    let message_type = MessageType::new(random.i64(1..4)).expect("positive");
    let (select, found) = match random.u8(..4) {
        0 => (Select::First, (!expected.is_empty()).then_some(0)),
        _ => {
            let has_type = |message: &Message| message.message_type == message_type;
            (
                Select::Type(message_type),
                expected.iter().position(has_type),
            )
        }
    };
    let received = queue.try_receive(select).ok();
    assert_eq!(received, found.map(|index| expected.remove(index)));
}
