//! Objects that all workers of a group share. Their memory is mapped before the workers are forked.

use anyhow::{Result, ensure};
use interlatch::Region;
use interlatch::region::ShmObject;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// Creates an interlatch object in a new memfd region of this size. The region exists until the
/// program ends.
pub fn create_in_region<T: ShmObject + ?Sized>(
    bytes: usize,
    plan: T::Config,
) -> Result<&'static T> {
    let region = Box::leak(Box::new(Region::memfd("bench", bytes + 2 * PAGE)?));
    Ok(region.create("object", plan)?)
}

/// Leaks a value, so that it lives until the program ends.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Moves a value to anonymous shared memory. The value lives until the program ends.
///
/// The value must not contain pointers to unshared memory.
pub fn shared<T>(value: T) -> Result<&'static T> {
    let at = shared_zeros::<T>()?;
    // SAFETY: the mapping has space for a `T` and is never unmapped. No other code knows the
    // mapping's address.
    unsafe {
        at.write(value);
        Ok(at.as_ref())
    }
}

/// Maps zeroed shared memory for a `T`. The mapping exists until the program ends.
pub fn shared_zeros<T>() -> Result<NonNull<T>> {
    ensure!(align_of::<T>() <= PAGE, "aligned to more than a page");
    let size = NonZeroUsize::MIN.saturating_add(size_of::<T>());
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses an unused address for the new mapping.
    Ok(unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED)? }.cast())
}
