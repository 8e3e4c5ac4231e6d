//! States of channels, as the inspector reads them from shared memory.

use super::GrowthLimit;
use crate::sync::LockState;

/// Returns the fill of a buffer that counts sent and received items.
///
/// The counts are read one after the other, so they may be inconsistent: the fill is clamped to the
/// capacity, and to 0 if more items seem to be received than sent.
pub(crate) fn fill_of(sent: u64, received: u64, capacity: Option<u64>) -> u64 {
    match sent.wrapping_sub(received) {
        below if below > i64::MAX as u64 => 0,
        fill => fill.min(capacity.unwrap_or(fill)),
    }
}

/// The state of a buffer a moment ago.
///
/// The fields are read one after the other. While a process uses the buffer, they may be
/// inconsistent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferState {
    /// The internal lock.
    pub lock: LockState,
    /// The number of items, at most the capacity. `None` if it is unknown.
    pub fill: Option<u64>,
    /// The number of slots. `None` if it is unknown.
    pub capacity: Option<u64>,
    /// The side of the senders.
    pub senders: EndState,
    /// The side of the receivers.
    pub receivers: EndState,
}

/// The state of a rendezvous a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RendezvousState {
    /// The internal lock.
    pub lock: LockState,
    /// The sender that waits with an item that was not taken yet.
    pub offered: WaitState,
    /// The receiver that waits for an item of a sender that does not wait.
    pub asked: WaitState,
    /// The receiver that has accepted the offered item and not acknowledged it yet.
    pub accepted: WaitState,
    /// The side of the senders.
    pub senders: EndState,
    /// The side of the receivers.
    pub receivers: EndState,
}

/// A participant of a rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitState {
    /// The state is unknown.
    Unknown,
    /// No thread has this part.
    Vacant,
    /// The thread with this id, whose death the kernel has not marked.
    Thread(u32),
}

impl WaitState {
    /// The holder of this lock.
    pub(super) fn from_lock(lock: LockState) -> Self {
        match lock {
            LockState::HeldBy { thread, .. } => Self::Thread(thread),
            LockState::Free | LockState::OwnerDied { .. } => Self::Vacant,
            _ => Self::Unknown,
        }
    }
}

/// The state of an unbounded channel's segment list a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentListState {
    /// The internal lock.
    pub lock: LockState,
    /// The number of segments, at most the limit.
    pub segments: u64,
    /// The number of segments created since the beginning.
    pub ever: u64,
    /// The limit of its growth.
    pub growth: GrowthLimit,
    /// Whether a receiver may be asleep.
    pub waiters: bool,
    /// The side of the senders.
    pub senders: EndState,
    /// The side of the receivers.
    pub receivers: EndState,
}

/// The state of a segment of an unbounded channel a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentState {
    /// The number of items, at most the capacity.
    pub fill: u64,
    /// The maximum number of items. `None` if it is unknown.
    pub capacity: Option<u64>,
}

/// The state of one side of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndState {
    /// The state is unknown.
    Unknown,
    /// The number of handles, including those of dead processes.
    Counted(u64),
    /// The ids of the threads with handles whose deaths the kernel has not marked.
    ///
    /// Empty before the first handle.
    HeldBy(Vec<u32>),
    /// The last handle was dropped or its owner died.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::fill_of;

    #[test]
    fn inconsistent_counts_give_a_clamped_fill() {
        assert_eq!(fill_of(7, 4, Some(5)), 3);
        assert_eq!(
            fill_of(5, 6, Some(5)),
            0,
            "an item was received between the reads"
        );
        assert_eq!(fill_of(5, 6, None), 0);
        assert_eq!(
            fill_of(9, 1, Some(5)),
            5,
            "items were sent between the reads"
        );
        assert_eq!(fill_of(1, u64::MAX, Some(5)), 2, "the counts wrap");
    }
}
