//! The same operations have the same results on interlatch's queue and on a System V queue.
//!
//! One difference is intended. In interlatch, a message longer than the whole queue is an error. In
//! a System V queue, sending such a message waits forever (or returns `EAGAIN` in a non-blocking
//! call), unless the message exceeds the limit of all queues (`EINVAL`).

use super::kernel::{MAX_LENGTH, SysV, is_available};
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

/// A timeout that is longer than any call in these tests takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        message_type: i64,
        length: usize,
    },
    /// Receives a message selected as in `msgrcv(2)`: 0 selects any type, a positive number selects
    /// that type, and a negative number selects the lowest type up to its absolute value.
    Receive {
        select: i64,
        buffer_size: usize,
        truncate: bool,
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

fn steps(capacity: usize) -> impl Strategy<Value = Vec<Step>> {
    // Some types are invalid, and some messages are longer than the whole queue.
    let message_type =
        prop_oneof![20 => 1..=4_i64, 1 => -1..=0_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let length = prop_oneof![4 => 0..=capacity / 3, 1 => 0..=capacity + 1, 2 => 0..=2_usize];
    let select = prop_oneof![20 => -5..=5_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN + 1)];
    let buffer_size = prop_oneof![3 => Just(capacity), 1 => 0..=capacity + 1, 1 => 0..=2_usize];
    let step = prop_oneof![
        5 => (message_type, length).prop_map(|(message_type, length)| Step::Send { message_type, length }),
        4 => (select, buffer_size, any::<bool>())
            .prop_map(|(select, buffer_size, truncate)| Step::Receive { select, buffer_size, truncate }),
        1 => Just(Step::Count),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Returns the bytes of a step's message. The messages of different steps differ.
fn message(step: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| (step * 7 + index) as u8).collect()
}

fn parse_select(select: i64) -> Select {
    match select {
        0 => Select::First,
        1.. => Select::Type(MessageType::new(select).expect("positive")),
        _ => Select::LowestUpTo(MessageType::new(-select).expect("positive")),
    }
}

fn on_interlatch(queue: &MessageQueue, number: usize, step: Step) -> Outcome {
    match step {
        Step::Send {
            message_type,
            length,
        } => {
            let Ok(message_type) = MessageType::new(message_type) else {
                return Outcome::BadType;
            };
            match queue.try_send(message_type, &message(number, length)) {
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
        Step::Receive {
            select,
            buffer_size,
            truncate,
        } => {
            let mut bytes = vec![0; buffer_size];
            let policy = if truncate {
                LengthPolicy::Truncate
            } else {
                LengthPolicy::AtMost
            };
            match queue.receive_into(
                parse_select(select),
                &mut bytes,
                policy,
                Timeout::NonBlocking,
            ) {
                Ok(received) => {
                    bytes.truncate(received.length);
                    Outcome::Received(received.message_type.get(), bytes)
                }
                Err(RecvTimeoutError::Timeout) => Outcome::NoMessage,
                Err(RecvTimeoutError::Failed(ChannelError::MessageTooLong { length, max })) => {
                    assert!(
                        max == buffer_size && length > buffer_size,
                        "{length} into {max}"
                    );
                    Outcome::WrongLength
                }
                Err(error) => panic!("{error}"),
            }
        }
        Step::Count => Outcome::Counts(queue.len(), queue.bytes()),
    }
}

fn on_sysv(queue: &SysV, capacity: usize, number: usize, step: Step) -> Outcome {
    match step {
        Step::Send {
            message_type,
            length,
        } => match queue.send(message_type, &message(number, length)) {
            Ok(()) => Outcome::Sent,
            Err(Errno::EINVAL) if message_type < 1 => Outcome::BadType,
            Err(Errno::EAGAIN) if length > capacity => Outcome::TooLong,
            Err(Errno::EAGAIN) => Outcome::Full,
            Err(error) => panic!("msgsnd: {error}"),
        },
        Step::Receive {
            select,
            buffer_size,
            truncate,
        } => match queue.receive(select, buffer_size, truncate) {
            Ok((message_type, bytes)) => Outcome::Received(message_type, bytes),
            Err(Errno::ENOMSG) => Outcome::NoMessage,
            Err(Errno::E2BIG) => Outcome::WrongLength,
            Err(error) => panic!("msgrcv: {error}"),
        },
        Step::Count => {
            let (messages, bytes) = queue.counts().expect("the queue exists");
            Outcome::Counts(messages, bytes)
        }
    }
}

#[test]
fn operations_agree_with_system_v_queue() {
    if !is_available("msgget", SysV::new(1)) {
        return;
    }
    let capacity = prop_oneof![1..=4_usize, 1..=MAX_LENGTH - 1];
    let cases = capacity.prop_flat_map(|capacity| (Just(capacity), steps(capacity)));
    property::check("messages::sysv", &cases, |(capacity, steps)| {
        let sysv_queue = SysV::new(capacity).map_err(|error| format!("msgget: {error}"))?;
        // The limit of messages equals the limit of bytes, because the kernel limits empty messages
        // this way.
        let count = capacity as u32;
        let limits = QueueLimits {
            messages: count,
            bytes: count,
        };
        with_queue(limits, |queue| {
            for (number, step) in steps.into_iter().enumerate() {
                let on_interlatch = on_interlatch(queue, number, step);
                let on_sysv = on_sysv(&sysv_queue, capacity, number, step);
                if on_interlatch != on_sysv {
                    return Err(format!(
                        "step {number}, {step:?}: interlatch {on_interlatch:?}, System V {on_sysv:?}"
                    ));
                }
            }
            Ok(())
        })
    });
}

/// In interlatch, a message longer than the queue is an immediate error, even with a timeout.
#[test]
fn message_longer_than_the_queue_is_an_error() {
    if !is_available("msgget", SysV::new(1)) {
        return;
    }
    let queue = SysV::new(100).expect("a System V queue");
    assert_eq!(
        queue.send(1, &[0; 101]),
        Err(Errno::EAGAIN),
        "a blocking call would wait forever"
    );
    let limits = QueueLimits {
        messages: 100,
        bytes: 100,
    };
    let result = with_queue(limits, |queue| {
        queue.send_timeout(MessageType::LOWEST, &[0; 101], TEST_TIMEOUT)
    });
    let too_long = ChannelError::MessageTooLong {
        length: 101,
        max: 100,
    };
    let too_long = SendTimeoutError::Failed((), too_long);
    assert_eq!(
        result,
        Err(too_long),
        "the error comes at once, even with a timeout"
    );
}
