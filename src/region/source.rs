//! How each kind of memory is made, found, and removed.
//!
//! A region behind a file name is made as a file without a name, is given its header, and only then is
//! linked to its name, which is one step that fails if the name exists: so of all that create at once one
//! wins, nobody sees it half-built, and one that dies half-way leaves nothing. System V memory can be
//! seen by others from its first moment. It is zero then, and the header is built under a robust lock
//! in it, for which zero is free.

use super::RegionError;
use super::header::{self, Copied, Header};
use super::mapping::Mapping;
use super::name::{Location, RegionName};
use super::peek::{Peek, open_regular, page};
use super::segment::Segment;
use crate::platform::AtomicU64;
use crate::platform::Ordering::Relaxed;
use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, FcntlArg, OFlag, SealFlag, fallocate, fcntl, open,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod, fstat, lstat};
use nix::unistd::{ftruncate, linkat, unlink};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Memory that is mapped as long as this lives.
#[derive(Debug)]
pub(crate) enum Memory {
    /// With the descriptor behind it.
    Mapped(Mapping, OwnedFd),
    SysV(Segment),
}

/// How new memory is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Make {
    /// Bytes, with the header.
    pub(crate) whole: usize,
    pub(crate) mode: u32,
    pub(crate) huge_pages: bool,
}

/// Nobody may change the size, nor these seals.
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

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `map` and `attach_sysv` let nothing pass that is shorter, and it is mapped as long as
        // `self` is there.
        unsafe { Header::at(self.start()) }
    }

    /// A new memfd, sealed.
    pub(crate) fn memfd(name: &str, make: Make) -> Result<Self, RegionError> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let descriptor = memfd_create(name, flags).map_err(RegionError::system("memfd_create"))?;
        reserve(&descriptor, make.whole)?;
        fcntl(&descriptor, FcntlArg::F_ADD_SEALS(SIZE_SEALS))
            .map_err(RegionError::system("fcntl(F_ADD_SEALS)"))?;
        Self::build(descriptor, make)
    }

    /// Maps new memory, and gives it its header.
    fn build(descriptor: OwnedFd, make: Make) -> Result<Self, RegionError> {
        let memory = Self::map(descriptor)?;
        if let (true, Self::Mapped(mapping, _)) = (make.huge_pages, &memory) {
            mapping.collapse();
        }
        memory.header().build(make.whole)?;
        Ok(memory)
    }

    /// A memfd that somebody else has made.
    pub(crate) fn of_memfd(descriptor: OwnedFd) -> Result<Self, RegionError> {
        let seals =
            fcntl(&descriptor, FcntlArg::F_GET_SEALS).map_err(|_| RegionError::NotSealed)?;
        if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
            return Err(RegionError::NotSealed);
        }
        Self::map(descriptor)
    }

    /// New memory of this name.
    pub(crate) fn create(name: &RegionName, make: Make) -> Result<Self, RegionError> {
        match &name.0 {
            Location::Posix(_) | Location::File(_) => {
                let memory = Self::unnamed(name, make)?;
                memory.link(name)?;
                Ok(memory)
            }
            Location::SysV(key) => Self::create_sysv(name, *key, make),
        }
    }

    /// New memory where a file of this name would be: nobody finds it before it is linked.
    pub(crate) fn unnamed(name: &RegionName, make: Make) -> Result<Self, RegionError> {
        let path = name.path()?;
        let directory = path.parent().unwrap_or(path);
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(make.mode);
        let descriptor = open(directory, flags, mode).map_err(|errno| match errno {
            Errno::ENOENT | Errno::ENOTDIR => RegionError::NoDirectory(name.clone()),
            errno => name.refusal("open(O_TMPFILE)")(errno),
        })?;
        fchmod(&descriptor, mode).map_err(RegionError::system("fchmod"))?;
        reserve(&descriptor, make.whole)?;
        Self::build(descriptor, make)
    }

    /// Gives a file its name, in one step, which fails if there is one of that name.
    pub(crate) fn link(&self, name: &RegionName) -> Result<(), RegionError> {
        let Self::Mapped(_, descriptor) = self else {
            return Ok(());
        };
        let unnamed = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let follow = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, name.path()?, follow)
            .map_err(name.refusal("linkat"))
    }

    fn create_sysv(name: &RegionName, key: i32, make: Make) -> Result<Self, RegionError> {
        // What could fail later fails before others can see the segment.
        header::can_be_built()?;
        let id = Segment::create(key, make.whole, make.mode).map_err(|errno| match errno {
            Errno::ENOSPC | Errno::ENOMEM => RegionError::NoSpace(make.whole),
            errno => name.refusal("shmget")(errno),
        })?;
        let segment = Segment::attach(name, id, 0).inspect_err(|_| {
            // Whose mode lets not even its creator in is of no use.
            let _ = Segment::remove(name, id);
        })?;
        let memory = Self::SysV(segment);
        memory.build_once()?;
        Ok(memory)
    }

    /// Gives System V memory its header, if it has none. Memory that is not all zero is somebody else's, and
    /// not touched.
    pub(crate) fn build_once(&self) -> Result<(), RegionError> {
        match self.is_zero_behind_the_header() {
            true => self.header().build_once(self.size()),
            // What is wrong with it, a check says.
            false => Ok(()),
        }
    }

    /// As far as is worth a look: memory that nobody has used is not made by looking at all of it.
    fn is_zero_behind_the_header(&self) -> bool {
        const MAX: usize = 1 << 20;
        (header::SIZE..self.size().min(MAX))
            .step_by(8)
            .all(|offset| {
                // SAFETY: inside the mapping, which has whole pages, and aligned; others change it by atomics, or
                // scribble, which is any word.
                let word = unsafe { &*self.start().add(offset).cast::<AtomicU64>() };
                word.load(Relaxed) == 0
            })
    }

    /// The memory of this name: a file is a region, System V memory may not be built yet.
    pub(crate) fn attach(name: &RegionName) -> Result<Self, RegionError> {
        match &name.0 {
            Location::Posix(path) | Location::File(path) => {
                let file = open_regular(name, path, OFlag::O_NOFOLLOW, OFlag::O_RDWR)?;
                let length = file.metadata().map_err(RegionError::io("fstat"))?.len();
                // Before it is mapped: whoever may write it may cut it short in between.
                let page = Copied::of(page(&file));
                page.header()
                    .check(usize::try_from(length).unwrap_or(usize::MAX))?;
                Self::map(file.into())
            }
            Location::SysV(key) => {
                let segment = Segment::find(name, *key, 0)?;
                check_size(segment.size().saturating_sub(header::SIZE))?;
                Ok(Self::SysV(segment))
            }
        }
    }

    fn map(descriptor: OwnedFd) -> Result<Self, RegionError> {
        let file = File::from(descriptor);
        let length = file.metadata().map_err(RegionError::io("fstat"))?.len();
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        check_size(size.saturating_sub(header::SIZE))?;
        Ok(Self::Mapped(Mapping::of(&file, size)?, file.into()))
    }

    /// Removes the name, if it is still that of this memory, as far as can be told: the kernel has no one
    /// step for it. Who has it mapped keeps it.
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

/// Removes whatever region has this name, also one that is cut short, or of no use to anybody here.
pub(crate) fn remove(name: &RegionName) -> Result<(), RegionError> {
    let peek = Peek::named(name)?;
    let (copied, size) = (Copied::of(peek.page()), peek.size()?);
    match copied.header().check(size) {
        Ok(()) => {}
        Err(RegionError::Namespace { .. } | RegionError::EarlierBoot | RegionError::Cut { .. }) => {
        }
        // A creator that died half-way; what it has not begun may be anybody's.
        Err(RegionError::NoRegion { found: 0, .. })
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

/// Removes the name, if it is still that of this file, as far as can be told: the kernel has no one step for
/// it.
pub(crate) fn unlink_if(
    name: &RegionName,
    path: &Path,
    file: impl AsFd,
) -> Result<(), RegionError> {
    match is_named(path, file)? {
        true => unlink(path).map_err(name.refusal("unlink")),
        false => Err(RegionError::NoRegionOfThatName(name.clone())),
    }
}

/// Whether what is at this path is this file.
pub(crate) fn is_named(path: &Path, file: impl AsFd) -> Result<bool, RegionError> {
    let mine = fstat(file).map_err(RegionError::system("fstat"))?;
    let there = lstat(path);
    Ok(there.is_ok_and(|there| (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)))
}

/// Makes the file that long, with every page there: a full disk is an error now, not a signal later.
fn reserve(descriptor: &OwnedFd, whole: usize) -> Result<(), RegionError> {
    let length = i64::try_from(whole).map_err(|_| RegionError::Size(whole))?;
    ftruncate(descriptor, length).map_err(RegionError::system("ftruncate"))?;
    fallocate(descriptor, FallocateFlags::empty(), 0, length).map_err(|errno| match errno {
        Errno::ENOSPC => RegionError::NoSpace(whole),
        errno => RegionError::system("fallocate")(errno),
    })
}

pub(crate) fn check_size(size: usize) -> Result<(), RegionError> {
    if size == 0 || isize::try_from(size).is_err() {
        return Err(RegionError::Size(size));
    }
    Ok(())
}

pub(crate) fn check_memory(size: usize) -> Result<(), RegionError> {
    match available_memory() {
        Some(available) if size > available => Err(RegionError::Memory {
            asked: size,
            available,
        }),
        _ => Ok(()),
    }
}

/// What the kernel thinks it could give, or nothing where `/proc` does not say.
fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |name: &str| -> Option<usize> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let all = kibibytes("MemAvailable:")?.saturating_add(kibibytes("SwapFree:").unwrap_or(0));
    Some(all.saturating_mul(1024))
}
