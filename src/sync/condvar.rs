//! A condition variable of one word.

use super::{
    CondvarState, LockGuard, RawCondvar, RawLock, RobustLockError, RobustLockResult,
    RobustMutexGuard, Timeout,
};
use crate::platform::Ordering::Relaxed;
use crate::platform::specified::Waiters;
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, Deadline, MemoryReader, ShmSafe, ShmType, TypeInfo, Wake, constructor, futex,
    load_latest,
};

const SLEEPERS: u32 = 1;
const WAITERS: u32 = 2;
const NOTIFICATION: u32 = 4;
const ALL: u32 = u32::MAX;

/// What a waiter does at the end of a recheck interval in which there was no notification.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtRecheck {
    /// The waiter sleeps again.
    SleepOn,
    /// The waiter returns and checks its condition, because a process may have changed the
    /// condition and died before it notified.
    Return,
}

/// A condition variable of four bytes for threads and processes.
///
/// Use it to wait until the data under a lock satisfies a condition. The condition variable works
/// with every [`RawLock`] of the crate: the methods of [`RawCondvar`] take a [`LockGuard`], `wait`
/// and its variants take the guard of a `Mutex<T>`, and [`wait_robust`](Self::wait_robust) takes
/// the guard of a [`RobustMutex`](super::RobustMutex). Zeroed memory is a valid condition variable.
///
/// A wait returns after a notification that may have been meant for another waiter, so check the
/// condition again, or use `wait_while`. A wait without a notification sleeps until its timeout:
/// neither a signal nor a recheck ends it, except as described under *Process death*. All threads
/// that wait at the same time should use the same lock.
///
/// # Errors
/// Timed waits return whether the timeout expired. `wait_robust` also returns the errors of the
/// lock.
///
/// # Fairness
/// `notify_one` may wake any waiter, even a waiter that arrives during the call. Waiters with
/// different conditions need `notify_all`.
///
/// # Process death
/// A waiter that dies while it sleeps delays no other waiter. A notification is lost if a waiter
/// dies after it was woken, or if a notifier dies before it has notified.
///
/// In the first case, the notification has changed the condition variable. Every other waiter
/// returns within the [`recheck_interval`](crate::sync::recheck_interval), as after a notification.
/// In the second case, the condition may have changed without a trace. These waits check the
/// condition within the recheck interval:
///
/// | wait | at each recheck |
/// | --- | --- |
/// | `wait_while`, `wait_timeout_while` | calls `condition` |
/// | `wait_robust` with an infinite timeout | returns, so that the caller checks its condition |
/// | `wait_robust` with a deadline; `wait`, `wait_timeout`, `wait_until`, `wait_with` | sleeps on |
///
/// A wait that sleeps on returns at its timeout or after the next notification.
///
/// # How it works
/// The algorithm is a sequence-number condition variable. Two bits save work. If `WAITERS` is
/// clear, a notifier does not write. If `SLEEPERS` is clear, a notifier makes no system call.
///
/// | bits | meaning |
/// | --- | --- |
/// | 0 | `SLEEPERS`: there may be sleepers |
/// | 1 | `WAITERS`: there may be waiters, asleep or not, since the last notification |
/// | 2 to 31 | the number of notifications, wrapping |
///
/// A waiter sets `WAITERS` and reads the number while it holds the lock. A later notifier sees the
/// bit, because the lock orders the two accesses, and changes the number. A waiter that is not
/// asleep yet sees that the number has changed. If the waiter is about to sleep, the kernel
/// compares the word and does not let the waiter sleep. A waiter sets `SLEEPERS` in a step that
/// fails if the number has changed. So a notifier that comes after this step sees `SLEEPERS` and
/// wakes the waiter.
///
/// A notifier that changes the number also clears `WAITERS`. Afterwards, the only threads that
/// still wait are asleep, and `SLEEPERS` is set for them. `SLEEPERS` is cleared in two cases. In
/// the first case, a notifier of all waiters clears the bit and then wakes all sleepers. In the
/// second case, a notifier tried to wake a sleeper and found none, and `WAITERS` shows that there
/// is no new waiter. If the timeout of a waiter expires, the kernel removes the waiter from the
/// sleepers, so the waiter consumes no wake-up. After 2^30 notifications between two steps of one
/// waiter, the number repeats and that waiter keeps sleeping until its timeout or the next
/// notification.
///
/// A waiter that was not woken sleeps again with the value that it has seen. The kernel compares
/// the word once more, so the waiter returns if there was a notification in the meantime.
///
/// # Ordering
/// All accesses are Relaxed. The lock orders the waiter's and the notifier's accesses to the
/// condition. The word only tells a waiter when to check the condition again.
///
/// # Sources
/// The condition variable of Rust's standard library, and Ulrich Drepper, *Futexes Are Tricky*
/// (2011).
///
/// # Example
/// ```
/// use interlatch::{Condvar, Mutex, Region};
/// use std::time::Duration;
///
/// // One process creates a flag and a condition variable.
/// let region = Region::memfd("example", 4096)?;
/// let ready: &Mutex<u32> = region.create("ready", ())?;
/// let changed: &Condvar = region.create("changed", ())?;
///
/// // A wait without a notification times out.
/// let mut guard = ready.lock();
/// let waited = changed.wait_timeout_while(&mut guard, Duration::ZERO, |ready| *ready == 0);
/// assert!(waited.timed_out());
/// drop(guard);
///
/// // Another process receives the descriptor, attaches and notifies. A thread stands for it.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let (set, notify): (&Mutex<u32>, &Condvar) = (other.attach("ready")?, other.attach("changed")?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *set.lock() = 1;
///         notify.notify_one();
///     });
///     let mut guard = ready.lock();
///     changed.wait_while(&mut guard, |ready| *ready == 0);
///     assert_eq!(*guard, 1);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Condvar {
    word: AtomicU32,
}

// SAFETY: the type is one atomic word without a pointer, and every value of the word is valid.
unsafe impl ShmSafe for Condvar {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::new()) }
    }
}

impl ShmType for Condvar {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Condvar").of_this_crate();
}

impl Condvar {
    constructor! {
        /// Creates a condition variable without waiters.
        pub fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Wakes one waiter, if there is one. Makes no system call if there are no sleepers.
    #[inline]
    #[cfg_attr(loom, track_caller)]
    pub fn notify_one(&self) {
        if let Some(contract) = Waiters::of_condvar(&self.word) {
            return contract.wake(1);
        }
        // A load is enough here, because the lock orders this load after a waiter's write of
        // `WAITERS`.
        let word = load_latest(&self.word);
        if has_waiters(word) {
            self.notify_one_waiter(word);
        }
    }

    /// Wakes all waiters. Makes no system call if there are no sleepers.
    #[inline]
    #[cfg_attr(loom, track_caller)]
    pub fn notify_all(&self) {
        if let Some(contract) = Waiters::of_condvar(&self.word) {
            return contract.wake(ALL);
        }
        let word = load_latest(&self.word);
        if has_waiters(word) {
            self.notify_all_waiters(word);
        }
    }

    /// Unlocks a [`RobustMutex`](super::RobustMutex), waits for a notification, and locks again.
    ///
    /// The second value is false if the timeout expired without a notification, and true after a
    /// notification. In both cases the method locks again.
    ///
    /// If the timeout is infinite, the method also returns true once per
    /// [`recheck_interval`](crate::sync::recheck_interval), because a notifier may have died after
    /// it changed the condition. If the timeout is a deadline, the method sleeps until the deadline
    /// or a notification. Check the condition again after the deadline. The method then waits for
    /// the lock until the deadline, but at least for 100 milliseconds.
    ///
    /// # Errors
    /// The first value is the result of [`RobustMutex::lock_with`](super::RobustMutex::lock_with).
    ///
    /// # Panics
    /// Panics in a forked child if the guard is a copy of the parent's guard.
    ///
    /// # Example
    /// ```
    /// use interlatch::sync::{RobustLockError, Static, Timeout};
    /// use interlatch::{Condvar, RobustMutex};
    ///
    /// static READY: Static<RobustMutex<bool>> = RobustMutex::new(false);
    /// static CHANGED: Condvar = Condvar::new();
    ///
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *READY.get().lock().unwrap() = true;
    ///         CHANGED.notify_one();
    ///     });
    ///     let mut ready = READY.get().lock().unwrap();
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
        let at_recheck = match timeout {
            Timeout::Infinite => AtRecheck::Return,
            Timeout::NonBlocking | Timeout::At(_) => AtRecheck::SleepOn,
        };
        self.wait_robust_with_policy(guard, timeout, at_recheck, SpinPolicy::Lock)
    }

    /// Waits like [`wait_robust`](Self::wait_robust), but always returns at a recheck.
    ///
    /// The second value is false only if the timeout expired. The caller checks its condition in a
    /// loop and passes a deadline, so the rechecks do not extend the loop.
    pub(crate) fn wait_robust_or_recheck<'a, T>(
        &self,
        guard: RobustMutexGuard<'a, T>,
        timeout: Timeout,
    ) -> (RobustLockResult<'a, T>, bool) {
        self.wait_robust_or_recheck_with_policy(guard, timeout, SpinPolicy::Lock)
    }

    /// Waits like [`wait_robust_or_recheck`](Self::wait_robust_or_recheck), with a spin policy for
    /// locking again.
    pub(crate) fn wait_robust_or_recheck_with_policy<'a, T>(
        &self,
        guard: RobustMutexGuard<'a, T>,
        timeout: Timeout,
        policy: SpinPolicy,
    ) -> (RobustLockResult<'a, T>, bool) {
        self.wait_robust_with_policy(guard, timeout, AtRecheck::Return, policy)
    }

    fn wait_robust_with_policy<'a, T>(
        &self,
        guard: RobustMutexGuard<'a, T>,
        timeout: Timeout,
        at_recheck: AtRecheck,
        policy: SpinPolicy,
    ) -> (RobustLockResult<'a, T>, bool) {
        if timeout == Timeout::NonBlocking {
            return (Ok(guard), false);
        }
        let mutex = guard.held_mutex();
        let is_notified = self.unlock_and_sleep(|| drop(guard), timeout, at_recheck);
        let locked = mutex.lock_with_policy(timeout.for_internal_lock(), policy);
        if is_notified && matches!(locked, Err(RobustLockError::TimedOut)) {
            // This thread did not get the lock and cannot use its notification, so it passes the
            // notification to another waiter.
            self.notify_one();
        }
        (locked, is_notified)
    }

    /// Reads the state of a condition variable in foreign memory.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<CondvarState> {
        let waiters = reader.read_u32(0)? & SLEEPERS != 0;
        Some(CondvarState { waiters })
    }

    #[cold]
    #[cfg_attr(loom, track_caller)]
    fn notify_one_waiter(&self, word: u32) {
        let after = |word| after_notification(word) | (word & SLEEPERS);
        let before = self.update(word, after);
        if before & SLEEPERS != 0 && futex::wake(&self.word, 1) == 0 {
            self.clear_sleepers(after(before));
        }
    }

    #[cold]
    #[cfg_attr(loom, track_caller)]
    fn notify_all_waiters(&self, word: u32) {
        if self.update(word, after_notification) & SLEEPERS != 0 {
            futex::wake(&self.word, ALL);
        }
    }

    /// Replaces the word with `after(word)`, and returns the old value.
    fn update(&self, hint: u32, after: impl Fn(u32) -> u32) -> u32 {
        let mut before = hint;
        while let Err(found) = self
            .word
            .compare_exchange(before, after(before), Relaxed, Relaxed)
        {
            before = found;
        }
        before
    }

    /// Waits like [`RawCondvar::wait_with`], and does `at_recheck` at a recheck.
    pub(super) fn wait_with_rechecks<L: RawLock>(
        &self,
        guard: &mut LockGuard<'_, L>,
        timeout: Timeout,
        at_recheck: AtRecheck,
    ) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        // SAFETY: `guard` holds the lock. `unlock_and_sleep` calls its function once.
        unsafe {
            guard
                .relock_after(|mutex| self.unlock_and_sleep(|| mutex.unlock(), timeout, at_recheck))
        }
    }

    /// Registers as a waiter, unlocks, and waits for a notification.
    ///
    /// Returns false if the timeout expired.
    fn unlock_and_sleep(
        &self,
        unlock: impl FnOnce(),
        timeout: Timeout,
        at_recheck: AtRecheck,
    ) -> bool {
        let deadline = timeout.deadline();
        if let Some(contract) = Waiters::of_condvar(&self.word) {
            let rechecks = at_recheck == AtRecheck::Return;
            return contract.wait(unlock, deadline.is_some(), rechecks) != Wake::TimedOut;
        }
        let mut spin = Spin::new(&self.word, SpinPolicy::Event, deadline);
        let marks = match spin.is_enabled() {
            true => WAITERS,
            false => WAITERS | SLEEPERS,
        };
        let seen = self.word.fetch_or(marks, Relaxed) | marks;
        unlock();
        if marks & SLEEPERS == 0 {
            spin.wait_until(|word| word & !SLEEPERS != seen & !SLEEPERS);
            if !self.mark_sleeper(seen) {
                spin.record_success();
                return true;
            }
        }
        self.sleep(seen | SLEEPERS, deadline, at_recheck)
    }

    /// Sleeps until there is a notification after the word had the value `marked`.
    ///
    /// Returns false if the timeout expired.
    fn sleep(&self, marked: u32, deadline: Option<Deadline>, at_recheck: AtRecheck) -> bool {
        loop {
            let wake = match at_recheck {
                // Every notification since `marked` changes the word, so a recheck of the word
                // finds a lost wake-up.
                AtRecheck::SleepOn => futex::wait(&self.word, marked, deadline),
                // A notifier may die before it changes the word.
                AtRecheck::Return => futex::wait_or_recheck(&self.word, marked, deadline),
            };
            match wake {
                Wake::TimedOut => return false,
                Wake::Woken | Wake::Changed => return true,
                Wake::Recheck if at_recheck == AtRecheck::Return => return true,
                // Every notification since `marked` has changed the word, even if another waiter
                // consumed the wake-up and died. If the word is unchanged, the next call of
                // `futex::wait` sleeps again, otherwise it returns.
                Wake::Recheck => {}
                Wake::Interrupted if load_latest(&self.word) == marked => {}
                Wake::Interrupted => return true,
            }
        }
    }

    /// Sets `SLEEPERS`. Returns false if there was a notification since `seen`.
    fn mark_sleeper(&self, seen: u32) -> bool {
        let marked = seen | SLEEPERS;
        self.word
            .compare_exchange(seen, marked, Relaxed, Relaxed)
            .map_or_else(|found| found == marked, |_| true)
    }

    /// Clears `SLEEPERS` after a wake found no sleeper.
    ///
    /// If the word has changed since the wake, the method does nothing, because there may be a new
    /// sleeper.
    #[cold]
    fn clear_sleepers(&self, word: u32) {
        let _ = self
            .word
            .compare_exchange(word, word & !SLEEPERS, Relaxed, Relaxed);
    }
}

/// Returns whether a notification has to change the word.
const fn has_waiters(word: u32) -> bool {
    word & (WAITERS | SLEEPERS) != 0
}

/// Returns the word after a notification of all waiters.
const fn after_notification(word: u32) -> u32 {
    (word & !(WAITERS | SLEEPERS)).wrapping_add(NOTIFICATION)
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl RawCondvar for Condvar {
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        self.wait_with_rechecks(guard, timeout, AtRecheck::SleepOn)
    }

    fn unlock_and_wait<L: RawLock>(&self, guard: LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        guard.assert_held();
        self.unlock_and_sleep(|| drop(guard), timeout, AtRecheck::SleepOn)
    }

    fn notify_one(&self) {
        self.notify_one();
    }

    fn notify_all(&self) {
        self.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model has too few notifications to show a number that stops growing.
    #[test]
    fn every_notification_counts_once() {
        let condvar = Condvar::new();
        let notify: [fn(&Condvar); 2] = [Condvar::notify_one, Condvar::notify_all];
        for number in 1..100 {
            condvar.word.fetch_or(WAITERS, Relaxed);
            notify[number % 2](&condvar);
            let word = condvar.word.load(Relaxed);
            assert_eq!(word, number as u32 * NOTIFICATION);
        }
    }
}
