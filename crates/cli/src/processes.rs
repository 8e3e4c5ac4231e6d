//! Determines which processes have which memory attached, and which processes are alive.

use crate::maps::{self, Backing, Mapping};
use nix::libc;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

type Pids = BTreeSet<u32>;

/// The memory that the processes of the machine have mapped, at the time of the scan.
#[derive(Debug, Default)]
pub struct Attachments {
    files: HashMap<(u64, u64), Pids>,
    paths: HashMap<PathBuf, Pids>,
    /// The processes that have a file mapped, by the file's directory and inode.
    tmpfiles: HashMap<(PathBuf, u64), Pids>,
    segments: HashMap<i32, Pids>,
    /// Each mapped file once, with one of the processes that have mapped it.
    mappings: Vec<(u32, Mapping)>,
    /// The number of processes that could not be inspected.
    pub inaccessible: usize,
}

impl Attachments {
    pub fn scan() -> io::Result<Self> {
        let mut found = Self::default();
        let me = std::process::id();
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if pid == me {
                continue;
            }
            match fs::read(entry.path().join("maps")) {
                Ok(maps) => found.add(pid, maps::parse(&maps)),
                Err(error) if has_ended(&error) => {}
                Err(_) => found.inaccessible += 1,
            }
        }
        // With `hidepid`, `/proc` omits the processes of other users, including process 1.
        if !Path::new("/proc/1").exists() {
            found.inaccessible += 1;
        }
        Ok(found)
    }

    fn add(&mut self, pid: u32, mappings: Vec<Mapping>) {
        for mapping in mappings {
            if let Backing::Segment(id) = mapping.backing() {
                self.segments.entry(id).or_default().insert(pid);
                continue;
            }
            let file = self.files.entry((mapping.device, mapping.inode));
            let pids = file.or_default();
            if pids.is_empty() {
                self.mappings.push((pid, mapping.clone()));
            }
            pids.insert(pid);
            let also = match mapping.backing() {
                Backing::File => self.paths.entry(mapping.path).or_default(),
                Backing::Tmpfile(directory) => {
                    let place = self.tmpfiles.entry((directory, mapping.inode));
                    place.or_default()
                }
                _ => continue,
            };
            also.insert(pid);
        }
    }

    /// Returns the processes that have this file mapped.
    ///
    /// Also compares paths, if they are known. On some file systems, a mapping's device number
    /// differs from the file's device number.
    pub fn pids_of_file(&self, file: &fs::Metadata, path: Option<&Path>) -> Vec<u32> {
        let by_inode = self.files.get(&(file.dev(), file.ino()));
        let by_path = path.and_then(|path| self.paths.get(path));
        let made = path.and_then(|path| {
            let directory = path.parent()?.to_owned();
            self.tmpfiles.get(&(directory, file.ino()))
        });
        let all: Pids = by_inode
            .into_iter()
            .chain(by_path)
            .chain(made)
            .flatten()
            .copied()
            .collect();
        all.into_iter().collect()
    }

    /// Returns the processes that have this segment mapped.
    pub fn pids_of_segment(&self, id: i32) -> Vec<u32> {
        self.segments
            .get(&id)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Returns each mapped file with a process that has it mapped.
    pub fn mappings(&self) -> impl Iterator<Item = (u32, &Mapping)> {
        self.mappings.iter().map(|(pid, mapping)| (*pid, mapping))
    }
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Returns the process of a thread in this PID namespace, if the thread is alive.
pub fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let field = |name: &str| {
        let mut lines = status.lines();
        lines
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    // A zombie (state `Z`) is a dead process whose parent has not yet collected its exit status.
    let is_dead = field("State:")?.starts_with(['Z', 'X']);
    if is_dead {
        None
    } else {
        field("Tgid:")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_of_finds_only_living_threads() {
        let me = std::process::id();
        assert_eq!(process_of(me), Some(me));
        assert_eq!(process_of(0), None);
        assert_eq!(process_of(u32::MAX), None);
    }
}
