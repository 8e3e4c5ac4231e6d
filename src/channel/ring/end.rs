//! The shared state of one side of a ring.

use crate::channel::{AttachError, ChannelError, Direction, EndState};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::futex::WatchedWord;
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, AtomicU64, Deadline, MemoryReader, OffsetReader, Wake, asymmetric, constructor,
    futex, load_latest, load_latest_acquire,
};
use crate::sync::{LockError, LockState, OwnerToken, RawRobustMutex, Timeout};
use core::mem::offset_of;

// | flag | set by | cleared by |
// | --- | --- | --- |
// | `ASLEEP` | the owner of this end, before it sleeps | the process that wakes it, or itself |
// | `MEMBARRIER` | the owner of this end, if it may call `membarrier(2)` | its successor |
// | `UNREACHED` | the peer, if the barrier of this end's owner does not reach it | never |
// | `CLOSED` | the owner of this end, when it closes it | never |
//
// Unless the owner of this end calls `membarrier(2)` and the barrier reaches the peer, the peer
// performs a read-modify-write of this word after each change of its position. Either that
// operation or the operation that sets `ASLEEP` comes first in the modification order of the word.
// The later of the two operations observes everything that happened before the earlier one.
//
// A peer that has not observed `MEMBARRIER` yet performs a read-modify-write. So an owner without
// `membarrier(2)` misses no wake-up when it attaches beside a running peer.
const ASLEEP: u32 = 1;
const UNREACHED: u32 = 2;
const CLOSED: u32 = 4;
const MEMBARRIER: u32 = 8;

/// The peer calls [`RingEnd::wake`] after it has moved its position, unless these flags of the end
/// are equal to `MEMBARRIER`.
const WAKE_FLAGS: u32 = ASLEEP | UNREACHED | MEMBARRIER;

/// The number of items that a side has ever sent or received.
///
/// The position has two cache lines to itself, because it changes with every item and processors
/// prefetch cache lines in pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Position(AtomicU64);

impl Position {
    constructor! {
        pub(super) fn new() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    #[inline]
    pub(super) fn word(&self) -> &AtomicU64 {
        &self.0
    }

    /// Reads this side's position, which the previous owner wrote last. The caller must own the
    /// side.
    pub(super) fn load_last(&self) -> u64 {
        // Relaxed: this thread has acquired the `owner` lock, so this access comes after all writes
        // of the previous owner. The access is a read-modify-write instead of a load, because this
        // process writes the word later, and the model checker may miss executions in which a
        // process loads a word before it writes the word.
        self.0.fetch_or(0, Relaxed)
    }
}

/// The part of a side's state that rarely changes. The peer reads this part for every item.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct RingEnd {
    flags: AtomicU32,
    owner: RawRobustMutex,
}

impl RingEnd {
    constructor! {
        pub(super) fn new() -> Self {
            Self { flags: AtomicU32::new(0), owner: RawRobustMutex::by_value() }
        }
    }

    /// Makes the calling thread the owner of this end.
    ///
    /// `has_membarrier` says whether this process may call `membarrier(2)`.
    pub(super) fn claim(
        &self,
        direction: Direction,
        has_membarrier: bool,
    ) -> Result<(), AttachError> {
        self.lock(direction)?;
        // Relaxed: the peer's operation after its next change of its position comes before this
        // operation or observes it.
        match has_membarrier {
            true => self.flags.fetch_or(MEMBARRIER, Relaxed),
            false => self.flags.fetch_and(!MEMBARRIER, Relaxed),
        };
        Ok(())
    }

    /// Locks `owner`, unless the end is closed.
    fn lock(&self, direction: Direction) -> Result<(), AttachError> {
        self.check_open(direction)?;
        match self.owner.lock_with(Timeout::NonBlocking) {
            // The state of an end stays consistent when its owner dies, because each step of an
            // operation is one store.
            Ok(_) => {}
            Err(LockError::RobustList(error)) => return Err(ChannelError::from(error).into()),
            Err(LockError::TimedOut | LockError::AlreadyHeld) => {
                return Err(AttachError::SlotsInUse {
                    direction,
                    max: 1,
                    parameter: None,
                });
            }
            Err(LockError::Unrecoverable) => return Err(ChannelError::Corrupted.into()),
        }
        self.check_open(direction).inspect_err(|_| {
            // SAFETY: this thread locked `owner` above.
            unsafe { self.owner.unlock() }
        })
    }

    fn check_open(&self, direction: Direction) -> Result<(), AttachError> {
        match load_latest(&self.flags) & CLOSED {
            0 => Ok(()),
            _ => Err(AttachError::Closed(direction)),
        }
    }

    /// Whether the calling thread still owns this end through the claim that created `token`.
    pub(super) fn is_held_by(&self, token: &OwnerToken) -> bool {
        self.owner.is_held_by(token)
    }

    /// Closes this end permanently.
    ///
    /// # Safety
    /// The calling thread owns this end, and does not use the end after this call.
    pub(super) unsafe fn close(&self) {
        // Release pairs with the Acquire in `is_disconnected`. A thread that observes `CLOSED` then
        // also observes the last position of this side.
        self.flags.fetch_or(CLOSED, Release);
        // SAFETY: the calling thread holds `owner`.
        unsafe { self.owner.unlock() };
    }

    /// Whether this end is closed, or has no owner because its last owner died.
    ///
    /// If this returns true, the caller observes the last position of the owner.
    #[inline]
    pub(super) fn is_disconnected(&self) -> bool {
        // Acquire pairs with the Release in `close`.
        load_latest_acquire(&self.flags) & CLOSED != 0 || self.owner.is_owner_died()
    }

    /// Returns the words whose change disconnects this end, with their values, unless the end is
    /// already disconnected.
    fn watch_disconnection(&self) -> Option<[WatchedWord<'_>; 2]> {
        let owner = self.owner.watch_owner_death()?;
        // Relaxed: an older value only ends the sleep early, and the caller then calls
        // `is_disconnected`.
        let flags = load_latest(&self.flags);
        (flags & CLOSED == 0).then_some([WatchedWord::new(&self.flags, flags), owner])
    }

    /// Makes the peer perform a read-modify-write of this end's flags for each item from now on.
    pub(super) fn require_exchanges(&self) {
        self.flags.fetch_or(UNREACHED, Relaxed);
    }

    /// Starts the spin phase of a wait. Only the owner of this end calls this method.
    pub(super) fn spin(&self, deadline: Option<Deadline>) -> Spin<'_> {
        Spin::new(&self.flags, SpinPolicy::Items, deadline)
    }

    /// Stores a new position of the peer, and wakes the owner of this end if it sleeps.
    #[inline]
    pub(super) fn publish(&self, position: &Position, new: u64) {
        // Release pairs with the Acquire in `RingCursor::refresh`. The items written by the sender
        // are visible to the receiver, and the reads of the receiver happen before the sender
        // reuses the slots.
        position.word().store(new, Release);
        if asymmetric::load_after_light_barrier(&self.flags) & WAKE_FLAGS != MEMBARRIER {
            self.wake();
        }
    }

    /// Wakes the owner of this end if the owner sleeps. If the owner is about to sleep, ensures
    /// that the owner observes the change first.
    #[cold]
    #[cfg_attr(loom, track_caller)]
    pub(super) fn wake(&self) {
        // Release pairs with the Acquire in `sleep_unless`: if the owner sets `ASLEEP` after this
        // operation, it observes the change. The call is in a closure, so that models weaken this
        // line and not the caller's line.
        let clear_asleep = || self.flags.fetch_and(!ASLEEP, Release);
        if clear_asleep() & ASLEEP != 0 {
            futex::wake(&self.flags, 1);
        }
    }

    /// Sleeps until the peer calls `wake`, unless `has_slot` returns true for the peer's position
    /// or the peer's end is disconnected.
    ///
    /// If the peer dies before it calls `wake`, the change of its position or of its end ends the
    /// sleep. Returns `false` if the deadline has passed. Only the owner of this end calls this
    /// method.
    pub(super) fn sleep_unless(
        &self,
        (peer_end, peer): (&Self, &Position),
        deadline: Option<Deadline>,
        has_slot: impl FnOnce(u64) -> bool,
    ) -> bool {
        // Acquire pairs with the Release in `wake`. A call of `wake` either comes before this
        // operation, which then observes the change, or comes after it and observes `ASLEEP`.
        let seen = self.flags.fetch_or(ASLEEP, Acquire) | ASLEEP;
        // Both loads are Relaxed, because the caller loads the position again with Acquire before
        // it accesses a slot.
        let position = match seen & (MEMBARRIER | UNREACHED) {
            MEMBARRIER => asymmetric::load_after_heavy_barrier(peer.word()),
            _ => peer.word().load(Relaxed),
        };
        let watched = match has_slot(position) {
            true => None,
            false => peer_end.watch_disconnection(),
        };
        let wake = match watched {
            None => Wake::Changed,
            Some([flags, owner]) => {
                let others = [WatchedWord::low_half(peer.word(), position), flags, owner];
                futex::wait_watching(&self.flags, seen, deadline, &others)
            }
        };
        // Relaxed: the flag only says whether a wake-up is needed.
        self.flags.fetch_and(!ASLEEP, Relaxed);
        wake != Wake::TimedOut
    }

    /// Reads the state of an end.
    pub(super) fn read_state(reader: &dyn MemoryReader) -> Option<EndState> {
        let flags = reader.read_u32(offset_of!(Self, flags) as u64)?;
        let owner = OffsetReader(reader, offset_of!(Self, owner) as u64);
        let owner = RawRobustMutex::read_state(&owner)?;
        Some(match (flags & CLOSED, owner) {
            (0, LockState::OwnerDied { .. }) => EndState::Closed,
            (0, owner) => EndState::HeldBy(owner.holder().into_iter().collect()),
            _ => EndState::Closed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::robust::release_range;

    #[test]
    fn successor_replaces_the_membarrier_flag_of_a_dead_owner() {
        let end: &RingEnd = Box::leak(Box::new(RingEnd::new()));
        let start = core::ptr::from_ref(end).addr();
        for has_membarrier in [true, false, true] {
            let claimed = end.claim(Direction::Sending, has_membarrier);
            assert_eq!(claimed, Ok(()));
            assert!(!end.is_disconnected());
            assert_eq!(load_latest(&end.flags) & MEMBARRIER != 0, has_membarrier);
            // SAFETY: the end is never used as if this thread still owned it.
            assert!(unsafe { release_range(&(start..start + size_of::<RingEnd>())) });
            assert!(end.is_disconnected(), "the owner has ended");
        }
    }
}
