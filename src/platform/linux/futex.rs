//! Sleeping on a word: `futex(2)`.
//!
//! Without `FUTEX_PRIVATE_FLAG`: a private futex is found by its virtual address, so it would
//! wake nobody in another process.

use super::{AtomicU32, Deadline};
use crate::platform::Wake;
use core::num::NonZeroU32;
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};

/// Sleeps until another process wakes the word, if it still holds `expected`.
///
/// Comparing and going to sleep is one step with respect to [`wake`]. A return says nothing of
/// the word's value and orders no memory: the caller reads the word again.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    let timeout = deadline.map(Deadline::timespec);
    // FUTEX_WAIT_BITSET, because its timeout is absolute: an interrupted wait needs no new sum.
    match futex::wait_bitset(word, Flags::empty(), expected, timeout.as_ref(), ANY) {
        Ok(()) => Wake::Woken,
        Err(Errno::AGAIN) => Wake::Changed,
        Err(Errno::TIMEDOUT) => Wake::TimedOut,
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
