//! Priorities as in a POSIX queue: the message type is the inverted priority.

use super::kernel::{Posix, is_available};
use super::{property, with_queue};
use interlatch::MessageQueue;
use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
use interlatch::channel::{TryRecvError, TrySendError};
use nix::errno::Errno;
use proptest::prelude::*;

/// The maximum number of messages in a queue of an unprivileged process.
const MESSAGES: usize = 10;
const BYTES: usize = 200;

/// The highest priority that the kernel allows.
const HIGHEST: u32 = 32_767;

#[derive(Clone, Copy, Debug)]
enum Step {
    Send { priority: u32, length: usize },
    Receive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priority = prop_oneof![8 => 0..=3_u32, 1 => 0..=HIGHEST, 1 => Just(HIGHEST)];
    let send = (priority, 0..=BYTES);
    let step = prop_oneof![
        3 => send.prop_map(|(priority, length)| Step::Send { priority, length }),
        2 => Just(Step::Receive),
    ];
    proptest::collection::vec(step, 1..60)
}

#[test]
fn highest_priority_comes_first_as_in_posix_queue() {
    if !is_available("mq_open", Posix::new(1, 1)) {
        return;
    }
    let cases = (1..=MESSAGES).prop_flat_map(|messages| (Just(messages), steps()));
    property::check("messages::posix", &cases, |(messages, steps)| {
        let posix = Posix::new(messages, BYTES).map_err(|error| format!("mq_open: {error}"))?;
        let bytes = (messages * BYTES) as u32;
        let limits = QueueLimits {
            messages: messages as u32,
            bytes,
        };
        with_queue(limits, |interlatch| {
            for (number, step) in steps.into_iter().enumerate() {
                let (found, expected) = perform(interlatch, &posix, number, step);
                if found != expected {
                    return Err(format!(
                        "step {number}, {step:?}: found {found:?}, POSIX {expected:?}"
                    ));
                }
            }
            Ok(())
        })
    });
}

/// The priority and bytes of a received message, or the reason why the receive would block.
type Outcome = Result<Option<(u32, Vec<u8>)>, &'static str>;

fn perform(
    interlatch: &MessageQueue,
    posix: &Posix,
    number: usize,
    step: Step,
) -> (Outcome, Outcome) {
    match step {
        Step::Send { priority, length } => {
            let bytes: Vec<u8> = (0..length).map(|index| (number + index) as u8).collect();
            let found = match interlatch.try_send(MessageType::from_priority(priority), &bytes) {
                Ok(()) => Ok(None),
                Err(TrySendError::Full(())) => Err("full"),
                Err(error) => panic!("{error}"),
            };
            let expected = match posix.send(priority, &bytes) {
                Ok(()) => Ok(None),
                Err(Errno::EAGAIN) => Err("full"),
                Err(error) => panic!("mq_send: {error}"),
            };
            (found, expected)
        }
        Step::Receive => {
            let found = match interlatch.try_receive(Select::HIGHEST_PRIORITY) {
                Ok(message) => Ok(Some((message.message_type.priority(), message.bytes))),
                Err(TryRecvError::Empty) => Err("empty"),
                Err(error) => panic!("{error}"),
            };
            let expected = match posix.receive() {
                Ok(received) => Ok(Some(received)),
                Err(Errno::EAGAIN) => Err("empty"),
                Err(error) => panic!("mq_receive: {error}"),
            };
            (found, expected)
        }
    }
}

#[test]
fn every_priority_has_a_message_type() {
    for priority in [0, 1, HIGHEST, u32::MAX - 1, u32::MAX] {
        assert_eq!(MessageType::from_priority(priority).priority(), priority);
    }
    assert_eq!(MessageType::from_priority(u32::MAX), MessageType::LOWEST);
    assert_eq!(MessageType::HIGHEST.priority(), 0, "the lowest priority");
}
