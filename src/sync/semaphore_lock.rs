//! A lock made of a semaphore.

use super::{PipeSemaphore, RawLock, Semaphore, Timeout, TrustedSemaphore};
use crate::platform::constructor;

/// A lock made of any trusted semaphore, for example a semaphore in a pipe.
///
/// Use it for processes that share descriptors but no memory. Where memory is shared, use
/// [`RawMutex`](super::RawMutex).
///
/// # Errors
/// [`with_pipe`](SemaphoreLock::with_pipe) fails if no descriptor is left. `lock_with` returns
/// `None` if the timeout expired.
///
/// # Fairness
/// Fairness depends on the semaphore.
///
/// # Process death
/// If the holder dies, its permit is lost, and the lock stays locked forever.
///
/// # How it works
/// The semaphore has one permit, and the holder of the permit holds the lock.
///
/// # Ordering
/// An unlock happens before the next lock, by the contract of [`TrustedSemaphore`].
///
/// # Sources
/// The binary semaphore of E. W. Dijkstra, *Cooperating sequential processes* (1965).
///
/// # Example
/// ```
/// use interlatch::sync::{RawLock, SemaphoreLock, Timeout};
///
/// let lock = SemaphoreLock::with_pipe()?;
/// let guard = lock.lock();
/// assert!(lock.lock_with(Timeout::NonBlocking).is_none());
/// drop(guard);
/// assert!(lock.lock_with(Timeout::NonBlocking).is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Processes share the lock through the descriptors of its pipe. Another process inherits or
/// receives the descriptors, and creates its own `SemaphoreLock` from them:
/// ```
/// use interlatch::platform::pipe::{Reader, Writer};
/// use interlatch::sync::{PipeSemaphore, RawLock, SemaphoreLock, Timeout};
///
/// let lock = SemaphoreLock::with_pipe()?;
/// // SAFETY: the descriptors are used only for a lock, below.
/// let (reader, writer) = unsafe { lock.semaphore() }.ends();
/// let semaphore = PipeSemaphore::from_ends(Reader::reopen(reader)?, Writer::reopen(writer)?);
/// // SAFETY: the pipe is used only for this lock, which has one permit in all.
/// let other = unsafe { SemaphoreLock::from_semaphore(semaphore) };
///
/// let guard = lock.lock();
/// assert!(other.lock_with(Timeout::NonBlocking).is_none());
/// drop(guard);
/// assert!(other.lock_with(Timeout::NonBlocking).is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SemaphoreLock<P = Semaphore>(P);

impl SemaphoreLock {
    constructor! {
        /// Creates a free lock from a semaphore in memory.
        pub fn new() -> Self {
            Self(Semaphore::binary())
        }
    }
}

impl Default for SemaphoreLock {
    fn default() -> Self {
        Self::new()
    }
}

impl SemaphoreLock<PipeSemaphore> {
    /// Creates a free lock from a semaphore in a new pipe.
    ///
    /// # Errors
    /// Fails if no descriptor is left.
    pub fn with_pipe() -> std::io::Result<Self> {
        PipeSemaphore::new(1).map(Self)
    }
}

impl<P: TrustedSemaphore> SemaphoreLock<P> {
    /// Creates a lock from `semaphore`.
    ///
    /// # Safety
    /// The semaphore has one permit in all. The permit is available, or the holder of the lock has
    /// acquired the permit. The semaphore and its descriptors are used only for locks made with
    /// this function.
    pub unsafe fn from_semaphore(semaphore: P) -> Self {
        Self(semaphore)
    }

    /// Returns the semaphore of the lock, for passing its descriptors to another process.
    ///
    /// # Safety
    /// The caller acquires and releases permits only as such a lock does: releasing a permit that
    /// was not acquired lets two threads hold the lock. The caller passes descriptors only to
    /// processes that do the same.
    pub unsafe fn semaphore(&self) -> &P {
        &self.0
    }
}

// SAFETY: the semaphore has one permit, by the contract of the constructors. `TrustedSemaphore`
// promises that each permit has one holder, and that the releaser's writes are visible to that
// holder.
unsafe impl<P: TrustedSemaphore> RawLock for SemaphoreLock<P> {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.0.acquire_with(timeout)
    }

    unsafe fn unlock(&self) {
        // The release cannot fail, because the acquisition left space for the permit.
        let _ = self.0.release(1);
    }
}
