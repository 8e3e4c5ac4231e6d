//! The states of locks, condition variables and semaphores that the inspector reads from another
//! process's memory.
//!
//! The file of each primitive contains the function that reads the primitive's state. That function
//! returns a state for every possible value of the memory.

/// State of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockState {
    /// The lock is free.
    Free,
    /// The lock is held by an unknown thread, because this kind of lock does not record its holder.
    Held {
        /// Whether threads may be asleep while they wait.
        waiters: bool,
    },
    /// The lock is held by a known thread.
    HeldBy {
        /// The kernel's id of the thread, in the pid namespace of the region.
        thread: u32,
        /// Whether threads may be asleep while they wait.
        waiters: bool,
    },
    /// The lock is free, and its last holder died. The next holder gets `OwnerDied`.
    OwnerDied {
        /// Whether threads may be asleep while they wait.
        waiters: bool,
    },
    /// The lock is unrecoverable: every attempt to lock it fails.
    Unrecoverable,
    /// The inspector cannot determine the state of the lock.
    Unknown,
    /// The lock's word is not a valid state, so a faulty process wrote it. All processes treat the
    /// lock as held.
    Damaged(u32),
}

impl LockState {
    /// Returns the thread that holds the lock, if the lock records its holder.
    pub fn holder(self) -> Option<u32> {
        match self {
            Self::HeldBy { thread, .. } => Some(thread),
            _ => None,
        }
    }
}

/// State of a [`Semaphore`](super::Semaphore).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreState {
    /// The number of free permits.
    pub permits: u32,
    /// Whether threads may be asleep while they wait.
    pub waiters: bool,
}

/// State of a [`Condvar`](super::Condvar).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CondvarState {
    /// Whether threads may be asleep while they wait.
    pub waiters: bool,
}

/// State of a [`SemaphorePair`](super::SemaphorePair).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphorePairState {
    /// The writers' semaphore.
    pub writer: SemaphoreState,
    /// The readers' semaphore.
    pub reader: SemaphoreState,
}

/// State of a [`RobustSemaphore`](super::RobustSemaphore).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RobustSemaphoreState {
    /// The internal lock of the primitive.
    pub lock: LockState,
    /// The lock of each permit, for at most [`MAX_SLOTS`] permits.
    pub permits: Vec<LockState>,
}

/// State of a [`RobustSemaphorePair`](super::RobustSemaphorePair).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RobustSemaphorePairState {
    /// The internal lock of the primitive.
    pub lock: LockState,
    /// The state of each slot, for at most [`MAX_SLOTS`] slots.
    pub slots: Vec<SlotState>,
}

/// State of a slot of a [`RobustSemaphorePair`](super::RobustSemaphorePair).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotState {
    /// Whether the slot belongs to the readers.
    pub readable: bool,
    /// The lock of the slot, which a thread holds while it writes or reads the slot.
    pub holder: LockState,
}

/// Maximum number of permits or slots of one object that the inspector reads.
pub const MAX_SLOTS: u64 = 4096;
