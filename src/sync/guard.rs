//! `Mutex<T>` and its guard: a [`RawMutex`] with the data that it protects.

use crate::platform::identity::Generation;
use crate::platform::{
    Deadline, Parameter, Pod, ShmSafe, ShmType, TypeInfo, UnsafeCell, constructor,
};
use crate::sync::condvar::AtRecheck;
use crate::sync::{Condvar, LockGuard, RawLock, RawMutex, Timeout};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// A lock with data, for threads and processes.
///
/// The methods have the names of parking_lot's mutex. `Mutex::new` is `const`, for statics. In
/// memory, the lock comes first and the data follows it, as in a `repr(C)` struct.
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
/// # Fork
/// A forked child does not hold the locks of its parent. Dropping the child's copy of a guard does
/// nothing. If the lock is in private memory, the child has a copy of the lock, which stays locked:
/// see [`force_unlock`](Self::force_unlock).
///
/// # How it works
/// See [`RawMutex`] for the states, the orderings, and the reasons why the lock is correct. A guard
/// stores the [generation](crate::platform::identity) of its process.
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
#[repr(C)]
pub struct Mutex<T> {
    lock: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: only the holder of `lock` accesses `value`, and `T: Send` lets it move between holders.
unsafe impl<T: Send> Sync for Mutex<T> {}

// SAFETY: the type is `repr(C)`, `lock` is `ShmSafe`, the data is `Pod`, and guards change the data
// only under the lock.
unsafe impl<T: Pod> ShmSafe for Mutex<T> {
    /// Creates a free lock whose data has only zero bytes.
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too. Zero bytes are valid plain data.
        unsafe {
            RawMutex::init_in_place(&raw mut (*at).lock);
            UnsafeCell::init_zeroed(&raw mut (*at).value);
        }
    }
}

impl<T: Pod> ShmType for Mutex<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Mutex")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl<T> Mutex<T> {
    constructor! {
        /// Creates a free lock that protects `value`.
        pub fn new(value: T) -> Self {
            Self { lock: RawMutex::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Locks, blocking until the lock is free.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock.raw_lock();
        self.guard()
    }

    /// Locks if the lock is free.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock_with(Timeout::NonBlocking)
    }

    /// Locks, blocking for at most `timeout`.
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        self.lock_with(Timeout::after(timeout))
    }

    /// Locks, blocking at most until `instant`.
    pub fn try_lock_until(&self, instant: Instant) -> Option<MutexGuard<'_, T>> {
        self.lock_with(Timeout::At(Deadline::at(instant)))
    }

    /// Locks, blocking for at most `timeout`.
    #[inline]
    pub fn lock_with(&self, timeout: Timeout) -> Option<MutexGuard<'_, T>> {
        match self.lock.raw_lock_with(timeout) {
            true => Some(self.guard()),
            false => None,
        }
    }

    /// Creates the guard for the calling thread, which has just acquired the lock.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            generation: Generation::current(),
            not_send: PhantomData,
        }
    }

    /// Returns whether the lock was held a moment ago, for diagnosis.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Unlocks the lock of a leaked or inherited guard.
    ///
    /// A forked child calls this method if the lock is in private memory and the forking thread
    /// held the lock. The child's copy of the lock is locked, and its copy of the guard does not
    /// unlock it.
    ///
    /// # Safety
    /// The lock is locked, and its guard is not used after this call.
    ///
    /// # Example
    /// ```
    /// let mutex = interlatch::Mutex::new(0);
    /// std::mem::forget(mutex.lock());
    /// // SAFETY: the guard was leaked, so no code uses it.
    /// unsafe { mutex.force_unlock() };
    /// assert!(mutex.try_lock().is_some());
    /// ```
    pub unsafe fn force_unlock(&self) {
        // SAFETY: the caller promises that the lock is locked and that no guard is used.
        unsafe { self.lock.unlock() }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("is_locked", &self.is_locked())
            .finish_non_exhaustive()
    }
}

/// Guard of a [`Mutex`]: gives access to the data and unlocks when dropped.
///
/// The guard cannot move to another thread:
/// ```compile_fail,E0277
/// static LOCK: interlatch::Mutex<u64> = interlatch::Mutex::new(0);
/// let guard = LOCK.lock();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// # Fork
/// The copy of a guard in a forked child does not hold the lock: dropping the copy does nothing,
/// and waiting with it panics. The child must not use the copy to access the data, which the parent
/// may be changing.
#[must_use = "dropping the guard unlocks the mutex"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// The process that holds the lock.
    generation: Generation,
    not_send: PhantomData<*const ()>,
}

// SAFETY: `&MutexGuard<T>` gives access to `&T` only, which `T: Sync` lets threads share.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds `mutex.lock`, which excludes every other guard of `value`.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds `mutex.lock`, which excludes every other guard of `value`, and
        // `&mut self` excludes other references from this guard.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.generation.is_inherited() {
            return;
        }
        // SAFETY: a guard exists only after its process locked `lock`, and the guard is not a copy
        // in a forked child. Only this drop unlocks the lock.
        unsafe { self.mutex.lock.unlock() };
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
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

/// Wait methods that take the guard of a [`Mutex`].
///
/// Each method unlocks the mutex during the wait, and locks the mutex again before it returns.
///
/// # Panics
/// Each method panics in a forked child if the guard is a copy of the parent's guard.
impl Condvar {
    /// Waits for a notification, which may have been meant for another waiter.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_guard(guard, Timeout::Infinite, AtRecheck::SleepOn);
    }

    /// Waits while `condition` is true.
    pub fn wait_while<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
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
    pub fn wait_timeout<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        self.wait_guard(guard, Timeout::after(timeout), AtRecheck::SleepOn)
    }

    /// Waits for a notification until `instant`, and returns no earlier without one.
    pub fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        instant: Instant,
    ) -> WaitTimeoutResult {
        self.wait_guard(
            guard,
            Timeout::At(Deadline::at(instant)),
            AtRecheck::SleepOn,
        )
    }

    /// Waits while `condition` is true, for at most `timeout` in all.
    pub fn wait_timeout_while<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
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

    fn wait_guard<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Timeout,
        at_recheck: AtRecheck,
    ) -> WaitTimeoutResult {
        guard.generation.assert_current();
        // SAFETY: `guard` holds the lock before and after the wait, and `&mut` excludes other uses
        // of `guard` during the wait. Only `guard` unlocks the lock, because `adopted` is never
        // dropped.
        let mut adopted = ManuallyDrop::new(unsafe { LockGuard::adopt(&guard.mutex.lock) });
        WaitTimeoutResult {
            timed_out: !self.wait_with_rechecks(&mut adopted, timeout, at_recheck),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    /// The inspector relies on the order that this test checks: the lock comes first.
    #[test]
    fn lock_comes_before_the_data() {
        assert_eq!(offset_of!(Mutex<u8>, lock), 0);
        assert_eq!(offset_of!(Mutex<u128>, lock), 0);
        assert_eq!(offset_of!(Mutex<u128>, value), 16);
    }
}
