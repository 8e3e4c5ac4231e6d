//! Creating, finding and removing each kind of memory.
//!
//! A region in a file gets its name in one step after its header is built, and this step fails if
//! the name exists. So exactly one of several creators succeeds, and no process finds an incomplete
//! region. The module `new_file` describes what a creator leaves behind if it dies before this
//! step. System V memory is visible to other processes as soon as it is created, when all
//! its bytes are zero. Its header is built under a robust lock inside the header. A robust lock
//! whose bytes are all zero is free.

use super::RegionError;
use super::header::{self, Header, HeaderCopy};
use super::limits::{check_file_size, check_memory};
use super::mapping::Mapping;
use super::name::{Location, RegionName};
use super::new_file::NewFile;
use super::owner::{Ownership, Trust};
use super::peek::{Peek, find_regular, header_words, open_found};
use super::segment::Segment;
use crate::platform::AtomicU64;
use crate::platform::Ordering::Relaxed;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{fstat, lstat};
use nix::sys::statfs::{FsType, HUGETLBFS_MAGIC, TMPFS_MAGIC, fstatfs};
use nix::unistd::{ftruncate, unlink};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The memory of a region, which stays mapped while this value exists.
#[derive(Debug)]
pub(crate) enum Memory {
    /// A mapped file or a mapped memfd, together with its descriptor.
    Mapped(Mapping, OwnedFd),
    SysV(Segment),
}

/// The options for creating the memory of a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Make {
    /// The size in bytes, including the header.
    pub(crate) size: usize,
    pub(crate) mode: u32,
    pub(crate) huge_pages: bool,
}

/// The memfd seals that prevent changes of the memfd's size and of its seals.
const SIZE_SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

impl Memory {
    pub(crate) fn start(&self) -> *mut u8 {
        match self {
            Self::Mapped(map, _) => map.start(),
            Self::SysV(segment) => segment.start(),
        }
    }

    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Mapped(map, _) => map.size(),
            Self::SysV(segment) => segment.size(),
        }
    }

    /// Leaves the memory mapped until the process ends, and closes the descriptor.
    pub(crate) fn leave_mapped(self) {
        match self {
            Self::Mapped(mapping, _) => core::mem::forget(mapping),
            Self::SysV(segment) => core::mem::forget(segment),
        }
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: every constructor checks that the memory exceeds a header. The memory is
        // page-aligned and stays mapped while `self` exists. All other code accesses the header
        // only as a `Header`.
        unsafe { Header::at(self.start()) }
    }

    /// Creates a sealed memfd.
    pub(crate) fn memfd(name: &str, make: Make) -> Result<Self, RegionError> {
        check_file_size(make.size)?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let descriptor = memfd_create(name, flags).map_err(RegionError::system("memfd_create"))?;
        reserve(&descriptor, make.size)?;
        fcntl(&descriptor, FcntlArg::F_ADD_SEALS(SIZE_SEALS))
            .map_err(RegionError::system("fcntl(F_ADD_SEALS)"))?;
        Self::build(descriptor, make)
    }

    /// Maps new memory and builds its header.
    fn build(descriptor: OwnedFd, make: Make) -> Result<Self, RegionError> {
        let memory = Self::map(descriptor)?;
        if let (true, Self::Mapped(mapping, _)) = (make.huge_pages, &memory) {
            mapping.collapse();
        }
        memory.header().build(make.size)?;
        Ok(memory)
    }

    /// Maps a memfd that another process created.
    pub(crate) fn from_memfd(descriptor: OwnedFd, trust: Trust<'_>) -> Result<Self, RegionError> {
        let seals =
            fcntl(&descriptor, FcntlArg::F_GET_SEALS).map_err(|_| RegionError::NotSealed)?;
        if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
            return Err(RegionError::NotSealed);
        }
        let file = File::from(descriptor);
        trust.check_memfd(&file.metadata().map_err(RegionError::io("fstat"))?)?;
        Self::map(file.into())
    }

    /// Creates memory with this name.
    pub(crate) fn create(name: &RegionName, make: Make) -> Result<Self, RegionError> {
        match &name.0 {
            Location::Posix(_) | Location::File(_) => {
                let (memory, file) = Self::unnamed(name, make)?;
                memory.link(file, name)?;
                Ok(memory)
            }
            Location::SysV(key) => Self::create_sysv(name, *key, make),
        }
    }

    /// Creates a file in the directory of this name. Other processes cannot find the file under the
    /// name until `link` gives it the name.
    pub(crate) fn unnamed(name: &RegionName, make: Make) -> Result<(Self, NewFile), RegionError> {
        check_file_size(make.size)?;
        let (file, descriptor) = NewFile::create(name, make.mode)?;
        reserve(&descriptor, make.size)?;
        Ok((Self::build(descriptor, make)?, file))
    }

    /// Gives a file its name in one step, which fails if the name exists.
    pub(crate) fn link(&self, file: NewFile, name: &RegionName) -> Result<(), RegionError> {
        match self {
            Self::Mapped(_, descriptor) => file.link(descriptor, name),
            Self::SysV(_) => Ok(()),
        }
    }

    fn create_sysv(name: &RegionName, key: i32, make: Make) -> Result<Self, RegionError> {
        // A header needs `/proc`. If the header cannot be built, this function fails before it
        // creates a segment that other processes can see.
        header::can_be_built()?;
        check_memory(make.size)?;
        let id = Segment::create(key, make.size, make.mode).map_err(|errno| match errno {
            Errno::ENOSPC | Errno::ENOMEM => RegionError::NoSpace(make.size),
            errno => name.error_of("shmget")(errno),
        })?;
        let segment = Segment::attach(name, id, 0).inspect_err(|_| {
            // Attaching fails if the mode denies access to the creator itself.
            let _ = Segment::remove(name, id);
        })?;
        let memory = Self::SysV(segment);
        memory.build_once()?;
        Ok(memory)
    }

    /// Builds the header of System V memory that has no header. If the memory is not zero, the
    /// memory belongs to another program, and this function does not change it.
    pub(crate) fn build_once(&self) -> Result<(), RegionError> {
        match self.is_zero_behind_header() {
            true => self.header().build_once(self.size()),
            // The caller checks the header after this function returns. That check reports the
            // cause.
            false => Ok(()),
        }
    }

    /// Returns whether the memory behind the header is zero, up to the end of the first MiB.
    /// Reading all of the memory would allocate pages that are not in use.
    fn is_zero_behind_header(&self) -> bool {
        const MAX: usize = 1 << 20;
        (header::SIZE..self.size().min(MAX))
            .step_by(8)
            .all(|offset| {
                // SAFETY: the word is aligned and inside the mapping, which consists of whole
                // pages. Other processes access the memory atomically. A faulty peer may write any
                // bytes, but every bit pattern is a valid word.
                let word = unsafe { &*self.start().add(offset).cast::<AtomicU64>() };
                word.load(Relaxed) == 0
            })
    }

    /// Maps the memory of the region with this name. For a file, this function checks that the
    /// header is valid. System V memory may not have a header yet.
    ///
    /// The owner is checked before a file is opened or memory is read. The check applies to the
    /// found file or segment, so it makes no difference if the name changes afterwards.
    pub(crate) fn attach(name: &RegionName, trust: Trust<'_>) -> Result<Self, RegionError> {
        match &name.0 {
            Location::Posix(path) | Location::File(path) => {
                let (found, metadata) = find_regular(name, path, OFlag::O_NOFOLLOW)?;
                trust.check(name, Ownership::of_file(&metadata))?;
                let file = open_found(name, &found, OFlag::O_RDWR)?;
                let length = file.metadata().map_err(RegionError::io("fstat"))?.len();
                // The header is checked before the file is mapped, because reading a truncated
                // mapping would cause SIGBUS.
                let copy = HeaderCopy::new(header_words(&file));
                copy.header()
                    .check(usize::try_from(length).unwrap_or(usize::MAX))?;
                Self::map(file.into())
            }
            Location::SysV(key) => {
                let segment = Segment::find(name, *key, 0)?;
                trust.check(name, segment.ownership()?)?;
                check_size(segment.size().saturating_sub(header::SIZE))?;
                Ok(Self::SysV(segment))
            }
        }
    }

    fn map(descriptor: OwnedFd) -> Result<Self, RegionError> {
        check_file_system(&descriptor)?;
        let file = File::from(descriptor);
        let length = file.metadata().map_err(RegionError::io("fstat"))?.len();
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        check_size(size.saturating_sub(header::SIZE))?;
        Ok(Self::Mapped(Mapping::new(&file, size)?, file.into()))
    }

    /// Returns the current owner and permissions of the memory.
    pub(crate) fn ownership(&self) -> Result<Ownership, RegionError> {
        match self {
            Self::Mapped(_, descriptor) => {
                let file = fstat(descriptor).map_err(RegionError::system("fstat"))?;
                Ok(Ownership {
                    owner: file.st_uid,
                    creator: file.st_uid,
                    mode: file.st_mode & 0o777,
                })
            }
            Self::SysV(segment) => segment.ownership(),
        }
    }

    /// Removes the region's name if the name still refers to this memory. The kernel cannot check
    /// and remove a name in one step. Processes that have the memory mapped keep it.
    pub(crate) fn remove(&self, name: &RegionName) -> Result<(), RegionError> {
        match (self, &name.0) {
            (Self::Mapped(_, descriptor), Location::Posix(path) | Location::File(path)) => {
                unlink_if(name, path, descriptor)
            }
            (Self::SysV(segment), _) => Segment::remove(name, segment.id()),
            _ => Ok(()),
        }
    }
}

/// Removes the region with this name, even if it is truncated or this process cannot use it.
pub(crate) fn remove(name: &RegionName) -> Result<(), RegionError> {
    let peek = Peek::named(name)?;
    let (copied, size) = (HeaderCopy::new(peek.header_words()), peek.size()?);
    match copied.header().check(size) {
        Ok(()) => {}
        Err(
            RegionError::OtherVersion { .. }
            | RegionError::Namespace { .. }
            | RegionError::EarlierBoot
            | RegionError::WrongSize { .. },
        ) => {}
        // The creator died before it finished the header. If the creator did not begin the header,
        // the memory may belong to another program.
        Err(RegionError::NotARegion { found: 0, .. })
            if name.is_sysv()
                && copied.header().is_begun(size)
                && copied.header().is_unbuilt(size)? => {}
        Err(error) => return Err(error),
    }
    match (&peek, &name.0) {
        (Peek::File(file), Location::Posix(path) | Location::File(path)) => {
            unlink_if(name, path, file)
        }
        (Peek::SysV(segment), _) => Segment::remove(name, segment.id()),
        _ => Ok(()),
    }
}

/// Removes the region's name if the name still refers to this file. The kernel cannot check and
/// remove a name in one step.
pub(crate) fn unlink_if(
    name: &RegionName,
    path: &Path,
    file: impl AsFd,
) -> Result<(), RegionError> {
    match is_named(path, file)? {
        true => unlink(path).map_err(name.error_of("unlink")),
        false => Err(RegionError::NotFound(name.clone())),
    }
}

/// Returns whether this path refers to this file.
pub(crate) fn is_named(path: &Path, file: impl AsFd) -> Result<bool, RegionError> {
    let file = fstat(file).map_err(RegionError::system("fstat"))?;
    let named = lstat(path);
    Ok(named.is_ok_and(|named| (named.st_dev, named.st_ino) == (file.st_dev, file.st_ino)))
}

/// Sets the length of the file and reserves every page. So a full disk causes an error in this
/// function, not a signal when a page is first used. A file that lies in memory is checked against
/// the available memory first.
fn reserve(descriptor: &OwnedFd, size: usize) -> Result<(), RegionError> {
    let length = i64::try_from(size).map_err(|_| RegionError::Size(size))?;
    check_file_system(descriptor)?;
    check_file_size(size)?;
    if is_in_memory(descriptor)? {
        check_memory(size)?;
    }
    ftruncate(descriptor, length).map_err(RegionError::system("ftruncate"))?;
    allocate(descriptor, length).map_err(|errno| match errno {
        Errno::ENOSPC => RegionError::NoSpace(size),
        errno => RegionError::system("fallocate")(errno),
    })
}

/// Allocates the pages of a file in parts.
///
/// If a signal interrupts `fallocate(2)`, a file system in memory frees all pages of the call
/// again. Each interrupted part is retried with half its size, so that signals at short intervals
/// do not prevent progress.
fn allocate(descriptor: &OwnedFd, length: i64) -> Result<(), Errno> {
    const MAX_PART: i64 = 64 << 20;
    const MIN_PART: i64 = 4096;
    let (mut offset, mut part) = (0, MAX_PART);
    while offset < length {
        let count = part.min(length - offset);
        match fallocate(descriptor, FallocateFlags::empty(), offset, count) {
            Ok(()) => offset += count,
            Err(Errno::EINTR) => part = (part / 2).max(MIN_PART),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Returns whether the file lies in memory and not on a disk.
fn is_in_memory(descriptor: &OwnedFd) -> Result<bool, RegionError> {
    /// The type of a ramfs, which the crate nix does not define.
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    let file_system = fstatfs(descriptor).map_err(RegionError::system("fstatfs"))?;
    Ok([TMPFS_MAGIC, RAMFS_MAGIC].contains(&file_system.filesystem_type()))
}

/// Fails if the memory is in a hugetlbfs, whose pages this library cannot reserve.
fn check_file_system(descriptor: &OwnedFd) -> Result<(), RegionError> {
    let file_system = fstatfs(descriptor).map_err(RegionError::system("fstatfs"))?;
    match file_system.filesystem_type() {
        HUGETLBFS_MAGIC => Err(RegionError::HugeTlb),
        _ => Ok(()),
    }
}

pub(crate) fn check_size(size: usize) -> Result<(), RegionError> {
    if size == 0 || isize::try_from(size).is_err() {
        return Err(RegionError::Size(size));
    }
    Ok(())
}
