//! A semaphore whose permits come back when their holder dies.
//!
//! **Promise.** Never more permits out than there are; a permit whose holder has ended, by whatever
//! means, is there again for the next one within the recheck interval.
//!
//! **Source.** A monitor (Hoare 1974) whose condition is "a permit is free".
//!
//! **How.** Each permit is a robust lock: to hold it is to have locked it, so its word says which
//! thread that is, and the kernel marks it when that thread ends. Looking for a free one and returning
//! one happen under a robust lock, which protects nothing else; so whoever dies inside leaves nothing to
//! repair. A permit that comes back by a death notifies nobody; sleepers find it when they look
//! again.

use crate::platform::robust::RobustListError;
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, ShmSafe, ShmType, TypeInfo, constructor, repeat,
};
use crate::sync::{
    Condvar, LockError, MAX_SLOTS, OwnerToken, RawRobustMutex, RobustLockError, RobustMutex,
    RobustSemaphoreState, Taken, Timeout,
};
use core::mem::offset_of;
use std::time::Duration;

/// A semaphore of `N` permits, each of which knows its holder and comes back when that one dies.
///
/// A permit is returned by who took it: this counts what is held. What one process takes and another
/// one releases is counted by the plain [`Semaphore`](crate::sync::Semaphore), whose permits do not come back.
///
/// # Cost
/// An acquire looks at the permits one by one, so this is for dozens, not for thousands. A thread can
/// hold at most 128 robust locks and permits in all.
///
/// # Fairness
/// None: a process that runs may overtake one that is being woken.
///
/// # Process death
/// The permits of a thread that ends come back: another one gets them at once if it asks then, or
/// within the [`recheck_interval`](crate::platform::futex) if it sleeps already. The child of a fork
/// holds none.
///
/// # Example
/// ```
/// use interlatch::RobustSemaphore;
///
/// static CONNECTIONS: RobustSemaphore<2> = RobustSemaphore::new();
///
/// let one = CONNECTIONS.acquire()?;
/// // A thread that ends with a permit in its hand.
/// std::thread::spawn(|| std::mem::forget(CONNECTIONS.acquire())).join().unwrap();
/// let other = CONNECTIONS.acquire()?;
/// assert!(other.is_owner_died());
/// assert!(CONNECTIONS.try_acquire().is_err());
/// drop(one);
/// assert!(CONNECTIONS.try_acquire().is_ok());
/// # Ok::<(), interlatch::sync::AcquireError>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RobustSemaphore<const N: usize> {
    lock: RobustMutex<()>,
    returned: Condvar,
    permits: [RawRobustMutex; N],
}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`.
unsafe impl<const N: usize> ShmSafe for RobustSemaphore<N> {
    fn initial() -> Self {
        Self::new()
    }
}

impl<const N: usize> ShmType for RobustSemaphore<N> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustSemaphore")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("N", N as u64)]);
}

/// Why no permit or turn was acquired, or a turn not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// All permits or turns are held, and timeout ran out first.
    #[error("there is none now")]
    TimedOut,
    /// This thread can hold none, or no more of them.
    #[error(transparent)]
    Refused(#[from] RobustListError),
    /// The lock inside is not to be had any more, which only a faulty peer brings about.
    #[error("its lock is ruined: a faulty peer has written there")]
    Broken,
    /// This is the copy of a turn in the child of a fork, which has none.
    #[error("the turn belongs to the process that this one was forked from")]
    NotHeld,
}

impl<const N: usize> RobustSemaphore<N> {
    constructor! {
        /// A semaphore with all its permits. None at all does not compile.
        pub fn new() -> Self {
            const { assert!(N > 0, "at least 1 permit") };
            Self {
                lock: RobustMutex::new(()),
                returned: Condvar::new(),
                permits: repeat!(RawRobustMutex::new()),
            }
        }
    }

    /// Takes a permit, however long it takes.
    ///
    /// # Errors
    /// `Refused`, if this thread cannot hold it; `Broken`, by a faulty peer.
    pub fn acquire(&self) -> Result<RobustPermit<'_>, AcquireError> {
        loop {
            match self.acquire_with(Timeout::Infinite) {
                // Forever does not run out.
                Err(AcquireError::TimedOut) => {}
                result => return result,
            }
        }
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    /// `TimedOut`, if all are held; and as [`acquire`](Self::acquire).
    pub fn try_acquire(&self) -> Result<RobustPermit<'_>, AcquireError> {
        self.acquire_with(Timeout::NonBlocking)
    }

    /// Takes a permit, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<RobustPermit<'_>, AcquireError> {
        self.acquire_with(Timeout::after(timeout))
    }

    /// Takes a permit as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn acquire_with(&self, timeout: Timeout) -> Result<RobustPermit<'_>, AcquireError> {
        if timeout == Timeout::NonBlocking {
            // Without the lock, which somebody may hold who is stopped.
            return self.free_permit()?.ok_or(AcquireError::TimedOut);
        }
        let mut guard = self
            .lock
            .lock_with(timeout.for_internal_lock())
            .or_else(RobustLockError::mark_consistent)?;
        let mut is_in_time = true;
        loop {
            match self.free_permit() {
                Ok(None) => {}
                Ok(Some(permit)) => return Ok(permit),
                Err(refusal) => {
                    drop(guard);
                    // It may have been told of a permit, which is for another one then.
                    self.returned.notify_one();
                    return Err(refusal.into());
                }
            }
            if !is_in_time {
                return Err(AcquireError::TimedOut);
            }
            let locked;
            (locked, is_in_time) = self.returned.wait_robust(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }

    /// The permits that are held now, or were a moment ago: for diagnosis.
    pub fn held(&self) -> usize {
        self.permits
            .iter()
            .filter(|permit| permit.is_locked())
            .count()
    }

    fn free_permit(&self) -> Result<Option<RobustPermit<'_>>, RobustListError> {
        for permit in &self.permits {
            match permit.lock_with(Timeout::NonBlocking) {
                Ok(taken) => {
                    return Ok(Some(RobustPermit {
                        lock: &self.lock,
                        returned: &self.returned,
                        permit,
                        taken,
                        stamp: OwnerToken::new(),
                    }));
                }
                Err(LockError::Refused(refusal)) => return Err(refusal),
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

impl RobustSemaphore<1> {
    /// The state of the one that these words are, of whatever number of permits: its size says how many.
    pub(crate) fn read_state(words: &dyn MemoryReader, size: u64) -> Option<RobustSemaphoreState> {
        let first = offset_of!(Self, permits) as u64;
        let each = size_of::<RawRobustMutex>() as u64;
        let count = size.checked_sub(first)? / each;
        let permits = (0..count.min(MAX_SLOTS))
            .map(|index| RawRobustMutex::read_state(&OffsetReader(words, first + index * each)));
        Some(RobustSemaphoreState {
            lock: RobustMutex::read_state(&OffsetReader(words, offset_of!(Self, lock) as u64))?,
            permits: permits.collect::<Option<_>>()?,
        })
    }
}

impl From<RobustLockError<'_, ()>> for AcquireError {
    fn from(error: RobustLockError<'_, ()>) -> Self {
        match error {
            RobustLockError::Refused(refusal) => Self::Refused(refusal),
            RobustLockError::TimedOut => Self::TimedOut,
            // A death leaves nothing to repair; and nobody here gives the lock up, or asks for it twice.
            _ => Self::Broken,
        }
    }
}

impl<const N: usize> Default for RobustSemaphore<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A permit that is given back when it is dropped, or when its thread ends.
///
/// It stays on the thread that acquired it. Dropping it takes a lock for a moment, and so waits for a
/// process that is stopped just there.
///
/// # Example
/// See [`RobustSemaphore`].
#[derive(Debug)]
#[must_use = "dropping this gives the permit back"]
pub struct RobustPermit<'a> {
    lock: &'a RobustMutex<()>,
    returned: &'a Condvar,
    permit: &'a RawRobustMutex,
    taken: Taken,
    stamp: OwnerToken,
}

impl RobustPermit<'_> {
    /// Whether the last holder died with it: what the permit is about may be half-done.
    pub fn is_owner_died(&self) -> bool {
        self.taken == Taken::OwnerDied
    }
}

impl Drop for RobustPermit<'_> {
    fn drop(&mut self) {
        if !self.permit.is_held_by(&self.stamp) {
            return;
        }
        // Not to be had only where this thread holds too many; a sleeper that this overtakes looks
        // again by itself.
        let guard = self.lock.lock().or_else(RobustLockError::mark_consistent);
        // SAFETY: a permit is made only by locking, and unlocks only once, here.
        unsafe {
            match std::thread::panicking() {
                true => self.permit.mark_owner_died(),
                false => self.permit.unlock(),
            }
        }
        drop(guard);
        self.returned.notify_one();
    }
}
