//! A condition variable made of semaphores.
//!
//! **Promise.** That of every condition variable: a notification wakes somebody who waited before it.
//!
//! **Source.** Andrew Birrell, *Implementing Condition Variables with Semaphores* (2003), the last of its
//! versions. The number of waiters is a semaphore here too, so that nothing has to be shared but semaphores;
//! and a waiter may give up.
//!
//! **Why it is correct.** Who notifies takes one waiter off the list and posts one wake-up for it; nobody
//! comes to the list before somebody has taken that wake-up, so no later one can steal it. A waiter whose
//! time is over takes itself off the list; if the list has no entry for it any more, somebody has posted a
//! wake-up in its place, and it takes that.

use super::{LockGuard, RawCondvar, RawLock, RawSemaphore, Semaphore, Timeout};
use crate::platform::constructor;

/// A condition variable for every [`RawLock`], made of four semaphores of any kind.
///
/// # Fairness
/// That of the semaphores.
///
/// # Process death
/// A waiter that dies stays on the list, and who notifies it waits for ever. Where processes may die, use
/// [`Condvar`](super::Condvar).
///
/// # Example
/// ```
/// use interlatch::sync::{RawCondvar, LockGuard, RawLock, Timeout, SemaphoreCondvar, SemaphoreLock};
///
/// static LOCK: SemaphoreLock = SemaphoreLock::new();
/// static CHANGED: SemaphoreCondvar = SemaphoreCondvar::new();
///
/// let mut held = LOCK.lock();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let _held = LOCK.lock();
///         CHANGED.notify_one();
///     });
///     assert!(CHANGED.wait_with(&mut held, Timeout::Infinite));
/// });
/// ```
#[derive(Debug)]
pub struct SemaphoreCondvar<P = Semaphore> {
    /// One permit: of whoever joins the list, or notifies.
    entry: P,
    /// A permit for each waiter on the list.
    waiting: P,
    /// A permit for each waiter that was taken off it.
    wakes: P,
    /// A permit for each that has heard so.
    woken: P,
}

impl SemaphoreCondvar {
    constructor! {
        /// One of futexes' semaphores, without waiters.
        pub fn new() -> Self {
            Self {
                entry: Semaphore::binary(),
                waiting: Semaphore::empty(),
                wakes: Semaphore::empty(),
                woken: Semaphore::empty(),
            }
        }
    }
}

impl Default for SemaphoreCondvar {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: RawSemaphore> SemaphoreCondvar<P> {
    /// One of these semaphores: the first has one permit, the others none; or all are those of one
    /// that others use.
    pub fn from_parts([entry, waiting, wakes, woken]: [P; 4]) -> Self {
        Self {
            entry,
            waiting,
            wakes,
            woken,
        }
    }

    fn alone<R>(&self, act: impl FnOnce() -> R) -> R {
        take(&self.entry);
        let result = act();
        give(&self.entry, 1);
        result
    }

    /// Waits on the list; false if the end of timeout came first.
    fn wait(&self, timeout: Timeout) -> bool {
        if !self.wakes.acquire_with(timeout) {
            if self.waiting.acquire_with(Timeout::NonBlocking) {
                return false;
            }
            // Somebody has taken this waiter off the list.
            take(&self.wakes);
        }
        give(&self.woken, 1);
        true
    }

    /// Wakes up to that many waiters.
    fn notify(&self, most: u32) {
        self.alone(|| {
            let mut left = most;
            // Nobody comes to the list meanwhile, so when it has less than asked for, it has no more.
            while left > 0 && self.notify_some(left.min(AT_ONCE)) == left.min(AT_ONCE) {
                left -= left.min(AT_ONCE);
            }
        });
    }

    /// Wakes so many waiters, if there are as many: how many there were. For one who is alone.
    fn notify_some(&self, most: u32) -> u32 {
        let listed = (0..most).take_while(|_| self.waiting.acquire_with(Timeout::NonBlocking));
        let count = listed.count() as u32;
        give(&self.wakes, count);
        (0..count).for_each(|_| take(&self.woken));
        count
    }
}

/// So many are notified in one step at most: a semaphore in a pipe releases no more than a page of permits at once.
const AT_ONCE: u32 = 1024;

fn take(semaphore: &impl RawSemaphore) {
    while !semaphore.acquire_with(Timeout::Infinite) {}
}

/// As many as were taken elsewhere: there is room for them.
fn give(semaphore: &impl RawSemaphore, count: u32) {
    let _ = semaphore.release(count);
}

impl<P: RawSemaphore> RawCondvar for SemaphoreCondvar<P> {
    /// Returns at once, as if notified, where the semaphore cannot count one waiter more.
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        if self.alone(|| self.waiting.release(1)).is_err() {
            return true;
        }
        let lock = held.lock();
        // SAFETY: `held` says that the caller holds the lock, and it is locked again below,
        // before the caller can use it.
        unsafe { lock.unlock() };
        let is_notified = self.wait(timeout);
        while !lock.raw_lock_with(Timeout::Infinite) {}
        is_notified
    }

    fn notify_one(&self) {
        self.notify(1);
    }

    fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}
