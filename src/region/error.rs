//! The error type of region operations.

use super::directory::{InvalidObjectName, MAX_OBJECTS, ObjectName, ObjectType};
use super::header::{self, PidNamespace};
use super::name::{InvalidRegionName, RegionName};
use crate::platform::robust::RobustListError;
use crate::platform::{Config, ConfigError, ShmObject};
use nix::errno::Errno;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// The error returned when a region cannot be created, found, mapped or used.
#[derive(Debug)]
#[non_exhaustive]
pub enum RegionError {
    /// The requested size is 0, or exceeds the address space.
    Size(usize),
    /// The new object does not fit behind the existing objects.
    TooSmall {
        /// The size of the object in bytes.
        needed: usize,
        /// The offset at which the object would start.
        offset: usize,
        /// The size of the region's memory in bytes.
        size: usize,
    },
    /// The object needs a larger alignment than a page. A mapping is aligned only to a page.
    Alignment(usize),
    /// No memory can hold an object with this configuration.
    Config(ConfigError),
    /// The text is not a valid object name.
    ObjectName(InvalidObjectName),
    /// The text is not a valid region name.
    RegionName(InvalidRegionName),
    /// An object with this name already exists.
    ObjectExists(ObjectName),
    /// No object with this name exists, or its creator has not finished building it.
    ObjectNotFound(ObjectName),
    /// The object has another type.
    OtherType(Box<TypeMismatch>),
    /// This process already uses the object as another Rust type with the same identity.
    UsedAs {
        /// The name of the object.
        name: ObjectName,
        /// The Rust type in use, with its module path.
        used_as: &'static str,
        /// The requested Rust type, with its module path.
        expected: &'static str,
    },
    /// The directory entry of the object is invalid, or has changed since this process first used
    /// the object. A faulty peer wrote into the header.
    Damaged {
        /// The name of the object.
        name: ObjectName,
        /// The offset of the object, according to its entry.
        offset: u64,
        /// The size of the region's memory in bytes.
        size: usize,
    },
    /// The region holds the maximum number of objects.
    Full,
    /// The lock of the directory is not available because its owner is stopped, or because a faulty
    /// peer wrote into the lock.
    Busy,
    /// This thread cannot hold the lock of the directory.
    RobustList(RobustListError),
    /// A region with this name already exists.
    RegionExists(RegionName),
    /// No region with this name exists.
    NotFound(RegionName),
    /// The directory of the region's file does not exist.
    NoDirectory(RegionName),
    /// This process lacks the permission to use the region.
    Denied(RegionName),
    /// The region belongs to another user, who may read, change or truncate it at any time.
    ///
    /// Any user can create a region of any name before this process does. To use the region of
    /// another user, call [`RegionOptions::allow_owner`](super::RegionOptions::allow_owner).
    OtherOwner {
        /// The name of the region, or `None` for a memfd.
        region: Option<RegionName>,
        /// The user id of the owner, or of the creator of System V memory.
        owner: u32,
        /// The permission bits of the region.
        mode: u32,
        /// The effective user id of this process.
        this_user: u32,
    },
    /// The permission bits of the region let more users write to it than this process allows.
    ///
    /// To use such a region, pass its permissions to
    /// [`RegionOptions::mode`](super::RegionOptions::mode).
    WritableByOthers {
        /// The name of the region.
        region: RegionName,
        /// The user id of the owner.
        owner: u32,
        /// The permission bits of the region.
        mode: u32,
        /// The permission bits that this process allows.
        allowed: u32,
    },
    /// The path does not lead to a regular file.
    NotAFile(RegionName),
    /// The descriptor is not a memfd that is sealed against shrinking.
    NotSealed,
    /// The memory consists of huge pages of a `hugetlbfs`, such as a memfd with `MFD_HUGETLB`.
    ///
    /// Such pages are not reserved for the region. A process that uses a missing page gets
    /// `SIGBUS`. For huge pages without this risk, see
    /// [`RegionOptions::huge_pages`](super::RegionOptions::huge_pages).
    HugeTlb,
    /// The region has another version of the format: a build of this crate with other layouts
    /// created it.
    ///
    /// Build all programs that share the region with the same version of this crate. To replace the
    /// region, remove it and create it again.
    OtherVersion {
        /// The version of this build: [`FORMAT_VERSION`](super::FORMAT_VERSION).
        expected: u8,
        /// The version of the region.
        found: u8,
    },
    /// The memory is not a region.
    NotARegion {
        /// The word with which a region of this version begins.
        expected: u64,
        /// The word with which this memory begins.
        found: u64,
    },
    /// The size of the memory differs from the size of the region at its creation.
    WrongSize {
        /// The size in bytes at creation.
        expected: u64,
        /// The current size in bytes.
        found: usize,
    },
    /// The region belongs to another pid namespace, where thread ids denote other threads.
    Namespace {
        /// The namespace of the creator.
        created_in: PidNamespace,
        /// The namespace of this process.
        this_process: PidNamespace,
    },
    /// The region is a file from an earlier boot of the machine. The owners of the region's locks
    /// no longer exist, but the kernel did not mark these locks.
    EarlierBoot,
    /// The machine has less memory available than the region needs.
    ///
    /// If this process reserved the memory anyway, the kernel would not return an error. The
    /// kernel's out-of-memory killer would kill a process.
    NotEnoughMemory {
        /// The size of the region in bytes.
        requested: usize,
        /// The available memory in bytes.
        available: usize,
    },
    /// A cgroup of this process has less memory available than the region needs.
    ///
    /// The kernel would not return an error either. It would kill a process of the cgroup. Raise
    /// the limit of the cgroup (`memory.max`, or `memory.limit_in_bytes` in version 1), or create a
    /// smaller region.
    CgroupMemory {
        /// The size of the region in bytes.
        requested: usize,
        /// The memory in bytes that the cgroup has available: its limit without the memory in use,
        /// not counting cached files. The kernel's own structures for the region need about 1 %
        /// more than the region.
        available: u64,
        /// The directory of the cgroup.
        cgroup: PathBuf,
    },
    /// The limit `RLIMIT_FSIZE` of this process is smaller than the region.
    ///
    /// The kernel would send `SIGXFSZ`, which ends this process by default. The limit applies to
    /// memfds and POSIX regions too. Raise the limit (`ulimit -f`, `LimitFSIZE=`), or use System V
    /// memory.
    FileSizeLimit {
        /// The size of the region in bytes, including its header.
        requested: usize,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file system has no space for a region of this size.
    NoSpace(usize),
    /// A system call failed.
    System {
        /// The name of the system call.
        call: &'static str,
        /// The error that the kernel returned.
        error: std::io::Error,
    },
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => {
                let max = isize::MAX;
                write!(
                    f,
                    "a region of {size} bytes is impossible: expected 1 to {max} bytes"
                )
            }
            Self::TooSmall { .. } | Self::Alignment(_) | Self::Full => self.fmt_no_room(f),
            Self::Config(error) => error.fmt(f),
            Self::ObjectName(error) => error.fmt(f),
            Self::RegionName(error) => error.fmt(f),
            Self::ObjectExists(name) => {
                write!(
                    f,
                    "object {name:?} exists; attach to it, or choose another name"
                )
            }
            Self::ObjectNotFound(name) => {
                write!(
                    f,
                    "the region has no object {name:?}; create it before attaching"
                )
            }
            Self::OtherType(mismatch) => mismatch.fmt(f),
            Self::UsedAs {
                name,
                used_as,
                expected,
            } => write!(
                f,
                "this process already uses object {name:?} as {used_as}, not as {expected}"
            ),
            Self::Damaged { name, offset, size } => write!(
                f,
                "the header is damaged: its entry of object {name:?} has offset {offset} in memory of \
                 {size} bytes that may overlap another object"
            ),
            Self::Busy => f.write_str(
                "the directory of the region stays locked: a process that creates an object is \
                 stopped, or the header is damaged",
            ),
            Self::RobustList(error) => error.fmt(f),
            Self::RegionExists(_) | Self::NotFound(_) | Self::NoDirectory(_) => self.fmt_named(f),
            Self::Denied(_) | Self::NotAFile(_) => self.fmt_named(f),
            Self::OtherOwner { .. } | Self::WritableByOthers { .. } => self.fmt_owner(f),
            Self::System { call, error } => write!(f, "{call} failed: {error}"),
            _ => self.fmt_memory(f),
        }
    }
}

impl RegionError {
    /// Writes the errors that occur when a new object does not fit.
    fn fmt_no_room(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall {
                needed,
                offset,
                size,
            } => write!(
                f,
                "an object of {needed} bytes does not fit at offset {offset}: the memory of the \
                 region ends at {size}; create a larger region"
            ),
            Self::Alignment(align) => write!(
                f,
                "an object aligned to {align} bytes does not fit: regions are aligned to 4096 bytes"
            ),
            _ => write!(
                f,
                "the region already has {MAX_OBJECTS} objects, which is the maximum"
            ),
        }
    }

    /// Writes the errors that concern the name of a region.
    fn fmt_named(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegionExists(name) => {
                write!(f, "region {name} exists; attach to it, or remove it first")
            }
            Self::NotFound(name) => write!(f, "region {name} does not exist"),
            Self::NoDirectory(name) => write!(f, "the directory of region {name} does not exist"),
            Self::Denied(name) => write!(f, "this process has no permission to use region {name}"),
            Self::NotAFile(name) => write!(f, "{name} is not a regular file"),
            _ => Ok(()),
        }
    }

    /// Writes the errors that concern the owner of a region.
    fn fmt_owner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherOwner {
                region,
                owner,
                mode,
                this_user,
            } => {
                match region {
                    Some(region) => write!(f, "region {region}")?,
                    None => f.write_str("the memfd")?,
                }
                write!(
                    f,
                    " belongs to user {owner} and has mode {mode:04o}, expected user {this_user} or \
                     root; remove it, or accept its owner with RegionOptions::allow_owner({owner})"
                )
            }
            Self::WritableByOthers {
                region,
                owner,
                mode,
                allowed,
            } => write!(
                f,
                "region {region} of user {owner} has mode {mode:04o}, which lets more users write \
                 than {allowed:04o}; change its mode, or accept it with \
                 RegionOptions::mode(0o{mode:o})"
            ),
            _ => Ok(()),
        }
    }

    /// Writes the errors that concern the memory of a region.
    fn fmt_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed => f.write_str(
                "the descriptor is not a memfd sealed against shrinking: a peer could truncate it",
            ),
            Self::HugeTlb => f.write_str(
                "the memory is in a hugetlbfs, whose pages are not reserved; use \
                 RegionOptions::huge_pages, or other memory",
            ),
            Self::NotARegion { expected, found } => write!(
                f,
                "the memory is not a region of this version: it starts with {found:#018x}, expected \
                 {expected:#018x}"
            ),
            Self::OtherVersion { expected, found } => write!(
                f,
                "the region has format version {found}, expected {expected}: a program with another \
                 version of interlatch created it; build both with the same version, or remove the \
                 region"
            ),
            Self::WrongSize { expected, found } => write!(
                f,
                "the region was created with {expected} bytes and has {found} now: it was truncated, \
                 or its header is damaged"
            ),
            Self::Namespace {
                created_in,
                this_process,
            } => write!(
                f,
                "the region was created in pid namespace {created_in}, this process is in \
                 {this_process}: thread ids differ there, so locks would not work"
            ),
            Self::EarlierBoot => f.write_str(
                "the region is from an earlier boot of this machine; remove it and create it again",
            ),
            Self::NotEnoughMemory {
                requested,
                available,
            } => write!(
                f,
                "a region of {requested} bytes exceeds the {available} bytes that this machine has \
                 available"
            ),
            Self::CgroupMemory {
                requested,
                available,
                cgroup,
            } => write!(
                f,
                "a region of {requested} bytes exceeds the {available} bytes that the cgroup {} has \
                 available; raise its limit, or create a smaller region",
                cgroup.display()
            ),
            Self::FileSizeLimit { requested, limit } => write!(
                f,
                "a region of {requested} bytes exceeds the limit RLIMIT_FSIZE of {limit} bytes; raise \
                 the limit, or create a smaller region"
            ),
            Self::NoSpace(size) => write!(f, "the file system has no space for {size} bytes"),
            _ => Ok(()),
        }
    }

    /// Returns a function for `map_err` that converts the error of a system call.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }

    /// Returns a function for `map_err` that converts an error of the standard library.
    pub(super) fn io(call: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::System { call, error }
    }
}

impl Error for RegionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for RegionError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<InvalidObjectName> for RegionError {
    fn from(error: InvalidObjectName) -> Self {
        Self::ObjectName(error)
    }
}

impl From<InvalidRegionName> for RegionError {
    fn from(error: InvalidRegionName) -> Self {
        Self::RegionName(error)
    }
}

impl From<RobustListError> for RegionError {
    fn from(error: RobustListError) -> Self {
        Self::RobustList(error)
    }
}

/// The type of an object, and the type with which a process tried to attach to the object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeMismatch {
    /// The name of the region, if it has one.
    pub region: Option<RegionName>,
    /// The name of the object.
    pub object: ObjectName,
    /// The type with which the object was created.
    pub found: ObjectType,
    /// The layout of the type above. A region keeps the first 168 bytes of a layout.
    pub found_layout: String,
    /// The configuration with which the object was created.
    pub config: u64,
    /// The type with which this process attaches to the object.
    pub expected: ObjectType,
    /// The layout of the type above.
    pub expected_layout: String,
}

impl TypeMismatch {
    pub(super) fn new<T: ShmObject + ?Sized>(
        region: Option<RegionName>,
        object: &super::directory::Object,
        found_layout: String,
    ) -> Self {
        let layout = T::Config::from_word(object.config).and_then(|config| T::layout(config).ok());
        let expected = match layout {
            Some(layout) => ObjectType::new::<T>(layout),
            None => ObjectType::without_layout(T::TYPE),
        };
        Self {
            region,
            object: object.name,
            found: object.object_type,
            found_layout,
            config: object.config,
            expected,
            expected_layout: header::recorded_layout(&T::TYPE.layout_text()),
        }
    }
}

/// Writes the names of both types. If the names are equal, this function also writes both layouts
/// or another difference.
impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            region,
            object,
            found,
            expected,
            ..
        } = self;
        if let Some(region) = region {
            write!(f, "region {region}: ")?;
        }
        write!(f, "object {object:?} holds {found}, expected {expected}")?;
        if found.type_name() != expected.type_name() {
            return Ok(());
        }
        let found_layout = self.found_layout.escape_debug();
        let expected_layout = self.expected_layout.escape_debug();
        match self.found_layout != self.expected_layout {
            true => write!(
                f,
                "; the layouts differ: found {found_layout}, expected {expected_layout}"
            ),
            false => write!(
                f,
                "; found fingerprint {:#018x} and configuration {}, expected fingerprint {:#018x}",
                found.fingerprint(),
                self.config,
                expected.fingerprint()
            ),
        }
    }
}

impl RegionName {
    /// Returns a function for `map_err` that converts the error of a system call on this name.
    pub(super) fn error_of(&self, call: &'static str) -> impl Fn(Errno) -> RegionError {
        let name = self.clone();
        move |errno| match errno {
            Errno::EEXIST => RegionError::RegionExists(name.clone()),
            // ESRCH: the path names a descriptor of a process that is being reaped.
            Errno::ENOENT | Errno::ENOTDIR | Errno::EIDRM | Errno::ESRCH => {
                RegionError::NotFound(name.clone())
            }
            Errno::EACCES | Errno::EPERM => RegionError::Denied(name.clone()),
            // ELOOP means a symbolic link, EISDIR a directory, and ENXIO a socket or a FIFO without
            // a reader.
            Errno::ELOOP | Errno::EISDIR | Errno::ENXIO => RegionError::NotAFile(name.clone()),
            errno => RegionError::system(call)(errno),
        }
    }
}
