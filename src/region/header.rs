//! The header of a region: format, size, pid namespace, boot, creator, and directory.

use super::RegionError;
use super::directory::{Directory, DirectoryError, MAX_OBJECTS, Mark, text};
use super::format::{FORMAT_VERSION, MAGIC, version_of};
use crate::platform::AtomicU64;
use crate::platform::Ordering::Relaxed;
use crate::sync::Timeout;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// The number of bytes before the objects: two pages, so that objects can be aligned to a page.
pub(crate) const SIZE: usize = 8192;

/// The header of a region. The header consists of atomic words, so every bit pattern is valid. A
/// peer that writes arbitrary bytes causes no data race.
///
/// Zeroed memory is a header that is not built yet.
#[repr(C)]
pub(crate) struct Header {
    magic: Mark,
    /// The size of the region in bytes, including the header.
    size: AtomicU64,
    namespace: [AtomicU64; 2],
    /// The id of the machine's boot during which the region was created. The owners of locks from
    /// an earlier boot no longer exist.
    boot: [AtomicU64; 2],
    /// The creator's process id and the creation time in seconds since 1970. The library only
    /// displays these values.
    creator: AtomicU64,
    created: AtomicU64,
    pub(crate) directory: Directory,
    /// The layouts of the objects, for error messages. The Release store of the directory's count
    /// publishes the layouts.
    layouts: [LayoutText; MAX_OBJECTS],
}

const _: () = assert!(size_of::<Header>() <= SIZE);

/// The maximum length of a layout's text in bytes. Longer texts are cut.
const LAYOUT: usize = 168;

/// The layout of an object's type as text.
#[repr(C)]
struct LayoutText([AtomicU64; LAYOUT / 8]);

/// A pid namespace, identified by the device and inode of `/proc/self/ns/pid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidNamespace {
    device: u64,
    inode: u64,
}

impl PidNamespace {
    /// Returns the pid namespace of this process.
    ///
    /// # Errors
    /// Fails if `/proc` is not mounted.
    pub fn current() -> Result<Self, RegionError> {
        let metadata = std::fs::metadata("/proc/self/ns/pid");
        let metadata = metadata.map_err(RegionError::io("stat(/proc/self/ns/pid)"))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Returns the id of this boot of the machine as two words.
fn boot() -> Result<[u64; 2], RegionError> {
    const FILE: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(FILE).map_err(RegionError::io("read(boot_id)"))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).unwrap_or(0);
    Ok([number as u64, (number >> 64) as u64])
}

/// Fails if this process cannot build a header because `/proc` is not mounted.
pub(crate) fn can_be_built() -> Result<(), RegionError> {
    PidNamespace::current()?;
    boot().map(drop)
}

impl fmt::Display for PidNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid:[{}]", self.inode)
    }
}

/// The timeout for the lock of a directory. Building an object takes less time than this timeout.
/// If the lock is held longer, the lock's owner is stopped or a faulty peer wrote into the lock.
pub(crate) fn timeout() -> Timeout {
    Timeout::after(Duration::from_secs(5))
}

/// A private copy of the words of a header.
#[derive(Debug)]
pub(crate) struct HeaderCopy(Box<[AtomicU64; SIZE / 8]>);

impl HeaderCopy {
    pub(crate) fn new(words: [u64; SIZE / 8]) -> Self {
        Self(Box::new(words.map(AtomicU64::new)))
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the box has `SIZE` bytes, and its alignment is that of `u64`, like the header's.
        // `self` owns the box during the borrow. The header consists of atomic words and is not
        // dropped.
        unsafe { Header::at(self.0.as_ptr().cast_mut().cast()) }
    }
}

const _: () = assert!(align_of::<Header>() <= align_of::<AtomicU64>());

impl Header {
    /// Returns the header at the start of a mapping.
    ///
    /// # Safety
    /// `start` is aligned for `u64` and valid for reads and writes of [`SIZE`] bytes during `'a`.
    /// Every access to these bytes is atomic.
    pub(crate) unsafe fn at<'a>(start: *mut u8) -> &'a Self {
        // SAFETY: the caller guarantees that the memory is valid, and every bit pattern is a valid
        // header.
        unsafe { &*start.cast() }
    }

    /// Writes the header of a new region into zeroed memory.
    pub(crate) fn build(&self, size: usize) -> Result<(), RegionError> {
        self.write(size)?;
        self.magic.set(MAGIC);
        Ok(())
    }

    /// Writes all words of the header except the mark. The stores are Relaxed because the Release
    /// store of the mark publishes these words.
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

    /// Builds the header in memory that other processes can see, unless the header is already
    /// built. If several processes call this function, exactly one of them builds the header. If
    /// that process dies, another process builds the header.
    pub(crate) fn build_once(&self, size: usize) -> Result<(), RegionError> {
        if !self.is_unbuilt(size)? {
            return Ok(());
        }
        self.directory
            .build_once(&self.magic, MAGIC, timeout(), || self.write(size))
            .map_err(|error| match error {
                DirectoryError::RobustList(error) => error.into(),
                _ => RegionError::Busy,
            })?
    }

    /// Returns whether the header's pages are zero or contain a header that a process began to
    /// build. If the pages contain anything else, the memory must not be changed.
    pub(crate) fn is_unbuilt(&self, size: usize) -> Result<bool, RegionError> {
        let PidNamespace { device, inode } = PidNamespace::current()?;
        let is_or_zero =
            |word: &AtomicU64, expected: u64| [0, expected].contains(&word.load(Relaxed));
        Ok(self.magic.get() == 0
            && is_or_zero(&self.size, size as u64)
            && is_or_zero(&self.namespace[0], device)
            && is_or_zero(&self.namespace[1], inode)
            && self.directory.is_blank()
            && self.layouts.iter().all(LayoutText::is_blank))
    }

    /// Checks that this is the header of a region with this size, created in this pid namespace
    /// during this boot.
    pub(crate) fn check(&self, size: usize) -> Result<(), RegionError> {
        let found = self.magic.get();
        if found != MAGIC {
            return Err(match version_of(found) {
                Some(found) => RegionError::OtherVersion {
                    expected: FORMAT_VERSION,
                    found,
                },
                None => RegionError::NotARegion {
                    expected: MAGIC,
                    found,
                },
            });
        }
        let expected = self.size.load(Relaxed);
        if expected != size as u64 {
            return Err(RegionError::WrongSize {
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

    /// Returns whether a process began to build this unbuilt header. If no process did, the memory
    /// is zero.
    pub(crate) fn is_begun(&self, size: usize) -> bool {
        self.size.load(Relaxed) == size as u64
    }

    /// Returns the pid namespace of the thread ids in this region.
    pub(crate) fn namespace(&self) -> PidNamespace {
        let [device, inode] = [0, 1].map(|word: usize| self.namespace[word].load(Relaxed));
        PidNamespace { device, inode }
    }

    /// Returns the process that created the region, and the creation time.
    pub(crate) fn creator(&self) -> (u32, SystemTime) {
        let created = Duration::from_secs(self.created.load(Relaxed));
        let created = SystemTime::UNIX_EPOCH.checked_add(created);
        let creator = self.creator.load(Relaxed);
        (creator as u32, created.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// Records the layout of the object with this index. The caller holds the lock of the
    /// directory, and the index is not below the count.
    pub(crate) fn write_layout(&self, index: usize, layout: &str) {
        if let Some(text) = self.layouts.get(index) {
            text::store(&text.0, &text::encode::<LAYOUT>(layout));
        }
    }

    /// Returns the layout of the object with this index, as its creator recorded it. A peer may
    /// have changed this text.
    pub(crate) fn read_layout(&self, index: usize) -> String {
        let layout = self.layouts.get(index);
        layout.map_or_else(String::new, |text| {
            text::decode(&text::load::<LAYOUT>(&text.0)).into_owned()
        })
    }
}

impl LayoutText {
    fn is_blank(&self) -> bool {
        self.0.iter().all(|word| word.load(Relaxed) == 0)
    }
}

/// Returns the text of a layout as a region records it. Longer texts are cut at the maximum length.
pub(crate) fn recorded_layout(layout: &str) -> String {
    text::decode(&text::encode::<LAYOUT>(layout)).into_owned()
}
