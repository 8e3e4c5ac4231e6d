//! The time for which an operation may block.

use crate::platform::{Deadline, futex};
use std::time::Duration;

/// The time for which an operation may block.
///
/// Every blocking operation has a form that takes a `Timeout`, for example `send_with`. The
/// blocking, non-blocking and timed forms (`send`, `try_send`, `send_timeout`, `send_deadline`)
/// call the form with `_with`.
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
    /// If a stopped process holds the internal lock, an operation with a deadline is delayed by at
    /// most one recheck interval.
    pub(crate) fn for_internal_lock(self) -> Self {
        match self {
            Self::NonBlocking | Self::Infinite => Self::Infinite,
            Self::At(deadline) => Self::At(futex::at_least_recheck_interval(deadline)),
        }
    }
}
