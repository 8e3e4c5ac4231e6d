//! A read-only view of a region.

use crate::inspect::ObjectState;
use crate::platform::{MemoryReader, OffsetReader, ShmType};
use crate::region::directory::{MAX_OBJECTS, Object, ObjectName};
use crate::region::header::{self, HeaderCopy};
use crate::region::peek::Peek;
use crate::region::source::{is_named, unlink_if};
use crate::region::{PidNamespace, RegionError, RegionName};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::SystemTime;

/// A read-only view of a region.
///
/// Use a view for monitoring and for tools. A view can open a region that this process must not
/// write, that belongs to another pid namespace, or that is damaged. A view writes nothing, takes
/// no lock, and does not prevent the removal of a region. A view needs only the permission to read.
///
/// # How it works
/// | kind | access |
/// | --- | --- |
/// | POSIX, a file, a memfd | `pread(2)` |
/// | System V | a mapping with `SHM_RDONLY` |
///
/// A view does not map a file. So truncating the file causes no `SIGBUS`, and the process with the
/// view does not count as attached. A view maps System V memory, which cannot be truncated.
///
/// The view copies the header when it is created. It reads an object's current state on each call
/// of [`inspect`](Self::inspect).
///
/// # Hostile peers
/// A peer may write any bytes at any time. Every method returns after a bounded number of steps,
/// but the result may be wrong.
///
/// # Example
/// See [`ObjectState`].
#[derive(Debug)]
pub struct RegionView {
    peek: Peek,
    /// The size of the memory in bytes, including the header.
    size: usize,
    state: RegionState,
    header: HeaderCopy,
}

/// Describes whether this process can use a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionState {
    /// The region is complete and belongs to this pid namespace and to this boot of the machine.
    ///
    /// This process can attach to the region if it also has the permission and trusts the region's
    /// owner: see [`RegionView::owner`].
    Usable,
    /// The region belongs to another pid namespace, where thread ids denote other threads.
    OtherNamespace,
    /// The region is from an earlier boot of the machine.
    EarlierBoot,
    /// The memory was truncated.
    Truncated {
        /// The size in bytes at creation, or 0 if this part of the header is lost.
        created_with: u64,
    },
    /// The region is System V memory whose creator has not finished the header, or died before it
    /// finished the header.
    Unbuilt {
        /// Whether the creator began to build the header. If the creator did not, the memory is
        /// zero and may belong to another program.
        is_begun: bool,
    },
    /// The header contradicts itself, because a faulty peer wrote into the header.
    Damaged,
}

impl RegionView {
    /// Opens the region with this name.
    ///
    /// # Errors
    /// Fails if the region does not exist ([`NotFound`](RegionError::NotFound)), if the memory is
    /// not a region of this version, or if this process lacks the permission to read it.
    pub fn attach(name: &RegionName) -> Result<Self, RegionError> {
        Self::from_peek(Peek::named(name)?)
    }

    /// Opens the region in the file at this path, and follows symbolic links. For memory without a
    /// name, use `/proc/PID/fd/NUMBER`.
    ///
    /// # Errors
    /// Returns the same errors as [`attach`](Self::attach).
    pub fn attach_path(path: impl AsRef<Path>) -> Result<Self, RegionError> {
        Self::from_peek(Peek::followed(path.as_ref())?)
    }

    /// Opens the region in the System V segment with this id. The file `/proc/sysvipc/shm` lists
    /// these ids. A removed segment has an id but no key.
    ///
    /// # Errors
    /// Returns the same errors as [`attach`](Self::attach).
    pub fn attach_segment(id: i32) -> Result<Self, RegionError> {
        Self::from_peek(Peek::segment(id)?)
    }

    fn from_peek(peek: Peek) -> Result<Self, RegionError> {
        let size = peek.size()?;
        let header = HeaderCopy::new(peek.header_words());
        let mut view = Self {
            peek,
            size,
            state: RegionState::Usable,
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
        match header.check(self.size) {
            Ok(()) if is_possible() => Ok(RegionState::Usable),
            Ok(()) => Ok(RegionState::Damaged),
            Err(RegionError::WrongSize { expected, found })
                if found < header::SIZE || (found as u64) < expected =>
            {
                Ok(RegionState::Truncated {
                    created_with: expected,
                })
            }
            Err(RegionError::WrongSize { .. }) => Ok(RegionState::Damaged),
            Err(RegionError::Namespace { .. }) => Ok(RegionState::OtherNamespace),
            Err(RegionError::EarlierBoot) => Ok(RegionState::EarlierBoot),
            Err(RegionError::NotARegion { found: 0, .. })
                if matches!(self.peek, Peek::SysV(_)) && header.is_unbuilt(self.size)? =>
            {
                let is_begun = header.is_begun(self.size);
                Ok(RegionState::Unbuilt { is_begun })
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether this process can use the region.
    pub fn state(&self) -> RegionState {
        self.state
    }

    /// Returns the number of bytes for objects, like [`Region::size`](crate::Region::size).
    pub fn size(&self) -> usize {
        self.size.saturating_sub(header::SIZE)
    }

    /// Returns the process that created the region and the creation time, according to the header.
    pub fn creator(&self) -> (u32, SystemTime) {
        self.header.header().creator()
    }

    /// Returns the user id of the owner of the region's memory, according to the kernel.
    ///
    /// A view opens regions of any owner. [`Region`](crate::Region) describes which owners
    /// attaching accepts.
    ///
    /// # Errors
    /// Fails if the kernel does not return the status of the memory.
    pub fn owner(&self) -> Result<u32, RegionError> {
        Ok(self.peek.ownership()?.owner)
    }

    /// Returns the permission bits of the region's memory, according to the kernel.
    ///
    /// # Errors
    /// Fails if the kernel does not return the status of the memory.
    pub fn mode(&self) -> Result<u32, RegionError> {
        Ok(self.peek.ownership()?.mode)
    }

    /// Returns the pid namespace of the thread ids in the region, according to the header.
    pub fn namespace(&self) -> PidNamespace {
        self.header.header().namespace()
    }

    /// Returns the read-only descriptor, or `None` for System V memory.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.peek {
            Peek::File(file) => Some(file.as_fd()),
            Peek::SysV(_) => None,
        }
    }

    /// Returns whether another process, in any pid namespace, has the region mapped or open.
    ///
    /// Returns `None` for System V memory and for regions of other users, because the kernel does
    /// not provide this information for them.
    pub fn is_used_elsewhere(&self) -> Option<bool> {
        self.peek.is_used_elsewhere()
    }

    /// Returns whether the name still refers to this region.
    pub(crate) fn has_name(&self, name: &RegionName) -> Result<bool, RegionError> {
        match &self.peek {
            Peek::File(file) => is_named(name.path()?, file),
            Peek::SysV(_) => Ok(false),
        }
    }

    /// Removes the name if it still refers to this file.
    pub(crate) fn unlink(&self, name: &RegionName) -> Result<(), RegionError> {
        match &self.peek {
            Peek::File(file) => unlink_if(name, name.path()?, file),
            Peek::SysV(_) => Err(RegionError::NotFound(name.clone())),
        }
    }

    /// Finds the object with this name, if its type has the declaration of `T`.
    pub(crate) fn find<T: ShmType + ?Sized>(&self, name: &str) -> Result<Object, RegionError> {
        let name = ObjectName::new(name)?;
        let declaration = T::TYPE.declaration();
        let found = self
            .objects()
            .find(|object| object.name == name && object.object_type.declaration() == declaration);
        found.ok_or(RegionError::ObjectNotFound(name))
    }

    /// Returns a reader of the object's memory, or `None` if the object is not inside the region.
    pub(crate) fn reader(&self, object: &Object) -> Option<impl MemoryReader + '_> {
        self.is_inside(object)
            .then_some(OffsetReader(&self.peek, object.offset))
    }

    /// Iterates over the objects that existed when the view was created.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        self.header.header().directory.objects()
    }

    /// Reads the current state of an object.
    pub fn inspect(&self, object: &Object) -> ObjectState {
        match self.is_inside(object) {
            true => ObjectState::read(object, &OffsetReader(&self.peek, object.offset)),
            false => ObjectState::Outside,
        }
    }

    fn is_inside(&self, object: &Object) -> bool {
        let (offset, align) = (object.offset, object.object_type.align());
        let end = offset.checked_add(object.object_type.size());
        offset >= header::SIZE as u64
            && align.is_power_of_two()
            && offset.is_multiple_of(align)
            && end.is_some_and(|end| end <= self.size as u64)
    }
}
