//! A condition variable made of semaphores.

use super::{LockGuard, RawCondvar, RawLock, RawSemaphore, Semaphore, Timeout};
use crate::platform::constructor;

/// A condition variable made of four semaphores, for every [`RawLock`].
///
/// Use it with semaphores in pipes, for processes that share descriptors but no memory. Where
/// memory is shared, use [`Condvar`](super::Condvar).
///
/// # Errors
/// There are no errors. `wait_with` returns false if the timeout expired. It returns true
/// immediately, like a spurious return, if the semaphore cannot count one more waiter.
///
/// # Fairness
/// Fairness depends on the semaphores.
///
/// # Panics
/// A wait or a notification panics if a method of a semaphore panics. A waiter that panics locks
/// the lock again first, and may stay registered like a waiter that died.
///
/// # Process death
/// A waiter that dies stays registered. A notifier that tries to wake the dead waiter waits
/// forever. Use [`Condvar`](super::Condvar) where a process may be killed while it waits.
///
/// If a thread is stopped while it registers or notifies, it keeps `entry`, or a wake-up that a
/// registered waiter needs. Notifications and waits, even those with a timeout, then take until the
/// thread continues.
///
/// # How it works
/// | semaphore | permits |
/// | --- | --- |
/// | `entry` | 1, while no thread registers as a waiter or notifies |
/// | `waiting` | 1 for each registered waiter |
/// | `wakes` | 1 for each waiter that a notifier has unregistered |
/// | `woken` | 1 for each waiter that has taken its wake-up |
///
/// A notifier unregisters a waiter and releases a wake-up for it. Until the waiter has taken the
/// wake-up, no other thread can register, so no later waiter can take that wake-up. A waiter whose
/// timeout expires unregisters itself. If no registered waiter is left, a notifier has released a
/// wake-up for this waiter, and the waiter takes that wake-up.
///
/// # Ordering
/// The lock orders the waiter's and the notifier's accesses to the condition, as with every
/// condition variable.
///
/// # Sources
/// The last version in Andrew Birrell, *Implementing Condition Variables with Semaphores* (2003).
/// Unlike in Birrell's version, the number of waiters is also a semaphore, so processes share only
/// semaphores. A wait can also time out.
///
/// # Example
/// ```
/// use interlatch::sync::{RawCondvar, RawLock, SemaphoreCondvar, SemaphoreLock, Timeout};
///
/// static LOCK: SemaphoreLock = SemaphoreLock::new();
/// static CHANGED: SemaphoreCondvar = SemaphoreCondvar::new();
///
/// let mut guard = LOCK.lock();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let _guard = LOCK.lock();
///         CHANGED.notify_one();
///     });
///     assert!(CHANGED.wait_with(&mut guard, Timeout::Infinite));
/// });
/// ```
///
/// Between processes, the semaphores are in pipes, whose descriptors the processes inherit or
/// receive:
/// ```
/// use interlatch::platform::pipe::{Reader, Writer};
/// use interlatch::sync::{
///     PipeSemaphore, RawCondvar, RawLock, SemaphoreCondvar, SemaphoreLock, Timeout,
/// };
/// use std::time::Duration;
///
/// /// What another process does with the descriptors of a semaphore.
/// fn attach(semaphore: &PipeSemaphore) -> std::io::Result<PipeSemaphore> {
///     let (reader, writer) = semaphore.ends();
///     Ok(PipeSemaphore::from_ends(Reader::reopen(reader)?, Writer::reopen(writer)?))
/// }
///
/// let new = PipeSemaphore::new;
/// let [entry, waiting, wakes, woken] = [new(1)?, new(0)?, new(0)?, new(0)?];
/// let attached = [attach(&entry)?, attach(&waiting)?, attach(&wakes)?, attach(&woken)?];
/// let attached = SemaphoreCondvar::from_parts(attached);
/// let changed = SemaphoreCondvar::from_parts([entry, waiting, wakes, woken]);
/// let lock = SemaphoreLock::with_pipe()?;
///
/// let mut guard = lock.lock();
/// let timeout = Timeout::after(Duration::from_millis(1));
/// assert!(!changed.wait_with(&mut guard, timeout), "there was no notification");
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let _guard = lock.lock();
///         attached.notify_one();
///     });
///     assert!(changed.wait_with(&mut guard, Timeout::Infinite));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SemaphoreCondvar<P = Semaphore> {
    entry: P,
    waiting: P,
    wakes: P,
    woken: P,
}

impl SemaphoreCondvar {
    constructor! {
        /// Creates a condition variable from semaphores in memory, without waiters.
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
    /// Creates a condition variable from four semaphores.
    ///
    /// A new condition variable has one permit in the first semaphore and none in the others. To
    /// attach to an existing condition variable, pass that condition variable's semaphores.
    pub fn from_parts([entry, waiting, wakes, woken]: [P; 4]) -> Self {
        Self {
            entry,
            waiting,
            wakes,
            woken,
        }
    }

    /// Runs `action` while no other thread registers as a waiter or notifies.
    fn with_entry<R>(&self, action: impl FnOnce() -> R) -> R {
        acquire(&self.entry);
        // The entry is released also if a semaphore panics in `action`.
        let _entry = Entry(&self.entry);
        action()
    }

    /// Waits for a wake-up, as a registered waiter. Returns false if the timeout expired.
    fn wait(&self, timeout: Timeout) -> bool {
        if !self.wakes.acquire_with(timeout) {
            if self.waiting.acquire_with(Timeout::NonBlocking) {
                return false;
            }
            // A notifier has already unregistered this waiter, so a wake-up for this waiter will
            // come.
            acquire(&self.wakes);
        }
        release(&self.woken, 1);
        true
    }

    /// Wakes at most `max` waiters.
    fn notify(&self, max: u32) {
        self.with_entry(|| {
            let mut rest = max;
            while rest > 0 {
                let batch = rest.min(MAX_BATCH);
                // No thread registers during this loop. So if a batch wakes fewer waiters than
                // requested, all waiters are awake.
                if self.notify_batch(batch) < batch {
                    return;
                }
                rest -= batch;
            }
        });
    }

    /// Wakes at most `max` waiters and returns how many it woke. The caller calls this method
    /// inside `with_entry`.
    fn notify_batch(&self, max: u32) -> u32 {
        let registered = (0..max).take_while(|_| self.waiting.acquire_with(Timeout::NonBlocking));
        let count = registered.count() as u32;
        release(&self.wakes, count);
        (0..count).for_each(|_| acquire(&self.woken));
        count
    }
}

/// Maximum number of waiters that one batch wakes.
///
/// A semaphore in a pipe releases at most one page of permits in one call.
const MAX_BATCH: u32 = 1024;

/// The permit of `entry`, which is released when this value is dropped.
struct Entry<'a, P: RawSemaphore>(&'a P);

impl<P: RawSemaphore> Drop for Entry<'_, P> {
    fn drop(&mut self) {
        release(self.0, 1);
    }
}

fn acquire(semaphore: &impl RawSemaphore) {
    while !semaphore.acquire_with(Timeout::Infinite) {}
}

/// Releases permits. The semaphore has space for these permits, because the same number of permits
/// was acquired before.
#[cfg_attr(loom, track_caller)]
fn release(semaphore: &impl RawSemaphore, count: u32) {
    let _ = semaphore.release(count);
}

impl<P: RawSemaphore> RawCondvar for SemaphoreCondvar<P> {
    /// Waits as [`RawCondvar`] requires.
    ///
    /// Returns true immediately, as after a notification, if the semaphore cannot count one more
    /// waiter.
    fn wait_with<L: RawLock>(&self, guard: &mut LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        guard.assert_held();
        if self.with_entry(|| self.waiting.release(1)).is_err() {
            return true;
        }
        // SAFETY: `guard` holds the lock, and the function unlocks once. The methods of the
        // semaphores may panic, and `relock_after` locks again in this case too.
        unsafe {
            guard.relock_after(|mutex| {
                mutex.unlock();
                self.wait(timeout)
            })
        }
    }

    fn unlock_and_wait<L: RawLock>(&self, guard: LockGuard<'_, L>, timeout: Timeout) -> bool {
        if timeout == Timeout::NonBlocking {
            return false;
        }
        guard.assert_held();
        if self.with_entry(|| self.waiting.release(1)).is_err() {
            return true;
        }
        drop(guard);
        self.wait(timeout)
    }

    fn notify_one(&self) {
        self.notify(1);
    }

    fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{MAX_PERMITS, RawMutex};

    /// Creates a condition variable with this number of waiters that have taken their wake-ups.
    fn with_waiters(entry: u32, waiters: u32) -> SemaphoreCondvar {
        let new = |permits| Semaphore::new(permits).expect("few permits");
        SemaphoreCondvar::from_parts([entry, waiters, 0, waiters].map(new))
    }

    #[test]
    fn notify_one_wakes_one_waiter() {
        let condvar = with_waiters(1, 3);
        condvar.notify_one();
        assert_eq!(condvar.wakes.permits(), 1);
        condvar.notify_all();
        assert_eq!(condvar.wakes.permits(), 3);
    }

    #[test]
    fn non_blocking_wait_does_not_wait_for_the_entry() {
        let condvar = with_waiters(0, 0);
        let lock = RawMutex::new();
        let mut guard = lock.lock();
        assert!(!condvar.wait_with(&mut guard, Timeout::NonBlocking));
        assert!(!condvar.unlock_and_wait(guard, Timeout::NonBlocking));
    }

    #[test]
    fn waiter_that_cannot_be_counted_returns_at_once() {
        let full = Semaphore::new(MAX_PERMITS).expect("the maximum");
        let [wakes, woken] = [Semaphore::empty(), Semaphore::empty()];
        let condvar = SemaphoreCondvar::from_parts([Semaphore::binary(), full, wakes, woken]);
        let lock = RawMutex::new();
        let mut guard = lock.lock();
        assert!(condvar.wait_with(&mut guard, Timeout::Infinite));
        assert!(lock.is_locked());
        assert!(condvar.unlock_and_wait(guard, Timeout::Infinite));
        assert!(!lock.is_locked());
    }
}
