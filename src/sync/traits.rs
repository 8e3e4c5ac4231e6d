//! Traits of locks, condition variables and semaphores.
//!
//! A buffer works with any [`RawLock`], [`RawCondvar`] and [`RawSemaphore`]. So the same source
//! code works with futexes in shared memory and with semaphores in pipes.

use super::{PermitOverflow, Timeout};
use crate::platform::identity::Generation;

/// A lock that provides mutual exclusion, without data.
///
/// # Example
/// ```
/// use interlatch::sync::RawMutex;
/// use interlatch::sync::{RawLock, Timeout};
///
/// let lock = RawMutex::new();
/// let guard = lock.lock();
/// assert!(lock.lock_with(Timeout::NonBlocking).is_none());
/// drop(guard);
/// assert!(lock.lock_with(Timeout::NonBlocking).is_some());
/// ```
///
/// # Safety
/// After `raw_lock_with` returns true, no other call of `raw_lock_with` on the same lock returns
/// true before the matching `unlock`. Everything that happened before that `unlock` happens before
/// the next call that returns true. Neither method panics, because a condition variable that calls
/// them could not tell whether the lock is held.
pub unsafe trait RawLock: Sync {
    /// Locks without a guard, blocking for at most `timeout`. Returns whether the caller now holds
    /// the lock.
    #[must_use = "the lock is held only if this returns true"]
    fn raw_lock_with(&self, timeout: Timeout) -> bool;

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn unlock(&self);

    /// Locks, blocking for at most `timeout`. Returns `None` if the timeout expired.
    fn lock_with(&self, timeout: Timeout) -> Option<LockGuard<'_, Self>> {
        match self.raw_lock_with(timeout) {
            // SAFETY: `raw_lock_with` locked, and no other guard exists.
            true => Some(unsafe { LockGuard::adopt(self) }),
            false => None,
        }
    }

    /// Locks, blocking until the lock is free.
    fn lock(&self) -> LockGuard<'_, Self> {
        while !self.raw_lock_with(Timeout::Infinite) {}
        // SAFETY: `raw_lock_with` locked, and no other guard exists.
        unsafe { LockGuard::adopt(self) }
    }
}

/// Guard of a [`RawLock`]: unlocks when dropped, including during a panic.
///
/// See [`RawLock`] for an example.
///
/// # Fork
/// The copy of a guard in a forked child does not hold the lock: dropping the copy does nothing,
/// and waiting with it panics.
#[derive(Debug)]
#[must_use = "dropping the guard unlocks"]
pub struct LockGuard<'a, L: RawLock + ?Sized> {
    lock: &'a L,
    /// The process that holds the lock.
    generation: Generation,
}

impl<'a, L: RawLock + ?Sized> LockGuard<'a, L> {
    /// Creates a guard for a lock that the caller already holds.
    ///
    /// # Safety
    /// The caller holds the lock, and only the returned guard unlocks the lock.
    #[inline]
    pub unsafe fn adopt(lock: &'a L) -> Self {
        let generation = Generation::current();
        Self { lock, generation }
    }

    /// Returns the lock that the guard holds.
    pub fn mutex(&self) -> &'a L {
        self.lock
    }

    /// Panics if this guard is a copy in a forked child, which does not hold the lock.
    pub(super) fn assert_held(&self) {
        self.generation.assert_current();
    }

    /// Runs `action`, which must unlock the lock first, and then locks again, also if `action`
    /// panics. So the guard holds the lock whenever its owner can use or drop the guard.
    ///
    /// # Safety
    /// `action` unlocks the lock exactly once, and does not lock it again.
    ///
    /// # Panics
    /// Panics if this guard is a copy in a forked child, which does not hold the lock.
    pub(super) unsafe fn relock_after<R>(&mut self, action: impl FnOnce(&'a L) -> R) -> R {
        self.assert_held();
        let relock = Relock(self.lock);
        action(relock.0)
    }
}

/// Locks when dropped, including during a panic.
struct Relock<'a, L: RawLock + ?Sized>(&'a L);

impl<L: RawLock + ?Sized> Drop for Relock<'_, L> {
    fn drop(&mut self) {
        while !self.0.raw_lock_with(Timeout::Infinite) {}
    }
}

impl<L: RawLock + ?Sized> Drop for LockGuard<'_, L> {
    #[inline]
    fn drop(&mut self) {
        if self.generation.is_inherited() {
            return;
        }
        // SAFETY: this process holds the lock, because the caller of `adopt` held the lock and the
        // guard is not a copy in a forked child. Only this drop unlocks the lock.
        unsafe { self.lock.unlock() }
    }
}

/// A condition variable for the data that a lock protects.
///
/// The trait is safe to implement: an implementation gets the lock only with its guard, so it
/// cannot unlock the lock without locking it again. If a method panics, the guard unlocks as after
/// every panic.
pub trait RawCondvar: Sync {
    /// Unlocks, waits for a notification for at most `timeout`, and locks again.
    ///
    /// Returns false if the timeout expired without a notification. The lock is held again in every
    /// case. The wait can return spuriously, so check the condition in a loop.
    ///
    /// # Panics
    /// The condition variables of this crate panic in a forked child if the guard is a copy of the
    /// parent's guard.
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool;

    /// Unlocks and waits for a notification for at most `timeout`. The lock is not held afterwards.
    ///
    /// Returns false if the timeout expired without a notification. Use this method if the caller
    /// cannot wait for the lock without a limit. If the caller then fails to lock, it passes its
    /// notification to another waiter with [`notify_one`](Self::notify_one).
    ///
    /// The default implementation calls [`wait_with`](Self::wait_with), which waits for the lock.
    ///
    /// # Panics
    /// The condition variables of this crate panic in a forked child if the guard is a copy of the
    /// parent's guard.
    fn unlock_and_wait<L: RawLock>(&self, guard: LockGuard<'_, L>, timeout: Timeout) -> bool {
        let mut guard = guard;
        self.wait_with(&mut guard, timeout)
    }

    /// Wakes one waiter, if there is one.
    #[cfg_attr(loom, track_caller)]
    fn notify_one(&self);

    /// Wakes all waiters.
    #[cfg_attr(loom, track_caller)]
    fn notify_all(&self);
}

/// A counting semaphore.
///
/// The trait is safe to implement, so no memory access depends on the permits of such a semaphore.
/// If a method panics or returns a wrong number, a primitive made of the semaphore may wait forever
/// or wake too many waiters, but keeps the exclusion of its lock.
pub trait RawSemaphore: Sync {
    /// Acquires a permit, blocking for at most `timeout`. Returns whether a permit was acquired.
    #[must_use = "a permit is acquired only if this returns true"]
    fn acquire_with(&self, timeout: Timeout) -> bool;

    /// Acquires between 1 and `max` permits, blocking until one is available, and returns their
    /// number.
    ///
    /// Returns 0 if the timeout expired or if `max` is 0. If `max` is above 1, an implementation
    /// may acquire the permits in one step or in several.
    ///
    /// # Example
    /// ```
    /// use interlatch::Semaphore;
    /// use interlatch::sync::{Timeout, RawSemaphore};
    ///
    /// let semaphore = Semaphore::new(3)?;
    /// assert_eq!(semaphore.acquire_some_with(2, Timeout::Infinite), 2);
    /// assert_eq!(semaphore.acquire_some_with(2, Timeout::Infinite), 1);
    /// assert_eq!(semaphore.acquire_some_with(2, Timeout::NonBlocking), 0);
    /// # Ok::<(), interlatch::sync::PermitOverflow>(())
    /// ```
    fn acquire_some_with(&self, max: u32, timeout: Timeout) -> u32 {
        if max == 0 || !self.acquire_with(timeout) {
            return 0;
        }
        let more = (1..max).take_while(|_| self.acquire_with(Timeout::NonBlocking));
        1 + more.count() as u32
    }

    /// Adds `count` permits and wakes waiters for them.
    ///
    /// # Errors
    /// Fails if the semaphore cannot count that many permits. The semaphore is then unchanged.
    #[cfg_attr(loom, track_caller)]
    fn release(&self, count: u32) -> Result<(), PermitOverflow>;
}

/// A semaphore that unsafe code may rely on: holding a permit may be the right to access memory.
///
/// # Safety
/// The number of acquired permits never exceeds the sum of the initial and the released permits.
/// Everything that happened before a release happens before the acquisition of the released permit.
/// No method panics.
pub unsafe trait TrustedSemaphore: RawSemaphore {}
