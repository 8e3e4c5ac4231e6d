//! A lock made of a semaphore.
//!
//! **Source.** Dijkstra's binary semaphore (*Cooperating sequential processes*, 1965).
//!
//! **Why it is correct.** There is one permit: who has it is inside.

use super::{PipeSemaphore, RawLock, Semaphore, Timeout, TrustedSemaphore};
use crate::platform::constructor;

/// Mutual exclusion by any semaphore that can be trusted, for example one in a pipe.
///
/// # Fairness
/// That of the semaphore.
///
/// # Process death
/// As of the semaphore: with a holder that dies the permit is lost, and the lock stays locked.
///
/// # Example
/// ```
/// use interlatch::sync::{RawLock, Timeout, SemaphoreLock};
///
/// let lock = SemaphoreLock::in_a_pipe()?;
/// let held = lock.lock();
/// assert!(lock.lock_with(Timeout::NonBlocking).is_none());
/// drop(held);
/// assert!(lock.lock_with(Timeout::NonBlocking).is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SemaphoreLock<P = Semaphore>(P);

impl SemaphoreLock {
    constructor! {
        /// A lock made of a futex's semaphore, free.
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
    /// A lock in a pipe of its own, free.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn in_a_pipe() -> std::io::Result<Self> {
        PipeSemaphore::new(1).map(Self)
    }
}

impl<P: TrustedSemaphore> SemaphoreLock<P> {
    /// A lock made of this semaphore.
    ///
    /// # Safety
    /// It has one permit in all: it has it now, or somebody has who uses it as such a lock. Nobody uses it as
    /// something else, nor the descriptors that it is made of.
    pub unsafe fn from_semaphore(semaphore: P) -> Self {
        Self(semaphore)
    }

    /// The semaphore, to pass on what it is made of.
    ///
    /// # Safety
    /// A permit is acquired and released only as such a lock does: whoever releases one that is not its own lets two
    /// in. Descriptors that it is made of are for processes that use them so.
    pub unsafe fn semaphore(&self) -> &P {
        &self.0
    }
}

// SAFETY: there is one permit, by the promise of the constructors, and the semaphore hands it to one at a
// time, whose predecessor's writes are seen, by the promise of `TrustedSemaphore`.
unsafe impl<P: TrustedSemaphore> RawLock for SemaphoreLock<P> {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        self.0.acquire_with(timeout)
    }

    unsafe fn unlock(&self) {
        // There is room for the permit that was taken out.
        let _ = self.0.release(1);
    }
}
