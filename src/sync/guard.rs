//! `Mutex<T>` and its guards: lock_api's mutex over [`RawMutex`].

use crate::platform::{Deadline, Parameter, Pod, ShmSafe, ShmType, TypeInfo};
use crate::sync::condvar::AtRecheck;
use crate::sync::{Condvar, LockGuard, RawLock, RawMutex, Timeout};
use std::time::{Duration, Instant};

/// A lock with data, for threads and processes.
///
/// This is `lock_api`'s mutex over [`RawMutex`], so code written for parking_lot compiles against
/// these names. `Mutex::new` is `const`, for statics.
///
/// # Errors
/// There are no errors. `try_lock` and the timed attempts return `None` if they fail. There is no
/// poisoning: a panic that unwinds through a guard unlocks the lock.
///
/// # Fairness
/// The lock is not fair: a running thread may acquire the lock before a thread that is being woken.
///
/// # Process death
/// If the holder dies, the lock stays locked forever. Use
/// [`RobustMutex`](crate::sync::RobustMutex) where a process may be killed while it holds the lock.
///
/// # How it works
/// See [`RawMutex`] for the states, the orderings, and the reasons why the lock is correct.
///
/// # Example
/// ```
/// use interlatch::{Mutex, Region};
/// use std::time::Duration;
///
/// // One process creates the counter.
/// let region = Region::memfd("example", 4096)?;
/// let count: &Mutex<u32> = region.create("count", ())?;
///
/// // Another process receives the descriptor and attaches.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &Mutex<u32> = other.attach("count")?;
///
/// let mut guard = count.lock();
/// *guard += 1;
/// assert!(attached.try_lock_for(Duration::ZERO).is_none());
/// drop(guard);
/// assert_eq!(*attached.lock(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// Guard of a [`Mutex`]: gives access to the data and unlocks when dropped.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

// SAFETY: `RawMutex` provides mutual exclusion, which `models/mutex.rs` checks.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = Self::new();

    /// A guard cannot move to another thread, as in parking_lot and std.
    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock(&self) {
        self.raw_lock();
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.raw_lock_with(Timeout::NonBlocking)
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, by the contract of this method.
        unsafe { self.unlock() }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.is_locked()
    }
}

// SAFETY: `RawMutex` provides mutual exclusion, and a timed attempt that fails holds no lock.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.raw_lock_with(Timeout::after(timeout))
    }

    fn try_lock_until(&self, instant: Instant) -> bool {
        self.raw_lock_with(Timeout::At(Deadline::at(instant)))
    }
}

/// A mutex in shared memory, with data that is valid for every bit pattern.
///
/// # Safety
/// lock_api does not specify the order of the lock and the data in memory. So all processes must
/// use the same build of this crate and of lock_api, for example by running the same program.
// SAFETY: `RawMutex` is `ShmSafe`, the data is `Pod`, and guards change the data only under the
// lock.
unsafe impl<T: Pod + Default> ShmSafe for Mutex<T> {
    fn initial() -> Self {
        Self::new(T::default())
    }
}

impl<T: Pod> ShmType for Mutex<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Mutex")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

/// Result of a timed wait on a [`Condvar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult {
    timed_out: bool,
}

impl WaitTimeoutResult {
    /// Returns whether the timeout expired.
    ///
    /// For `wait_timeout` and `wait_until`, true means that there was no notification. For
    /// `wait_timeout_while`, true means that the condition was still true.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

/// Wait methods that take the guard of a [`Mutex`], or of any `lock_api` mutex over a lock of this
/// crate.
///
/// Each method unlocks the mutex during the wait, and locks the mutex again before it returns.
impl Condvar {
    /// Waits for a notification, which may have been meant for another waiter.
    pub fn wait<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
    ) {
        self.wait_guard(guard, Timeout::Infinite, AtRecheck::SleepOn);
    }

    /// Waits while `condition` is true.
    pub fn wait_while<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(guard) {
            self.wait_guard(guard, Timeout::Infinite, AtRecheck::Return);
        }
    }

    /// Waits for a notification for at most `timeout`.
    ///
    /// Without a notification, the method returns at the timeout and not before, so this loop ends:
    /// `while !*ready { if changed.wait_timeout(&mut ready, time).timed_out() { break } }`.
    pub fn wait_timeout<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        self.wait_guard(guard, Timeout::after(timeout), AtRecheck::SleepOn)
    }

    /// Waits for a notification until `instant`, and returns no earlier without one.
    pub fn wait_until<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        instant: Instant,
    ) -> WaitTimeoutResult {
        self.wait_guard(
            guard,
            Timeout::At(Deadline::at(instant)),
            AtRecheck::SleepOn,
        )
    }

    /// Waits while `condition` is true, for at most `timeout` in all.
    pub fn wait_timeout_while<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> WaitTimeoutResult {
        let timeout = Timeout::after(timeout);
        let mut is_in_time = true;
        while condition(guard) {
            if !is_in_time {
                return WaitTimeoutResult { timed_out: true };
            }
            let waited = self.wait_guard(guard, timeout, AtRecheck::Return);
            is_in_time = !waited.timed_out;
        }
        WaitTimeoutResult { timed_out: false }
    }

    fn wait_guard<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        timeout: Timeout,
        at_recheck: AtRecheck,
    ) -> WaitTimeoutResult {
        // SAFETY: `guard` holds the lock before and after the wait, and `&mut` excludes other uses
        // of `guard` during the wait.
        let lock = unsafe { lock_api::MutexGuard::mutex(guard).raw() };
        // SAFETY: `guard` holds the lock. Only `guard` unlocks the lock, because `adopted` is never
        // dropped.
        let mut adopted = core::mem::ManuallyDrop::new(unsafe { LockGuard::adopt(lock) });
        WaitTimeoutResult {
            timed_out: !self.wait_with_rechecks(&mut adopted, timeout, at_recheck),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inspector relies on the order that this test checks: the lock comes first. The data
    /// comes last, because the data may be unsized.
    #[test]
    fn lock_comes_before_the_data() {
        let (small, large) = (Mutex::new(0_u8), Mutex::new(0_u128));
        // SAFETY: the test unlocks neither lock.
        let (small_lock, large_lock) = unsafe { (small.raw(), large.raw()) };
        assert!(core::ptr::addr_eq(small_lock, &raw const small));
        assert!(core::ptr::addr_eq(large_lock, &raw const large));
    }
}
