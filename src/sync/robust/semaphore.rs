//! A semaphore whose permits return when their holder dies.

use crate::platform::robust::RobustListError;
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, ShmSafe, ShmType, Static, TypeInfo, constructor, repeat,
};
use crate::sync::{
    Acquired, Condvar, LockError, MAX_SLOTS, OwnerToken, RawRobustMutex, RobustLockError,
    RobustMutex, RobustSemaphoreState, Timeout,
};
use core::fmt;
use core::mem::offset_of;
use std::time::Duration;

/// A semaphore of `N` permits that return when their holder dies.
///
/// Use it to limit how many threads of several processes use a resource at a time, where a process
/// may be killed at any instruction. Each permit is returned by the thread that acquired it. Use
/// the plain [`Semaphore`](crate::sync::Semaphore) where one thread acquires a permit and another
/// releases it. The permits of a plain `Semaphore` do not return when a process dies.
///
/// # Cost
/// An acquisition tries the permits one after another, so the semaphore suits dozens of permits,
/// not thousands. A thread can hold 128 robust locks and permits in all.
///
/// # Errors
/// Operations return [`AcquireError`]. A thread that already holds the maximum number of robust
/// locks gets `RobustList`.
///
/// # Fairness
/// The semaphore is not fair: a running thread may acquire a permit before a thread that is being
/// woken.
///
/// # Process death
/// The permits of a process that dies return to the semaphore. A later acquisition gets these
/// permits immediately. A permit that is leaked (`mem::forget`) returns when its process dies or
/// drops the region, not when its thread ends. A thread that already sleeps gets them within the
/// [`recheck_interval`](crate::sync::recheck_interval). The next holder of such a permit sees
/// [`is_owner_died`](RobustPermit::is_owner_died).
///
/// If a thread other than the main thread calls `exec`, its permits never return.
///
/// # Fork
/// Dropping the copy of a permit in a forked child does nothing.
///
/// # How it works
/// Each permit is a robust lock, and a thread that holds the permit has locked it. So the word of
/// that lock contains the id of the permit's holder, and the kernel marks the word when the holder
/// ends.
///
/// The semaphore has one more robust lock, its internal lock. A thread holds the internal lock
/// while it searches for a free permit or returns a permit. So a thread cannot miss a return
/// between its failed search and its sleep. The internal lock protects no data, so a thread that
/// dies while holding the internal lock leaves nothing to repair. When a permit returns after a
/// death, no waiter is notified. The waiters find the permit when they recheck. `try_acquire` does
/// not take the internal lock, because a stopped thread may hold that lock.
///
/// # Sources
/// The monitor of C. A. R. Hoare (1974), here with the condition that a permit is free.
///
/// # Example
/// ```
/// use interlatch::sync::AcquireError;
/// use interlatch::{Region, RobustSemaphore};
///
/// // One process creates the semaphore.
/// let region = Region::memfd("example", 4096)?;
/// let connections: &RobustSemaphore<2> = region.create("connections", ())?;
///
/// // Another process receives the descriptor, attaches, and dies with a permit. The drop of
/// // its region stands for the death.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &RobustSemaphore<2> = other.attach("connections")?;
/// std::mem::forget(attached.acquire()?);
/// drop(other);
///
/// let first = connections.acquire()?;
/// let second = connections.acquire()?;
/// assert!(first.is_owner_died() || second.is_owner_died());
/// assert_eq!(connections.try_acquire().unwrap_err(), AcquireError::TimedOut);
/// drop(first);
/// assert!(connections.try_acquire().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RobustSemaphore<const N: usize> {
    lock: RobustMutex<()>,
    returned: Condvar,
    permits: [RawRobustMutex; N],
}

// SAFETY: the type is `repr(C)` and all its fields are `ShmSafe`.
unsafe impl<const N: usize> ShmSafe for RobustSemaphore<N> {
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_PERMITS };
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            Condvar::init_in_place(&raw mut (*at).returned);
            <[RawRobustMutex; N]>::init_in_place(&raw mut (*at).permits);
        }
    }
}

impl<const N: usize> ShmType for RobustSemaphore<N> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustSemaphore")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("N", N as u64)]);
}

/// The error returned when acquiring a permit or a turn fails, or when finishing a turn fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// No permit or turn became free before the timeout expired.
    TimedOut,
    /// The calling thread cannot hold another robust lock.
    RobustList(RobustListError),
    /// A faulty peer wrote into the object: its internal lock is unusable.
    Corrupted,
    /// The turn is a copy in a forked child, and the parent process still holds the turn.
    Inherited,
    /// Another process holds the internal lock and does not run, so this non-blocking operation
    /// could not tell whether a permit or turn is free.
    Busy,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => {
                f.write_str("no permit or turn became free before the timeout expired")
            }
            Self::RobustList(error) => error.fmt(f),
            Self::Busy => {
                f.write_str("the internal lock is held by a process that does not run; try again")
            }
            Self::Corrupted => f.write_str(
                "the internal lock is unusable because a faulty peer overwrote it; \
                 create the object anew",
            ),
            Self::Inherited => {
                f.write_str("the turn belongs to the process that this one was forked from")
            }
        }
    }
}

impl core::error::Error for AcquireError {}

impl From<RobustListError> for AcquireError {
    fn from(error: RobustListError) -> Self {
        Self::RobustList(error)
    }
}

/// Converts the error of a failed attempt to take an internal lock.
impl From<LockError> for AcquireError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::TimedOut => Self::TimedOut,
            LockError::RobustList(error) => Self::RobustList(error),
            // No correct process marks an internal lock unrecoverable or locks it twice.
            LockError::Unrecoverable | LockError::AlreadyHeld => Self::Corrupted,
        }
    }
}

impl<const N: usize> RobustSemaphore<N> {
    const ASSERT_PERMITS: () = assert!(N > 0, "a robust semaphore needs at least 1 permit");

    constructor! {
        /// Creates a semaphore with `N` free permits. A call with `N` = 0 does not compile.
        pub fn new() -> Static<Self> {
            const { Self::ASSERT_PERMITS };
            Static::new(Self {
                lock: RobustMutex::by_value(()),
                returned: Condvar::new(),
                permits: repeat!(RawRobustMutex::by_value()),
            })
        }
    }

    /// Acquires a permit, blocking until one is free.
    ///
    /// # Errors
    /// Fails with `RobustList` or `Corrupted`.
    pub fn acquire(&self) -> Result<RobustPermit<'_>, AcquireError> {
        loop {
            match self.acquire_with(Timeout::Infinite) {
                // An infinite timeout does not expire.
                Err(AcquireError::TimedOut) => {}
                result => return result,
            }
        }
    }

    /// Acquires a permit if one is free.
    ///
    /// # Errors
    /// Fails with `TimedOut` if all permits are held, or with `RobustList` or `Corrupted`.
    pub fn try_acquire(&self) -> Result<RobustPermit<'_>, AcquireError> {
        self.acquire_with(Timeout::NonBlocking)
    }

    /// Acquires a permit, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Fails with `TimedOut`, `RobustList` or `Corrupted`.
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<RobustPermit<'_>, AcquireError> {
        self.acquire_with(Timeout::after(timeout))
    }

    /// Acquires a permit, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Fails with `TimedOut`, `RobustList` or `Corrupted`.
    pub fn acquire_with(&self, timeout: Timeout) -> Result<RobustPermit<'_>, AcquireError> {
        if timeout == Timeout::NonBlocking {
            // This search does not take the internal lock, because a stopped thread may hold that
            // lock.
            return self.acquire_free()?.ok_or(AcquireError::TimedOut);
        }
        let mut guard = self
            .lock
            .lock_internal(timeout, SpinPolicy::Lock, |()| ())?;
        let mut is_in_time = true;
        loop {
            // Only the first search can fail, because the thread holds the same number of locks in
            // every search. So a thread whose search fails has received no notification that
            // another waiter needs.
            if let Some(permit) = self.acquire_free()? {
                return Ok(permit);
            }
            if !is_in_time {
                return Err(AcquireError::TimedOut);
            }
            let locked;
            (locked, is_in_time) = self.returned.wait_robust_or_recheck(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }

    /// Returns how many permits were held a moment ago, for diagnosis.
    pub fn held(&self) -> usize {
        self.permits
            .iter()
            .filter(|permit| permit.is_locked())
            .count()
    }

    fn acquire_free(&self) -> Result<Option<RobustPermit<'_>>, RobustListError> {
        for permit in &self.permits {
            match permit.lock_with(Timeout::NonBlocking) {
                Ok(acquired) => {
                    return Ok(Some(RobustPermit {
                        lock: &self.lock,
                        returned: &self.returned,
                        permit,
                        acquired,
                        token: OwnerToken::new(),
                    }));
                }
                Err(LockError::RobustList(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

impl RobustSemaphore<1> {
    /// Reads the state of a semaphore in foreign memory. The number of permits follows from `size`,
    /// the size of the semaphore in bytes.
    pub(crate) fn read_state(reader: &dyn MemoryReader, size: u64) -> Option<RobustSemaphoreState> {
        let first = offset_of!(Self, permits) as u64;
        let each = size_of::<RawRobustMutex>() as u64;
        let count = size.checked_sub(first)? / each;
        let permits = (0..count.min(MAX_SLOTS))
            .map(|index| RawRobustMutex::read_state(&OffsetReader(reader, first + index * each)));
        Some(RobustSemaphoreState {
            lock: RobustMutex::read_state(&OffsetReader(reader, offset_of!(Self, lock) as u64))?,
            permits: permits.collect::<Option<_>>()?,
        })
    }
}

/// A permit of a [`RobustSemaphore`] that returns when it is dropped or when its process dies.
///
/// A permit cannot move to another thread. Dropping the permit briefly takes the internal lock of
/// the semaphore. If a stopped process holds that lock, the drop waits until that process
/// continues.
///
/// # Process death
/// If the process dies, the permit returns to the semaphore, and the permit's next holder sees
/// [`is_owner_died`](Self::is_owner_died).
///
/// # Example
/// See [`RobustSemaphore`].
#[derive(Debug)]
#[must_use = "dropping the permit returns it"]
pub struct RobustPermit<'a> {
    lock: &'a RobustMutex<()>,
    returned: &'a Condvar,
    permit: &'a RawRobustMutex,
    acquired: Acquired,
    token: OwnerToken,
}

impl RobustPermit<'_> {
    /// Returns whether the last holder of this permit died or panicked while it held the permit.
    ///
    /// If this method returns true, the resource that the permit stands for may be inconsistent.
    pub fn is_owner_died(&self) -> bool {
        self.acquired == Acquired::OwnerDied
    }
}

impl Drop for RobustPermit<'_> {
    fn drop(&mut self) {
        if !self.permit.is_held_by(&self.token) {
            return;
        }
        let guard = self.lock.lock_or_repair(|()| ());
        // SAFETY: a `RobustPermit` exists only after its thread locked `permit`, `is_held_by`
        // confirmed that the thread still holds it, and only this drop unlocks it.
        unsafe {
            match std::thread::panicking() {
                true => self.permit.mark_owner_died(),
                false => self.permit.unlock(),
            }
        }
        if guard.is_err() {
            // This thread held the maximum number of robust locks, and can now hold the internal
            // lock. A thread that has found the permit locked is registered as a waiter before it
            // unlocks the internal lock, so it gets the notification. This call fails only if a
            // faulty peer has damaged the lock.
            drop(self.lock.lock_or_repair(|()| ()));
        }
        drop(guard);
        self.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_blocking_acquisition_does_not_take_the_internal_lock() {
        let semaphore = RobustSemaphore::<1>::new().leak();
        let guard = semaphore.lock.lock().expect("the lock is free");
        let permit = semaphore.try_acquire().expect("the permit is free");
        drop(guard);
        drop(permit);
        assert_eq!(semaphore.held(), 0);
    }
}
