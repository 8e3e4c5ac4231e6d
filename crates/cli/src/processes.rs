//! Who has what attached, and who lives.

use crate::maps::{self, Behind, Mapping};
use nix::libc;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

type Pids = BTreeSet<u32>;

/// What the processes of the machine had mapped, a moment ago.
#[derive(Debug, Default)]
pub struct Attachments {
    files: HashMap<(u64, u64), Pids>,
    paths: HashMap<PathBuf, Pids>,
    /// By directory and inode.
    made_unnamed: HashMap<(PathBuf, u64), Pids>,
    segments: HashMap<i32, Pids>,
    /// Each file once, with one process that has it mapped.
    mappings: Vec<(u32, Mapping)>,
    /// How many processes could not be looked at.
    pub unseen: usize,
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
                Err(_) => found.unseen += 1,
            }
        }
        // A `/proc` that hides the processes of others (hidepid) does not list the first one.
        if !Path::new("/proc/1").exists() {
            found.unseen += 1;
        }
        Ok(found)
    }

    fn add(&mut self, pid: u32, mappings: Vec<Mapping>) {
        for mapping in mappings {
            if let Behind::Segment(id) = mapping.behind() {
                self.segments.entry(id).or_default().insert(pid);
                continue;
            }
            let file = self.files.entry((mapping.device, mapping.inode));
            let pids = file.or_default();
            if pids.is_empty() {
                self.mappings.push((pid, mapping.clone()));
            }
            pids.insert(pid);
            let also = match mapping.behind() {
                Behind::File => self.paths.entry(mapping.path).or_default(),
                Behind::MadeUnnamed(directory) => {
                    let place = self.made_unnamed.entry((directory, mapping.inode));
                    place.or_default()
                }
                _ => continue,
            };
            also.insert(pid);
        }
    }

    /// Those that have this file mapped. By its path as well, where that is known: on some file systems,
    /// the device of a mapping is not that of the file.
    pub fn of_file(&self, file: &fs::Metadata, path: Option<&Path>) -> Vec<u32> {
        let by_inode = self.files.get(&(file.dev(), file.ino()));
        let by_path = path.and_then(|path| self.paths.get(path));
        let made = path.and_then(|path| {
            let directory = path.parent()?.to_owned();
            self.made_unnamed.get(&(directory, file.ino()))
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

    /// Those that have this segment mapped.
    pub fn of_segment(&self, id: i32) -> Vec<u32> {
        self.segments
            .get(&id)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Each file that somebody has mapped, with one who has.
    pub fn mappings(&self) -> impl Iterator<Item = (u32, &Mapping)> {
        self.mappings.iter().map(|(pid, mapping)| (*pid, mapping))
    }
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The process of a thread of this pid namespace, if the thread lives.
pub fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let field = |name: &str| {
        let mut lines = status.lines();
        lines
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    // A zombie is dead: it has only not been asked for its status.
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
    fn this_process_lives_and_no_thread_has_the_id_zero() {
        let me = std::process::id();
        assert_eq!(process_of(me), Some(me));
        assert_eq!(process_of(0), None);
        assert_eq!(process_of(u32::MAX), None);
    }
}
