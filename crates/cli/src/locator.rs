//! Finds a path or a descriptor for a mapping that has no path.
//!
//! Each directory is read once, however many mappings a hostile process has.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

#[derive(Debug, Default)]
pub struct FileLocator {
    /// The paths by directory and inode.
    names: HashMap<PathBuf, HashMap<u64, PathBuf>>,
    /// The descriptors by process and link target.
    descriptors: HashMap<u32, HashMap<PathBuf, Vec<u32>>>,
}

impl FileLocator {
    /// Returns the path of a file that was created without a name in this directory, if the file
    /// has a name now.
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

    /// Returns the descriptor of this process for a file with this link target.
    ///
    /// Other descriptors are not opened, because a file may be on a slow or hostile file system.
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
