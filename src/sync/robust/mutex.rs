//! A lock that survives the death of its holder, with the data that it protects.

use super::raw_mutex::{Acquired, LockError, OwnerToken, RawRobustMutex};
use crate::platform::robust::RobustListError;
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, Pod, ShmSafe, ShmType, Static, TypeInfo, UnsafeCell,
    constructor,
};
use crate::sync::{AcquireError, LockState, Timeout};
use core::fmt;
use core::mem::{ManuallyDrop, offset_of};
use core::ops::{Deref, DerefMut};
use std::thread::panicking;
use std::time::Duration;

/// A lock with data that survives the death of its holder.
///
/// Use it for data that several processes change, where a process may be killed at any instruction.
/// If a process dies while holding a `RobustMutex`, the next [`lock`](Self::lock) returns
/// `Err(OwnerDied(guard))`: the lock is held, and the data is as the dead process left it. Repair
/// the data, then call [`Inconsistent::mark_consistent`]. [`lock_or_repair`](Self::lock_or_repair)
/// locks, repairs and marks the data in one call, and returns an error that works with `?` and
/// `anyhow`.
///
/// # Errors
/// [`lock`](Self::lock) and its variants return [`RobustLockError`]. That error may hold the guard,
/// so it borrows the lock. [`lock_or_repair`](Self::lock_or_repair) returns [`LockError`], which is
/// `Send + Sync + 'static`.
///
/// # Fairness
/// The lock is not fair: a running thread may acquire the lock before a thread that is being woken.
///
/// # Panics
/// Methods of the lock do not panic. If a panic unwinds through a guard, the next holder gets
/// `OwnerDied`, unless the panic had begun before the lock was acquired.
///
/// # Process death
/// | event | result for the next holder |
/// | --- | --- |
/// | the holder is killed or exits | `OwnerDied`, with the data |
/// | the main thread of a process calls `exec` as the holder | `OwnerDied`, with the data |
/// | another thread calls `exec` as the holder | blocks forever, as with libc: unlock before |
/// | the holder's thread ends | blocks: only a leaked guard outlives its thread, see below |
/// | the holder's process drops the region with a leaked guard | `OwnerDied`, with the data |
/// | the holder is stopped, frozen or slow | blocks until the holder unlocks |
/// | the holder crashes and dumps core | blocks until the dump is written |
/// | the thread that got `OwnerDied` dies before the repair | `OwnerDied` again, with the data |
/// | the thread that got `OwnerDied` drops it unrepaired | `Unrecoverable`, from then on |
/// | the holder calls `fork(3)` | blocks: the parent still holds the lock |
///
/// The kernel reports the death while the dying thread still has its id, so a reused id is never
/// mistaken for the dead holder. The report works among processes of one pid namespace.
///
/// # Placement
/// A lock lies in a region, or in a [`Static`]. Safe code can neither move nor free it, not even
/// while a guard is leaked: see [`RawRobustMutex`](RawRobustMutex#placement).
///
/// # Fork
/// A forked child does not hold the locks of its parent. Dropping the child's copy of a guard does
/// nothing, and waiting with it panics. The child must not use the copy to access the data, which
/// the parent may be changing.
///
/// # Signals
/// Signal handlers must not use the lock, as with every lock.
///
/// # How it works
/// A `RobustMutex` consists of a [`RawRobustMutex`], followed by the data. The documentation of
/// `RawRobustMutex` describes the states, the orderings and the kernel's part. A guard records the
/// [generation](crate::platform::identity) of its process, so the copy of a guard in a forked child
/// never unlocks the parent's lock.
///
/// # Example
/// Two processes share accounts, and one dies in the middle of a transfer. The drop of its region
/// stands for the death:
/// ```
/// use interlatch::{Region, RobustMutex};
/// use std::error::Error;
///
/// /// Completes an interrupted transfer: the accounts add up to 100.
/// fn repair(accounts: &mut [i64; 2]) {
///     accounts[1] = 100 - accounts[0];
/// }
///
/// fn transfer(accounts: &RobustMutex<[i64; 2]>, amount: i64) -> Result<(), Box<dyn Error>> {
///     let mut accounts = accounts.lock_or_repair(repair)?;
///     accounts[0] -= amount;
///     accounts[1] += amount;
///     Ok(())
/// }
///
/// // One process creates the accounts.
/// let region = Region::memfd("bank", 4096)?;
/// let accounts: &RobustMutex<[i64; 2]> = region.create("accounts", ())?;
/// *accounts.lock_or_repair(repair)? = [100, 0];
///
/// // Another process receives the descriptor, attaches, and dies with 10 taken off an account.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &RobustMutex<[i64; 2]> = other.attach("accounts")?;
/// let mut interrupted = attached.lock_or_repair(repair)?;
/// interrupted[0] -= 10;
/// std::mem::forget(interrupted);
/// drop(other);
///
/// transfer(accounts, 20)?;
/// assert_eq!(*accounts.lock_or_repair(repair)?, [70, 30]);
/// # Ok::<(), Box<dyn Error>>(())
/// ```
///
/// A `match` on the error of [`lock`](Self::lock) gives full control:
/// ```
/// use interlatch::sync::RobustLockError;
/// use interlatch::{Region, RobustMutex};
///
/// let region = Region::memfd("counts", 4096)?;
/// let count: &RobustMutex<u64> = region.create("count", ())?;
///
/// // Another process attaches, and dies while it holds the lock. The drop of its region stands for
/// // the death.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// std::mem::forget(other.attach::<RobustMutex<u64>>("count")?.lock());
/// drop(other);
///
/// let found = match count.lock() {
///     Ok(found) => found,
///     // A counter cannot be half-changed.
///     Err(RobustLockError::OwnerDied(found)) => found.mark_consistent(),
///     Err(error) => panic!("{error}"),
/// };
/// assert_eq!(*found, 0);
/// drop(found);
/// assert!(count.lock().is_ok(), "the lock is clean again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct RobustMutex<T> {
    lock: RawRobustMutex,
    value: UnsafeCell<T>,
}

// SAFETY: only the holder of `lock` accesses `value`, and `T: Send` lets it move between holders.
unsafe impl<T: Send> Sync for RobustMutex<T> {}

// SAFETY: the type is `repr(C)`, `lock` is `ShmSafe`, and `Pod` accepts every bit pattern.
unsafe impl<T: Pod> ShmSafe for RobustMutex<T> {
    /// Creates a free lock whose data has only zero bytes.
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too. Zero bytes are valid plain data.
        unsafe {
            RawRobustMutex::init_in_place(&raw mut (*at).lock);
            UnsafeCell::init_zeroed(&raw mut (*at).value);
        }
    }
}

impl<T: Pod> ShmType for RobustMutex<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustMutex")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

/// The error returned by an attempt to lock a [`RobustMutex`].
///
/// The error borrows the lock, because `OwnerDied` contains a guard of the lock. Convert the error
/// with [`mark_consistent`](Self::mark_consistent) or [`repair`](Self::repair) to get a
/// [`LockError`], which works with `?` and `anyhow`.
///
/// # Example
/// ```
/// use interlatch::RobustMutex;
/// use interlatch::sync::RobustLockError;
///
/// fn next(counter: &RobustMutex<u64>) -> Result<u64, Box<dyn std::error::Error>> {
///     // One number cannot be half-changed, so no repair is needed.
///     let mut counter = counter.lock().or_else(RobustLockError::mark_consistent)?;
///     *counter += 1;
///     Ok(*counter)
/// }
///
/// assert_eq!(next(RobustMutex::new(6).leak())?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub enum RobustLockError<'a, T> {
    /// The last holder died while it held the lock. The caller now holds the lock. The data may be
    /// inconsistent.
    OwnerDied(Inconsistent<'a, T>),
    /// A holder died, and the next holder did not repair the data.
    Unrecoverable,
    /// The lock was still held when the timeout expired.
    TimedOut,
    /// The calling thread already holds the lock, so waiting would never end.
    AlreadyHeld,
    /// The calling thread cannot hold one more robust lock.
    RobustList(RobustListError),
}

impl<'a, T> RobustLockError<'a, T> {
    /// Accepts the data as the dead holder left it.
    ///
    /// Use this method if a holder that dies at any step leaves consistent data:
    /// `mutex.lock().or_else(RobustLockError::mark_consistent)?`.
    ///
    /// # Errors
    /// Returns a [`LockError`] for every error except `OwnerDied`.
    pub fn mark_consistent(self) -> Result<RobustMutexGuard<'a, T>, LockError> {
        self.into_found().map(Inconsistent::mark_consistent)
    }

    /// Repairs the data after an owner death and marks it consistent.
    ///
    /// If `repair` panics, the next holder gets `OwnerDied` again.
    ///
    /// # Errors
    /// Returns a [`LockError`] for every error except `OwnerDied`.
    pub fn repair(self, repair: impl FnOnce(&mut T)) -> Result<RobustMutexGuard<'a, T>, LockError> {
        let mut found = self.into_found()?;
        repair(&mut found);
        Ok(found.mark_consistent())
    }

    fn into_found(self) -> Result<Inconsistent<'a, T>, LockError> {
        match self {
            Self::OwnerDied(found) => Ok(found),
            Self::Unrecoverable => Err(LockError::Unrecoverable),
            Self::TimedOut => Err(LockError::TimedOut),
            Self::AlreadyHeld => Err(LockError::AlreadyHeld),
            Self::RobustList(error) => Err(LockError::RobustList(error)),
        }
    }
}

impl<T> From<LockError> for RobustLockError<'_, T> {
    #[inline]
    fn from(error: LockError) -> Self {
        match error {
            LockError::Unrecoverable => Self::Unrecoverable,
            LockError::TimedOut => Self::TimedOut,
            LockError::AlreadyHeld => Self::AlreadyHeld,
            LockError::RobustList(error) => Self::RobustList(error),
        }
    }
}

/// Result of [`RobustMutex::lock`] and its variants.
pub type RobustLockResult<'a, T> = Result<RobustMutexGuard<'a, T>, RobustLockError<'a, T>>;

impl<T> RobustMutex<T> {
    constructor! {
        /// Creates a free lock that protects `value`.
        pub fn new(value: T) -> Static<Self> {
            Static::new(Self::by_value(value))
        }
    }

    constructor! {
        /// Creates a free lock by value, for a [`Static`] or for memory that is being initialized.
        pub(crate) fn by_value(value: T) -> Self {
            Self { lock: RawRobustMutex::by_value(), value: UnsafeCell::new(value) }
        }
    }

    /// Locks, blocking until the lock is free.
    ///
    /// # Errors
    /// Returns any [`RobustLockError`] except `TimedOut`. `OwnerDied` contains a guard, so the lock
    /// is then held.
    #[inline]
    pub fn lock(&self) -> RobustLockResult<'_, T> {
        loop {
            match self.lock_with(Timeout::Infinite) {
                // An infinite timeout does not expire.
                Err(RobustLockError::TimedOut) => {}
                result => return result,
            }
        }
    }

    /// Locks if the lock is free.
    ///
    /// # Errors
    /// Returns any [`RobustLockError`] except `AlreadyHeld`. `TimedOut` means that a thread,
    /// possibly the calling thread, holds the lock.
    #[inline]
    pub fn try_lock(&self) -> RobustLockResult<'_, T> {
        self.lock_with(Timeout::NonBlocking)
    }

    /// Locks, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Returns any [`RobustLockError`].
    pub fn lock_timeout(&self, timeout: Duration) -> RobustLockResult<'_, T> {
        self.lock_with(Timeout::after(timeout))
    }

    /// Locks, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Returns any [`RobustLockError`].
    #[inline]
    pub fn lock_with(&self, timeout: Timeout) -> RobustLockResult<'_, T> {
        self.lock_with_policy(timeout, SpinPolicy::Lock)
    }

    /// Locks, and repairs the data if the last holder died.
    ///
    /// `repair` gets the data as the dead holder left it, and must make it consistent. It runs
    /// under the lock, and only after an owner death. If it panics, the next holder gets
    /// `OwnerDied` again.
    ///
    /// # Errors
    /// Returns `Unrecoverable`, `AlreadyHeld` or `RobustList`. [`LockError`] is `'static`, so `?`
    /// converts it into `Box<dyn Error>` or `anyhow::Error`.
    ///
    /// # Example
    /// ```
    /// use interlatch::{Region, RobustMutex};
    ///
    /// let region = Region::memfd("orders", 4096)?;
    /// let orders: &RobustMutex<[u64; 2]> = region.create("orders", ())?;
    /// let repair = |orders: &mut [u64; 2]| orders[1] = orders[0];
    ///
    /// // Another process attaches, and dies between two writes that belong together. The drop of
    /// // its region stands for the death.
    /// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
    /// let attached: &RobustMutex<[u64; 2]> = other.attach("orders")?;
    /// let mut interrupted = attached.lock_or_repair(repair)?;
    /// interrupted[0] += 1;
    /// std::mem::forget(interrupted);
    /// drop(other);
    ///
    /// let orders = orders.lock_or_repair(repair)?;
    /// assert_eq!(*orders, [1, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn lock_or_repair(
        &self,
        repair: impl FnOnce(&mut T),
    ) -> Result<RobustMutexGuard<'_, T>, LockError> {
        self.lock_or_repair_with(Timeout::Infinite, repair)
    }

    /// Locks like [`lock_or_repair`](Self::lock_or_repair), blocking for at most `timeout`.
    ///
    /// # Errors
    /// Returns any [`LockError`].
    ///
    /// # Example
    /// ```
    /// use interlatch::sync::LockError;
    /// use interlatch::RobustMutex;
    /// use interlatch::sync::Timeout;
    ///
    /// let mutex = RobustMutex::new(1).leak();
    /// let guard = mutex.lock_or_repair(|_| ())?;
    /// let error = mutex.lock_or_repair_with(Timeout::NonBlocking, |_| ()).unwrap_err();
    /// assert_eq!(error, LockError::TimedOut);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn lock_or_repair_with(
        &self,
        timeout: Timeout,
        repair: impl FnOnce(&mut T),
    ) -> Result<RobustMutexGuard<'_, T>, LockError> {
        let acquired = self.lock.lock_with(timeout)?;
        let guard = self.guard();
        match acquired {
            Acquired::Clean => Ok(guard),
            Acquired::OwnerDied => Ok(guard.repair(repair)),
        }
    }

    /// Locks the internal lock of an object, and calls `repair` if the last holder died.
    ///
    /// See [`Timeout::for_internal_lock`].
    #[inline]
    pub(crate) fn lock_internal(
        &self,
        timeout: Timeout,
        policy: SpinPolicy,
        repair: impl FnOnce(&mut T),
    ) -> Result<RobustMutexGuard<'_, T>, AcquireError> {
        match self.lock.lock_internal(timeout, policy) {
            Ok(Acquired::Clean) => Ok(self.guard()),
            Ok(Acquired::OwnerDied) => Ok(self.guard().repair(repair)),
            Err(error) => Err(timeout.internal_lock_error(error)),
        }
    }

    /// Locks like [`lock_with`](Self::lock_with), with a spin policy for the contended path.
    #[inline(always)]
    pub(crate) fn lock_with_policy(
        &self,
        timeout: Timeout,
        policy: SpinPolicy,
    ) -> RobustLockResult<'_, T> {
        match self.lock.lock_with_policy(timeout, policy) {
            Ok(Acquired::Clean) => Ok(self.guard()),
            Ok(Acquired::OwnerDied) => Err(RobustLockError::OwnerDied(self.guard().inconsistent())),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the guard for the calling thread, which has just acquired the lock.
    #[inline]
    fn guard(&self) -> RobustMutexGuard<'_, T> {
        RobustMutexGuard {
            mutex: self,
            token: OwnerToken::new(),
            panicked_before: panicking(),
        }
    }

    /// Returns whether a thread held the lock a moment ago, for diagnosis.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }
}

impl RobustMutex<()> {
    /// Reads the state of a lock in foreign memory, regardless of the data that the lock protects.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<LockState> {
        RawRobustMutex::read_state(&OffsetReader(reader, offset_of!(Self, lock) as u64))
    }
}

/// Guard of a [`RobustMutex`]: gives access to the data and unlocks when dropped.
///
/// The guard cannot move to another thread:
/// ```compile_fail,E0277
/// let guard = interlatch::RobustMutex::new(0).leak().lock().unwrap();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// # Process death
/// If the process dies while a guard exists, the next holder gets `OwnerDied`: see [`RobustMutex`].
#[must_use = "dropping the guard unlocks the mutex"]
pub struct RobustMutexGuard<'a, T> {
    mutex: &'a RobustMutex<T>,
    token: OwnerToken,
    panicked_before: bool,
}

// SAFETY: `&RobustMutexGuard<T>` gives access to `&T` only, which `T: Sync` lets threads share.
unsafe impl<T: Sync> Sync for RobustMutexGuard<'_, T> {}

impl<'a, T> RobustMutexGuard<'a, T> {
    /// Returns the mutex that the guard holds.
    pub(crate) fn mutex(&self) -> &'a RobustMutex<T> {
        self.mutex
    }

    /// Returns the mutex, for a condition variable that unlocks it.
    ///
    /// # Panics
    /// Panics if this guard is a copy in a forked child, which does not hold the lock.
    pub(crate) fn held_mutex(&self) -> &'a RobustMutex<T> {
        self.token.assert_current();
        self.mutex
    }

    /// Converts this guard into an [`Inconsistent`], the guard that reports an owner death.
    fn inconsistent(self) -> Inconsistent<'a, T> {
        Inconsistent(ManuallyDrop::new(self))
    }

    #[cold]
    fn repair(self, repair: impl FnOnce(&mut T)) -> Self {
        let mut found = self.inconsistent();
        repair(&mut found);
        found.mark_consistent()
    }

    /// Returns whether a panic that began while the lock was held is unwinding.
    #[inline]
    fn has_panicked(&self) -> bool {
        panicking() && !self.panicked_before
    }
}

impl<T> Deref for RobustMutexGuard<'_, T> {
    type Target = T;

    #[cfg_attr(debug_assertions, track_caller)]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds `mutex.lock`, which excludes every other guard of `value`.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for RobustMutexGuard<'_, T> {
    #[cfg_attr(debug_assertions, track_caller)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds `mutex.lock`, which excludes every other guard of `value`, and
        // `&mut self` excludes other references from this guard.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for RobustMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let lock = &self.mutex.lock;
        if self.token.is_inherited() {
            return;
        }
        // SAFETY: a guard exists only after its thread locked `lock`. Each guard unlocks once:
        // here, or in the drop of the `Inconsistent` that contains it.
        unsafe {
            match self.has_panicked() {
                true => lock.mark_owner_died(),
                false => lock.unlock(),
            }
        }
    }
}

/// The guard of a [`RobustMutex`] whose last holder died. The data may be inconsistent.
///
/// Repair the data, then call [`mark_consistent`](Self::mark_consistent). Dropping this guard
/// instead makes the lock unrecoverable: every later attempt to lock fails.
///
/// # Process death
/// If the thread dies before it marks the data consistent, the next holder gets `OwnerDied` again.
///
/// # Example
/// See [`RobustMutex`].
#[must_use = "dropping this makes the lock unrecoverable"]
pub struct Inconsistent<'a, T>(ManuallyDrop<RobustMutexGuard<'a, T>>);

impl<'a, T> Inconsistent<'a, T> {
    /// Declares the data consistent and returns an ordinary guard.
    pub fn mark_consistent(self) -> RobustMutexGuard<'a, T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, and it is not used after the guard was moved out of it.
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
        if self.0.token.is_inherited() {
            return;
        }
        // SAFETY: the guard inside holds `lock` and is never dropped, so `lock` is unlocked once.
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
            Self::RobustList(error) => error.fmt(f),
        }
    }
}

impl<T> core::error::Error for RobustLockError<'_, T> {}
