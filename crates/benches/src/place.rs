//! Objects that all workers of a crew see: in memory that is shared from before they are forked.

use anyhow::{Result, ensure};
use interlatch::Region;
use interlatch::region::ShmObject;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// A new object of this crate in a memfd region of this many bytes, until the end of the program.
pub fn ours<T: ShmObject + ?Sized>(bytes: usize, plan: T::Config) -> Result<&'static T> {
    let region = Box::leak(Box::new(Region::memfd("bench", bytes + 2 * PAGE)?));
    Ok(region.create("object", plan)?)
}

/// That value, until the end of the program.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// That value at the start of anonymous shared memory, until the end of the program. It must have no
/// pointer inside to memory that is not shared.
pub fn shared<T>(value: T) -> Result<&'static T> {
    let at = shared_zeros::<T>()?;
    // SAFETY: there is room for a `T`, which is never unmapped, and nobody else knows of it.
    unsafe {
        at.write(value);
        Ok(at.as_ref())
    }
}

/// Room for such a value, all zeros, until the end of the program.
pub fn shared_zeros<T>() -> Result<NonNull<T>> {
    ensure!(align_of::<T>() <= PAGE, "aligned to more than a page");
    let size = NonZeroUsize::MIN.saturating_add(size_of::<T>());
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, at an address that the kernel chooses, touches no other.
    Ok(unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED)? }.cast())
}
