//! Sleeping on a word with `futex(2)`.
//!
//! The calls do not use `FUTEX_PRIVATE_FLAG`. The kernel finds a private futex by its virtual
//! address, so a private wake reaches no other process. For objects that never leave their process,
//! the flag would save about 35 of the 135 ns that a wake-up without waiters takes, and a twelfth
//! of the time of a round trip on one core (100,000 round trips, alternating, Linux 6). This crate
//! does not offer the flag, because an object does not know whether it is in shared memory. Every
//! type would need a parameter for the flag, and with a wrong parameter a waiter would never wake.
//!
//! A sleeper must find a change of its word even without a wake-up. While all processes live, each
//! change is followed by a wake-up. A process that dies may have been about to wake a waiter, or
//! may have consumed a wake-up that another waiter needed. No other process can know that, so only
//! a recheck finds the change.
//!
//! | the sleeper | function | who rechecks |
//! | --- | --- | --- |
//! | sleeps on if the word is unchanged | [`wait`] | the watcher, a thread of the process |
//! | sleeps on if this word and certain others are unchanged | [`wait_watching`] | the watcher |
//! | checks a condition that may change without a trace | [`wait_or_recheck`] | a timer |
//!
//! The kernel arms and disarms the timer of a sleep, and an idle sleeper with a timer wakes at each
//! interval. So only the sleepers in the last row have one.

use super::watcher::{self, NEVER, watch};
use super::{AtomicU32, AtomicU64, Deadline};
use crate::platform::Wake;
use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};
use std::time::Duration;

/// The recheck interval in nanoseconds. Relaxed: this setting publishes no other memory.
static RECHECK_INTERVAL: AtomicU64 = AtomicU64::new(100_000_000);

/// Returns the interval at which sleeping waiters of this process recheck their word.
///
/// The interval is 100 milliseconds unless [`set_recheck_interval`] has changed it. A wake-up that
/// is lost when a process dies reaches another waiter of a lock, condition variable, semaphore or
/// buffer within this time. A recheck is not a notification: a wait with a timeout that finds
/// nothing changed sleeps on until its deadline.
///
/// A process dies when the kernel has ended its threads, not when it receives the signal. A process
/// that dumps core still holds its locks and handles meanwhile. The dump of 2 GiB took 12 seconds
/// on one machine. A process that is stopped by `SIGSTOP`, by a debugger, by a frozen cgroup or by
/// suspending the machine is not dead either.
///
/// # The watcher
/// When a thread of the process sleeps for the first time, this crate starts one thread, the
/// *watcher*. The watcher rechecks the words of all sleepers, so that they sleep without a timer.
/// The watcher needs no processor time while no other thread sleeps. A forked child starts its own
/// watcher. If the process cannot create a thread, each sleeper uses a timer.
///
/// - A process with a watcher has several threads, so it cannot call `unshare(2)` with
///   `CLONE_NEWUSER`. Call it before the first operation that blocks.
/// - The watcher has the scheduling policy and the affinity of the thread that slept first.
/// - A process with a watcher does not end when its main thread calls `pthread_exit` and the others
///   end. It ends with `exit`, or when the main thread returns from `main`.
/// - A library that contains this crate stays in memory after `dlclose`.
/// - The watcher cannot wake a sleeper whose memory a peer has truncated. The sleeper then sleeps
///   until its timeout.
///
/// If the interval is `Duration::MAX`, no watcher starts.
pub fn recheck_interval() -> Duration {
    Duration::from_nanos(RECHECK_INTERVAL.load(Relaxed))
}

/// Sets the [`recheck_interval`] of all primitives in this process, for all later sleeps.
///
/// The minimum is one millisecond. A shorter interval is replaced by one millisecond.
/// `Duration::MAX` disables rechecks.
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

/// The minimum time for which an operation waits for an internal lock.
const INTERNAL_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// Extends the deadline of an operation for a lock that is held only briefly.
///
/// A caller with a short timeout, or with none because it does not block, still acquires the lock
/// unless the holder is stopped or does not run. The bound does not depend on the recheck interval.
pub fn internal_lock_deadline(deadline: Option<Deadline>) -> Option<Deadline> {
    let bound = Deadline::after(INTERNAL_LOCK_TIMEOUT);
    Some(deadline.map_or(bound, |deadline| deadline.max(bound)))
}

/// Sleeps until another process wakes the word, if the word still holds `expected`.
///
/// The kernel compares the word and puts the thread to sleep in one step, so no [`wake`] can come
/// between the two. If the word changes without a wake-up, the function returns within one
/// [`recheck_interval`]. If the word does not change, neither a signal nor a recheck ends the
/// sleep, except that a sleeper that needs a timer returns [`Wake::Recheck`]. A return says nothing
/// about the word's value and orders no memory, so the caller reads the word again.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    wait_watching(word, expected, deadline, &[])
}

/// Sleeps like [`wait`], and also returns within one [`recheck_interval`] if one of the other words
/// no longer has its value.
///
/// The caller loads the other words before it decides to sleep. A change of the others alone ends
/// the sleep with [`Wake::Interrupted`].
pub fn wait_watching(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    others: &[WatchedWord<'_>],
) -> Wake {
    debug_assert!(others.len() < watcher::MAX_WORDS);
    let own = (word.as_ptr().addr(), expected);
    let interval = RECHECK_INTERVAL.load(Relaxed);
    let until = deadline.map(Deadline::timespec);
    loop {
        let mut bits = ANY;
        let registration = match interval {
            NEVER => None,
            _ => match watch(own, others.iter().map(|other| other.0), interval) {
                Some(registration) => Some(registration),
                None => return wait_or_recheck(word, expected, deadline),
            },
        };
        if let Some(registration) = &registration {
            bits = registration.bit;
        }
        let result = futex::wait_bitset(word, Flags::empty(), expected, until.as_ref(), bits);
        drop(registration);
        match result {
            // A signal handler ran. It may have created this process by a fork, so the sleeper
            // registers again. The kernel compares the word again, so no change is missed.
            Err(Errno::INTR) => {}
            Err(Errno::TIMEDOUT) => return Wake::TimedOut,
            result => return after_sleep(result, word, expected, deadline),
        }
    }
}

/// A word that [`wait_watching`] watches besides its own: the address and the value.
#[derive(Clone, Copy, Debug)]
pub struct WatchedWord<'a>((usize, u32), PhantomData<&'a AtomicU32>);

impl<'a> WatchedWord<'a> {
    /// Watches a word, which had this value.
    pub fn new(word: &'a AtomicU32, value: u32) -> Self {
        Self((word.as_ptr().addr(), value), PhantomData)
    }

    /// Watches the low half of a word with 64 bits, which had this value.
    pub fn low_half(word: &'a AtomicU64, value: u64) -> Self {
        let offset = if cfg!(target_endian = "big") { 4 } else { 0 };
        Self((word.as_ptr().addr() + offset, value as u32), PhantomData)
    }
}

/// Sleeps like [`wait`], but for at most one [`recheck_interval`]. After that time, the function
/// returns [`Wake::Recheck`].
///
/// Use this function if a death may change the awaited condition without a change of the word.
pub fn wait_or_recheck(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    let recheck = Deadline::after(recheck_interval());
    let until = deadline.map_or(recheck, |deadline| deadline.min(recheck));
    loop {
        // FUTEX_WAIT_BITSET takes an absolute timeout, so an interrupted wait can reuse its
        // deadline.
        match futex::wait_bitset(word, Flags::empty(), expected, Some(&until.timespec()), ANY) {
            // A signal handler ran. The kernel compares the word again, so no change is missed.
            Err(Errno::INTR) => {}
            Err(Errno::TIMEDOUT) if deadline == Some(until) => return Wake::TimedOut,
            Err(Errno::TIMEDOUT) => return Wake::Recheck,
            result => return after_sleep(result, word, expected, deadline),
        }
    }
}

/// Returns why a sleep ended that no signal and no timer ended.
fn after_sleep(
    result: rustix::io::Result<()>,
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
) -> Wake {
    match result {
        // The watcher of any process may have woken the word for another sleeper. The load is
        // Relaxed, because a notification orders no memory.
        Ok(()) if word.load(Relaxed) == expected => Wake::Interrupted,
        Ok(()) => Wake::Woken,
        // The kernel compares the word before it checks the time. Without this check, a peer that
        // keeps changing the word could delay the timeout forever.
        Err(Errno::AGAIN) if deadline.is_some_and(Deadline::has_passed) => Wake::TimedOut,
        Err(Errno::AGAIN) => Wake::Changed,
        // The error is EFAULT if a peer truncated the mapped file. The caller's next access to the
        // word detects the truncation.
        Err(_) => Wake::Interrupted,
    }
}

/// Wakes at most `count` waiters of the word and returns how many it woke. The kernel chooses the
/// waiters.
///
/// The call uses only the address of the word, not the value. If another process has already reused
/// the memory, the wake is at worst spurious.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    // The kernel's parameter for the count is a signed number.
    let count = count.min(i32::MAX as u32);
    futex::wake(word, Flags::empty(), count).map_or(0, |woken| woken as u32)
}

/// Sleeps while the word holds `expected`, until another thread of this process wakes it.
///
/// No thread of a process is killed alone, so the sleep has no recheck interval. It may end
/// spuriously.
pub(super) fn wait_in_process(word: &AtomicU32, expected: u32) {
    wait_in_process_until(word, expected, None);
}

/// Sleeps like [`wait_in_process`], at most until the deadline.
pub(super) fn wait_in_process_until(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) {
    let until = deadline.map(Deadline::timespec);
    // The result says only why the sleep ended, and the caller reads the word again.
    let _ = futex::wait_bitset(word, Flags::PRIVATE, expected, until.as_ref(), ANY);
}

/// Wakes all threads that sleep in [`wait_in_process`] on this word.
pub(super) fn wake_in_process(word: &AtomicU32) {
    // The call fails only for a word that is not mapped.
    let _ = futex::wake(word, Flags::PRIVATE, i32::MAX as u32);
}

const ANY: NonZeroU32 = NonZeroU32::MAX;
