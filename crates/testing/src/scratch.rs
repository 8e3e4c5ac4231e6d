//! Unique region names that are removed after the test.

use interlatch::RegionName;
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// One unique name per kind of region. Dropping a `Scratch` removes the objects with these names.
pub struct Scratch {
    pub directory: TempDir,
    pub names: [RegionName; 3],
    /// The paths of the first two names.
    pub paths: [PathBuf; 2],
    /// The System V key of the third name.
    pub key: i32,
}

impl Scratch {
    #[expect(clippy::new_without_default, reason = "it creates a directory")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let own = std::process::id();
        let directory = tempfile::tempdir().expect("a directory");
        let posix = format!("interlatch-test-{own}-{number}");
        let file = directory.path().join("region");
        let key = interlatch::region::ftok(directory.path(), 1 + number as u8);
        let key = key.expect("it exists");
        Self {
            names: [
                RegionName::posix(&posix).expect("a name"),
                RegionName::file(&file),
                RegionName::sysv(key).expect("a key"),
            ],
            paths: [PathBuf::from("/dev/shm").join(posix), file],
            key,
            directory,
        }
    }

    /// Returns the number of existing objects per kind of name.
    pub fn remaining(&self) -> [usize; 3] {
        let [posix, file] = &self.paths;
        let files = fs::read_dir(file.parent().expect("a directory")).expect("it is there");
        [
            usize::from(fs::symlink_metadata(posix).is_ok()),
            files.count(),
            sysv_segments()
                .iter()
                .filter(|(key, _)| *key == self.key)
                .count(),
        ]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in &self.paths {
            // Errors are ignored, because most tests remove their objects themselves.
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
        // SAFETY: both calls take numbers, and `IPC_RMID` ignores the null pointer.
        unsafe {
            let id = libc::shmget(self.key, 0, 0);
            if id >= 0 {
                libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
            }
        }
    }
}

/// Returns the key and the creator's process ID of each System V segment. Removed segments have key
/// 0.
pub fn sysv_segments() -> Vec<(i32, i32)> {
    let rows = fs::read_to_string("/proc/sysvipc/shm").expect("it is there");
    let number = |word: Option<&str>| word.expect("a word").parse().expect("a number");
    let segment = |row: &str| {
        let mut words = row.split_whitespace();
        // In each line, the ID, the permissions and the size stand between the key and the process
        // ID.
        (number(words.next()), number(words.nth(3)))
    };
    rows.lines().skip(1).map(segment).collect()
}

/// Parses a region name in the format of its `Display`.
pub fn parse_name(text: &str) -> RegionName {
    match text.split_once(':') {
        Some(("posix", name)) => RegionName::posix(name).expect("a name"),
        Some(("file", path)) => RegionName::file(path),
        Some(("sysv", key)) => {
            let digits = key.strip_prefix("0x").expect("in hexadecimal");
            let key = u32::from_str_radix(digits, 16).expect("a key");
            RegionName::sysv(key as i32).expect("a key")
        }
        _ => panic!("{text:?} is not a region name"),
    }
}
