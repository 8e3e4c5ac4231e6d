//! A robust lock with the data that it protects.

use super::raw_mutex::{LockError, OwnerToken, RawRobustMutex, Taken};
use crate::platform::robust::RobustListError;
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, Pod, ShmSafe, ShmType, TypeInfo, UnsafeCell, constructor,
};
use crate::sync::{LockState, Timeout};
use core::fmt;
use core::mem::{ManuallyDrop, offset_of};
use core::ops::{Deref, DerefMut};
use std::thread::panicking;
use std::time::Duration;

/// A lock that survives the death of its holder, with the data that it protects.
///
/// Whoever gets it after a holder died in the middle gets the data as that one left it, and the news:
/// [`RobustLockError::OwnerDied`].
///
/// # Fairness
/// None: a process that runs may overtake one that is being woken.
///
/// # Panics
/// None of its own. A panic that unwinds through a guard is reported to the next one as a death is,
/// unless it was under way already when the lock was taken.
///
/// # Process death
/// | event | what the next one gets |
/// | --- | --- |
/// | the holder is killed or exits | the data, and the news |
/// | the main thread of a process calls `exec` as the holder | the same |
/// | another thread calls `exec` as the holder | nothing, for ever, as with libc's: unlock before |
/// | the holder's thread ends | the same: the holder is a thread |
/// | the holder is stopped or slow | nothing: it waits |
/// | the one that got the news dies | the data, and the news again |
/// | the one that got the news drops it | [`RobustLockError::Unrecoverable`], as everybody from then on |
/// | the holder calls `fork(3)` | nothing: the parent holds it. The child must not use the guard that it inherits; it may drop it |
///
/// The news comes from the kernel, at once, not from looking at ids, so an id that is used again is
/// not mistaken for its dead owner. It is the same in every process of one pid namespace.
///
/// The memory of the lock must not be used for something else while a thread of another process may be
/// on its way out of `lock` or of a guard's drop: if it dies there, the kernel looks at the word once
/// more. (glibc bug 14485 is about this.) What a leaked guard means is said at [`RawRobustMutex`].
///
/// # Signals
/// Not for signal handlers, as no lock is.
///
/// # Example
/// ```
/// use interlatch::sync::RobustLockError;
/// use interlatch::RobustMutex;
///
/// static ACCOUNTS: RobustMutex<[i64; 2]> = RobustMutex::new([100, 0]);
///
/// // A thread that ends in the middle of a transfer.
/// std::thread::spawn(|| {
///     let mut accounts = ACCOUNTS.lock().unwrap();
///     accounts[0] -= 10;
///     std::mem::forget(accounts);
/// })
/// .join()
/// .unwrap();
///
/// let accounts = match ACCOUNTS.lock() {
///     Err(RobustLockError::OwnerDied(mut found)) => {
///         let [from, to] = &mut *found;
///         *to = 100 - *from;
///         found.mark_consistent()
///     }
///     other => other.unwrap(),
/// };
/// assert_eq!(*accounts, [90, 10]);
/// drop(accounts);
/// assert!(ACCOUNTS.lock().is_ok(), "as before");
/// ```
#[repr(C)]
pub struct RobustMutex<T> {
    lock: RawRobustMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is accessed only by the holder of the lock, and moves from one to the next.
unsafe impl<T: Send> Sync for RobustMutex<T> {}

// SAFETY: `repr(C)`; the lock is `ShmSafe`, and the value valid for every bit pattern.
unsafe impl<T: Pod + Default> ShmSafe for RobustMutex<T> {
    fn initial() -> Self {
        Self::new(T::default())
    }
}

impl<T: Pod> ShmType for RobustMutex<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustMutex")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

/// Why a guard was not returned, or not as it should be.
pub enum RobustLockError<'a, T> {
    /// The last holder died while it held the lock. The lock is held now; the data may be half-changed.
    OwnerDied(Inconsistent<'a, T>),
    /// A holder died, and the one that was told so did not repair the data.
    Unrecoverable,
    /// The lock is held, and the time was over first.
    TimedOut,
    /// This thread holds the lock already, and would wait for itself.
    AlreadyHeld,
    /// This thread can hold no robust lock, or no more of them.
    Refused(RobustListError),
}

impl<'a, T> RobustLockError<'a, T> {
    /// Takes the data as the dead have left it, where no step of theirs can have left it half-changed:
    /// `mutex.lock().or_else(RobustLockError::mark_consistent)`.
    ///
    /// # Errors
    /// Every other error as it is.
    pub fn mark_consistent(self) -> RobustLockResult<'a, T> {
        match self {
            Self::OwnerDied(found) => Ok(found.mark_consistent()),
            other => Err(other),
        }
    }
}

/// What [`RobustMutex::lock`] returns.
pub type RobustLockResult<'a, T> = Result<RobustMutexGuard<'a, T>, RobustLockError<'a, T>>;

impl<T> RobustMutex<T> {
    constructor! {
        /// A free lock over this value. It is `const`, for statics.
        pub fn new(value: T) -> Self {
            Self { lock: RawRobustMutex::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Locks, however long it takes.
    ///
    /// # Errors
    /// The news that the last holder died, with the guard inside; or that the lock is not to be had.
    #[inline]
    pub fn lock(&self) -> RobustLockResult<'_, T> {
        loop {
            match self.lock_with(Timeout::Infinite) {
                // Forever does not run out.
                Err(RobustLockError::TimedOut) => {}
                result => return result,
            }
        }
    }

    /// Locks if that is possible at once.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and if somebody holds it: `TimedOut`.
    #[inline]
    pub fn try_lock(&self) -> RobustLockResult<'_, T> {
        self.lock_with(Timeout::NonBlocking)
    }

    /// Locks, or gives up after that time.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and if the time was over first: `TimedOut`.
    pub fn lock_timeout(&self, timeout: Duration) -> RobustLockResult<'_, T> {
        self.lock_with(Timeout::after(timeout))
    }

    /// Locks as long as timeout lasts.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and if timeout ran out first: `TimedOut`.
    #[inline]
    pub fn lock_with(&self, timeout: Timeout) -> RobustLockResult<'_, T> {
        self.lock_for::<false>(timeout)
    }

    /// The same, of a lock of turns or not.
    #[inline]
    pub(crate) fn lock_for<const TURNS: bool>(&self, timeout: Timeout) -> RobustLockResult<'_, T> {
        let taken = self.lock.lock_for::<TURNS>(timeout);
        let guard = || RobustMutexGuard {
            mutex: self,
            stamp: OwnerToken::new(),
            panicked_before: panicking(),
        };
        match taken {
            Ok(Taken::Clean) => Ok(guard()),
            Ok(Taken::OwnerDied) => Err(RobustLockError::OwnerDied(Inconsistent(
                ManuallyDrop::new(guard()),
            ))),
            Err(LockError::Unrecoverable) => Err(RobustLockError::Unrecoverable),
            Err(LockError::TimedOut) => Err(RobustLockError::TimedOut),
            Err(LockError::AlreadyHeld) => Err(RobustLockError::AlreadyHeld),
            Err(LockError::Refused(refusal)) => Err(RobustLockError::Refused(refusal)),
        }
    }

    /// Whether somebody holds the lock, or did a moment ago: for diagnosis.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }
}

impl RobustMutex<()> {
    /// The state of the one that these words are, whatever it protects.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<LockState> {
        RawRobustMutex::read_state(&OffsetReader(words, offset_of!(Self, lock) as u64))
    }
}

/// The possession of a [`RobustMutex`]: access to the data, until it is dropped.
///
/// It stays on the thread that locked:
/// ```compile_fail,E0277
/// static LOCK: interlatch::RobustMutex<u64> = interlatch::RobustMutex::new(0);
/// let guard = LOCK.lock().unwrap();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// # Process death
/// See [`RobustMutex`].
#[must_use = "dropping this unlocks"]
pub struct RobustMutexGuard<'a, T> {
    mutex: &'a RobustMutex<T>,
    stamp: OwnerToken,
    panicked_before: bool,
}

// SAFETY: a reference to it gives no more than one to the value.
unsafe impl<T: Sync> Sync for RobustMutexGuard<'_, T> {}

impl<'a, T> RobustMutexGuard<'a, T> {
    /// The lock that is held.
    pub(crate) fn mutex(&self) -> &'a RobustMutex<T> {
        self.mutex
    }

    /// Whether a panic passes by that began while the lock was held.
    #[inline]
    fn has_panicked(&self) -> bool {
        panicking() && !self.panicked_before
    }
}

impl<T> Deref for RobustMutexGuard<'_, T> {
    type Target = T;

    #[cfg_attr(debug_assertions, track_caller)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for as long as the guard lives.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for RobustMutexGuard<'_, T> {
    #[cfg_attr(debug_assertions, track_caller)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held for as long as the guard lives, and `&mut self` lends it to one.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for RobustMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let lock = &self.mutex.lock;
        if self.stamp.is_inherited() {
            return;
        }
        // SAFETY: a guard is made only by locking, and unlocks only once: here, or where an
        // `Inconsistent` that holds it is dropped.
        unsafe {
            match self.has_panicked() {
                true => lock.mark_owner_died(),
                false => lock.unlock(),
            }
        }
    }
}

/// The possession of a [`RobustMutex`] whose last holder died: the data may be half-changed.
///
/// Repair it and say so with [`mark_consistent`](Self::mark_consistent). Dropping this instead says that
/// it cannot be repaired, and nobody will get the lock again.
///
/// # Process death
/// If this one dies too, the next one gets the news.
///
/// # Example
/// See [`RobustMutex`].
#[must_use = "dropping this makes the lock unrecoverable"]
pub struct Inconsistent<'a, T>(ManuallyDrop<RobustMutexGuard<'a, T>>);

impl<'a, T> Inconsistent<'a, T> {
    /// The data is consistent again.
    pub fn mark_consistent(self) -> RobustMutexGuard<'a, T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, and not used after the guard has moved out of it.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> Deref for Inconsistent<'_, T> {
    type Target = T;

    #[cfg_attr(debug_assertions, track_caller)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Inconsistent<'_, T> {
    #[cfg_attr(debug_assertions, track_caller)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Inconsistent<'_, T> {
    fn drop(&mut self) {
        let lock = &self.0.mutex.lock;
        if self.0.stamp.is_inherited() {
            return;
        }
        // SAFETY: the lock is held, and the guard inside will not be dropped.
        unsafe {
            match self.0.has_panicked() {
                true => lock.mark_owner_died(),
                false => lock.mark_unrecoverable(),
            }
        }
    }
}

impl<T> fmt::Debug for RobustMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RobustMutex")
            .field("is_locked", &self.is_locked())
            .finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for RobustMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Inconsistent<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inconsistent").field(&**self).finish()
    }
}

impl<T> fmt::Debug for RobustLockError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<T> fmt::Display for RobustLockError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("the last holder died while it held the lock"),
            Self::Unrecoverable => LockError::Unrecoverable.fmt(f),
            Self::TimedOut => LockError::TimedOut.fmt(f),
            Self::AlreadyHeld => LockError::AlreadyHeld.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl<T> std::error::Error for RobustLockError<'_, T> {}
