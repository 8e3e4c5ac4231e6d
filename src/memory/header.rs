//! The first page of a region: what it is, and where its thread ids mean something.

use super::RegionError;
use crate::platform::AtomicU64;
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use std::fmt;
use std::os::unix::fs::MetadataExt;

/// Bytes before the objects: a page, so that these are aligned as the mapping is.
pub(super) const SIZE: usize = 4096;

/// `interla` and a byte for the version of this format.
const MAGIC: u64 = u64::from_be_bytes(*b"interla\x01");

/// Words, so that every bit pattern is valid, and a peer that scribbles here races with nobody.
#[repr(C)]
struct Header {
    magic: AtomicU64,
    namespace: [AtomicU64; 2],
}

/// A pid namespace: the device and the inode of `/proc/self/ns/pid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidNamespace {
    device: u64,
    inode: u64,
}

impl PidNamespace {
    fn current() -> Result<Self, RegionError> {
        let metadata = std::fs::metadata("/proc/self/ns/pid");
        let metadata = metadata.map_err(|error| RegionError::System {
            call: "stat(/proc/self/ns/pid)",
            error,
        })?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl fmt::Display for PidNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid:[{}]", self.inode)
    }
}

/// The header at the beginning of a mapping.
///
/// # Safety
/// `start` is the start of a mapping of at least [`SIZE`] bytes that lives during `'a`.
unsafe fn at<'a>(start: *mut u8) -> &'a Header {
    // SAFETY: a mapping begins at a page; every bit pattern is a header; the caller vouches for the
    // rest.
    unsafe { &*start.cast() }
}

/// Writes the header of a new region.
///
/// # Safety
/// As of [`at`].
pub(super) unsafe fn write(start: *mut u8) -> Result<(), RegionError> {
    // SAFETY: the caller's promise.
    let header = unsafe { at(start) };
    let PidNamespace { device, inode } = PidNamespace::current()?;
    header.namespace[0].store(device, Relaxed);
    header.namespace[1].store(inode, Relaxed);
    // Release pairs with the Acquire of `check`: who sees the mark sees the rest.
    header.magic.store(MAGIC, Release);
    Ok(())
}

/// Whether this is a region, and one of this pid namespace.
///
/// # Safety
/// As of [`at`].
pub(super) unsafe fn check(start: *mut u8) -> Result<(), RegionError> {
    // SAFETY: the caller's promise.
    let header = unsafe { at(start) };
    // Acquire pairs with the Release of `write`.
    let found = header.magic.load(Acquire);
    if found != MAGIC {
        return Err(RegionError::NoRegion {
            expected: MAGIC,
            found,
        });
    }
    let [device, inode] = [0, 1].map(|word: usize| header.namespace[word].load(Relaxed));
    let (created_in, this_process) = (PidNamespace { device, inode }, PidNamespace::current()?);
    if created_in != this_process {
        return Err(RegionError::Namespace {
            created_in,
            this_process,
        });
    }
    Ok(())
}
