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
/// use interlatch::{Deadline, Semaphore};
/// use std::time::Duration;
///
/// // One deadline for both: together they wait no longer than that.
/// let deadline = Deadline::after(Duration::from_millis(5));
/// let (one, other) = (Semaphore::empty(), Semaphore::empty());
/// assert!(one.acquire_until(deadline).is_none());
/// assert!(other.acquire_until(deadline).is_none());
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

    pub(super) fn has_passed(self) -> bool {
        self <= Self::after(Duration::ZERO)
    }

    /// From now until then, nothing if that was before.
    pub(crate) fn left(self) -> Timespec {
        let now = clock_gettime(ClockId::Monotonic);
        let (tv_sec, tv_nsec) = match i64::from(self.nanoseconds) - now.tv_nsec {
            left @ 0.. => (self.seconds.saturating_sub(now.tv_sec), left),
            missing => {
                let second = i64::from(NANOSECONDS_PER_SECOND);
                (
                    self.seconds.saturating_sub(now.tv_sec) - 1,
                    missing + second,
                )
            }
        };
        if tv_sec < 0 {
            Timespec::default()
        } else {
            Timespec { tv_sec, tv_nsec }
        }
    }

    pub(super) fn timespec(self) -> Timespec {
        Timespec {
            tv_sec: self.seconds,
            tv_nsec: i64::from(self.nanoseconds),
        }
    }
}

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;
