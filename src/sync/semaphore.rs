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
//! Two that meet at the word again and again, as both sides of a buffer do, only slow each other down. So whoever
//! waited, or has lost a race for the word, gathers: it lets the other one go on for a moment, where that has
//! paid. That changes when it looks, and nothing else.
//!
//! Every access reads and writes in one step; see `mutex`. What it expects at its first try is a
//! guess, and nothing is decided by it: what a plain load has seen, or for the release of a
//! [`Permit`] what its acquire has left.

use super::{RawSemaphore, SemaphoreState, Timeout, TrustedSemaphore};
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::spin::{self, Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, Deadline, MemoryReader, ShmSafe, Wake, constructor, futex, load_hint,
};
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
/// The permits of a process that dies are lost, as with `sem_t`. A waiter may die without harm: if it
/// was just woken, or if a releaser dies before it wakes somebody, another waiter finds the permit
/// within the [`recheck_interval`](crate::platform::futex).
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
/// # Ok::<(), interlatch::sync::PermitOverflow>(())
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
unsafe impl ShmSafe for Semaphore {
    fn initial() -> Self {
        Self::empty()
    }
}

// SAFETY: acquiring takes a permit from the word in one step with Acquire, and releasing adds with Release;
// `models/semaphore.rs` checks it.
unsafe impl TrustedSemaphore for Semaphore {}

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
    #[inline]
    pub fn acquire(&self) -> Permit<'_> {
        loop {
            if let Some(permit) = self.permit_with(Timeout::Infinite) {
                return permit;
            }
        }
    }

    /// Takes a permit if there is one.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.permit_with(Timeout::NonBlocking)
    }

    /// Takes a permit, or gives up after that time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permit_with(Timeout::after(timeout))
    }

    /// Takes a permit, or gives up at that time.
    pub fn acquire_deadline(&self, deadline: Deadline) -> Option<Permit<'_>> {
        self.permit_with(Timeout::At(deadline))
    }

    #[inline]
    fn permit_with(&self, timeout: Timeout) -> Option<Permit<'_>> {
        let left = self.take_with(1, timeout, |taken| taken.left)?;
        Some(Permit {
            semaphore: self,
            left,
        })
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
        self.release_onto(load_hint(&self.state, 0), count)
    }

    /// Adds permits, at best in one step: if the state is `guessed`.
    #[inline]
    fn release_onto(&self, guessed: u32, count: u32) -> Result<(), PermitOverflow> {
        let mut state = guessed;
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

    /// The state of the one that these words are.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<SemaphoreState> {
        let state = words.read_u32(0)?;
        Some(SemaphoreState {
            permits: state / PERMIT,
            waiters: state & WAITERS != 0,
        })
    }

    /// Takes permits, as many as there are but at most so many, of which there is one at least. Nothing
    /// if timeout ran out first.
    #[inline]
    fn take_with<R>(&self, most: u32, timeout: Timeout, made: fn(Taken) -> R) -> Option<R> {
        match self.take_from(self.load_hint(), most, 0) {
            Ok(taken) => Some(made(taken)),
            Err(found) => self.take_slowly(found, most, timeout, made),
        }
    }

    /// The same after a first try.
    #[cold]
    fn take_slowly<R>(
        &self,
        found: u32,
        most: u32,
        timeout: Timeout,
        made: fn(Taken) -> R,
    ) -> Option<R> {
        let taken = match found {
            PERMIT.. => self.take_after_race(most, timeout),
            _ if timeout == Timeout::NonBlocking => None,
            _ => self.take_contended(most, timeout.deadline()),
        };
        taken.map(made)
    }

    /// A state with a permit, which it may be in.
    #[inline]
    fn load_hint(&self) -> u32 {
        match load_hint(&self.state, PERMIT) {
            guessed @ PERMIT.. => guessed,
            _ => one_permit(),
        }
    }

    /// The same at once, and leaves `mark` (the bit, or nothing) set. Otherwise returns the state
    /// that it found, without a permit.
    #[inline]
    fn take(&self, most: u32, mark: u32) -> Result<Taken, u32> {
        let mut state = self.load_hint();
        while state >= PERMIT {
            match self.take_from(state, most, mark) {
                Ok(taken) => return Ok(taken),
                Err(found) => state = found,
            }
        }
        Err(state)
    }

    /// The same if this is the state; it has a permit.
    #[inline]
    fn take_from(&self, state: u32, most: u32, mark: u32) -> Result<Taken, u32> {
        let count = (state / PERMIT).min(most);
        let left = (state - count * PERMIT) | mark;
        // Acquire pairs with the Release of `release`, whose writes are seen from here on.
        self.state
            .compare_exchange(state, left, Acquire, Relaxed)
            .map(|_| Taken { count, left })
    }

    /// Somebody else has come to this word at the same time.
    #[cold]
    fn take_after_race(&self, most: u32, timeout: Timeout) -> Option<Taken> {
        if timeout != Timeout::NonBlocking {
            spin::batch_wait(&self.state, timeout.deadline(), |state| state / PERMIT);
        }
        match self.take(most, 0) {
            Ok(taken) => Some(taken),
            Err(_) if timeout == Timeout::NonBlocking => None,
            Err(_) => self.take_contended(most, timeout.deadline()),
        }
    }

    #[cold]
    fn take_contended(&self, most: u32, deadline: Option<Deadline>) -> Option<Taken> {
        let mut spin = Spin::new(&self.state, SpinPolicy::Event, deadline);
        let mut mark = 0;
        loop {
            let looks_free = spin.wait_until(|state| state >= PERMIT);
            if looks_free {
                spin.wait_for_batch(|state| state / PERMIT);
            }
            match self.take(most, mark) {
                Ok(taken) => {
                    if mark != 0 && taken.left >= PERMIT {
                        futex::wake(&self.state, 1);
                    }
                    spin.record_success();
                    return Some(taken);
                }
                Err(_) if looks_free => {}
                Err(0)
                    if self
                        .state
                        .compare_exchange(0, WAITERS, Relaxed, Relaxed)
                        .is_err() => {}
                Err(_) => {
                    if futex::wait(&self.state, WAITERS, deadline) == Wake::TimedOut {
                        return None;
                    }
                    mark = WAITERS;
                    spin.restart();
                }
            }
        }
    }
}

/// What an acquirer has.
struct Taken {
    /// So many permits.
    count: u32,
    /// The state that it left.
    left: u32,
}

/// A call that is cold makes a branch of what would be a step before the compare-exchange.
#[cold]
fn one_permit() -> u32 {
    PERMIT
}

impl Default for Semaphore {
    fn default() -> Self {
        Self::empty()
    }
}

impl RawSemaphore for Semaphore {
    #[inline]
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.take_with(1, timeout, |_| ()).is_some()
    }

    #[inline]
    fn acquire_some_with(&self, most: u32, timeout: Timeout) -> u32 {
        match most {
            0 => 0,
            _ => self
                .take_with(most, timeout, |taken| taken.count)
                .unwrap_or(0),
        }
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
    /// What its acquire left: if nothing has changed since, the release succeeds at once.
    left: u32,
}

impl Permit<'_> {
    /// Keeps the permit for good: somebody else will release it, or nobody.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        // The acquire left room for this permit. If there is none now, others have released
        // permits that they never had, and ours is one of those.
        let _ = self.semaphore.release_onto(self.left, 1);
    }
}
