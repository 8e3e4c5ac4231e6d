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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::MemoryReader;
    use crate::platform::robust::{OWNER, OWNER_DIED, WAITERS};
    use crate::sync::{
        Condvar, PairSlot, RawMutex, RawRobustMutex, RobustSemaphore, RobustSemaphorePair,
        Semaphore,
    };

    /// Memory in which each word has this value.
    struct Repeated(u32);

    impl MemoryReader for Repeated {
        fn read_u32(&self, _: u64) -> Option<u32> {
            Some(self.0)
        }

        fn read_u64(&self, _: u64) -> Option<u64> {
            Some(self.0.into())
        }
    }

    /// The memory of an object.
    struct Memory<'a, T>(&'a T);

    impl<T> Memory<'_, T> {
        fn read<W>(&self, offset: u64) -> Option<W> {
            let is_inside = offset as usize + size_of::<W>() <= size_of::<T>();
            let word = (&raw const *self.0)
                .cast::<u8>()
                .wrapping_add(offset as usize);
            // SAFETY: the word is inside the object, and its offset is aligned. No other thread
            // accesses the object.
            is_inside.then(|| unsafe { word.cast::<W>().read_volatile() })
        }
    }

    impl<T: Sync> MemoryReader for Memory<'_, T> {
        fn read_u32(&self, offset: u64) -> Option<u32> {
            self.read(offset)
        }

        fn read_u64(&self, offset: u64) -> Option<u64> {
            self.read(offset)
        }
    }

    #[test]
    fn every_word_of_a_lock_is_a_state() {
        let waiters = false;
        for (word, state) in [
            (0, LockState::Free),
            (1, LockState::Held { waiters }),
            (2, LockState::Held { waiters: true }),
            (3, LockState::Damaged(3)),
        ] {
            assert_eq!(RawMutex::read_state(&Repeated(word)), Some(state));
        }
        for (word, state) in [
            (0, LockState::Free),
            (7, LockState::HeldBy { thread: 7, waiters }),
            (OWNER_DIED, LockState::OwnerDied { waiters }),
            (OWNER_DIED | 7, LockState::Damaged(OWNER_DIED | 7)),
            (OWNER, LockState::Unrecoverable),
        ] {
            assert_eq!(RawRobustMutex::read_state(&Repeated(word)), Some(state));
        }
        let waiters = true;
        for (word, state) in [
            (7, LockState::HeldBy { thread: 7, waiters }),
            (OWNER_DIED, LockState::OwnerDied { waiters }),
            (OWNER, LockState::Unrecoverable),
        ] {
            let word = word | WAITERS;
            assert_eq!(RawRobustMutex::read_state(&Repeated(word)), Some(state));
        }
    }

    #[test]
    fn every_word_of_a_semaphore_or_condition_variable_is_a_state() {
        for (word, permits, waiters) in [(0, 0, false), (1, 0, true), (6, 3, false), (7, 3, true)] {
            let state = SemaphoreState { permits, waiters };
            assert_eq!(Semaphore::read_state(&Repeated(word)), Some(state));
        }
        // A condition variable also counts the notifications, and waiters that do not sleep.
        for (word, waiters) in [(0, false), (2, false), (5, true), (6, false)] {
            let state = CondvarState { waiters };
            assert_eq!(Condvar::read_state(&Repeated(word)), Some(state));
        }
    }

    /// Returns whether each lock is held.
    fn held(locks: impl IntoIterator<Item = LockState>) -> Vec<bool> {
        let locks = locks.into_iter();
        locks.map(|lock| lock != LockState::Free).collect()
    }

    #[test]
    fn state_of_a_robust_semaphore_contains_each_permit() {
        let semaphore = RobustSemaphore::<3>::new().leak();
        let size = size_of_val(semaphore) as u64;
        let [first, _second] = [(); 2].map(|()| semaphore.try_acquire().expect("a permit"));
        drop(first);
        let read = |size| RobustSemaphore::read_state(&Memory(semaphore), size);
        let state = read(size).expect("a state");
        assert_eq!(state.lock, LockState::Free);
        assert_eq!(held(state.permits), [false, true, false]);
        assert_eq!(read(0), None);
        assert_eq!(read(2 * size), None, "the memory is too short");
        let most = RobustSemaphore::read_state(&Repeated(0), 1 << 30).expect("a state");
        assert_eq!(most.permits.len() as u64, MAX_SLOTS);
    }

    #[test]
    fn state_of_a_robust_semaphore_pair_contains_each_slot() {
        let pair = RobustSemaphorePair::<[PairSlot; 3]>::new().leak();
        let (size, align) = (size_of_val(pair) as u64, align_of_val(pair) as u64);
        let finished = pair.try_write().and_then(|turn| turn.finish());
        assert_eq!(finished, Ok(()));
        let _turn = pair.try_write().expect("a free slot");
        let read = |size, slots| RobustSemaphorePair::read_state(&Memory(pair), size, align, slots);
        for slots in [None, Some(3)] {
            let state = read(size, slots).expect("a state");
            assert_eq!(state.lock, LockState::Free);
            let readable: Vec<bool> = state.slots.iter().map(|slot| slot.readable).collect();
            assert_eq!(readable, [true, false, false]);
            let holders = state.slots.iter().map(|slot| slot.holder);
            assert_eq!(held(holders), [false, true, false]);
        }
        assert_eq!(read(0, None), None);
        assert_eq!(read(size, Some(0)), None);
        assert_eq!(read(size, Some(4)), None, "the slots are too short");
        assert_eq!(read(size + 1, Some(3)), None, "the slots differ in length");
        assert_eq!(read(2 * size, None), None, "the memory is too short");
        let more = size + MAX_SLOTS * size_of::<PairSlot>() as u64;
        let most = RobustSemaphorePair::read_state(&Repeated(0), more, align, None);
        assert_eq!(most.map(|state| state.slots.len() as u64), Some(MAX_SLOTS));
    }
}
