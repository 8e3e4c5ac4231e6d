//! What the things that are built on locks, condition variables and semaphores need of them.
//!
//! A buffer takes any [`Lock`], any [`Condition`] and any [`Permits`], so the same source runs on
//! a futex in shared memory and on whatever else keeps these promises.

use super::{Patience, PermitOverflow};

/// Mutual exclusion.
///
/// # Example
/// ```
/// use interlatch::RawMutex;
/// use interlatch::sync::{Lock, Patience};
///
/// let lock = RawMutex::new();
/// let held = lock.hold();
/// assert!(lock.hold_within(Patience::Never).is_none());
/// drop(held);
/// assert!(lock.hold_within(Patience::Never).is_some());
/// ```
///
/// # Safety
/// Between a successful `lock_within` and the `unlock` that ends it, no other call of
/// `lock_within` on the same lock succeeds, and everything that happened before that `unlock`
/// happens before the next success.
pub unsafe trait Lock: Sync {
    /// Locks; false if patience ran out first.
    #[must_use = "the lock is held only if this returns true"]
    fn lock_within(&self, patience: Patience) -> bool;

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn unlock(&self);

    /// Locks and returns a guard that unlocks; nothing if patience ran out first.
    fn hold_within(&self, patience: Patience) -> Option<Held<'_, Self>> {
        self.lock_within(patience).then(|| Held(self))
    }

    /// Locks, however long it takes, and returns a guard that unlocks.
    fn hold(&self) -> Held<'_, Self> {
        while !self.lock_within(Patience::Forever) {}
        Held(self)
    }
}

/// The possession of a lock; dropping it unlocks, also when a panic passes by.
///
/// For an example see [`Lock`].
#[derive(Debug)]
#[must_use = "dropping this unlocks"]
pub struct Held<'a, L: Lock + ?Sized>(&'a L);

impl<'a, L: Lock + ?Sized> Held<'a, L> {
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

impl<L: Lock + ?Sized> Drop for Held<'_, L> {
    fn drop(&mut self) {
        // SAFETY: a `Held` is made only by locking, and unlocks only once, here.
        unsafe { self.0.unlock() }
    }
}

/// A condition variable: waiting for a change of what a lock protects.
pub trait Condition: Sync {
    /// Unlocks, waits for a notification, and locks again. False if patience ran out and no
    /// notification was received; the lock is held again in either case.
    ///
    /// Returns spuriously: wait in a loop that looks at the condition.
    fn wait_within<L: Lock>(&self, held: &mut Held<'_, L>, patience: Patience) -> bool;

    /// Wakes one waiter, if there is one.
    fn notify_one(&self);

    /// Wakes every waiter.
    fn notify_all(&self);
}

/// A counting semaphore.
pub trait Permits: Sync {
    /// Takes a permit; false if patience ran out first.
    #[must_use = "a permit is taken only if this returns true"]
    fn acquire_within(&self, patience: Patience) -> bool;

    /// Takes permits, as many as there are but at most `most`, and waits for the first one. Returns how
    /// many: none if patience ran out first, or none was asked for.
    ///
    /// For `most` above 1, a semaphore may do that in one step, or in many.
    ///
    /// # Example
    /// ```
    /// use interlatch::Semaphore;
    /// use interlatch::sync::{Patience, Permits};
    ///
    /// let semaphore = Semaphore::new(3)?;
    /// assert_eq!(semaphore.acquire_some_within(2, Patience::Forever), 2);
    /// assert_eq!(semaphore.acquire_some_within(2, Patience::Forever), 1);
    /// assert_eq!(semaphore.acquire_some_within(2, Patience::Never), 0);
    /// # Ok::<(), interlatch::PermitOverflow>(())
    /// ```
    fn acquire_some_within(&self, most: u32, patience: Patience) -> u32 {
        if most == 0 || !self.acquire_within(patience) {
            return 0;
        }
        let more = (1..most).take_while(|_| self.acquire_within(Patience::Never));
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
pub unsafe trait TrustedPermits: Permits {}
