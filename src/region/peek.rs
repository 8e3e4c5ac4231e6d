//! Memory of each kind that is only read.
//!
//! A file or a memfd is read by `pread(2)`, and not mapped: what it copies may be cut off meanwhile
//! without a `SIGBUS`, and nobody who looks counts among those who have the region attached. System V memory
//! cannot be read but by mapping it, with `SHM_RDONLY`; it cannot be cut short.

use super::RegionError;
use super::header::SIZE;
use super::name::{Location, RegionName};
use super::segment::Segment;
use crate::platform::Ordering::{Acquire, Relaxed};
use crate::platform::{AtomicU32, AtomicU64, MemoryReader};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Memory that is only read.
#[derive(Debug)]
pub(crate) enum Peek {
    File(File),
    SysV(Segment),
}

impl Peek {
    /// The memory of this name.
    pub(crate) fn named(name: &RegionName) -> Result<Self, RegionError> {
        match &name.0 {
            Location::Posix(path) | Location::File(path) => {
                open_regular(name, path, OFlag::O_NOFOLLOW, OFlag::O_RDONLY).map(Self::File)
            }
            Location::SysV(key) => Segment::find(name, *key, libc::SHM_RDONLY).map(Self::SysV),
        }
    }

    /// The file at this path, also behind a link.
    pub(crate) fn followed(path: &Path) -> Result<Self, RegionError> {
        let name = RegionName::file(path);
        open_regular(&name, path, OFlag::empty(), OFlag::O_RDONLY).map(Self::File)
    }

    /// The segment of this id, which may have no key.
    pub(crate) fn segment(id: i32) -> Result<Self, RegionError> {
        let name = RegionName(Location::SysV(libc::IPC_PRIVATE));
        Segment::attach(&name, id, libc::SHM_RDONLY).map(Self::SysV)
    }

    /// Bytes, now.
    pub(crate) fn size(&self) -> Result<usize, RegionError> {
        match self {
            Self::File(file) => {
                let metadata = file.metadata().map_err(RegionError::io("fstat"))?;
                Ok(usize::try_from(metadata.len()).unwrap_or(usize::MAX))
            }
            Self::SysV(segment) => Ok(segment.size()),
        }
    }

    /// Whether anybody else has the file open or mapped, in whatever pid namespace: the kernel, which counts them,
    /// gives a lease for writing only where nobody has (`fcntl(2)`). It is given back at once. Nothing, where it
    /// does not say: of System V memory, and of the files of others.
    pub(crate) fn is_used_elsewhere(&self) -> Option<bool> {
        let Self::File(file) = self else {
            return None;
        };
        let ask = |command, argument: libc::c_int| {
            // SAFETY: these commands take numbers.
            Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), command, argument) })
        };
        // Who opens it in this moment has the kernel send a signal, which by itself ends a process; this one
        // is ignored.
        ask(F_SETSIG, libc::SIGURG).ok()?;
        match ask(libc::F_SETLEASE, libc::F_WRLCK) {
            Ok(_) => {
                let _ = ask(libc::F_SETLEASE, libc::F_UNLCK);
                Some(false)
            }
            Err(Errno::EAGAIN) => Some(true),
            Err(_) => None,
        }
    }

    /// The first page; what is not there is zero.
    pub(crate) fn page(&self) -> [u64; SIZE / 8] {
        let mut words = [0; SIZE / 8];
        match self {
            Self::SysV(segment) => {
                for (at, word) in (0..).step_by(8).zip(&mut words) {
                    *word = segment.read_u64(at).unwrap_or(0);
                }
            }
            Self::File(file) => words = page(file),
        }
        words
    }

    /// As many bytes, or nothing if there are fewer.
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
    /// Where so many bytes are, aligned to their number.
    fn place(&self, offset: u64, bytes: usize) -> Option<*const u8> {
        let offset = usize::try_from(offset).ok()?;
        let is_inside = offset.checked_add(bytes)? <= self.size();
        // SAFETY: inside the mapping.
        (is_inside && offset.is_multiple_of(bytes))
            .then(|| unsafe { self.start().cast_const().add(offset) })
    }

    fn read_u32(&self, offset: u64) -> Option<u32> {
        let place = self.place(offset, 4)?.cast::<AtomicU32>();
        // SAFETY: mapped and aligned; others change it by atomics, or scribble, which is any word.
        Some(unsafe { &*place }.load(Relaxed))
    }

    fn read_u64(&self, offset: u64) -> Option<u64> {
        let place = self.place(offset, 8)?.cast::<AtomicU64>();
        // Acquire pairs with the Release of the header's `build`: the mark is read first.
        // SAFETY: as in `word`.
        Some(unsafe { &*place }.load(Acquire))
    }
}

/// Which signal tells of a lease that somebody breaks: in Linux's `fcntl.h`, not in the crate libc.
const F_SETSIG: libc::c_int = 10;

/// The first page of a file; what is not there is zero.
pub(crate) fn page(file: &File) -> [u64; SIZE / 8] {
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

/// Opens a file for that access. It looks what is there before anything is opened: to open a pipe or a device
/// does something to it.
pub(crate) fn open_regular(
    name: &RegionName,
    path: &Path,
    links: OFlag,
    access: OFlag,
) -> Result<File, RegionError> {
    let flags = links | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let place = open(path, flags, Mode::empty()).map_err(name.refusal("open(O_PATH)"))?;
    let place = File::from(place);
    let metadata = place.metadata().map_err(RegionError::io("fstat"))?;
    if !metadata.is_file() {
        return Err(RegionError::NotAFile(name.clone()));
    }
    let same = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = access | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = open(same.as_str(), flags, Mode::empty());
    Ok(file.map_err(name.refusal("open"))?.into())
}
