//! The words in memory that is about to be unmapped or freed.

use super::process::{self, Locked};
use super::{as_owner, pages};
use core::ops::Range;

/// Releases the words in a range of addresses, before the memory is unmapped.
///
/// A leaked guard leaves its word in a list. The words of this thread, and those that the keeper
/// has from ended threads, are marked with an owner death, so that other processes can lock them.
///
/// Returns whether the caller may unmap the memory. If another living thread of this process holds
/// a word in the range, the kernel would follow that thread's list into the memory. Then the caller
/// must leave the memory mapped. When that thread ends, its words in the range are marked.
///
/// # Safety
/// The memory is mapped. This process has no reference to data that a word in the range protects,
/// and never gets one again.
#[must_use]
pub unsafe fn release_range(addresses: &Range<usize>) -> bool {
    match release(addresses) {
        Some(locked) => {
            locked.add_dropped(addresses);
            false
        }
        None => true,
    }
}

/// Releases the words in a range. If another thread holds words there, returns the lock under which
/// they were found.
fn release(addresses: &Range<usize>) -> Option<Locked> {
    as_owner(|owner| owner.release_range(addresses));
    // Without these records, no thread of this process has ever held a word.
    let process = process::existing()?;
    // The lock keeps ending threads from handing words over during the search.
    let locked = process.lock();
    locked.keeper().release(addresses);
    let mut held = pages::all().filter(|page| page.holds_in(addresses));
    held.any(|page| is_alive(page.id())).then_some(locked)
}

/// Whether this process has a thread with this id. A thread that calls `exit(2)` itself runs no
/// destructor and leaves its records behind.
fn is_alive(thread: u32) -> bool {
    // SAFETY: the signal 0 is not sent.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) == 0 }
}
