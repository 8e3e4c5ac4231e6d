//! What a primitive is, as somebody sees it who only looks at its words. Each of them reads its own, in its
//! own file; any word means something.

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// Somebody does; the lock does not know who.
    Held {
        /// Whether somebody may be asleep.
        waiters: bool,
    },
    /// This thread does.
    HeldBy {
        /// The kernel's id of the thread, in the pid namespace of the region.
        thread: u32,
        /// Whether somebody may be asleep.
        waiters: bool,
    },
    /// Nobody does, and the last one that did died: the next one will hear of it.
    OwnerDied {
        /// Whether somebody may be asleep.
        waiters: bool,
    },
    /// Nobody will hold it again.
    Unrecoverable,
    /// That cannot be told.
    Unknown,
    /// The word is none of its states: a faulty peer was there. To its users it is held.
    Damaged(u32),
}

impl LockState {
    /// The thread that holds it, if it says so.
    pub fn holder(self) -> Option<u32> {
        match self {
            Self::HeldBy { thread, .. } => Some(thread),
            _ => None,
        }
    }
}

/// A semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaphoreState {
    /// Permits that are there.
    pub permits: u32,
    /// Whether somebody may be asleep.
    pub waiters: bool,
}

/// A condition variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CondvarState {
    /// Whether somebody may be asleep.
    pub waiters: bool,
}

/// A semaphore pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaphorePairState {
    /// The writers' semaphore.
    pub writer: SemaphoreState,
    /// The readers' semaphore.
    pub reader: SemaphoreState,
}

/// A semaphore whose permits know their holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobustSemaphoreState {
    /// The lock inside.
    pub lock: LockState,
    /// Each permit, as the lock that it is; at most [`MAX_SLOTS`] of them.
    pub permits: Vec<LockState>,
}

/// A semaphore pair whose turns know their holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobustSemaphorePairState {
    /// The lock inside.
    pub lock: LockState,
    /// Each slot; at most [`MAX_SLOTS`] of them.
    pub slots: Vec<SlotState>,
}

/// A slot of a pair whose turns know their holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// Whether it is the readers'.
    pub readable: bool,
    /// Who has it.
    pub holder: LockState,
}

/// As many permits or slots of one object are looked at.
pub const MAX_SLOTS: u64 = 4096;
