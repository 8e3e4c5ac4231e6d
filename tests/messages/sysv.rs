//! The same operations on a queue of System V, with the same results.
//!
//! One difference is meant: a message that is longer than the whole queue is refused here at once, and
//! there waits for ever (`EAGAIN` without waiting), unless it is longer than any queue's (`EINVAL`).

use super::kernel::{ROOM, SysV, is_there};
use super::{property, with_queue};
use interlatch::MessageQueue;
use interlatch::channel::message_queue::{
    LengthPolicy, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::channel::{ChannelError, RecvTimeoutError, SendTimeoutError, TrySendError};
use interlatch::sync::Timeout;
use nix::errno::Errno;
use proptest::prelude::*;
use std::time::Duration;

/// Nothing here takes as long.
const LONG: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        kind: i64,
        length: usize,
    },
    /// As `msgrcv(2)` takes it: any, of that type, or of the lowest up to it.
    Receive {
        select: i64,
        room: usize,
        cut: bool,
    },
    Count,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    Received(i64, Vec<u8>),
    Counts(usize, usize),
    BadType,
    TooLong,
    Full,
    NoMessage,
    WrongLength,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    // Some are of a type that there is not, and some longer than the queue.
    let kind =
        prop_oneof![20 => 1..=4_i64, 1 => -1..=0_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let length = prop_oneof![4 => 0..=most / 3, 1 => 0..=most + 1, 2 => 0..=2_usize];
    let select = prop_oneof![20 => -5..=5_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN + 1)];
    let room = prop_oneof![3 => Just(most), 1 => 0..=most + 1, 1 => 0..=2_usize];
    let step = prop_oneof![
        5 => (kind, length).prop_map(|(kind, length)| Step::Send { kind, length }),
        4 => (select, room, any::<bool>())
            .prop_map(|(select, room, cut)| Step::Receive { select, room, cut }),
        1 => Just(Step::Count),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The bytes of the message of that step, which no other one has.
fn message(step: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| (step * 7 + index) as u8).collect()
}

fn selected(select: i64) -> Select {
    match select {
        0 => Select::First,
        1.. => Select::Type(MessageType::new(select).expect("positive")),
        _ => Select::LowestUpTo(MessageType::new(-select).expect("positive")),
    }
}

fn ours(queue: &MessageQueue, number: usize, step: Step) -> Outcome {
    match step {
        Step::Send { kind, length } => {
            let Ok(kind) = MessageType::new(kind) else {
                return Outcome::BadType;
            };
            match queue.try_send(kind, &message(number, length)) {
                Ok(()) => Outcome::Sent,
                Err(TrySendError::Full(())) => Outcome::Full,
                Err(TrySendError::Failed(
                    (),
                    ChannelError::MessageTooLong { length: found, max },
                )) => {
                    assert_eq!((found, max), (length, queue.max_length()));
                    Outcome::TooLong
                }
                Err(error) => panic!("{error}"),
            }
        }
        Step::Receive { select, room, cut } => {
            let mut bytes = vec![0; room];
            let fit = if cut {
                LengthPolicy::Truncate
            } else {
                LengthPolicy::AtMost
            };
            match queue.receive_into(selected(select), &mut bytes, fit, Timeout::NonBlocking) {
                Ok(received) => {
                    bytes.truncate(received.length);
                    Outcome::Received(received.message_type.get(), bytes)
                }
                Err(RecvTimeoutError::Timeout) => Outcome::NoMessage,
                Err(RecvTimeoutError::Failed(ChannelError::MessageTooLong { length, max })) => {
                    assert!(max == room && length > room, "{length} into {max}");
                    Outcome::WrongLength
                }
                Err(error) => panic!("{error}"),
            }
        }
        Step::Count => Outcome::Counts(queue.len(), queue.bytes()),
    }
}

fn theirs(queue: &SysV, most: usize, number: usize, step: Step) -> Outcome {
    match step {
        Step::Send { kind, length } => match queue.send(kind, &message(number, length)) {
            Ok(()) => Outcome::Sent,
            Err(Errno::EINVAL) if kind < 1 => Outcome::BadType,
            Err(Errno::EAGAIN) if length > most => Outcome::TooLong,
            Err(Errno::EAGAIN) => Outcome::Full,
            Err(error) => panic!("msgsnd: {error}"),
        },
        Step::Receive { select, room, cut } => match queue.receive(select, room, cut) {
            Ok((kind, bytes)) => Outcome::Received(kind, bytes),
            Err(Errno::ENOMSG) => Outcome::NoMessage,
            Err(Errno::E2BIG) => Outcome::WrongLength,
            Err(error) => panic!("msgrcv: {error}"),
        },
        Step::Count => {
            let (messages, bytes) = queue.counts().expect("it is there");
            Outcome::Counts(messages, bytes)
        }
    }
}

#[test]
fn every_operation_ends_as_on_a_queue_of_system_v() {
    if !is_there("msgget", SysV::new(1)) {
        return;
    }
    let most = prop_oneof![1..=4_usize, 1..=ROOM - 1];
    let cases = most.prop_flat_map(|most| (Just(most), steps(most)));
    property::check("messages::sysv", &cases, |(most, steps)| {
        let theirs_queue = SysV::new(most).map_err(|error| format!("msgget: {error}"))?;
        // As many messages as bytes: so the kernel bounds those without any.
        let count = most as u32;
        let limits = QueueLimits {
            messages: count,
            bytes: count,
        };
        with_queue(limits, |queue| {
            for (number, step) in steps.into_iter().enumerate() {
                let ours = ours(queue, number, step);
                let theirs = theirs(&theirs_queue, most, number, step);
                if ours != theirs {
                    return Err(format!(
                        "step {number}, {step:?}: {ours:?}, there {theirs:?}"
                    ));
                }
            }
            Ok(())
        })
    });
}

/// Beyond what any queue takes the kernel has another word for it, and we have the same.
#[test]
fn a_message_longer_than_any_is_refused_by_both() {
    if !is_there("msgget", SysV::new(1)) {
        return;
    }
    let queue = SysV::new(100).expect("as before");
    assert_eq!(
        queue.send(1, &[0; 101]),
        Err(Errno::EAGAIN),
        "it would wait for ever"
    );
    let limits = QueueLimits {
        messages: 100,
        bytes: 100,
    };
    let refused = with_queue(limits, |queue| {
        queue.send_timeout(MessageType::LOWEST, &[0; 101], LONG)
    });
    let too_long = ChannelError::MessageTooLong {
        length: 101,
        max: 100,
    };
    let too_long = SendTimeoutError::Failed((), too_long);
    assert_eq!(refused, Err(too_long), "at once, also where it may wait");
}
