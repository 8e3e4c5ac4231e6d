//! How long an operation may wait.

use crate::platform::{Deadline, futex};
use std::time::Duration;

/// How long an operation may wait: the one parameter that makes a blocking, a timed and a
/// non-blocking form of the same code.
///
/// # Example
/// ```
/// use interlatch::Semaphore;
/// use interlatch::sync::{Patience, Permits};
/// use std::time::Duration;
///
/// let semaphore = Semaphore::empty();
/// assert!(!semaphore.acquire_within(Patience::Never));
/// assert!(!semaphore.acquire_within(Patience::of(Duration::from_millis(1))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: the result is there at once or not.
    Never,
    /// Until the deadline has passed.
    Until(Deadline),
    /// As long as it takes.
    Forever,
}

impl Patience {
    /// That long from now.
    pub fn of(timeout: Duration) -> Self {
        Self::Until(Deadline::after(timeout))
    }

    /// The deadline, if this is a wait that has one.
    #[inline]
    pub(crate) fn deadline(self) -> Option<Deadline> {
        match self {
            Self::Until(deadline) => Some(deadline),
            Self::Never | Self::Forever => None,
        }
    }

    /// For a lock that is held only for moments: an operation that must not wait for its
    /// *condition*, or not that long, still takes its turn at the lock. Else it would miss what
    /// is there. A holder that is stopped holds up one that has a deadline for a recheck interval.
    pub(crate) fn at_a_lock(self) -> Self {
        match self {
            Self::Never | Self::Forever => Self::Forever,
            Self::Until(deadline) => Self::Until(futex::no_sooner_than_a_recheck(deadline)),
        }
    }
}
