//! A condition variable of one word.
//!
//! **Promise.** A waiter that holds the lock, finds its condition false and waits, is woken by a
//! notification that follows a change of the condition under the same lock.
//!
//! **Source.** The sequence-number condition variable of Rust's std and of *Futexes Are Tricky*,
//! with two bits that spare the notifier a write while nobody waits, and a system call while nobody
//! sleeps.
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0 | `SLEEPERS`: somebody may be asleep |
//! | 1 | `WAITERS`: somebody may wait for this number to change, asleep or not |
//! | 2 to 31 | notifications to waiters so far, wrapping |
//!
//! **Why it is correct.** A waiter sets `WAITERS` and learns the number while it holds the lock.
//! A notification that follows sees the bit, since the lock orders the two, and changes the number, which
//! the waiter sees if it does not sleep; if it is about to sleep, the kernel does not let it. A waiter sets
//! `SLEEPERS` in a step that sees the number as it was, so if it sleeps already it is woken.
//!
//! `WAITERS` goes whenever the number changes: nobody waits for that number any more but the sleepers,
//! who have the other bit. That one goes in a step that changes the number and is followed by a wake of
//! all; or once a wake has found nobody asleep and nobody has come to wait since, which `WAITERS` would
//! show. A waiter whose deadline passes was in nobody's way: the kernel wakes another one. After 2^30
//! notifications between two steps of one waiter the number would repeat, and that waiter would sleep on.
//!
//! **Ordering.** All Relaxed: the lock orders the waiter's and the notifier's view of the
//! condition, and the word is only ever a reason to look at it again.

use super::{
    CondvarState, LockGuard, RawCondvar, RawLock, RobustLockError, RobustLockResult,
    RobustMutexGuard, Timeout,
};
use crate::platform::Ordering::Relaxed;
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{AtomicU32, MemoryReader, ShmSafe, Wake, constructor, futex, load_latest};

const SLEEPERS: u32 = 1;
const WAITERS: u32 = 2;
const NOTIFICATION: u32 = 4;
const ALL: u32 = u32::MAX;

/// A condition variable of four bytes for threads and processes, for every [`RawLock`] of the crate.
///
/// Valid when zeroed. All waiters at one time should use the same lock.
///
/// The methods here work on a [`LockGuard`] lock; those that take the guard of a `Mutex<T>` (`wait`,
/// `wait_while`, `wait_timeout`, `wait_timeout_while`, `wait_until`) are thin wrappers.
///
/// # Fairness
/// Any waiter may be the one that `notify_one` wakes, also one that began to wait while
/// `notify_one` was under way. Waiters with different conditions need `notify_all`.
///
/// # Process death
/// A waiter that dies asleep hinders nobody. One that dies after it was woken has swallowed the
/// notification, and a notifier may die between the change and the notification: other waiters look
/// again within the [`recheck_interval`](crate::platform::futex). To them that is a spurious return.
///
/// # Example
/// ```
/// use interlatch::{Condvar, Mutex};
///
/// static READY: Mutex<bool> = Mutex::new(false);
/// static CHANGED: Condvar = Condvar::new();
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *READY.lock() = true;
///         CHANGED.notify_one();
///     });
///     let mut ready = READY.lock();
///     CHANGED.wait_while(&mut ready, |ready| !*ready);
///     assert!(*ready);
/// });
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Condvar {
    word: AtomicU32,
}

// SAFETY: one atomic word without a pointer; every value of it is a number of notifications.
unsafe impl ShmSafe for Condvar {
    fn initial() -> Self {
        Self::new()
    }
}

impl Condvar {
    constructor! {
        /// A condition variable that nobody waits on.
        pub fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Wakes one waiter, if there is one. Costs no system call if nobody sleeps.
    #[inline]
    pub fn notify_one(&self) {
        // A load is enough: that a waiter was there before is known by the lock.
        let word = load_latest(&self.word);
        if is_awaited(word) {
            self.notify_one_of(word);
        }
    }

    /// Wakes every waiter.
    #[inline]
    pub fn notify_all(&self) {
        let word = load_latest(&self.word);
        if is_awaited(word) {
            self.notify_all_of(word);
        }
    }

    /// Unlocks, waits for a notification as long as timeout lasts, and locks again; for a
    /// [`RobustMutex`](super::RobustMutex).
    ///
    /// Returns false if timeout ran out, and true otherwise, also spuriously: look at the condition
    /// again. Either way the lock is asked for again: without a deadline however long that takes, with one for
    /// a [`recheck_interval`](crate::platform::futex) at least.
    ///
    /// # Errors
    /// As of [`RobustMutex::lock_with`](super::RobustMutex::lock_with): the news that a holder died
    /// meanwhile, with the guard inside, or that the lock is not to be had any more, or was not in time.
    ///
    /// # Example
    /// ```
    /// use interlatch::sync::Timeout;
    /// use interlatch::sync::RobustLockError;
    /// use interlatch::{Condvar, RobustMutex};
    ///
    /// static READY: RobustMutex<bool> = RobustMutex::new(false);
    /// static CHANGED: Condvar = Condvar::new();
    ///
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *READY.lock().unwrap() = true;
    ///         CHANGED.notify_one();
    ///     });
    ///     let mut ready = READY.lock().unwrap();
    ///     while !*ready {
    ///         let (locked, _) = CHANGED.wait_robust(ready, Timeout::Infinite);
    ///         // One flag cannot be half-changed.
    ///         ready = locked.or_else(RobustLockError::mark_consistent).unwrap();
    ///     }
    /// });
    /// ```
    pub fn wait_robust<'a, T>(
        &self,
        guard: RobustMutexGuard<'a, T>,
        timeout: Timeout,
    ) -> (RobustLockResult<'a, T>, bool) {
        self.wait_robust_for::<false, T>(guard, timeout)
    }

    /// The same, with a lock of turns or not.
    pub(crate) fn wait_robust_for<'a, const TURNS: bool, T>(
        &self,
        guard: RobustMutexGuard<'a, T>,
        timeout: Timeout,
    ) -> (RobustLockResult<'a, T>, bool) {
        if timeout == Timeout::NonBlocking {
            return (Ok(guard), false);
        }
        let mutex = guard.mutex();
        let is_notified = self.sleep(|| drop(guard), timeout);
        let locked = mutex.lock_for::<TURNS>(timeout.for_internal_lock());
        if is_notified && matches!(locked, Err(RobustLockError::TimedOut)) {
            // The notification is for somebody who can look.
            self.notify_one();
        }
        (locked, is_notified)
    }

    /// The state of the one that these words are.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<CondvarState> {
        let waiters = words.read_u32(0)? & SLEEPERS != 0;
        Some(CondvarState { waiters })
    }

    #[cold]
    fn notify_one_of(&self, word: u32) {
        let after = |word| next(word) | (word & SLEEPERS);
        let before = self.change(word, after);
        if before & SLEEPERS != 0 && futex::wake(&self.word, 1) == 0 {
            self.forget_sleepers(after(before));
        }
    }

    #[cold]
    fn notify_all_of(&self, word: u32) {
        if self.change(word, next) & SLEEPERS != 0 {
            futex::wake(&self.word, ALL);
        }
    }

    /// Returns the word before the change.
    fn change(&self, guessed: u32, after: impl Fn(u32) -> u32) -> u32 {
        let mut before = guessed;
        while let Err(found) = self
            .word
            .compare_exchange(before, after(before), Relaxed, Relaxed)
        {
            before = found;
        }
        before
    }

    /// Joins the waiters, unlocks, and waits for a notification, or for no reason; returns false at
    /// the end of timeout.
    fn sleep(&self, unlock: impl FnOnce(), timeout: Timeout) -> bool {
        let deadline = timeout.deadline();
        let mut spin = Spin::new(&self.word, SpinPolicy::Event, deadline);
        let marks = match spin.is_enabled() {
            true => WAITERS,
            false => WAITERS | SLEEPERS,
        };
        let seen = self.word.fetch_or(marks, Relaxed) | marks;
        unlock();
        if marks & SLEEPERS == 0 {
            spin.wait_until(|word| word & !SLEEPERS != seen & !SLEEPERS);
            if !self.joins_sleepers(seen) {
                spin.record_success();
                return true;
            }
        }
        futex::wait(&self.word, seen | SLEEPERS, deadline) != Wake::TimedOut
    }

    /// Marks the word, unless there was a notification since it was seen.
    fn joins_sleepers(&self, seen: u32) -> bool {
        let marked = seen | SLEEPERS;
        self.word
            .compare_exchange(seen, marked, Relaxed, Relaxed)
            .map_or_else(|found| found == marked, |_| true)
    }

    /// Takes the bit away once nobody was asleep, unless somebody has come since: that one may be by now.
    #[cold]
    fn forget_sleepers(&self, word: u32) {
        let _ = self
            .word
            .compare_exchange(word, word & !SLEEPERS, Relaxed, Relaxed);
    }
}

/// Whether a notification has to be written down.
const fn is_awaited(word: u32) -> bool {
    word & (WAITERS | SLEEPERS) != 0
}

/// The word after a notification that leaves no waiter.
const fn next(word: u32) -> u32 {
    (word & !(WAITERS | SLEEPERS)).wrapping_add(NOTIFICATION)
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl RawCondvar for Condvar {
    fn wait_with<L: RawLock>(&self, held: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        let lock = held.lock();
        // SAFETY: `held` says that the caller holds the lock, and it is locked again below,
        // before the caller can use it.
        let is_notified = self.sleep(|| unsafe { lock.unlock() }, timeout);
        while !lock.raw_lock_with(Timeout::Infinite) {}
        is_notified
    }

    fn notify_one(&self) {
        self.notify_one();
    }

    fn notify_all(&self) {
        self.notify_all();
    }
}
