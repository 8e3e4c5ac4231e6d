//! A counting semaphore of one word.
//!
//! **Promise.** Never more permits out than were released; what was written before a release is
//! seen after the acquire that follows from it; nobody sleeps while there is a permit.
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0 | `WAITERS`: somebody may be asleep |
//! | 1 to 31 | permits |
//!
//! **Why it is correct.** Nobody sleeps before having seen the word at zero permits with the bit
//! set, and the kernel puts nobody to sleep once that has changed. A release takes the bit away
//! and wakes one. Whoever has slept cannot know whether it was the last, so it sets the bit again
//! when it takes its permit, and wakes the next one if it leaves permits behind: those came with
//! the same release, or from releases that saw no bit.
//!
//! The word is not touched after the release, as it was in glibc (bug 12674) and musl (commit
//! 88c4e720): whoever acquires may free the memory at once.
//!
//! Every access reads and writes in one step; see `mutex`. What it expects is a guess, and nothing
//! is decided by it.

use super::{Patience, Permits};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::{AtomicU32, Deadline, InPlace, Wake, constructor, futex, guess, spin};
use std::time::Duration;

const WAITERS: u32 = 1;
const PERMIT: u32 = 2;

/// The most permits that a [`Semaphore`] counts, as `SEM_VALUE_MAX` of POSIX.
pub const MAX_PERMITS: u32 = i32::MAX as u32;

/// A counting semaphore of four bytes for threads and processes.
///
/// Valid when zeroed: that is no permit.
///
/// # Fairness
/// None: a process that runs may overtake one that is being woken.
///
/// # Process death
/// The permits of a process that dies are lost, as with `sem_t`. A waiter may die asleep
/// without harm; one that dies after it was woken has swallowed the wake-up, and a permit may
/// lie unused until the next release.
///
/// # Example
/// ```
/// use interlatch::Semaphore;
///
/// let semaphore = Semaphore::new(1)?;
/// let permit = semaphore.acquire();
/// assert!(semaphore.try_acquire().is_none());
/// drop(permit);
/// assert_eq!(semaphore.permits(), 1);
/// # Ok::<(), interlatch::PermitOverflow>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Semaphore {
    state: AtomicU32,
}

/// More permits than a semaphore can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{added} permits on top of {held}: expected at most {MAX_PERMITS} in all")]
pub struct PermitOverflow {
    /// The permits that were there.
    pub held: u32,
    /// The permits that were to be added.
    pub added: u32,
}

// SAFETY: one atomic word without a pointer; every value of it is a state.
unsafe impl InPlace for Semaphore {
    fn initial() -> Self {
        Self::empty()
    }
}

impl Semaphore {
    constructor! {
        /// A semaphore without permits.
        pub fn empty() -> Self {
            Self { state: AtomicU32::new(0) }
        }
    }

    constructor! {
        /// A semaphore with one permit.
        pub fn binary() -> Self {
            Self { state: AtomicU32::new(PERMIT) }
        }
    }

    constructor! {
        /// A semaphore with that many permits.
        ///
        /// # Errors
        /// If these are more than [`MAX_PERMITS`].
        pub fn new(permits: u32) -> Result<Self, PermitOverflow> {
            if permits > MAX_PERMITS {
                return Err(PermitOverflow { held: 0, added: permits });
            }
            Ok(Self { state: AtomicU32::new(permits * PERMIT) })
        }
    }

    /// Takes a permit, however long it takes, and gives it back when the guard is dropped.
    pub fn acquire(&self) -> Permit<'_> {
        while !self.acquire_within(Patience::Forever) {}
        Permit { semaphore: self }
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.permit_within(Patience::Never)
    }

    /// Takes a permit, or gives up after that time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permit_within(Patience::of(timeout))
    }

    /// Takes a permit, or gives up at that time.
    pub fn acquire_until(&self, deadline: Deadline) -> Option<Permit<'_>> {
        self.permit_within(Patience::Until(deadline))
    }

    fn permit_within(&self, patience: Patience) -> Option<Permit<'_>> {
        self.acquire_within(patience)
            .then(|| Permit { semaphore: self })
    }

    /// Adds permits and wakes waiters for them.
    ///
    /// # Errors
    /// If there would be more than [`MAX_PERMITS`]; then nothing has changed.
    #[inline]
    pub fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        if count == 0 {
            return Ok(());
        }
        let mut state = guess(&self.state, 0);
        loop {
            let held = state / PERMIT;
            if count > MAX_PERMITS - held {
                return self.refuse(state, count);
            }
            let released = (state & !WAITERS) + count * PERMIT;
            // Release pairs with the Acquire of `take`: what was written before is seen there.
            match self
                .state
                .compare_exchange(state, released, Release, Relaxed)
            {
                Ok(_) => break,
                Err(found) => state = found,
            }
        }
        if state & WAITERS != 0 {
            self.wake_one();
        }
        Ok(())
    }

    #[cold]
    fn wake_one(&self) {
        futex::wake(&self.state, 1);
    }

    /// Refuses to overflow, unless the state was guessed wrong.
    #[cold]
    fn refuse(&self, state: u32, added: u32) -> Result<(), PermitOverflow> {
        match self.state.compare_exchange(state, state, Relaxed, Relaxed) {
            Ok(_) => Err(PermitOverflow {
                held: state / PERMIT,
                added,
            }),
            Err(_) => self.release(added),
        }
    }

    /// The number of permits, a moment ago: for diagnosis.
    pub fn permits(&self) -> u32 {
        self.state.load(Relaxed) / PERMIT
    }

    /// Takes a permit and leaves `mark` (the bit, or nothing) set. Returns the state that it
    /// left, or that it found without a permit.
    #[inline]
    fn take(&self, mark: u32) -> Result<u32, u32> {
        let mut state = guess(&self.state, PERMIT).max(PERMIT);
        while state >= PERMIT {
            let taken = (state - PERMIT) | mark;
            // Acquire pairs with the Release of `release`, whose writes are seen from here on.
            match self.state.compare_exchange(state, taken, Acquire, Relaxed) {
                Ok(_) => return Ok(taken),
                Err(found) => state = found,
            }
        }
        Err(state)
    }

    #[cold]
    fn acquire_contended(&self, patience: Patience) -> bool {
        for round in 0..spin::rounds() {
            spin::pause(round);
            if self.take(0).is_ok() {
                return true;
            }
        }
        let mut mark = 0;
        loop {
            match self.take(mark) {
                Ok(left) => {
                    if mark != 0 && left >= PERMIT {
                        self.wake_one();
                    }
                    return true;
                }
                Err(0)
                    if self
                        .state
                        .compare_exchange(0, WAITERS, Relaxed, Relaxed)
                        .is_err() => {}
                Err(_) => {
                    if futex::wait(&self.state, WAITERS, patience.deadline()) == Wake::TimedOut {
                        return false;
                    }
                    mark = WAITERS;
                }
            }
        }
    }
}

impl Default for Semaphore {
    fn default() -> Self {
        Self::empty()
    }
}

impl Permits for Semaphore {
    #[inline]
    fn acquire_within(&self, patience: Patience) -> bool {
        self.take(0).is_ok() || (patience != Patience::Never && self.acquire_contended(patience))
    }

    #[inline]
    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        self.release(count)
    }
}

/// A permit that is given back when it is dropped.
///
/// # Process death
/// A process that dies does not drop it.
///
/// # Example
/// ```
/// let semaphore = interlatch::Semaphore::binary();
/// semaphore.acquire().forget();
/// assert_eq!(semaphore.permits(), 0, "taken for good");
/// ```
#[derive(Debug)]
#[must_use = "dropping this gives the permit back"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Permit<'_> {
    /// Keeps the permit for good: somebody else will release it, or nobody.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Overflow means that others released permits that they never had; ours is one of those.
        let _ = self.semaphore.release(1);
    }
}
