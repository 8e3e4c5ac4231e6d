//! Limits that the kernel enforces with a signal or by killing a process.
//!
//! Each check runs before this process creates or changes anything, and returns an error where the
//! kernel would not.

use super::{RegionError, cgroup};
use nix::sys::resource::{Resource, getrlimit};
use std::path::Path;

/// Fails if `RLIMIT_FSIZE` forbids a file of this size. The kernel would send `SIGXFSZ`, which ends
/// this process by default.
pub(super) fn check_file_size(size: usize) -> Result<(), RegionError> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(RegionError::system("getrlimit"))?;
    match size as u64 > limit {
        true => Err(RegionError::FileSizeLimit {
            requested: size,
            limit,
        }),
        false => Ok(()),
    }
}

/// Fails if the machine, or a cgroup of this process, has less memory available.
pub(super) fn check_memory(size: usize) -> Result<(), RegionError> {
    let Some(machine) = Machine::current() else {
        return Ok(());
    };
    if size > machine.available() {
        return Err(RegionError::NotEnoughMemory {
            requested: size,
            available: machine.available(),
        });
    }
    match cgroup::too_small(Path::new("/"), with_overhead(size), machine.free_swap) {
        Some(room) => Err(RegionError::CgroupMemory {
            requested: size,
            available: room.available,
            cgroup: room.cgroup,
        }),
        None => Ok(()),
    }
}

/// Adds the memory that the kernel needs to manage a region of this size and charges to the cgroup:
/// page tables, the index of the pages, and up to 64 pages that each processor charges in advance.
fn with_overhead(size: usize) -> u64 {
    let size = size as u64;
    size.saturating_add(size / 128).saturating_add(1 << 20)
}

/// The kernel's estimate of the machine's memory, in bytes.
struct Machine {
    memory: u64,
    free_swap: u64,
}

impl Machine {
    /// Returns `None` if `/proc` is not mounted.
    fn current() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let bytes = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes.saturating_mul(1024))
        };
        Some(Self {
            memory: bytes("MemAvailable:")?,
            free_swap: bytes("SwapFree:").unwrap_or(0),
        })
    }

    fn available(&self) -> usize {
        let available = self.memory.saturating_add(self.free_swap);
        usize::try_from(available).unwrap_or(usize::MAX)
    }
}
