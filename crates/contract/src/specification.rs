//! Sequential specifications of the primitives, as small state machines.
//!
//! Tests with real processes check each primitive against its specification. The tests compare each
//! step, or search for a sequential order that explains a recorded history.

use interlatch::channel::message_queue::Select;
use interlatch::sync::MAX_PERMITS;
use std::collections::VecDeque;

/// State of an object between two operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SequentialState {
    /// A semaphore with its number of permits. A lock is a semaphore with one permit.
    Semaphore(u32),
    /// A semaphore pair.
    Pair {
        /// Number of available turns for writers.
        writer: u32,
        /// Number of available turns for readers.
        reader: u32,
    },
    /// A bounded buffer.
    Buffer {
        /// The items, oldest first.
        items: VecDeque<u64>,
        /// Maximum number of items.
        capacity: usize,
        /// Number of senders. Dropping the last sender disconnects the receivers.
        senders: usize,
        /// Number of receivers. Dropping the last one disconnects the senders.
        receivers: usize,
    },
    /// A message queue.
    Queue {
        /// The messages, oldest first.
        messages: VecDeque<Message>,
        /// Maximum number of messages.
        max_messages: usize,
        /// Maximum total number of bytes in all messages.
        max_bytes: usize,
    },
}

/// A message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Message type.
    pub message_type: i64,
    /// Content of the message.
    pub item: u64,
    /// Length of the message in bytes.
    pub length: usize,
}

/// An operation of a process on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Acquires a permit or the lock.
    Acquire,
    /// Releases permits or the lock.
    Release(u32),
    /// Takes a writer's turn, the right to write a slot once, and finishes the turn.
    Write,
    /// Takes a reader's turn, the right to read a slot once, and finishes the turn.
    Read,
    /// Sends an item.
    Send(u64),
    /// Receives an item.
    Recv,
    /// Sends a message.
    Post(Message),
    /// Receives a message.
    Fetch(Select),
    /// Counts the items.
    Len,
    /// Drops a sender.
    CloseSending,
    /// Drops a receiver.
    CloseReceiving,
}

/// Result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The outcome of an operation that succeeds and returns no value.
    Done,
    /// The received item.
    Item(u64),
    /// The number of items.
    Count(u64),
    /// The operation has to wait.
    WouldBlock,
    /// The other side is closed.
    Disconnected,
    /// The number of permits would exceed the maximum.
    Overflow,
}

impl SequentialState {
    /// Applies the operation and returns its outcome and the next state.
    ///
    /// An operation that has to wait returns [`Outcome::WouldBlock`] and changes nothing.
    #[must_use]
    pub fn apply(&self, operation: Operation) -> (Outcome, Self) {
        let mut next = self.clone();
        let outcome = next.step(operation);
        (outcome, next)
    }

    fn step(&mut self, operation: Operation) -> Outcome {
        match (self, operation) {
            (Self::Semaphore(permits), Operation::Acquire) => acquire(permits),
            (Self::Semaphore(permits), Operation::Release(count)) => {
                if count > MAX_PERMITS - *permits {
                    return Outcome::Overflow;
                }
                *permits += count;
                Outcome::Done
            }
            (Self::Pair { writer, reader }, Operation::Write) => take_turn(writer, reader),
            (Self::Pair { writer, reader }, Operation::Read) => take_turn(reader, writer),
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
                    max_messages,
                    max_bytes,
                },
                Operation::Post(message),
            ) => post(messages, *max_messages, *max_bytes, message),
            (Self::Queue { messages, .. }, Operation::Fetch(select)) => fetch(messages, select),
            (Self::Queue { messages, .. }, Operation::Len) => Outcome::Count(messages.len() as u64),
            (_, operation) => unreachable!("the object has no operation {operation:?}"),
        }
    }
}

fn acquire(permits: &mut u32) -> Outcome {
    match permits.checked_sub(1) {
        Some(left) => {
            *permits = left;
            Outcome::Done
        }
        None => Outcome::WouldBlock,
    }
}

fn take_turn(own: &mut u32, other: &mut u32) -> Outcome {
    let outcome = acquire(own);
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

fn post(
    messages: &mut VecDeque<Message>,
    max_messages: usize,
    max_bytes: usize,
    message: Message,
) -> Outcome {
    let used: usize = messages.iter().map(|message| message.length).sum();
    if messages.len() < max_messages && used + message.length <= max_bytes {
        messages.push_back(message);
        Outcome::Done
    } else {
        Outcome::WouldBlock
    }
}

fn fetch(messages: &mut VecDeque<Message>, select: Select) -> Outcome {
    let lowest = messages.iter().map(|message| message.message_type).min();
    let index = messages.iter().position(|message| match select {
        Select::First => true,
        Select::Type(asked) => message.message_type == asked.get(),
        Select::LowestUpTo(limit) => {
            message.message_type <= limit.get() && Some(message.message_type) == lowest
        }
    });
    let message = index.and_then(|index| messages.remove(index));
    message.map_or(Outcome::WouldBlock, |message| Outcome::Item(message.item))
}

fn close(handles: &mut usize) -> Outcome {
    *handles = handles.saturating_sub(1);
    Outcome::Done
}
