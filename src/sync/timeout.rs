//! The time for which an operation may block.

use crate::platform::{Deadline, futex};
use crate::sync::{AcquireError, LockError};
use std::time::Duration;

/// The time for which an operation may block.
///
/// Every blocking operation has a form that takes a `Timeout`, for example `send_with`. The
/// blocking, non-blocking and timed forms (`send`, `try_send`, `send_timeout`, `send_deadline`)
/// call the form with `_with`.
///
/// # Internal locks
/// Most objects have an internal lock, which each operation holds only for a moment. Its holder may
/// be stopped in that moment. An operation with a deadline then returns its timeout error at most
/// 100 milliseconds after the deadline. A non-blocking operation returns `Busy` after 100
/// milliseconds. Only an operation without a deadline waits until the holder continues. The bound
/// does not depend on the [`recheck_interval`](crate::sync::recheck_interval).
///
/// # Example
/// ```
/// use interlatch::Semaphore;
/// use interlatch::sync::{RawSemaphore, Timeout};
/// use std::time::Duration;
///
/// let semaphore = Semaphore::empty();
/// assert!(!semaphore.acquire_with(Timeout::NonBlocking));
/// assert!(!semaphore.acquire_with(Timeout::after(Duration::from_millis(1))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// The operation never blocks.
    NonBlocking,
    /// The operation blocks at most until the deadline.
    At(Deadline),
    /// The operation blocks until it can complete.
    Infinite,
}

impl Timeout {
    /// Returns a timeout that expires after `duration`.
    ///
    /// A duration that is too long for a deadline becomes a deadline centuries ahead.
    pub fn after(duration: Duration) -> Self {
        Self::At(Deadline::after(duration))
    }

    /// Returns the deadline, or `None` for a timeout without a deadline.
    #[inline]
    pub(crate) fn deadline(self) -> Option<Deadline> {
        match self {
            Self::At(deadline) => Some(deadline),
            Self::NonBlocking | Self::Infinite => None,
        }
    }

    /// Returns the timeout for an internal lock, so that an operation never fails just because the
    /// lock is briefly held.
    ///
    /// If the holder of the internal lock is stopped, an operation that does not block or has a
    /// deadline is delayed by at most 100 milliseconds.
    #[cold]
    pub(crate) fn for_internal_lock(self) -> Self {
        let deadline = match self {
            Self::Infinite => return Self::Infinite,
            Self::NonBlocking => None,
            Self::At(deadline) => Some(deadline),
        };
        futex::internal_lock_deadline(deadline).map_or(Self::Infinite, Self::At)
    }

    /// Returns the error of an operation with this timeout that did not acquire an internal lock.
    #[cold]
    pub(crate) fn internal_lock_error(self, error: LockError) -> AcquireError {
        match error {
            LockError::TimedOut if self == Self::NonBlocking => AcquireError::Busy,
            error => error.into(),
        }
    }
}
