//! Finds the file of a mapping that lists no usable path: the current path of the file, or a
//! descriptor with which a process keeps the file open.
//!
//! This module reads each directory only once, even if a hostile process has many mappings.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

#[derive(Debug, Default)]
pub struct FileLocator {
    /// The path of each file, by directory and inode.
    names: HashMap<PathBuf, HashMap<u64, PathBuf>>,
    /// The numbers of the open descriptors, by process and by the target of the descriptor's link.
    descriptors: HashMap<u32, HashMap<PathBuf, Vec<u32>>>,
}

impl FileLocator {
    /// Returns the current path of a file that was created without a name in a directory. Returns
    /// `None` if the file still has no name.
    pub fn find_path(&mut self, directory: &Path, device: u64, inode: u64) -> Option<PathBuf> {
        let names = self.names.entry(directory.to_owned());
        let names = names.or_insert_with(|| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries.map(|entry| (entry.ino(), entry.path())).collect()
        });
        let path = names.get(&inode)?;
        let file = fs::symlink_metadata(path).ok()?;
        ((file.dev(), file.ino()) == (device, inode)).then(|| path.clone())
    }

    /// Returns the descriptor that a process has open for a file with the given link target.
    ///
    /// The function opens no other descriptors, because their files may be on a slow or hostile
    /// file system.
    pub fn find_descriptor(
        &mut self,
        process: u32,
        path: &Path,
        (device, inode): (u64, u64),
    ) -> Option<u32> {
        let links = self.descriptors.entry(process);
        let links = links.or_insert_with(|| descriptor_links(process));
        let numbers = links.get(path)?;
        numbers.iter().copied().find(|number| {
            let file = fs::metadata(format!("/proc/{process}/fd/{number}"));
            file.is_ok_and(|file| (file.dev(), file.ino()) == (device, inode))
        })
    }
}

fn descriptor_links(process: u32) -> HashMap<PathBuf, Vec<u32>> {
    let mut links: HashMap<PathBuf, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir(format!("/proc/{process}/fd"));
    for entry in entries.into_iter().flatten().flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let (Some(number), Ok(link)) = (number, fs::read_link(entry.path())) {
            links.entry(link).or_default().push(number);
        }
    }
    links
}
