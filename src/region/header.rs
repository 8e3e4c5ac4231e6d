//! The first page of a region: what it is, where its thread ids mean something, and what is in it.

use super::RegionError;
use crate::platform::AtomicU64;
use crate::platform::Ordering::Relaxed;
use crate::region::directory::{Directory, Mark, Refused};
use crate::sync::Timeout;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// Bytes before the objects: a page, so that these are aligned as the mapping is.
pub(crate) const SIZE: usize = 4096;

/// `interla` and a byte for the version of this format.
const MAGIC: u64 = u64::from_be_bytes(*b"interla\x02");

/// Words, so that every bit pattern is valid, and a peer that scribbles here races with nobody.
///
/// Valid when zeroed: that is not built yet.
#[repr(C)]
pub(crate) struct Header {
    magic: Mark,
    /// Of the whole region, this page included.
    size: AtomicU64,
    namespace: [AtomicU64; 2],
    /// Of the machine: no thread of an earlier one lives.
    boot: [AtomicU64; 2],
    /// The process that made it, and when: seconds since 1970. For people.
    creator: AtomicU64,
    created: AtomicU64,
    pub(crate) directory: Directory,
}

const _: () = assert!(size_of::<Header>() <= SIZE);

/// A pid namespace: the device and the inode of `/proc/self/ns/pid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidNamespace {
    device: u64,
    inode: u64,
}

impl PidNamespace {
    /// That of this process.
    ///
    /// # Errors
    /// If there is no `/proc`.
    pub fn current() -> Result<Self, RegionError> {
        let metadata = std::fs::metadata("/proc/self/ns/pid");
        let metadata = metadata.map_err(RegionError::io("stat(/proc/self/ns/pid)"))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// A number of this boot of the machine, in two words.
fn boot() -> Result<[u64; 2], RegionError> {
    const FILE: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(FILE).map_err(RegionError::io("read(boot_id)"))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).unwrap_or(0);
    Ok([number as u64, (number >> 64) as u64])
}

/// Whether this process can tell what a header says: where it is, and when.
pub(crate) fn can_be_built() -> Result<(), RegionError> {
    PidNamespace::current()?;
    boot().map(drop)
}

impl fmt::Display for PidNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid:[{}]", self.inode)
    }
}

/// Longer than building something takes: whoever holds the lock of a directory for so long is stopped, or
/// a faulty peer was there.
pub(crate) fn timeout() -> Timeout {
    Timeout::after(Duration::from_secs(5))
}

/// A private copy of the words of a header.
#[derive(Debug)]
pub(crate) struct Copied(Box<[AtomicU64; SIZE / 8]>);

impl Copied {
    pub(crate) fn of(page: [u64; SIZE / 8]) -> Self {
        Self(Box::new(page.map(AtomicU64::new)))
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: as many words, in memory of this process that nobody else writes; the header is made
        // of atomic words, and is not dropped.
        unsafe { Header::at(self.0.as_ptr().cast_mut().cast()) }
    }
}

const _: () = assert!(align_of::<Header>() <= align_of::<AtomicU64>());

impl Header {
    /// The header at the beginning of a mapping.
    ///
    /// # Safety
    /// `start` is the start of a mapping of at least [`SIZE`] bytes that lives during `'a`.
    pub(crate) unsafe fn at<'a>(start: *mut u8) -> &'a Self {
        // SAFETY: a mapping begins at a page; every bit pattern is a header; the caller vouches for the
        // rest.
        unsafe { &*start.cast() }
    }

    /// Writes the header of a new region of that many bytes, in memory that was all zero.
    pub(crate) fn build(&self, size: usize) -> Result<(), RegionError> {
        self.write(size)?;
        self.magic.set(MAGIC);
        Ok(())
    }

    /// All but the mark. Relaxed: the mark orders it.
    fn write(&self, size: usize) -> Result<(), RegionError> {
        let PidNamespace { device, inode } = PidNamespace::current()?;
        let boot = boot()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.size.store(size as u64, Relaxed);
        self.namespace[0].store(device, Relaxed);
        self.namespace[1].store(inode, Relaxed);
        self.boot[0].store(boot[0], Relaxed);
        self.boot[1].store(boot[1], Relaxed);
        self.creator.store(u64::from(std::process::id()), Relaxed);
        self.created
            .store(now.map_or(0, |now| now.as_secs()), Relaxed);
        Ok(())
    }

    /// The same where others can see it already: one builds it, and if that one dies, another one does.
    pub(crate) fn build_once(&self, size: usize) -> Result<(), RegionError> {
        if !self.is_unbuilt(size)? {
            return Ok(());
        }
        self.directory
            .build_once(&self.magic, MAGIC, timeout(), || self.write(size))
            .map_err(|refused| match refused {
                Refused::Thread(refusal) => refusal.into(),
                _ => RegionError::Busy,
            })?
    }

    /// Whether this page is all zero, or what somebody has begun to build: nothing else is touched.
    pub(crate) fn is_unbuilt(&self, size: usize) -> Result<bool, RegionError> {
        let PidNamespace { device, inode } = PidNamespace::current()?;
        let is_or_zero =
            |word: &AtomicU64, expected: u64| [0, expected].contains(&word.load(Relaxed));
        Ok(self.magic.get() == 0
            && is_or_zero(&self.size, size as u64)
            && is_or_zero(&self.namespace[0], device)
            && is_or_zero(&self.namespace[1], inode)
            && self.directory.is_blank())
    }

    /// Whether this is a region of that many bytes, and one of this pid namespace.
    pub(crate) fn check(&self, size: usize) -> Result<(), RegionError> {
        let found = self.magic.get();
        if found != MAGIC {
            return Err(RegionError::NoRegion {
                expected: MAGIC,
                found,
            });
        }
        let expected = self.size.load(Relaxed);
        if expected != size as u64 {
            return Err(RegionError::Cut {
                expected,
                found: size,
            });
        }
        let (created_in, this_process) = (self.namespace(), PidNamespace::current()?);
        if created_in != this_process {
            return Err(RegionError::Namespace {
                created_in,
                this_process,
            });
        }
        if [0, 1].map(|word: usize| self.boot[word].load(Relaxed)) != boot()? {
            return Err(RegionError::EarlierBoot);
        }
        Ok(())
    }

    /// Whether somebody has begun to build this, if it is unbuilt: it is more than memory that is all zero.
    pub(crate) fn is_begun(&self, size: usize) -> bool {
        self.size.load(Relaxed) == size as u64
    }

    /// Where its thread ids mean something.
    pub(crate) fn namespace(&self) -> PidNamespace {
        let [device, inode] = [0, 1].map(|word: usize| self.namespace[word].load(Relaxed));
        PidNamespace { device, inode }
    }

    /// The process that has made it, and when.
    pub(crate) fn creator(&self) -> (u32, SystemTime) {
        let created = Duration::from_secs(self.created.load(Relaxed));
        let created = SystemTime::UNIX_EPOCH.checked_add(created);
        let creator = self.creator.load(Relaxed);
        (creator as u32, created.unwrap_or(SystemTime::UNIX_EPOCH))
    }
}
