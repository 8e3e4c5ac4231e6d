//! Where a region is found.

use super::RegionError;
use std::ffi::{CString, OsString};
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of a region in one of the three name spaces that a machine has for memory.
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
    /// A file in `/dev/shm`, as `shm_open(3)` has it.
    Posix(PathBuf),
    /// A file.
    File(PathBuf),
    /// A key of `shmget(2)`.
    SysV(i32),
}

/// A name that no region can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRegionName {
    /// Nothing.
    #[error("an empty name: expected at least one character")]
    Empty,
    /// Longer than a file name can be.
    #[error("a name of {0} bytes: expected at most {most}", most = MAX)]
    TooLong(usize),
    /// It is one file in one directory.
    #[error("the name {0:?}: expected one without slash and zero, and not one or two dots")]
    Character(String),
    /// The key of memory that nobody can find.
    #[error("the key 0 (IPC_PRIVATE): it names no memory")]
    PrivateKey,
    /// A key stands for itself alone.
    #[error("the name {0} with a number behind it: expected a POSIX name or a file")]
    Numbered(String),
    /// No key of System V memory.
    #[error("the key {0:?}: expected a number of 32 bits, as 0x4d2 or 1234")]
    Key(String),
}

/// The longest file name.
const MAX: usize = 255;

/// Where Linux keeps POSIX shared memory.
const SHM: &str = "/dev/shm";

impl RegionName {
    /// POSIX shared memory. The name has no slash: other programs would say `/name`.
    ///
    /// # Errors
    /// If it is empty, too long, or contains a slash or a zero byte.
    pub fn posix(name: &str) -> Result<Self, RegionError> {
        if name.is_empty() {
            return Err(BadRegionName::Empty.into());
        }
        if name.len() > MAX {
            return Err(BadRegionName::TooLong(name.len()).into());
        }
        if name.contains(['/', '\0']) || [".", ".."].contains(&name) {
            return Err(BadRegionName::Character(name.into()).into());
        }
        Ok(Self(Location::Posix(Path::new(SHM).join(name))))
    }

    /// A file, in a file system that can make a file without a name (`O_TMPFILE`) and reserve its blocks
    /// (`fallocate`), as ext4, XFS, Btrfs and tmpfs. It is as persistent as its file system, but refused once
    /// the machine was started again.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // Of use after a change of the working directory. An empty one is refused later.
        Self(Location::File(std::path::absolute(&path).unwrap_or(path)))
    }

    /// System V shared memory of this key, for example by [`ftok`].
    ///
    /// # Errors
    /// If the key is 0, which is `IPC_PRIVATE`.
    pub fn sysv(key: i32) -> Result<Self, RegionError> {
        match key {
            libc::IPC_PRIVATE => Err(BadRegionName::PrivateKey.into()),
            key => Ok(Self(Location::SysV(key))),
        }
    }

    /// The name with a number behind it, `orders.7`, for a region that belongs to the one of this name.
    ///
    /// # Errors
    /// If that is too long, or this is a System V key, which has no others beside it.
    pub fn numbered(&self, number: u64) -> Result<Self, RegionError> {
        let mut name = self.path()?.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number}"));
        if name.len() > MAX {
            return Err(BadRegionName::TooLong(name.len()).into());
        }
        self.beside(name)
    }

    /// What is there with two numbers behind this name, `orders.5.7`, and the first of them. Whose it is, is for
    /// the caller to find out.
    pub(crate) fn numbered_twice(&self) -> Result<Vec<(u64, Self)>, RegionError> {
        let path = self.path()?;
        let entries = match std::fs::read_dir(path.parent().unwrap_or(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(RegionError::io("open(directory)"))?,
        };
        let mut there = Vec::new();
        for entry in entries {
            let name = entry.map_err(RegionError::io("readdir"))?.file_name();
            if let Some(first) = self.first_of_two(name.as_bytes()) {
                there.push((first, self.beside(name)?));
            }
        }
        Ok(there)
    }

    /// The first of the two numbers that a file name has behind this one.
    fn first_of_two(&self, name: &[u8]) -> Option<u64> {
        let own = self.path().ok()?.file_name()?.as_bytes();
        let numbers = name.strip_prefix(own)?.strip_prefix(b".")?;
        let (first, second) = str::from_utf8(numbers).ok()?.split_once('.')?;
        number(second).and_then(|_| number(first))
    }

    /// The file.
    pub(crate) fn path(&self) -> Result<&Path, RegionError> {
        match &self.0 {
            Location::Posix(path) | Location::File(path) => Ok(path),
            Location::SysV(_) => Err(BadRegionName::Numbered(self.to_string()).into()),
        }
    }

    /// The file of this name in the same directory.
    fn beside(&self, name: OsString) -> Result<Self, RegionError> {
        let path = self.path()?.with_file_name(name);
        Ok(Self(match &self.0 {
            Location::Posix(_) => Location::Posix(path),
            _ => Location::File(path),
        }))
    }
}

/// The number, if it is written as `numbered` writes it.
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

/// What [`Display`](fmt::Display) has written is read again, if it is text. A word without a slash is one of POSIX, and what
/// has a slash is a file.
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
            Some(("file", "")) => Err(BadRegionName::Empty.into()),
            Some(("file", path)) => Ok(Self::file(path)),
            Some(("sysv", key)) => Self::sysv(parse_key(key)?),
            _ if text.contains('/') => Ok(Self::file(text)),
            _ => Self::posix(text),
        }
    }
}

fn parse_key(text: &str) -> Result<i32, BadRegionName> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().map(|key| key as i32),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| BadRegionName::Key(text.into()))
}

/// A key for [`RegionName::sysv`], as `ftok(3)` makes one of a file that exists and a number other than 0.
/// Two files may get the same key: it has 8 bits of the device and 16 of the inode.
///
/// # Errors
/// If there is no such file.
pub fn ftok(path: &Path, number: u8) -> Result<i32, RegionError> {
    let path = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| BadRegionName::Character(path.display().to_string()))?;
    // SAFETY: a string with a zero at its end.
    match unsafe { libc::ftok(path.as_ptr(), i32::from(number)) } {
        -1 => Err(RegionError::io("ftok")(std::io::Error::last_os_error())),
        key => Ok(key),
    }
}
