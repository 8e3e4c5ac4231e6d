//! Read-only access to the memory of a region.
//!
//! A file or a memfd is read with `pread(2)` and is not mapped. If a peer truncates the file, the
//! reader gets no `SIGBUS`. The reader does not count as a process that has the region attached.
//! System V memory can only be read through a mapping, which uses the flag `SHM_RDONLY`. System V
//! memory cannot be truncated, so reading this mapping causes no `SIGBUS`.

use super::RegionError;
use super::header::SIZE;
use super::name::{Location, RegionName};
use super::owner::Ownership;
use super::segment::Segment;
use crate::platform::Ordering::{Acquire, Relaxed};
use crate::platform::{AtomicU32, AtomicU64, MemoryReader};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::fs::{File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The memory of a region, opened for reading.
#[derive(Debug)]
pub(crate) enum Peek {
    File(File),
    SysV(Segment),
}

impl Peek {
    /// Opens the memory of the region with this name for reading.
    pub(crate) fn named(name: &RegionName) -> Result<Self, RegionError> {
        match &name.0 {
            Location::Posix(path) | Location::File(path) => {
                open_regular(name, path, OFlag::O_NOFOLLOW, OFlag::O_RDONLY).map(Self::File)
            }
            Location::SysV(key) => Segment::find(name, *key, libc::SHM_RDONLY).map(Self::SysV),
        }
    }

    /// Opens the file at this path for reading, and follows symbolic links.
    pub(crate) fn followed(path: &Path) -> Result<Self, RegionError> {
        let name = RegionName::file(path);
        open_regular(&name, path, OFlag::empty(), OFlag::O_RDONLY).map(Self::File)
    }

    /// Maps the System V segment with this id. The segment may have no key.
    pub(crate) fn segment(id: i32) -> Result<Self, RegionError> {
        let name = RegionName(Location::SysV(libc::IPC_PRIVATE));
        Segment::attach(&name, id, libc::SHM_RDONLY).map(Self::SysV)
    }

    /// Returns the current size of the memory in bytes.
    pub(crate) fn size(&self) -> Result<usize, RegionError> {
        match self {
            Self::File(file) => {
                let metadata = file.metadata().map_err(RegionError::io("fstat"))?;
                Ok(usize::try_from(metadata.len()).unwrap_or(usize::MAX))
            }
            Self::SysV(segment) => Ok(segment.size()),
        }
    }

    /// Returns the owner and the permissions of the memory.
    pub(crate) fn ownership(&self) -> Result<Ownership, RegionError> {
        match self {
            Self::File(file) => {
                let metadata = file.metadata().map_err(RegionError::io("fstat"))?;
                Ok(Ownership::of_file(&metadata))
            }
            Self::SysV(segment) => segment.ownership(),
        }
    }

    /// Returns whether another process has the file open or mapped. The answer includes processes
    /// in other pid namespaces. Returns `None` for System V memory and for files of other users.
    ///
    /// The kernel grants a lease for writing only if no other process has the file open
    /// (`fcntl(2)`). The lease is released immediately.
    pub(crate) fn is_used_elsewhere(&self) -> Option<bool> {
        let Self::File(file) = self else {
            return None;
        };
        let fcntl = |command, argument: libc::c_int| {
            // SAFETY: the arguments of these commands are numbers, not pointers.
            Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), command, argument) })
        };
        // If another process opens the file during the lease, the kernel sends a signal to this
        // process. The default signal would end this process. SIGURG is ignored by default.
        fcntl(F_SETSIG, libc::SIGURG).ok()?;
        match fcntl(libc::F_SETLEASE, libc::F_WRLCK) {
            Ok(_) => {
                let _ = fcntl(libc::F_SETLEASE, libc::F_UNLCK);
                Some(false)
            }
            Err(Errno::EAGAIN) => Some(true),
            Err(_) => None,
        }
    }

    /// Returns the words of the region's header. If the memory ends within the header, the missing
    /// bytes are zero.
    pub(crate) fn header_words(&self) -> [u64; SIZE / 8] {
        let mut words = [0; SIZE / 8];
        match self {
            Self::SysV(segment) => {
                for (at, word) in (0..).step_by(8).zip(&mut words) {
                    *word = segment.read_u64(at).unwrap_or(0);
                }
            }
            Self::File(file) => words = header_words(file),
        }
        words
    }

    /// Reads `COUNT` bytes, or returns `None` if the memory is too short.
    fn bytes<const COUNT: usize>(&self, offset: u64) -> Option<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        match self {
            Self::File(file) => file.read_exact_at(&mut bytes, offset).ok()?,
            Self::SysV(segment) => {
                for (at, word) in (offset..).step_by(4).zip(bytes.chunks_exact_mut(4)) {
                    word.copy_from_slice(&segment.read_u32(at)?.to_ne_bytes());
                }
            }
        }
        Some(bytes)
    }
}

impl MemoryReader for Peek {
    fn read_u32(&self, offset: u64) -> Option<u32> {
        self.bytes(offset).map(u32::from_ne_bytes)
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        match self {
            Self::SysV(segment) if offset.is_multiple_of(8) => segment.read_u64(offset),
            _ => self.bytes(offset).map(u64::from_ne_bytes),
        }
    }
}

impl Segment {
    /// Returns the address of `bytes` bytes in the mapping. Returns `None` if the bytes are not
    /// inside the mapping or not aligned to their size.
    fn address(&self, offset: u64, bytes: usize) -> Option<*const u8> {
        let offset = usize::try_from(offset).ok()?;
        let is_inside = offset.checked_add(bytes)? <= self.size();
        // SAFETY: the offset is inside the mapping.
        (is_inside && offset.is_multiple_of(bytes))
            .then(|| unsafe { self.start().cast_const().add(offset) })
    }

    fn read_u32(&self, offset: u64) -> Option<u32> {
        let word = self.address(offset, 4)?.cast::<AtomicU32>();
        // SAFETY: `address` has checked bounds and alignment. Other processes access the memory
        // atomically. A faulty peer may write any bytes, but every bit pattern is a valid word.
        Some(unsafe { &*word }.load(Relaxed))
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        let word = self.address(offset, 8)?.cast::<AtomicU64>();
        // Acquire pairs with the Release in `Mark::set`: the header's mark is read first, so all
        // later reads see the built header. SAFETY: the reason is the same as in `read_u32`.
        Some(unsafe { &*word }.load(Acquire))
    }
}

/// The `fcntl` command that sets the signal for a broken lease. Linux's `fcntl.h` defines it, but
/// the crate libc does not.
const F_SETSIG: libc::c_int = 10;

/// Returns the words of a file's header. If the file ends within the header, the missing bytes are
/// zero.
pub(crate) fn header_words(file: &File) -> [u64; SIZE / 8] {
    let mut bytes = [0; SIZE];
    let mut filled = 0;
    while let Ok(read @ 1..) = file.read_at(&mut bytes[filled..], filled as u64) {
        filled += read;
    }
    let mut words = [0; SIZE / 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

/// Opens a regular file.
fn open_regular(
    name: &RegionName,
    path: &Path,
    links: OFlag,
    access: OFlag,
) -> Result<File, RegionError> {
    let (file, _) = find_regular(name, path, links)?;
    open_found(name, &file, access)
}

/// Finds a regular file without opening its contents. Opening a FIFO or a device has side effects,
/// so the type of the file is checked first. Returns a descriptor that `open_found` accepts.
pub(crate) fn find_regular(
    name: &RegionName,
    path: &Path,
    links: OFlag,
) -> Result<(File, Metadata), RegionError> {
    let flags = links | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(name.error_of("open(O_PATH)"))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(RegionError::io("fstat"))?;
    if !metadata.is_file() {
        return Err(RegionError::NotAFile(name.clone()));
    }
    Ok((file, metadata))
}

/// Opens the same file that `find_regular` found, even if its name now refers to another file.
pub(crate) fn open_found(
    name: &RegionName,
    file: &File,
    access: OFlag,
) -> Result<File, RegionError> {
    let same = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = access | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = open(same.as_str(), flags, Mode::empty());
    Ok(opened.map_err(name.error_of("open"))?.into())
}
