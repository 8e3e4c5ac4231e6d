//! The state of a message queue that the inspector reads.

use super::QueueLimits;
use crate::sync::LockState;

/// A snapshot of a message queue.
///
/// The numbers are read one after the other, so they may disagree while a process uses the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueState {
    /// The state of the queue's internal lock.
    pub lock: LockState,
    /// The number of messages, clamped to the limit.
    pub messages: u64,
    /// The total number of bytes of all messages, clamped to the limit.
    pub bytes: u64,
    /// The limits of the queue.
    pub limits: QueueLimits,
    /// Whether a receiver may be asleep.
    pub receivers_wait: bool,
    /// Whether a sender may be asleep.
    pub senders_wait: bool,
}
