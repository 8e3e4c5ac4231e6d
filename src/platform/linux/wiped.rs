//! Private memory that the kernel wipes in a forked child.
//!
//! In the child of a `fork`, of `_Fork` and of a `clone(2)` without `CLONE_VM`, the memory is
//! mapped at the same address and consists of zeros. So zero must mean "this process has not set
//! this up yet". No handler has to run in the child.

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};

/// Maps `size` bytes of zeroed private memory that the kernel wipes in a forked child.
///
/// The memory is aligned to a page and stays mapped until the process ends. Returns `None` if the
/// kernel has no memory, or if it does not support `MADV_WIPEONFORK` (Linux 4.14).
pub(super) fn map_wiped(size: usize) -> Option<NonNull<u8>> {
    let start = map_private(size)?;
    // SAFETY: the range is the new mapping, which no other code uses yet.
    let wiped = unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_WIPEONFORK) };
    if wiped != 0 {
        unmap(start.as_ptr().cast(), size);
        return None;
    }
    Some(start)
}

/// Maps `size` bytes of zeroed private memory, of which a forked child gets a copy.
///
/// The memory is aligned to a page and stays mapped until the process ends. Unlike `malloc`, the
/// call takes no lock that a thread may have held during a fork.
pub(super) fn map_private(size: usize) -> Option<NonNull<u8>> {
    map(size, 0)
}

/// Maps memory like [`map_private`], but reserves nothing for the parts that are never used.
#[cfg(test)]
pub(crate) fn map_sparse(size: usize) -> Option<NonNull<u8>> {
    map(size, libc::MAP_NORESERVE)
}

fn map(size: usize, more_flags: i32) -> Option<NonNull<u8>> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more_flags;
    // SAFETY: the kernel chooses unused addresses.
    let start = unsafe { libc::mmap(null_mut(), size, rights, flags, -1, 0) };
    match start {
        libc::MAP_FAILED => None,
        start => NonNull::new(start.cast()),
    }
}

/// Unmaps memory that `map_wiped` does not return.
fn unmap(start: *mut c_void, size: usize) {
    // SAFETY: the range is a mapping of the caller, and no code uses it.
    unsafe { libc::munmap(start, size) };
}
