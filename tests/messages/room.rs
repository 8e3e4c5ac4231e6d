//! What keeps within the limits has room, in whatever order messages come and go, and in however many pieces they are.
//!
//! `INTERLATCH_CASES` says how many queues; `INTERLATCH_SEED` repeats a run.

use super::{number, with_queue};
use interlatch::MessageQueue;
use interlatch::channel::message_queue::CELL_PAYLOAD;
use interlatch::channel::message_queue::{
    Message, MessageQueueExt, MessageType, QueueLimits, Select,
};

/// Sends and receives on one queue.
const STEPS: usize = 300;

#[test]
fn a_message_within_the_limits_has_room_whatever_was_received_before() {
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("INTERLATCH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..number("INTERLATCH_CASES").unwrap_or(256) {
        let limits = QueueLimits {
            messages: random.u32(1..8),
            bytes: random.u32(0..20 * CELL_PAYLOAD as u32),
        };
        with_queue(limits, |queue| {
            let mut there = Vec::new();
            for number in 0..STEPS {
                match random.bool() {
                    true => send(queue, &mut there, number, &mut random),
                    false => receive(queue, &mut there, &mut random),
                }
                let bytes: usize = there.iter().map(|message| message.bytes.len()).sum();
                assert_eq!((queue.len(), queue.bytes()), (there.len(), bytes));
            }
        });
    }
}

/// One of any length, or of one at which it needs one piece or one cell more, or all that there is room for.
fn length(room: usize, random: &mut fastrand::Rng) -> usize {
    let cells = random.usize(1..6);
    let whole = [
        cells * CELL_PAYLOAD,
        cells * 128 - (128 - CELL_PAYLOAD),
        room,
    ];
    let length = match random.bool() {
        true => whole[random.usize(..whole.len())] + random.usize(..2),
        false => random.usize(..=room),
    };
    length.min(room)
}

/// Sends what there is room for; if there can be no more messages, one that is refused.
fn send(queue: &MessageQueue, there: &mut Vec<Message>, number: usize, random: &mut fastrand::Rng) {
    let room = queue.max_length() - queue.bytes();
    let length = length(room, random);
    let kind = MessageType::new(random.i64(1..4)).expect("positive");
    let bytes: Vec<u8> = (0..length).map(|at| (number + at * 7) as u8).collect();
    let has_room = there.len() < queue.limits().messages as usize;
    let sent = queue.try_send(kind, &bytes);
    assert_eq!(
        sent.is_ok(),
        has_room,
        "{length} bytes into {room}: {sent:?}"
    );
    if has_room {
        there.push(Message::new(kind, bytes));
    }
}

/// Receives the oldest, or the oldest of a type.
fn receive(queue: &MessageQueue, there: &mut Vec<Message>, random: &mut fastrand::Rng) {
    let kind = MessageType::new(random.i64(1..4)).expect("positive");
    let (select, found) = match random.u8(..4) {
        0 => (Select::First, (!there.is_empty()).then_some(0)),
        _ => {
            let of_kind = |message: &Message| message.message_type == kind;
            (Select::Type(kind), there.iter().position(of_kind))
        }
    };
    let received = queue.try_receive(select).ok();
    assert_eq!(received, found.map(|place| there.remove(place)));
}
