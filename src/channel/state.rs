//! The states of channels that the inspector reads from shared memory.

use super::GrowthLimit;
use crate::sync::LockState;

/// Returns the number of items in a buffer that counts sent and received items.
///
/// The counts are read one after the other, so they may be inconsistent. The result is therefore at
/// most the capacity. It is 0 if the count of received items is larger than the count of sent
/// items.
pub(crate) fn fill_of(sent: u64, received: u64, capacity: Option<u64>) -> u64 {
    match sent.wrapping_sub(received) {
        below if below > i64::MAX as u64 => 0,
        fill => fill.min(capacity.unwrap_or(fill)),
    }
}

/// A snapshot of the state of a buffer.
///
/// The fields are read one after the other. While a process uses the buffer, the fields may be
/// inconsistent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferState {
    /// The state of the channel's internal lock.
    pub lock: LockState,
    /// The number of items, at most the capacity. `None` if it is unknown.
    pub fill: Option<u64>,
    /// The number of slots. `None` if it is unknown.
    pub capacity: Option<u64>,
    /// The state of the senders' side.
    pub senders: EndState,
    /// The state of the receivers' side.
    pub receivers: EndState,
}

/// A snapshot of the state of a rendezvous.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RendezvousState {
    /// The state of the channel's internal lock.
    pub lock: LockState,
    /// The sender that waits with an item that no receiver has taken yet.
    pub offered: WaitState,
    /// The receiver that waits for an item from a sender that does not wait.
    pub asked: WaitState,
    /// The receiver that has accepted the offered item but has not acknowledged it yet.
    pub accepted: WaitState,
    /// The state of the senders' side.
    pub senders: EndState,
    /// The state of the receivers' side.
    pub receivers: EndState,
}

/// A participant of a rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitState {
    /// The state is unknown.
    Unknown,
    /// No thread currently has this role in the rendezvous.
    Vacant,
    /// The thread with this id. The kernel has not marked the thread as dead.
    Thread(u32),
}

impl WaitState {
    /// Returns the thread that holds this lock.
    pub(super) fn from_lock(lock: LockState) -> Self {
        match lock {
            LockState::HeldBy { thread, .. } => Self::Thread(thread),
            LockState::Free | LockState::OwnerDied { .. } => Self::Vacant,
            _ => Self::Unknown,
        }
    }
}

/// A snapshot of the state of an unbounded channel's segment list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentListState {
    /// The state of the channel's internal lock.
    pub lock: LockState,
    /// The number of segments, at most the limit.
    pub segments: u64,
    /// The number of segments ever created.
    pub ever: u64,
    /// The maximum sizes to which the list may grow.
    pub growth: GrowthLimit,
    /// Whether a receiver may be asleep.
    pub waiters: bool,
    /// The state of the senders' side.
    pub senders: EndState,
    /// The state of the receivers' side.
    pub receivers: EndState,
}

/// A snapshot of the state of one segment of an unbounded channel.
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
    /// The ids of the threads that hold handles and that the kernel has not marked as dead.
    ///
    /// The list is empty before the first handle exists.
    HeldBy(Vec<u32>),
    /// The last handle was dropped or the owner of that handle died.
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
