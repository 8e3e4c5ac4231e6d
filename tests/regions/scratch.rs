//! Names that no other run uses, and that are removed with the test.

use interlatch::RegionName;
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use tempfile::TempDir;

/// One name of each kind. What they name is removed when this is dropped.
pub struct Scratch {
    pub directory: TempDir,
    pub names: [RegionName; 3],
}

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let own = std::process::id();
        let directory = tempfile::tempdir().expect("a directory");
        let posix = RegionName::posix(&format!("interlatch-test-{own}-{number}"));
        let key = interlatch::memory::ftok(directory.path(), 1 + number as u8);
        let sysv = RegionName::sysv(key.expect("it exists"));
        Self {
            names: [
                posix.expect("a name"),
                RegionName::file(directory.path().join("region")),
                sysv.expect("a key"),
            ],
            directory,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for name in &self.names {
            // Most tests have removed theirs.
            let _ = name.remove();
        }
    }
}
