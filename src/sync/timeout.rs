//! The time for which an operation may block.

use crate::platform::{Deadline, futex};
use std::time::Duration;

/// The time for which an operation may block.
///
/// Every blocking operation has a form that takes a `Timeout` and has a name that ends in `_with`.
/// The blocking, non-blocking and timed forms (`send`, `try_send`, `send_timeout`, `send_deadline`)
/// call that form.
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
    /// A timeout that expires after `duration`.
    ///
    /// A duration that is too long for a deadline becomes a deadline centuries ahead.
    pub fn after(duration: Duration) -> Self {
        Self::At(Deadline::after(duration))
    }

    /// The deadline, if there is one.
    #[inline]
    pub(crate) fn deadline(self) -> Option<Deadline> {
        match self {
            Self::At(deadline) => Some(deadline),
            Self::NonBlocking | Self::Infinite => None,
        }
    }

    /// The timeout for an internal lock: an operation never fails just because the lock is briefly
    /// held.
    ///
    /// A stopped holder of that lock delays an operation with a deadline by at most one
    /// recheck interval.
    pub(crate) fn for_internal_lock(self) -> Self {
        match self {
            Self::NonBlocking | Self::Infinite => Self::Infinite,
            Self::At(deadline) => Self::At(futex::at_least_recheck_interval(deadline)),
        }
    }
}
