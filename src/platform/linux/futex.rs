//! Sleeping on a word: `futex(2)`.
//!
//! Without `FUTEX_PRIVATE_FLAG`: a private futex is found by its virtual address, so it would
//! wake nobody in another process. For objects that never leave their process it would save about 35
//! of 135 ns of a wake-up that finds nobody, and a twelfth of a round trip on one core (100,000 of them,
//! Linux 6, in turns). It is not offered all the same: an object does not know whether it lies in shared
//! memory, so every type would need a parameter that says so, and one that is wrong sleeps for ever.
//!
//! A sleeper looks again once in a while, whether anybody has woken it or not. Among the living that
//! is never needed. But a process that dies may have owed a wake-up, or swallowed one that would
//! have been another's, and nobody else knows of that.

use super::{AtomicU32, AtomicU64, Deadline};
use crate::platform::Wake;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};
use std::time::Duration;

/// In nanoseconds. Relaxed: it stands for itself.
static RECHECK_INTERVAL: AtomicU64 = AtomicU64::new(100_000_000);

/// How long a sleeper of this process sleeps at most before it looks again: 100 milliseconds, unless
/// [`set_recheck_interval`] has changed that.
///
/// Within that time a wake-up that was lost with a process reaches another waiter of a lock,
/// condition variable, semaphore or buffer.
///
/// So long, too, a timed operation of a buffer waits for the lock inside, however little time it has: the
/// lock is held for moments, unless its holder is stopped.
pub fn recheck_interval() -> Duration {
    Duration::from_nanos(RECHECK_INTERVAL.load(Relaxed))
}

/// Sets the [`recheck_interval`] of this process: from its next sleep on, for all primitives. At least
/// a millisecond is taken; `Duration::MAX` is as good as never.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// interlatch::sync::set_recheck_interval(Duration::from_millis(20));
/// assert_eq!(interlatch::sync::recheck_interval(), Duration::from_millis(20));
/// ```
pub fn set_recheck_interval(interval: Duration) {
    let nanoseconds = interval.max(Duration::from_millis(1)).as_nanos();
    RECHECK_INTERVAL.store(nanoseconds.try_into().unwrap_or(u64::MAX), Relaxed);
}

/// This deadline, or a [`recheck_interval`] from now if that is later: so long somebody who wants no more
/// than a moment waits for those who stay no longer than that.
pub fn no_sooner_than_recheck(deadline: Deadline) -> Deadline {
    deadline.max(Deadline::after(recheck_interval()))
}

/// Sleeps until another process wakes the word, if it still holds `expected`; or for the
/// [`recheck_interval`], and then says that it was interrupted.
///
/// Comparing and going to sleep is one step with respect to [`wake`]. A return says nothing of
/// the word's value and orders no memory: the caller reads the word again.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    let recheck = Deadline::after(recheck_interval());
    let until = deadline.map_or(recheck, |deadline| deadline.min(recheck));
    // FUTEX_WAIT_BITSET, because its timeout is absolute: an interrupted wait needs no new sum.
    match futex::wait_bitset(word, Flags::empty(), expected, Some(&until.timespec()), ANY) {
        Ok(()) => Wake::Woken,
        // The kernel compares before it looks at the time; but a peer may change the word for ever.
        Err(Errno::AGAIN) if deadline.is_some_and(Deadline::has_passed) => Wake::TimedOut,
        Err(Errno::AGAIN) => Wake::Changed,
        Err(Errno::TIMEDOUT) if deadline == Some(until) => Wake::TimedOut,
        // EINTR; or EFAULT, when a peer cut the mapped file short under us: the next look at
        // the word tells.
        Err(_) => Wake::Interrupted,
    }
}

/// Wakes at most `count` waiters of the word, whichever the kernel picks; returns how many.
///
/// Touches only the address, not the memory: waking a word that another process has already
/// unmapped or reused is at worst a spurious wake-up.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    // The kernel takes a signed count.
    let count = count.min(i32::MAX as u32);
    futex::wake(word, Flags::empty(), count).map_or(0, |woken| woken as u32)
}

const ANY: NonZeroU32 = NonZeroU32::MAX;
