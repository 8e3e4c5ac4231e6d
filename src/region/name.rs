//! The names of regions.

use super::{RegionError, source};
use std::ffi::{CString, OsString};
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of a region: POSIX shared memory, a file, or a System V key.
///
/// # Example
/// ```
/// use interlatch::RegionName;
///
/// assert_eq!(RegionName::posix("queue")?.to_string(), "posix:queue");
/// assert!(RegionName::posix("a/b").is_err());
/// # Ok::<(), interlatch::RegionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegionName(pub(crate) Location);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Location {
    /// The path of a file in `/dev/shm`, where `shm_open(3)` creates POSIX shared memory.
    Posix(PathBuf),
    /// The path of a file.
    File(PathBuf),
    /// A System V key, for `shmget(2)`.
    SysV(i32),
}

/// The error returned when a text is not a valid region name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRegionName {
    /// The name is empty.
    Empty,
    /// The name has more than 255 bytes, the maximum length of a file name. The field is the name's
    /// length in bytes.
    TooLong(usize),
    /// The name contains a slash or a zero byte, or is `.` or `..`.
    Character(String),
    /// The key is 0, which is `IPC_PRIVATE` and names no memory.
    PrivateKey,
    /// The name is a System V key, which has no path and cannot have a number appended.
    NotAPath(String),
    /// The text is not a System V key.
    Key(String),
}

impl fmt::Display for InvalidRegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name of a region is empty"),
            Self::TooLong(length) => write!(
                f,
                "the name of a region has {length} bytes, expected at most {MAX}"
            ),
            Self::Character(name) => write!(
                f,
                "the name {name:?} contains a slash or a zero byte, or is one or two dots; use \
                 `file:PATH` for a path"
            ),
            Self::PrivateKey => {
                f.write_str("the key 0 (IPC_PRIVATE) names no memory; use another key")
            }
            Self::NotAPath(key) => write!(
                f,
                "{key} is a System V key, which has no path; use a POSIX name or a file"
            ),
            Self::Key(key) => write!(
                f,
                "the key {key:?} is not a number of 32 bits such as 0x4d2 or 1234"
            ),
        }
    }
}

impl std::error::Error for InvalidRegionName {}

/// The maximum length of a file name.
const MAX: usize = 255;

/// The directory that contains POSIX shared memory.
const SHM: &str = "/dev/shm";

impl RegionName {
    /// Creates the name of POSIX shared memory. Pass the name without a slash, although
    /// `shm_open(3)` uses the form `/name`.
    ///
    /// # Errors
    /// Fails if the name is empty, longer than 255 bytes, `.` or `..`, or if it contains a slash or
    /// a zero byte.
    pub fn posix(name: &str) -> Result<Self, RegionError> {
        if name.is_empty() {
            return Err(InvalidRegionName::Empty.into());
        }
        if name.len() > MAX {
            return Err(InvalidRegionName::TooLong(name.len()).into());
        }
        if name.contains(['/', '\0']) || [".", ".."].contains(&name) {
            return Err(InvalidRegionName::Character(name.into()).into());
        }
        Ok(Self(Location::Posix(Path::new(SHM).join(name))))
    }

    /// Creates the name of a region in a file.
    ///
    /// The file system must support reserving blocks (`fallocate`), as ext4, XFS, Btrfs and tmpfs
    /// do. It should support unnamed files (`O_TMPFILE`): see
    /// [process death](crate::Region#process-death). The file survives a reboot of the machine, but
    /// attaching to the file then fails.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // The path is made absolute, so that it stays valid when the working directory changes. An
        // empty path stays empty. Creating or opening a region with an empty path fails.
        Self(Location::File(std::path::absolute(&path).unwrap_or(path)))
    }

    /// Creates the name of System V shared memory from a key, for example a key that [`ftok`]
    /// returned.
    ///
    /// # Errors
    /// Fails if the key is 0, which is `IPC_PRIVATE`.
    pub fn sysv(key: i32) -> Result<Self, RegionError> {
        match key {
            libc::IPC_PRIVATE => Err(InvalidRegionName::PrivateKey.into()),
            key => Ok(Self(Location::SysV(key))),
        }
    }

    /// Appends a number to this region's name, as in `orders.7`. Use the new name for a region that
    /// belongs to this one.
    ///
    /// # Errors
    /// Fails if the result is too long, or if this name is a System V key.
    pub fn numbered(&self, number: u64) -> Result<Self, RegionError> {
        let mut name = self.path()?.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number}"));
        if name.len() > MAX {
            return Err(InvalidRegionName::TooLong(name.len()).into());
        }
        self.sibling(name)
    }

    /// Finds the files whose names consist of this name and two numbers, as in `orders.5.7`.
    /// Returns each file name with the first of its numbers. The files may belong to other
    /// programs.
    pub(crate) fn numbered_twice(&self) -> Result<Vec<(u64, Self)>, RegionError> {
        let path = self.path()?;
        let entries = match std::fs::read_dir(path.parent().unwrap_or(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(RegionError::io("open(directory)"))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(RegionError::io("readdir"))?.file_name();
            if let Some(first) = self.first_of_two(name.as_bytes()) {
                found.push((first, self.sibling(name)?));
            }
        }
        Ok(found)
    }

    /// Returns the first of the two numbers that follow this name in a file name.
    fn first_of_two(&self, name: &[u8]) -> Option<u64> {
        let own = self.path().ok()?.file_name()?.as_bytes();
        let numbers = name.strip_prefix(own)?.strip_prefix(b".")?;
        let (first, second) = str::from_utf8(numbers).ok()?.split_once('.')?;
        number(second).and_then(|_| number(first))
    }

    pub(super) fn is_sysv(&self) -> bool {
        matches!(self.0, Location::SysV(_))
    }

    /// Removes the region with this name.
    ///
    /// Processes that have the region mapped keep the memory. If several processes remove the same
    /// System V memory at the same time, more than one of them may succeed.
    ///
    /// # Errors
    /// Fails if the region does not exist, if the memory is not a region, or if this process lacks
    /// the permission.
    pub fn remove(&self) -> Result<(), RegionError> {
        source::remove(self)
    }

    /// Returns the path of the region's file, or an error for a System V key.
    pub(crate) fn path(&self) -> Result<&Path, RegionError> {
        match &self.0 {
            Location::Posix(path) | Location::File(path) => Ok(path),
            Location::SysV(_) => Err(InvalidRegionName::NotAPath(self.to_string()).into()),
        }
    }

    /// Returns the region name of another file in the directory of this region's file.
    fn sibling(&self, name: OsString) -> Result<Self, RegionError> {
        let path = self.path()?.with_file_name(name);
        Ok(Self(match &self.0 {
            Location::Posix(_) => Location::Posix(path),
            _ => Location::File(path),
        }))
    }
}

/// Parses a number that `numbered` has appended to a region name.
fn number(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Location::Posix(path) => {
                let name = path.file_name().unwrap_or_default();
                write!(f, "posix:{}", name.display())
            }
            Location::File(path) => write!(f, "file:{}", path.display()),
            Location::SysV(key) => write!(f, "sysv:{key:#010x}"),
        }
    }
}

/// Parses a region name that [`Display`](fmt::Display) has written: `posix:NAME`, `file:PATH` or
/// `sysv:KEY`.
///
/// A text without a prefix is the path of a file if it contains a slash, and otherwise a POSIX
/// name.
///
/// # Example
/// ```
/// use interlatch::RegionName;
///
/// assert_eq!("queue".parse::<RegionName>()?, RegionName::posix("queue")?);
/// assert_eq!("sysv:0x000004d2".parse::<RegionName>()?, RegionName::sysv(1234)?);
/// assert_eq!("/tmp/queue".parse::<RegionName>()?, RegionName::file("/tmp/queue"));
/// # Ok::<(), interlatch::RegionError>(())
/// ```
impl FromStr for RegionName {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        match text.split_once(':') {
            Some(("posix", name)) => Self::posix(name),
            Some(("file", "")) => Err(InvalidRegionName::Empty.into()),
            Some(("file", path)) => Ok(Self::file(path)),
            Some(("sysv", key)) => Self::sysv(parse_key(key)?),
            _ if text.contains('/') => Ok(Self::file(text)),
            _ => Self::posix(text),
        }
    }
}

fn parse_key(text: &str) -> Result<i32, InvalidRegionName> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().map(|key| key as i32),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| InvalidRegionName::Key(text.into()))
}

/// Derives a key for [`RegionName::sysv`] from an existing file and a number other than 0, as
/// `ftok(3)` does.
///
/// Two files may have the same key, because a key contains only 8 bits of the device and 16 bits of
/// the inode.
///
/// # Errors
/// Fails if the file does not exist.
pub fn ftok(path: &Path, number: u8) -> Result<i32, RegionError> {
    let path = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| InvalidRegionName::Character(path.display().to_string()))?;
    // SAFETY: the path is a `CString`, which ends with a zero byte.
    match unsafe { libc::ftok(path.as_ptr(), i32::from(number)) } {
        -1 => Err(RegionError::io("ftok")(std::io::Error::last_os_error())),
        key => Ok(key),
    }
}
