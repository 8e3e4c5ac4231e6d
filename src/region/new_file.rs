//! Files that get their name after their contents are complete.
//!
//! A file is created with `O_TMPFILE`, which gives it no name, and then linked to its name in one
//! step. Some file systems refuse `O_TMPFILE`. There, the file gets a temporary name first. If its
//! creator dies, the file stays under the temporary name, but no process finds an incomplete region
//! under the region's name.

use super::RegionError;
use super::name::RegionName;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{linkat, unlink};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file without its name. Dropping this value removes the temporary name, if there is one.
#[derive(Debug)]
pub(crate) struct NewFile {
    temporary: Option<PathBuf>,
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            // The directory may have become read-only or may have been removed.
            let _ = unlink(path);
        }
    }
}

impl NewFile {
    /// Creates a file in the directory of this name.
    pub(super) fn create(name: &RegionName, mode: u32) -> Result<(Self, OwnedFd), RegionError> {
        let path = name.path()?;
        let directory = path.parent().unwrap_or(path);
        if directory.as_os_str().is_empty() {
            return Err(RegionError::NoDirectory(name.clone()));
        }
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let (file, descriptor) = match open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(descriptor) => (Self { temporary: None }, descriptor),
            Err(errno) if is_refused(errno) => Self::create_temporary(name, directory)?,
            Err(errno) => return Err(error_of_directory(name, "open(O_TMPFILE)", errno)),
        };
        let mode = Mode::from_bits_truncate(mode);
        fchmod(&descriptor, mode).map_err(RegionError::system("fchmod"))?;
        Ok((file, descriptor))
    }

    /// Creates a file with a temporary name.
    fn create_temporary(
        name: &RegionName,
        directory: &Path,
    ) -> Result<(Self, OwnedFd), RegionError> {
        /// The maximum number of attempts. An attempt fails if another file has the random name.
        const ATTEMPTS: u32 = 100;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let random = RandomState::new();
        for attempt in 0..ATTEMPTS {
            // A forked child has the same keys of `RandomState` as its parent.
            let unique = (attempt, std::process::id(), SystemTime::now());
            let path = directory.join(format!(".interlatch-{:016x}", random.hash_one(unique)));
            match open(&path, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(descriptor) => {
                    let temporary = Some(path);
                    return Ok((Self { temporary }, descriptor));
                }
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(error_of_directory(name, "open(O_CREAT)", errno)),
            }
        }
        Err(RegionError::Busy)
    }

    /// Gives the file its name in one step, which fails if the name exists.
    pub(super) fn link(
        mut self,
        descriptor: &OwnedFd,
        name: &RegionName,
    ) -> Result<(), RegionError> {
        let path = name.path()?;
        let unnamed = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let follow = AtFlags::AT_SYMLINK_FOLLOW;
        let linked = linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, path, follow);
        match (linked, &self.temporary) {
            // The file system has no hard links.
            (Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS), Some(temporary)) => {
                let flags = RenameFlags::RENAME_NOREPLACE;
                renameat2(AT_FDCWD, temporary, AT_FDCWD, path, flags)
                    .map_err(name.error_of("renameat2"))?;
                self.temporary = None;
                Ok(())
            }
            (linked, _) => linked.map_err(name.error_of("linkat")),
        }
    }
}

/// Returns whether the error means that the file system or the kernel lacks `O_TMPFILE`. `open(2)`
/// names these errors. `ENOENT` may also mean that the directory does not exist; creating a
/// temporary file then fails with the same error.
fn is_refused(errno: Errno) -> bool {
    [
        Errno::EOPNOTSUPP,
        Errno::EISDIR,
        Errno::ENOENT,
        Errno::EINVAL,
        Errno::ENOSYS,
    ]
    .contains(&errno)
}

fn error_of_directory(name: &RegionName, call: &'static str, errno: Errno) -> RegionError {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => RegionError::NoDirectory(name.clone()),
        errno => name.error_of(call)(errno),
    }
}
