//! What can go wrong with a region.

use super::header::PidNamespace;
use super::name::{BadRegionName, RegionName};
use crate::platform::ConfigError;
use crate::platform::robust::RobustListError;
use crate::region::directory::{BadName, Kind, MAX_OBJECTS, ObjectName};
use nix::errno::Errno;

/// Why a region could not be made, found, mapped or used.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// A region of no bytes, or of more than the address space.
    #[error("a region of {0} bytes: expected 1 to {max}", max = isize::MAX)]
    Size(usize),
    /// The object does not fit behind those that are there already.
    #[error("the object needs {needed} bytes at offset {offset}: the region ends at {size}")]
    TooSmall {
        /// Bytes of the object.
        needed: usize,
        /// Where it would begin.
        offset: usize,
        /// Bytes of the region.
        size: usize,
    },
    /// The object has to be aligned more than the mapping of a region is everywhere.
    #[error("an object aligned to {0} bytes: expected at most a page, 4096")]
    Alignment(usize),
    /// The object cannot exist, whatever the region.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No object can have this name.
    #[error(transparent)]
    ObjectName(#[from] BadName),
    /// No region can have this name.
    #[error(transparent)]
    RegionName(#[from] BadRegionName),
    /// There is an object of this name.
    #[error("there is an object named {0:?} already")]
    Exists(ObjectName),
    /// There is none of this name, or not yet.
    #[error("there is no object named {0:?}")]
    NoObject(ObjectName),
    /// The object of this name is something else.
    #[error("the object {name:?} is {found}: expected {expected}")]
    OtherType {
        /// Its name.
        name: ObjectName,
        /// What this program takes it for.
        expected: Box<Kind>,
        /// What it was created as.
        found: Box<Kind>,
    },
    /// This process uses the object as another type of the same name.
    #[error("this process uses the object {name:?} as {used_as}, not {expected}")]
    UsedAs {
        /// Its name.
        name: ObjectName,
        /// With its modules.
        used_as: &'static str,
        /// With its modules.
        expected: &'static str,
    },
    /// What is written in the header about this object cannot be true, or is not what it was: a faulty peer has been
    /// there.
    #[error("the header is damaged: the object {name:?} is said to be at {offset} of {size}")]
    Damaged {
        /// Its name.
        name: ObjectName,
        /// Where it is said to be.
        offset: u64,
        /// Bytes of the region.
        size: usize,
    },
    /// The region has as many objects as it can.
    #[error("the region has {most} objects already", most = MAX_OBJECTS)]
    Full,
    /// Somebody is creating an object and does not come to an end: it is stopped, or a faulty peer was
    /// there.
    #[error("the directory of the region is busy")]
    Busy,
    /// This thread cannot hold the lock of the directory.
    #[error(transparent)]
    Refused(#[from] RobustListError),
    /// There is a region of this name.
    #[error("there is a region {0} already")]
    RegionExists(RegionName),
    /// There is no region of this name.
    #[error("there is no region {0}")]
    NoRegionOfThatName(RegionName),
    /// The directory in which the file would be does not exist.
    #[error("there is no directory for {0}")]
    NoDirectory(RegionName),
    /// The region belongs to somebody else, who does not let this process in.
    #[error("this process may not use the region {0}")]
    Denied(RegionName),
    /// There is something else of this name.
    #[error("{0} is not a file")]
    NotAFile(RegionName),
    /// The descriptor is not a memfd that is sealed against changing its size.
    #[error("the descriptor is not sealed against shrinking: a peer could cut the memory off")]
    NotSealed,
    /// Memory that is none of this crate's regions, or one of another version.
    #[error(
        "the memory does not begin as a region does: expected {expected:#018x}, found {found:#018x}"
    )]
    NoRegion {
        /// What a region of this version begins with.
        expected: u64,
        /// What was there.
        found: u64,
    },
    /// The memory has another size than the region that is said to be in it.
    #[error("the region was made with {expected} bytes, and has {found}")]
    Cut {
        /// Bytes when it was made.
        expected: u64,
        /// Bytes now.
        found: usize,
    },
    /// Locks hold thread ids, which mean other threads there than here.
    #[error(
        "the region was made in the pid namespace {created_in}: this process is in {this_process}"
    )]
    Namespace {
        /// That of the creator.
        created_in: PidNamespace,
        /// That of this process.
        this_process: PidNamespace,
    },
    /// A file from before the machine was started again: whoever held a lock in it has gone, and nobody
    /// was told.
    #[error("the region is left from before this machine was started")]
    EarlierBoot,
    /// More than the machine has to give. (Reserving it would not fail but wake the kernel's
    /// out-of-memory killer, which ends whichever process it likes.)
    #[error("a region of {asked} bytes: {available} are available on this machine")]
    Memory {
        /// Bytes of the region.
        asked: usize,
        /// Bytes that could be had now.
        available: usize,
    },
    /// The file system has no room for it.
    #[error("no space is left for a region of {0} bytes")]
    NoSpace(usize),
    /// The kernel refused.
    #[error("{call}: {error}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        error: std::io::Error,
    },
}

impl RegionError {
    /// For `map_err` of a system call.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }

    /// For `map_err` of a call of std's.
    pub(super) fn io(call: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::System { call, error }
    }
}

impl RegionName {
    /// What the kernel's refusal of a call means for this name.
    pub(super) fn refusal(&self, call: &'static str) -> impl Fn(Errno) -> RegionError {
        let name = self.clone();
        move |errno| match errno {
            Errno::EEXIST => RegionError::RegionExists(name.clone()),
            // The last: a process that is being reaped, whose descriptor was named.
            Errno::ENOENT | Errno::ENOTDIR | Errno::EIDRM | Errno::ESRCH => {
                RegionError::NoRegionOfThatName(name.clone())
            }
            Errno::EACCES | Errno::EPERM => RegionError::Denied(name.clone()),
            // A link; a directory; a socket, or a pipe that nobody reads.
            Errno::ELOOP | Errno::EISDIR | Errno::ENXIO => RegionError::NotAFile(name.clone()),
            errno => RegionError::system(call)(errno),
        }
    }
}
