//! What the things that are built on locks, condition variables and semaphores need of them.
//!
//! A buffer takes any [`RawLock`], any [`RawCondvar`] and any [`RawSemaphore`], so the same source runs on
//! a futex in shared memory and on whatever else keeps these promises.

use super::{PermitOverflow, Timeout};

/// Mutual exclusion.
///
/// # Example
/// ```
/// use interlatch::sync::RawMutex;
/// use interlatch::sync::{RawLock, Timeout};
///
/// let lock = RawMutex::new();
/// let held = lock.lock();
/// assert!(lock.lock_with(Timeout::NonBlocking).is_none());
/// drop(held);
/// assert!(lock.lock_with(Timeout::NonBlocking).is_some());
/// ```
///
/// # Safety
/// Between a successful `raw_lock_with` and the `unlock` that ends it, no other call of
/// `raw_lock_with` on the same lock succeeds, and everything that happened before that `unlock`
/// happens before the next success.
pub unsafe trait RawLock: Sync {
    /// Locks; false if timeout ran out first.
    #[must_use = "the lock is held only if this returns true"]
    fn raw_lock_with(&self, timeout: Timeout) -> bool;

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn unlock(&self);

    /// Locks and returns a guard that unlocks; nothing if timeout ran out first.
    fn lock_with(&self, timeout: Timeout) -> Option<LockGuard<'_, Self>> {
        self.raw_lock_with(timeout).then(|| LockGuard(self))
    }

    /// Locks, however long it takes, and returns a guard that unlocks.
    fn lock(&self) -> LockGuard<'_, Self> {
        while !self.raw_lock_with(Timeout::Infinite) {}
        LockGuard(self)
    }
}

/// The possession of a lock; dropping it unlocks, also when a panic passes by.
///
/// For an example see [`RawLock`].
#[derive(Debug)]
#[must_use = "dropping this unlocks"]
pub struct LockGuard<'a, L: RawLock + ?Sized>(&'a L);

impl<'a, L: RawLock + ?Sized> LockGuard<'a, L> {
    /// The possession of a lock that the caller has locked by other means.
    ///
    /// # Safety
    /// The caller holds the lock, and gives it away.
    pub unsafe fn adopt(lock: &'a L) -> Self {
        Self(lock)
    }

    /// The lock that is held.
    pub fn lock(&self) -> &'a L {
        self.0
    }
}

impl<L: RawLock + ?Sized> Drop for LockGuard<'_, L> {
    fn drop(&mut self) {
        // SAFETY: a `LockGuard` is made only by locking, and unlocks only once, here.
        unsafe { self.0.unlock() }
    }
}

/// A condition variable: waiting for a change of what a lock protects.
pub trait RawCondvar: Sync {
    /// Unlocks, waits for a notification, and locks again. False if timeout ran out and no
    /// notification was received; the lock is held again in either case.
    ///
    /// Returns spuriously: wait in a loop that looks at the condition.
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool;

    /// Wakes one waiter, if there is one.
    fn notify_one(&self);

    /// Wakes every waiter.
    fn notify_all(&self);
}

/// A counting semaphore.
pub trait RawSemaphore: Sync {
    /// Takes a permit; false if timeout ran out first.
    #[must_use = "a permit is taken only if this returns true"]
    fn acquire_with(&self, timeout: Timeout) -> bool;

    /// Takes permits, as many as there are but at most `most`, and waits for the first one. Returns how
    /// many: none if timeout ran out first, or none was asked for.
    ///
    /// For `most` above 1, a semaphore may do that in one step, or in many.
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
    fn acquire_some_with(&self, most: u32, timeout: Timeout) -> u32 {
        if most == 0 || !self.acquire_with(timeout) {
            return 0;
        }
        let more = (1..most).take_while(|_| self.acquire_with(Timeout::NonBlocking));
        1 + more.count() as u32
    }

    /// Gives back, or newly makes, `count` permits.
    ///
    /// # Errors
    /// If the semaphore cannot count that many; then nothing has changed.
    fn release(&self, count: u32) -> Result<(), PermitOverflow>;
}

/// A semaphore that memory may be entrusted to.
///
/// # Safety
/// No more permits are acquired than were released or there at the beginning, and everything that happened
/// before a release happens before the acquisition of what it has released.
pub unsafe trait TrustedSemaphore: RawSemaphore {}
