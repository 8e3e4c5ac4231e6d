//! `Mutex<T>` and its guards: lock_api's, over the [`RawMutex`] that the models check.
//!
//! Code written for parking_lot compiles against these names.

use crate::platform::{Deadline, Parameter, Pod, ShmSafe, ShmType, TypeInfo};
use crate::sync::{Condvar, LockGuard, RawCondvar, RawLock, RawMutex, Timeout};
use std::time::{Duration, Instant};

/// A lock with the data that it protects. `Mutex::new` is `const`, for statics.
///
/// # Example
/// ```
/// use interlatch::Mutex;
/// use std::time::Duration;
///
/// static COUNT: Mutex<u32> = Mutex::new(0);
/// let mut count = COUNT.lock();
/// *count += 1;
/// assert!(COUNT.try_lock_for(Duration::ZERO).is_none());
/// drop(count);
/// assert_eq!(*COUNT.lock(), 1);
/// ```
///
/// # Process death
/// As [`RawMutex`]: a lock whose holder dies stays locked.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// The possession of a [`Mutex`]: access to the data, until it is dropped.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

// SAFETY: mutual exclusion is the promise of `RawMutex`, checked in `models/mutex.rs`.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = Self::new();

    /// As with parking_lot and std, a guard stays on the thread that locked.
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
        // SAFETY: the caller holds the lock.
        unsafe { self.unlock() }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.is_locked()
    }
}

// SAFETY: as above; a timed attempt that fails does not hold the lock.
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

/// A mutex in shared memory, with data that is valid whatever a peer wrote.
///
/// # Safety
/// lock_api does not promise the order of the lock and the data, so both processes have to run
/// code from one build of this crate and of lock_api, as two runs of one program do.
// SAFETY: the lock is `ShmSafe`, the data is `Pod`, and it is changed only under the lock.
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

/// Whether a timed wait ended because its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult {
    timed_out: bool,
}

impl WaitTimeoutResult {
    /// Whether the deadline passed without a notification (or, for the `while` forms, with the
    /// condition still true).
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

/// The forms that take the guard of a [`Mutex`], or of any `lock_api` mutex over a lock of this
/// crate. Each unlocks while it waits, and has locked again when it returns.
impl Condvar {
    /// Waits for a notification, or returns spuriously.
    pub fn wait<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
    ) {
        self.wait_guard(guard, Timeout::Infinite);
    }

    /// Waits while the condition holds.
    pub fn wait_while<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// Waits for a notification, for at most that time.
    pub fn wait_timeout<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        self.wait_guard(guard, Timeout::after(timeout))
    }

    /// Waits for a notification until that point of time.
    pub fn wait_until<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        instant: Instant,
    ) -> WaitTimeoutResult {
        self.wait_guard(guard, Timeout::At(Deadline::at(instant)))
    }

    /// Waits while the condition holds, for at most that time in all.
    pub fn wait_timeout_while<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> WaitTimeoutResult {
        let timeout = Timeout::after(timeout);
        let mut in_time = true;
        while condition(guard) {
            if !in_time {
                return WaitTimeoutResult { timed_out: true };
            }
            in_time = !self.wait_guard(guard, timeout).timed_out;
        }
        WaitTimeoutResult { timed_out: false }
    }

    fn wait_guard<L: RawLock + lock_api::RawMutex, T: ?Sized>(
        &self,
        guard: &mut lock_api::MutexGuard<'_, L, T>,
        timeout: Timeout,
    ) -> WaitTimeoutResult {
        // SAFETY: the guard holds the lock, before and after; it is not used in between.
        let lock = unsafe { lock_api::MutexGuard::mutex(guard).raw() };
        // SAFETY: the guard holds the lock. It will unlock it, so this does not.
        let mut held = core::mem::ManuallyDrop::new(unsafe { LockGuard::adopt(lock) });
        WaitTimeoutResult {
            timed_out: !self.wait_with(&mut held, timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What looks at a region relies on it. (The data may be unsized, so it comes last.)
    #[test]
    fn the_lock_comes_before_the_data() {
        let (small, large) = (Mutex::new(0_u8), Mutex::new(0_u128));
        // SAFETY: nothing is unlocked.
        let (of_small, of_large) = unsafe { (small.raw(), large.raw()) };
        assert!(core::ptr::addr_eq(of_small, &raw const small));
        assert!(core::ptr::addr_eq(of_large, &raw const large));
    }
}
