//! What a buffer is, as somebody sees it who only looks at its words.

use super::GrowthLimit;
use crate::sync::LockState;

/// How many items there are, of which so many have come and so many have gone. The two numbers are read one after
/// the other, so more may seem to have gone than have come, or more to be there than there are places.
pub(crate) fn fill_of(came: u64, went: u64, capacity: Option<u64>) -> u64 {
    match came.wrapping_sub(went) {
        below if below > i64::MAX as u64 => 0,
        fill => fill.min(capacity.unwrap_or(fill)),
    }
}

/// A buffer, a moment ago. Its numbers are read one after the other, so while somebody is at work they may
/// not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferState {
    /// The lock inside.
    pub lock: LockState,
    /// How many items there are, at most the capacity; nothing where that cannot be told.
    pub fill: Option<u64>,
    /// How many places there are; nothing where that cannot be told.
    pub capacity: Option<u64>,
    /// Those who send.
    pub senders: EndState,
    /// Those who receive.
    pub receivers: EndState,
}

/// A rendezvous, a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RendezvousState {
    /// The lock inside.
    pub lock: LockState,
    /// Who waits with an item that was not taken yet.
    pub offered: WaitState,
    /// Who waits for an item, where one that does not wait itself may put it.
    pub asked: WaitState,
    /// Who has accepted what is offered, and not acknowledged it yet.
    pub accepted: WaitState,
    /// Those who send.
    pub senders: EndState,
    /// Those who receive.
    pub receivers: EndState,
}

/// Somebody at a rendezvous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitState {
    /// That cannot be told.
    Unknown,
    /// Nobody.
    Nobody,
    /// This thread, which lives, as far as the kernel has told.
    Thread(u32),
}

impl WaitState {
    /// Who holds this lock.
    pub(super) fn of(lock: LockState) -> Self {
        match lock {
            LockState::HeldBy { thread, .. } => Self::Thread(thread),
            LockState::Free | LockState::OwnerDied { .. } => Self::Nobody,
            _ => Self::Unknown,
        }
    }
}

/// What the users of a queue that grows share, a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentListState {
    /// The lock inside.
    pub lock: LockState,
    /// How many segments there are, at most as many as may be.
    pub segments: u64,
    /// How many there ever were.
    pub ever: u64,
    /// How far it grows.
    pub growth: GrowthLimit,
    /// Whether a receiver may be asleep.
    pub waiters: bool,
    /// Those who send.
    pub senders: EndState,
    /// Those who receive.
    pub receivers: EndState,
}

/// A segment of a queue that grows, a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentState {
    /// How many items are in it, at most as many as there can be.
    pub fill: u64,
    /// How many items there can be; nothing where that cannot be told.
    pub capacity: Option<u64>,
}

/// One end of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndState {
    /// That cannot be told.
    Unknown,
    /// So many handles, whoever has them. Those of dead processes count.
    Counted(u64),
    /// These threads have handles, and live, as far as the kernel has told. None: there was none yet.
    HeldBy(Vec<u32>),
    /// The last handle has gone.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::fill_of;

    #[test]
    fn numbers_that_were_read_at_different_times_make_a_fill() {
        assert_eq!(fill_of(7, 4, Some(5)), 3);
        assert_eq!(fill_of(5, 6, Some(5)), 0, "one has gone in between");
        assert_eq!(fill_of(5, 6, None), 0);
        assert_eq!(fill_of(9, 1, Some(5)), 5, "some have come in between");
        assert_eq!(
            fill_of(1, u64::MAX, Some(5)),
            2,
            "they go on after the last"
        );
    }
}
