//! What a queue is, as somebody sees it who only looks at its words.

use super::QueueLimits;
use crate::sync::LockState;

/// A message queue, a moment ago. Its numbers are read one after the other, so while somebody is at work they
/// may not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// The lock inside.
    pub lock: LockState,
    /// How many messages there are, at most as many as may be.
    pub messages: u64,
    /// How many bytes these have together, at most as many as may be.
    pub bytes: u64,
    /// How much there may be.
    pub limits: QueueLimits,
    /// Whether somebody may be asleep who wants a message.
    pub receivers_wait: bool,
    /// Whether somebody may be asleep who wants room.
    pub senders_wait: bool,
}
