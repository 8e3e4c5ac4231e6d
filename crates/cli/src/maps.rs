//! The mappings of a process: `/proc/PID/maps`.
//!
//! The crate `procfs` is not suitable, because its parser fails on a path that is not UTF-8, and on
//! a user ID above 65535 in `/proc/sysvipc/shm`. A hostile process may cause both failures.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A shared mapping of an object with an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The device, encoded like `st_dev`. On some file systems, this device differs from the device
    /// that `stat(2)` reports.
    pub device: u64,
    pub inode: u64,
    pub path: PathBuf,
}

/// The kind of memory of a mapping. The kind is needed because a segment and a file may have the
/// same inode number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// The System V segment with this ID.
    Segment(i32),
    /// A file that had the mapping's `path` when it was mapped. The path may no longer exist.
    File,
    /// A file created without a name in this directory (`O_TMPFILE`). The program may have given
    /// the file a name since then. The library creates its files in this way.
    Tmpfile(PathBuf),
    /// Memory without a path: a memfd, or a removed file.
    Unnamed,
}

impl Mapping {
    pub fn backing(&self) -> Backing {
        let path = self.path.as_os_str().as_bytes();
        let Some(without) = path.strip_suffix(b" (deleted)") else {
            return match path.starts_with(b"/") {
                true => Backing::File,
                false => Backing::Unnamed,
            };
        };
        let key = without.strip_prefix(b"/SYSV");
        match key {
            Some(key) if key.len() == 8 && key.iter().all(u8::is_ascii_hexdigit) => {
                Backing::Segment(self.inode as i32)
            }
            _ => self.directory(without).unwrap_or(Backing::Unnamed),
        }
    }

    /// Parses `DIRECTORY/#INODE`.
    fn directory(&self, path: &[u8]) -> Option<Backing> {
        let path = Path::new(OsStr::from_bytes(path));
        let number = path.file_name()?.to_str()?.strip_prefix('#')?;
        let is_own = number.parse() == Ok(self.inode);
        is_own.then(|| Backing::Tmpfile(path.parent().unwrap_or(path).to_owned()))
    }
}

/// Returns the shared mappings listed in a `maps` file. Lines in another format are skipped.
pub fn parse(maps: &[u8]) -> Vec<Mapping> {
    let lines = maps.split(|byte| *byte == b'\n');
    lines.filter_map(parse_line).collect()
}

/// Parses `start-end permissions offset major:minor inode   path`.
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || -> Option<&[u8]> {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let word = &rest[..end];
        rest = &rest[end..];
        let begin = rest.iter().position(|byte| *byte != b' ')?;
        rest = &rest[begin..];
        Some(word)
    };
    let [_, permissions, _, device, inode] = [word()?, word()?, word()?, word()?, word()?];
    if permissions.get(3) != Some(&b's') {
        return None;
    }
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        device: nix::sys::stat::makedev(hexadecimal(major)?, hexadecimal(minor)?),
        inode: std::str::from_utf8(inode).ok()?.parse().ok()?,
        path: unescape(rest),
    })
}

/// Replaces `\012`, the only escape that the kernel writes, with a line feed.
fn unescape(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match rest.strip_prefix(br"\012") {
            Some(after) => {
                bytes.push(b'\n');
                rest = after;
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    Path::new(OsStr::from_bytes(&bytes)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_returns_shared_mappings_with_any_path() {
        let text = b"\
55d1-55d2 r-xp 00000000 fe:00 1234                       /usr/bin/cat
7f00-7f01 rw-s 00000000 00:01 5                          /SYSV000004d2 (deleted)
7f00-7f01 rw-s 00000000 00:01 5                          /memfd:a b (deleted)
7f00-7f01 r--s 00000000 00:19 77                         /dev/shm/a\\012\xff b
7f00-7f01 rw-s 00000000 00:19 78                         /dev/shm/#78 (deleted)
7f00-7f01 rw-s 00000000 00:19 79                         /dev/shm/#78 (deleted)
rubbish
7f00-7f01 rw-p 00000000 00:00 0 \n";
        let found = parse(text);
        assert_eq!(found.len(), 5);
        let directory = PathBuf::from("/dev/shm");
        assert_eq!(found[3].backing(), Backing::Tmpfile(directory));
        assert_eq!(found[4].backing(), Backing::Unnamed);
        assert_eq!(found[0].backing(), Backing::Segment(5));
        assert_eq!(found[1].backing(), Backing::Unnamed);
        assert_eq!(found[2].backing(), Backing::File);
        assert_eq!(found[2].path.as_os_str().as_bytes(), b"/dev/shm/a\n\xff b");
        assert_eq!(found[2].device, nix::sys::stat::makedev(0, 0x19));
    }
}
