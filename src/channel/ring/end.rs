//! One end of a ring, as both ends see it.
//!
//! | flag | set | taken away |
//! | --- | --- | --- |
//! | `ASLEEP` | by the one of this end, before it looks for the last time | by whoever wakes it, or by itself |
//! | `EXCHANGES` | by one for whom the kernel has no `membarrier(2)` | never |
//! | `CLOSED` | by the one of this end, as it goes | never |
//!
//! With `EXCHANGES` the other side exchanges this word whenever it has moved its count. Of that exchange and the
//! one that sets `ASLEEP` one comes first, and the other one sees what was done before it.

use crate::channel::{AttachError, ChannelError, Direction, EndState};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, AtomicU64, Deadline, MemoryReader, OffsetReader, Wake, asymmetric, constructor,
    futex, load_latest, load_latest_acquire,
};
use crate::sync::{LockError, LockState, OwnerToken, RawRobustMutex, Timeout};
use core::mem::offset_of;

const ASLEEP: u32 = 1;
const EXCHANGES: u32 = 2;
const CLOSED: u32 = 4;

/// Whoever has moved a count has something to do if one of these is set.
const LISTENS: u32 = ASLEEP | EXCHANGES;

/// A count on two cache lines of its own: it is written all the time, and processors fetch lines in pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Position(AtomicU64);

impl Position {
    constructor! {
        pub(super) fn new() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    /// The word.
    #[inline]
    pub(super) fn word(&self) -> &AtomicU64 {
        &self.0
    }

    /// What its last writer has left. The caller has taken the seat of its writer, which orders the two.
    pub(super) fn left_by_the_last(&self) -> u64 {
        // An exchange, because this process writes the word later: see `check`. Relaxed, as the seat is enough.
        self.0.fetch_or(0, Relaxed)
    }
}

/// What is seldom written: the other side looks at it for every item.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct RingEnd {
    flags: AtomicU32,
    seat: RawRobustMutex,
}

impl RingEnd {
    constructor! {
        pub(super) fn new() -> Self {
            Self { flags: AtomicU32::new(0), seat: RawRobustMutex::new() }
        }
    }

    /// Takes the seat.
    pub(super) fn take(&self, direction: Direction) -> Result<(), AttachError> {
        self.is_open(direction)?;
        match self.seat.lock_with(Timeout::NonBlocking) {
            // One that died has left everything as it was between two of its steps.
            Ok(_) => {}
            Err(LockError::Refused(error)) => return Err(ChannelError::from(error).into()),
            Err(LockError::TimedOut | LockError::AlreadyHeld) => {
                return Err(AttachError::SlotsInUse {
                    direction,
                    max: 1,
                    parameter: None,
                });
            }
            Err(LockError::Unrecoverable) => return Err(ChannelError::Corrupted.into()),
        }
        self.is_open(direction).inspect_err(|_| {
            // SAFETY: locked above.
            unsafe { self.seat.unlock() }
        })
    }

    fn is_open(&self, direction: Direction) -> Result<(), AttachError> {
        match load_latest(&self.flags) & CLOSED {
            0 => Ok(()),
            _ => Err(AttachError::Closed(direction)),
        }
    }

    /// Whether the caller has the seat by the success that has this stamp.
    pub(super) fn is_of(&self, stamp: &OwnerToken) -> bool {
        self.seat.is_held_by(stamp)
    }

    /// Closes this end for good. The caller has the seat.
    pub(super) fn close(&self) {
        // Release pairs with the Acquire of `is_gone`: the last count is seen.
        self.flags.fetch_or(CLOSED, Release);
        // SAFETY: the caller has it.
        unsafe { self.seat.unlock() };
    }

    /// Whether the one of this end has gone, or died, and has no successor: then its last count is seen.
    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        // Acquire pairs with the Release of `close`.
        load_latest_acquire(&self.flags) & CLOSED != 0 || self.seat.is_owner_died()
    }

    /// From here on the other side exchanges the word of this one.
    pub(super) fn demand_exchanges(&self) {
        self.flags.fetch_or(EXCHANGES, Relaxed);
    }

    /// Begins a wait of the one of this end.
    pub(super) fn spin(&self, deadline: Option<Deadline>) -> Spin<'_> {
        Spin::on(&self.flags, SpinPolicy::Items, deadline)
    }

    /// Moves a count of the caller's, and wakes the one of this end if it sleeps.
    #[inline]
    pub(super) fn publish(&self, count: &Position, new: u64) {
        // Release pairs with the Acquire of `Cursor::look`: what is in the places is seen, or was taken out
        // of them.
        count.word().store(new, Release);
        if asymmetric::load_after_light_barrier(&self.flags) & LISTENS != 0 {
            self.wake();
        }
    }

    /// Wakes the one of this end if it sleeps, or makes sure that it sees why it should not.
    #[cold]
    pub(super) fn wake(&self) {
        // Release pairs with the Acquire of `sleep_unless`: a sleeper that comes later sees the news.
        let before = self.flags.fetch_and(!ASLEEP, Release);
        if before & ASLEEP != 0 {
            futex::wake(&self.flags, 1);
        }
    }

    /// Sleeps, unless the other one's count says that there is no reason to, or a reason comes up otherwise.
    /// False, if the time was over. The caller is the one of this end.
    pub(super) fn sleep_unless(
        &self,
        other: &Position,
        deadline: Option<Deadline>,
        has_reason: impl FnOnce(u64) -> bool,
    ) -> bool {
        // Acquire pairs with the Release of `wake`, which came before this or will see it.
        let seen = self.flags.fetch_or(ASLEEP, Acquire) | ASLEEP;
        // Relaxed, both: the caller looks again before it touches a place.
        let count = match seen & EXCHANGES {
            0 => asymmetric::load_after_heavy_barrier(other.word()),
            _ => other.word().load(Relaxed),
        };
        let wake = match has_reason(count) {
            true => Wake::Changed,
            false => futex::wait(&self.flags, seen, deadline),
        };
        self.flags.fetch_and(!ASLEEP, Relaxed);
        wake != Wake::TimedOut
    }

    /// What these words say of this end.
    pub(super) fn read_state(words: &dyn MemoryReader) -> Option<EndState> {
        let flags = words.read_u32(offset_of!(Self, flags) as u64)?;
        let seat = OffsetReader(words, offset_of!(Self, seat) as u64);
        let seat = RawRobustMutex::read_state(&seat)?;
        Some(match (flags & CLOSED, seat) {
            (0, LockState::OwnerDied { .. }) => EndState::Closed,
            (0, seat) => EndState::HeldBy(seat.holder().into_iter().collect()),
            _ => EndState::Closed,
        })
    }
}
