//! `CLOCK_MONOTONIC`: deadlines that no one can move by setting the time of day.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// A point of the monotonic clock (which is one clock for all processes of a machine) after
/// which a wait gives up.
///
/// Arithmetic saturates: a deadline in the past has passed, one of centuries never does.
///
/// # Example
/// ```
/// use interlatch::sync::Deadline;
/// use interlatch::Semaphore;
/// use std::time::Duration;
///
/// // One deadline for both: together they wait no longer than that.
/// let deadline = Deadline::after(Duration::from_millis(5));
/// let (one, other) = (Semaphore::empty(), Semaphore::empty());
/// assert!(one.acquire_deadline(deadline).is_none());
/// assert!(other.acquire_deadline(deadline).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    seconds: i64,
    nanoseconds: u32,
}

impl Deadline {
    /// That long from now.
    pub fn after(timeout: Duration) -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let nanoseconds = now.tv_nsec as u32 + timeout.subsec_nanos();
        let seconds = i64::try_from(timeout.as_secs())
            .unwrap_or(i64::MAX)
            .saturating_add(now.tv_sec)
            .saturating_add(i64::from(nanoseconds / NANOSECONDS_PER_SECOND));
        Self {
            seconds,
            nanoseconds: nanoseconds % NANOSECONDS_PER_SECOND,
        }
    }

    /// The same point as a [`std::time::Instant`]; one in the past has passed already.
    pub fn at(instant: Instant) -> Self {
        Self::after(instant.saturating_duration_since(Instant::now()))
    }

    /// Whether it is over.
    pub fn has_passed(self) -> bool {
        self <= Self::after(Duration::ZERO)
    }

    /// How long it is until then: nothing, once it has passed.
    pub fn remaining(self) -> Duration {
        let now = Self::after(Duration::ZERO);
        self.since_boot().saturating_sub(now.since_boot())
    }

    /// Neither the clock nor a deadline is ever negative.
    fn since_boot(self) -> Duration {
        Duration::new(self.seconds as u64, self.nanoseconds)
    }

    pub(super) fn timespec(self) -> Timespec {
        Timespec {
            tv_sec: self.seconds,
            tv_nsec: i64::from(self.nanoseconds),
        }
    }
}

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_remains_than_there_was() {
        for timeout in [0, 1, 999_999_999, 1_000_000_000, 1_500_000_000].map(Duration::from_nanos) {
            let deadline = Deadline::after(timeout);
            assert!(deadline.remaining() <= timeout);
        }
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert!(Deadline::after(Duration::MAX).remaining() > century);
    }
}
