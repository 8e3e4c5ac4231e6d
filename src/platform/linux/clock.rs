//! Deadlines on `CLOCK_MONOTONIC`, a clock that ignores changes to the time of day.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// A point in time after which a wait times out.
///
/// A deadline is a time of the monotonic clock, which all processes of a machine share. Arithmetic
/// saturates: a deadline centuries from now never passes.
///
/// # Example
/// ```
/// use interlatch::sync::Deadline;
/// use interlatch::Semaphore;
/// use std::time::Duration;
///
/// // One deadline for both waits: together they take at most 5 milliseconds.
/// let deadline = Deadline::after(Duration::from_millis(5));
/// let (first, second) = (Semaphore::empty(), Semaphore::empty());
/// assert!(first.acquire_deadline(deadline).is_none());
/// assert!(second.acquire_deadline(deadline).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    seconds: i64,
    nanoseconds: u32,
}

impl Deadline {
    /// Returns the deadline that is this much time from now.
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

    /// Returns the deadline at this instant. If the instant is in the past, the deadline has
    /// passed.
    pub fn at(instant: Instant) -> Self {
        Self::after(instant.saturating_duration_since(Instant::now()))
    }

    /// Whether the deadline has passed.
    pub fn has_passed(self) -> bool {
        self <= Self::after(Duration::ZERO)
    }

    /// Returns the time until the deadline, or zero if it has passed.
    pub fn remaining(self) -> Duration {
        let now = Self::after(Duration::ZERO);
        self.since_boot().saturating_sub(now.since_boot())
    }

    /// Returns the time from boot to the deadline. Neither the clock nor a deadline is negative, so
    /// the cast keeps the value.
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
    fn remaining_time_does_not_exceed_the_timeout() {
        for timeout in [0, 1, 999_999_999, 1_000_000_000, 1_500_000_000].map(Duration::from_nanos) {
            let deadline = Deadline::after(timeout);
            assert!(deadline.remaining() <= timeout);
        }
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert!(Deadline::after(Duration::MAX).remaining() > century);
    }
}
