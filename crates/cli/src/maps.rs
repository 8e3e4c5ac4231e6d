//! What a process has mapped: `/proc/PID/maps`.
//!
//! The crate `procfs` is not used here: it gives up at a path that is not UTF-8, and at a user id above
//! 65535 in `/proc/sysvipc/shm`, and a hostile process may have both.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A shared mapping of something that has an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// As `st_dev` and `st_ino` say. (On some file systems, maps says another device than `stat(2)`.)
    pub device: u64,
    pub inode: u64,
    pub path: PathBuf,
}

/// Which of two name spaces of inodes, which overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A System V segment of this id.
    Segment(i32),
    /// A file that may have this path still.
    File,
    /// One that was made without a name, in this directory, and may have been linked to one since: so
    /// this crate makes its files.
    MadeUnnamed(PathBuf),
    /// One that has no path: a memfd, or removed.
    Unnamed,
}

impl Mapping {
    pub fn behind(&self) -> Behind {
        let path = self.path.as_os_str().as_bytes();
        let Some(without) = path.strip_suffix(b" (deleted)") else {
            return match path.starts_with(b"/") {
                true => Behind::File,
                false => Behind::Unnamed,
            };
        };
        let key = without.strip_prefix(b"/SYSV");
        match key {
            Some(key) if key.len() == 8 && key.iter().all(u8::is_ascii_hexdigit) => {
                Behind::Segment(self.inode as i32)
            }
            _ => self.directory(without).unwrap_or(Behind::Unnamed),
        }
    }

    /// For `DIRECTORY/#INODE`.
    fn directory(&self, path: &[u8]) -> Option<Behind> {
        let path = Path::new(OsStr::from_bytes(path));
        let number = path.file_name()?.to_str()?.strip_prefix('#')?;
        let is_own = number.parse() == Ok(self.inode);
        is_own.then(|| Behind::MadeUnnamed(path.parent().unwrap_or(path).to_owned()))
    }
}

/// The shared mappings in such a file. A line that is none is passed by.
pub fn parse(maps: &[u8]) -> Vec<Mapping> {
    let lines = maps.split(|byte| *byte == b'\n');
    lines.filter_map(parse_line).collect()
}

/// `start-end permissions offset major:minor inode   path`
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

/// The kernel writes a line feed as `\012`, and nothing else so.
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
    fn shared_mappings_are_told_from_private_ones_whatever_their_path() {
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
        assert_eq!(found[3].behind(), Behind::MadeUnnamed(directory));
        assert_eq!(found[4].behind(), Behind::Unnamed);
        assert_eq!(found[0].behind(), Behind::Segment(5));
        assert_eq!(found[1].behind(), Behind::Unnamed);
        assert_eq!(found[2].behind(), Behind::File);
        assert_eq!(found[2].path.as_os_str().as_bytes(), b"/dev/shm/a\n\xff b");
        assert_eq!(found[2].device, nix::sys::stat::makedev(0, 0x19));
    }
}
