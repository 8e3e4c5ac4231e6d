//! Priorities as on a queue of POSIX: the type is the priority, the other way round.

use super::kernel::{Posix, is_there};
use super::{property, with_queue};
use interlatch::MessageQueue;
use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
use interlatch::channel::{TryRecvError, TrySendError};
use nix::errno::Errno;
use proptest::prelude::*;

/// What an unprivileged process may have, and bytes of a message.
const MESSAGES: usize = 10;
const BYTES: usize = 200;

/// The highest that the kernel allows.
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
fn the_highest_priority_comes_first_as_on_a_queue_of_posix() {
    if !is_there("mq_open", Posix::new(1, 1)) {
        return;
    }
    let cases = (1..=MESSAGES).prop_flat_map(|messages| (Just(messages), steps()));
    property::check("messages::posix", &cases, |(messages, steps)| {
        let theirs = Posix::new(messages, BYTES).map_err(|error| format!("mq_open: {error}"))?;
        let bytes = (messages * BYTES) as u32;
        let limits = QueueLimits {
            messages: messages as u32,
            bytes,
        };
        with_queue(limits, |ours| {
            for (number, step) in steps.into_iter().enumerate() {
                let (here, there) = both(ours, &theirs, number, step);
                if here != there {
                    return Err(format!(
                        "step {number}, {step:?}: {here:?}, there {there:?}"
                    ));
                }
            }
            Ok(())
        })
    });
}

/// The priority and the bytes of what was received, if anything; or why it would have to wait.
type Outcome = Result<Option<(u32, Vec<u8>)>, &'static str>;

fn both(ours: &MessageQueue, theirs: &Posix, number: usize, step: Step) -> (Outcome, Outcome) {
    match step {
        Step::Send { priority, length } => {
            let bytes: Vec<u8> = (0..length).map(|index| (number + index) as u8).collect();
            let here = match ours.try_send(MessageType::from_priority(priority), &bytes) {
                Ok(()) => Ok(None),
                Err(TrySendError::Full(())) => Err("full"),
                Err(error) => panic!("{error}"),
            };
            let there = match theirs.send(priority, &bytes) {
                Ok(()) => Ok(None),
                Err(Errno::EAGAIN) => Err("full"),
                Err(error) => panic!("mq_send: {error}"),
            };
            (here, there)
        }
        Step::Receive => {
            let here = match ours.try_receive(Select::HIGHEST_PRIORITY) {
                Ok(message) => Ok(Some((message.message_type.priority(), message.bytes))),
                Err(TryRecvError::Empty) => Err("empty"),
                Err(error) => panic!("{error}"),
            };
            let there = match theirs.receive() {
                Ok(received) => Ok(Some(received)),
                Err(Errno::EAGAIN) => Err("empty"),
                Err(error) => panic!("mq_receive: {error}"),
            };
            (here, there)
        }
    }
}

#[test]
fn every_priority_has_a_type() {
    for priority in [0, 1, HIGHEST, u32::MAX - 1, u32::MAX] {
        assert_eq!(MessageType::from_priority(priority).priority(), priority);
    }
    assert_eq!(MessageType::from_priority(u32::MAX), MessageType::LOWEST);
    assert_eq!(MessageType::HIGHEST.priority(), 0, "it stands for none");
}
