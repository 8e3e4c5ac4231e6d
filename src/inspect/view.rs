//! A region that is only looked at.

use crate::inspect::ObjectState;
use crate::platform::OffsetReader;
use crate::region::directory::{MAX_OBJECTS, Object, ObjectName};
use crate::region::header::{self, Copied};
use crate::region::peek::Peek;
use crate::region::source::{is_named, unlink_if};
use crate::region::{PidNamespace, RegionError, RegionName};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::SystemTime;

/// A region that is only looked at: also one that this process could not use, since it may not write it,
/// belongs to another pid namespace, or is damaged.
///
/// No primitive can be used through it, and it writes nothing. It hinders nobody: it takes no lock, and keeps
/// no name. It asks for the permission to read only.
///
/// | kind | how it is read |
/// | --- | --- |
/// | POSIX, a file, a memfd | by `pread(2)`: it is not mapped, so a file that is cut short is no `SIGBUS`, and looking at a region does not count as attaching it |
/// | System V | by a mapping with `SHM_RDONLY`, since there is no other way; it cannot be cut short |
///
/// What is in the header is as it was when this was made; what the objects are is read when it is asked for.
/// A hostile peer may write anything meanwhile. Whatever it writes, the methods here return something, after
/// a number of steps that is bounded.
///
/// # Example
/// See [`ObjectState`].
#[derive(Debug)]
pub struct RegionView {
    peek: Peek,
    /// Of the whole memory, now.
    whole: usize,
    state: RegionState,
    header: Copied,
}

/// Whether a region can be used by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionState {
    /// It can.
    EnvelopeState,
    /// It was made in another pid namespace, so its thread ids are those of others.
    OtherNamespace,
    /// It is left from before the machine was started.
    EarlierBoot,
    /// Some of its memory is gone.
    CutShort {
        /// Bytes when it was made, if the word that says so is left, and 0 if not.
        made_with: u64,
    },
    /// System V memory whose creator is at it still, or has died half-way.
    HalfBuilt {
        /// Whether it has begun to build. If not, the memory is zero, and may be anybody's.
        is_begun: bool,
    },
    /// What its header says of its size, or of an object, cannot be true: a faulty peer was there.
    Damaged,
}

impl RegionView {
    /// The region of this name.
    ///
    /// # Errors
    /// If there is none, it is none of this crate, or this process may not read it.
    pub fn attach(name: &RegionName) -> Result<Self, RegionError> {
        Self::over(Peek::named(name)?)
    }

    /// The region in the file that is at this path, or behind the link that is: for memory without a name,
    /// `/proc/PID/fd/NUMBER`.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_path(path: impl AsRef<Path>) -> Result<Self, RegionError> {
        Self::over(Peek::followed(path.as_ref())?)
    }

    /// The region in the System V segment of this id, which `/proc/sysvipc/shm` tells: also one that was
    /// removed, and has no key any more.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_segment(id: i32) -> Result<Self, RegionError> {
        Self::over(Peek::segment(id)?)
    }

    fn over(peek: Peek) -> Result<Self, RegionError> {
        let whole = peek.size()?;
        let header = Copied::of(peek.page());
        let mut view = Self {
            peek,
            whole,
            state: RegionState::EnvelopeState,
            header,
        };
        view.state = view.examine()?;
        Ok(view)
    }

    fn examine(&self) -> Result<RegionState, RegionError> {
        let header = self.header.header();
        let is_possible = || {
            let count = header.directory.claimed();
            count as usize <= MAX_OBJECTS && self.objects().all(|object| self.is_inside(&object))
        };
        match header.check(self.whole) {
            Ok(()) if is_possible() => Ok(RegionState::EnvelopeState),
            Ok(()) => Ok(RegionState::Damaged),
            Err(RegionError::Cut { expected, found })
                if found < header::SIZE || (found as u64) < expected =>
            {
                Ok(RegionState::CutShort {
                    made_with: expected,
                })
            }
            Err(RegionError::Cut { .. }) => Ok(RegionState::Damaged),
            Err(RegionError::Namespace { .. }) => Ok(RegionState::OtherNamespace),
            Err(RegionError::EarlierBoot) => Ok(RegionState::EarlierBoot),
            Err(RegionError::NoRegion { found: 0, .. })
                if matches!(self.peek, Peek::SysV(_)) && header.is_unbuilt(self.whole)? =>
            {
                let is_begun = header.is_begun(self.whole);
                Ok(RegionState::HalfBuilt { is_begun })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it can be used.
    pub fn state(&self) -> RegionState {
        self.state
    }

    /// Bytes that objects can take, as [`Region::size`](crate::Region::size) says.
    pub fn size(&self) -> usize {
        self.whole.saturating_sub(header::SIZE)
    }

    /// The process that has made it, and when, as the header says.
    pub fn creator(&self) -> (u32, SystemTime) {
        self.header.header().creator()
    }

    /// The pid namespace in which its thread ids mean something, as the header says.
    pub fn namespace(&self) -> PidNamespace {
        self.header.header().namespace()
    }

    /// The descriptor, which can only be read, except for System V memory, which has none.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.peek {
            Peek::File(file) => Some(file.as_fd()),
            Peek::SysV(_) => None,
        }
    }

    /// Whether anybody else has the region, in whatever pid namespace, as the kernel counts: mapped, or open, as a
    /// view has it. Nothing, where it does not say: of System V memory, and of the regions of another
    /// user.
    pub fn is_used_elsewhere(&self) -> Option<bool> {
        self.peek.is_used_elsewhere()
    }

    /// Whether this is still what is found by that name.
    pub(crate) fn has_name(&self, name: &RegionName) -> Result<bool, RegionError> {
        match &self.peek {
            Peek::File(file) => is_named(name.path()?, file),
            Peek::SysV(_) => Ok(false),
        }
    }

    /// Removes that name, if it is still one of this file.
    pub(crate) fn unlink(&self, name: &RegionName) -> Result<(), RegionError> {
        match &self.peek {
            Peek::File(file) => unlink_if(name, name.path()?, file),
            Peek::SysV(_) => Err(RegionError::NoRegionOfThatName(name.clone())),
        }
    }

    /// What was in it of this name, and of a type whose name begins so, as the header says.
    pub(crate) fn find(&self, name: &str, type_name: &str) -> Result<Object, RegionError> {
        let name = ObjectName::new(name)?;
        let is_it =
            |object: &Object| object.name == name && object.kind.type_name().starts_with(type_name);
        let found = self.objects().find(is_it);
        found.ok_or(RegionError::NoObject(name))
    }

    /// What was in it, as the header says.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        self.header.header().directory.objects()
    }

    /// What an object is now.
    pub fn inspect(&self, object: &Object) -> ObjectState {
        match self.is_inside(object) {
            true => ObjectState::of(object, &OffsetReader(&self.peek, object.offset)),
            false => ObjectState::Outside,
        }
    }

    fn is_inside(&self, object: &Object) -> bool {
        let (offset, align) = (object.offset, object.kind.align());
        let end = offset.checked_add(object.kind.size());
        offset >= header::SIZE as u64
            && align.is_power_of_two()
            && offset.is_multiple_of(align)
            && end.is_some_and(|end| end <= self.whole as u64)
    }
}
