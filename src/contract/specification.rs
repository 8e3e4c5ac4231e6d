//! What each primitive means: small sequential state machines.
//!
//! Everything that checks a primitive on the real machine checks it against these: one operation
//! at a time, or as the linearization of a history.

use crate::sync::MAX_PERMITS;
use std::collections::VecDeque;

/// The state of an object between two operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A semaphore; a lock is one with a single permit.
    Permits(u32),
    /// A semaphore pair.
    Pair {
        /// Turns for writers.
        writer: u32,
        /// Turns for readers.
        reader: u32,
    },
    /// A bounded buffer.
    Buffer {
        /// The items, oldest first.
        items: VecDeque<u64>,
        /// The most items.
        capacity: usize,
        /// Handles at the sending end; the last one that goes ends the stream.
        senders: usize,
        /// Handles at the receiving end; the last one that goes breaks the pipe.
        receivers: usize,
    },
}

/// What a process does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Take a permit, or lock.
    Acquire,
    /// Add permits, or unlock.
    Release(u32),
    /// Take a writer's turn and end it.
    Write,
    /// Take a reader's turn and end it.
    Read,
    /// Send an item.
    Send(u64),
    /// Receive an item.
    Recv,
    /// Count the items.
    Len,
    /// Drop a handle of the sending end.
    CloseSending,
    /// Drop a handle of the receiving end.
    CloseReceiving,
}

/// How an operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done, and there is nothing to say about it.
    Done,
    /// An item was received.
    Item(u64),
    /// There were that many.
    Count(u64),
    /// Not now: it would have to wait.
    WouldBlock,
    /// Never: the other end is closed.
    Disconnected,
    /// More permits than can be counted.
    Overflow,
}

impl State {
    /// What the operation does in this state: its outcome and the next state. An operation that
    /// has to wait is [`Outcome::WouldBlock`] and changes nothing.
    #[must_use]
    pub fn apply(&self, operation: Operation) -> (Outcome, Self) {
        let mut next = self.clone();
        let outcome = next.step(operation);
        (outcome, next)
    }

    fn step(&mut self, operation: Operation) -> Outcome {
        match (self, operation) {
            (Self::Permits(permits), Operation::Acquire) => take(permits),
            (Self::Permits(permits), Operation::Release(count)) => {
                if count > MAX_PERMITS - *permits {
                    return Outcome::Overflow;
                }
                *permits += count;
                Outcome::Done
            }
            (Self::Pair { writer, reader }, Operation::Write) => turn(writer, reader),
            (Self::Pair { writer, reader }, Operation::Read) => turn(reader, writer),
            (
                Self::Buffer {
                    items,
                    capacity,
                    receivers,
                    ..
                },
                Operation::Send(item),
            ) => send(items, *capacity, *receivers, item),
            (Self::Buffer { items, senders, .. }, Operation::Recv) => match items.pop_front() {
                Some(item) => Outcome::Item(item),
                None if *senders == 0 => Outcome::Disconnected,
                None => Outcome::WouldBlock,
            },
            (Self::Buffer { items, .. }, Operation::Len) => Outcome::Count(items.len() as u64),
            (Self::Buffer { senders, .. }, Operation::CloseSending) => close(senders),
            (Self::Buffer { receivers, .. }, Operation::CloseReceiving) => close(receivers),
            (_, operation) => unreachable!("{operation:?} is for another kind of object"),
        }
    }
}

fn take(permits: &mut u32) -> Outcome {
    match permits.checked_sub(1) {
        Some(left) => {
            *permits = left;
            Outcome::Done
        }
        None => Outcome::WouldBlock,
    }
}

fn turn(mine: &mut u32, other: &mut u32) -> Outcome {
    let outcome = take(mine);
    *other += u32::from(outcome == Outcome::Done);
    outcome
}

fn send(items: &mut VecDeque<u64>, capacity: usize, receivers: usize, item: u64) -> Outcome {
    if receivers == 0 {
        Outcome::Disconnected
    } else if items.len() < capacity {
        items.push_back(item);
        Outcome::Done
    } else {
        Outcome::WouldBlock
    }
}

fn close(handles: &mut usize) -> Outcome {
    *handles = handles.saturating_sub(1);
    Outcome::Done
}
