//! What each primitive means: small sequential state machines.
//!
//! Everything that checks a primitive on the real machine checks it against these: one operation
//! at a time, or as the linearization of a history.

use interlatch::channel::message_queue::Select;
use interlatch::sync::MAX_PERMITS;
use std::collections::VecDeque;

/// The state of an object between two operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A semaphore; a lock is one with a single permit.
    RawSemaphore(u32),
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
    /// A message queue.
    Queue {
        /// The messages, oldest first.
        messages: VecDeque<Posted>,
        /// The most messages.
        most: usize,
        /// The most bytes of all together.
        bytes: usize,
    },
}

/// A message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Posted {
    /// Its type.
    pub kind: i64,
    /// What it says.
    pub item: u64,
    /// How many bytes it takes to say that.
    pub length: usize,
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
    /// Send a message.
    Post(Posted),
    /// Receive a message.
    Fetch(Select),
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
            (Self::RawSemaphore(permits), Operation::Acquire) => take(permits),
            (Self::RawSemaphore(permits), Operation::Release(count)) => {
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
            (
                Self::Queue {
                    messages,
                    most,
                    bytes,
                },
                Operation::Post(posted),
            ) => post(messages, *most, *bytes, posted),
            (Self::Queue { messages, .. }, Operation::Fetch(select)) => fetch(messages, select),
            (Self::Queue { messages, .. }, Operation::Len) => Outcome::Count(messages.len() as u64),
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

fn post(messages: &mut VecDeque<Posted>, most: usize, bytes: usize, posted: Posted) -> Outcome {
    let used: usize = messages.iter().map(|message| message.length).sum();
    if messages.len() < most && used + posted.length <= bytes {
        messages.push_back(posted);
        Outcome::Done
    } else {
        Outcome::WouldBlock
    }
}

fn fetch(messages: &mut VecDeque<Posted>, select: Select) -> Outcome {
    let lowest = messages.iter().map(|message| message.kind).min();
    let place = messages.iter().position(|message| match select {
        Select::First => true,
        Select::Type(kind) => message.kind == kind.get(),
        Select::LowestUpTo(kind) => message.kind <= kind.get() && Some(message.kind) == lowest,
    });
    let message = place.and_then(|place| messages.remove(place));
    message.map_or(Outcome::WouldBlock, |message| Outcome::Item(message.item))
}

fn close(handles: &mut usize) -> Outcome {
    *handles = handles.saturating_sub(1);
    Outcome::Done
}
