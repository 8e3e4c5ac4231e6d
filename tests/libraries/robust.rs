//! A shared library with a copy of interlatch, which `tests/crashes/libraries.rs` loads.

use interlatch::{Region, RobustMutex};
use std::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The number of locks in the array `locks` of the region.
const COUNT: usize = 4;

/// Locks the lock with this index in the region behind the descriptor, and leaks the guard. Returns
/// 0 on success.
#[unsafe(no_mangle)]
pub extern "C" fn lock_and_leak(descriptor: c_int, index: usize) -> c_int {
    // SAFETY: the caller passes an open descriptor.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    match descriptor
        .try_clone_to_owned()
        .map(|copy| lock(copy, index))
    {
        Ok(true) => 0,
        _ => 1,
    }
}

fn lock(descriptor: OwnedFd, index: usize) -> bool {
    let Ok(region) = Region::from_descriptor(descriptor) else {
        return false;
    };
    let region: &'static Region = Box::leak(Box::new(region));
    let locks = region.attach::<[RobustMutex<u64>; COUNT]>("locks");
    locks.is_ok_and(|locks| locks[index].lock().map(std::mem::forget).is_ok())
}
