//! A region: shared memory with named objects.

use super::RegionError;
use super::claims::{Claim, ClaimError, Claims};
use super::directory::{DirectoryError, NewObject, Object, ObjectName, ObjectType};
use super::error::TypeMismatch;
use super::header;
use super::mapping;
use super::name::RegionName;
use super::new_file::NewFile;
use super::options::RegionOptions;
use super::source::{Memory, is_named};
use crate::platform::identity::Generation;
use crate::platform::robust::{MappedRegion, release_range};
use crate::platform::{Config, ShmObject};
use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

/// Memory that processes share, with named objects.
///
/// A process creates an object with a name. Other processes attach to the object by its name, and
/// get a reference to the same memory.
///
/// | kind | processes that can use it |
/// | --- | --- |
/// | [`anonymous`](Region::anonymous) | the creator and its forked children |
/// | [`memfd`](Region::memfd) | processes with the descriptor: [`from_descriptor`] |
/// | [`RegionName::posix`] | processes with the name and the permission: [`RegionOptions`] |
/// | [`RegionName::file`] | processes with the path and the permission; the file persists |
/// | [`RegionName::sysv`] | processes with the System V key and the permission |
///
/// [`from_descriptor`]: Region::from_descriptor
///
/// # Between processes
/// One program creates a named region and an object:
///
/// ```no_run
/// use interlatch::{RegionName, RegionOptions, Semaphore};
///
/// let region = RegionOptions::new(4096).create_or_attach(&RegionName::posix("jobs")?)?;
/// let ready: &Semaphore = region.create_or_attach("ready", ())?;
/// ready.release(1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The other program attaches to the region and to the object. The programs may start in either
/// order, because both use `create_or_attach`:
///
/// ```no_run
/// use interlatch::{RegionName, RegionOptions, Semaphore};
///
/// let region = RegionOptions::new(4096).create_or_attach(&RegionName::posix("jobs")?)?;
/// let ready: &Semaphore = region.create_or_attach("ready", ())?;
/// let _permit = ready.acquire();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Types
/// An object is a primitive of this crate, an array of primitives, or a struct with
/// [`#[derive(ShmSafe)]`](derive@crate::ShmSafe). A region records the type of each object by its
/// [identity](crate::ShmType), which covers the name, the size and the fields. Attaching with
/// another type fails, and the error names both types:
///
/// ```
/// use interlatch::{Region, RobustMutex, Semaphore};
///
/// let region = Region::memfd("orders", 4096)?;
/// let _: &RobustMutex<u64> = region.create("total", ())?;
/// let error = region.attach::<Semaphore>("total").unwrap_err();
/// let text = "object \"total\" holds RobustMutex<u64> (48 bytes), expected Semaphore (4 bytes)";
/// assert_eq!(error.to_string(), text);
/// # Ok::<(), interlatch::RegionError>(())
/// ```
///
/// # Drop
/// Dropping a region unmaps its memory. A lock, handle or permit in the region that was leaked
/// (`mem::forget`) is released first, with a report of an owner death, if the thread that drops the
/// region leaked it, or if the thread that leaked it has ended. If another living thread of this
/// process leaked it, the memory stays mapped until the process ends, and the lock stays locked
/// until that thread ends.
///
/// # Pid namespaces
/// A region belongs to the pid namespace of its creator, because locks in it contain thread ids.
/// Attaching from another namespace fails. If a process is forked into another namespace, it cannot
/// use the robust objects of the regions that it has inherited: each operation fails with
/// [`RobustListError::OtherPidNamespace`](crate::platform::robust::RobustListError), also in
/// regions that the process maps itself, until it drops the inherited regions.
///
/// # How it works
/// The first two pages are the header. Its first word identifies the format and is written last.
/// The header records the size, the pid namespace, the boot and the creator, and contains the
/// [directory](crate::region::directory::Directory) of at most 24 objects. The objects follow the
/// header, each aligned as its type requires. An object is never removed.
///
/// - *Creation.* A memfd or file gets its header before another process can find it. A file is
///   created without a name and then linked to its name in one step, which fails if the name
///   exists. On a file system that refuses `O_TMPFILE`, the file has a temporary name until then,
///   `.interlatch-` and a random number. System V memory is visible to other processes as soon as
///   it is created, so its header is built under a robust lock. New System V memory is zeroed, and
///   a zeroed robust lock is free.
/// - *Attaching* reads each word of the header once and checks the copy: the format, size, pid
///   namespace and boot of the region, and the bounds, alignment and type of an object.
/// - *Claims.* Each `Region` records the objects that it builds and the objects to which it has
///   returned references. `Region` returns no reference to memory that overlaps another object or
///   that is in use as another type, whatever a peer writes into the directory. The claim comes
///   before the building, and is withdrawn if the building fails. No lock protects the claims, so a
///   forked child never finds them locked.
///
/// # Hostile peers
/// A peer may write any bytes. Attaching then fails, or returns an object that works without memory
/// errors: indices and lengths in shared memory are checked before use. But peers must be trusted
/// to respect the locks:
///
/// - If a peer writes into data that this process has locked, or releases a lock that this process
///   holds, one value has two owners.
/// - A peer that writes into the list of robust locks of a thread of this process can make the
///   kernel change another word of this process when the thread ends.
///
/// So give write permission only to trusted users, as the default mode 0600 does. To read a region
/// that is not trusted, use [`RegionView`](crate::inspect::RegionView).
///
/// # Other users
/// Any user can create a file in `/dev/shm` or System V memory with any name, before or after this
/// process uses that name. So attaching checks the memory that it found:
///
/// - The owner must be the effective user of this process, root, or a user in
///   [`RegionOptions::allow_owner`]. The owner of System V memory can change, so its creator must
///   be one of these users too. Otherwise attaching fails with
///   [`OtherOwner`](RegionError::OtherOwner).
/// - The group and other users must not have write permission beyond [`RegionOptions::mode`], which
///   is 0600 by default. Otherwise attaching fails with
///   [`WritableByOthers`](RegionError::WritableByOthers). The permission bits of a memfd have no
///   effect and are not checked.
///
/// The checks use the opened file or the mapped segment, so a change of the name during the call
/// makes no difference. The last part of a file's path must not be a symbolic link. If other users
/// can write to the directory of a file and it has no sticky bit, they can remove or rename the
/// region, but they cannot make this process use memory of theirs.
///
/// In a user namespace, all users without a mapping have the same user id, which is 65534 by
/// default. So do not run a process with this user id in a user namespace.
///
/// # Removal by systemd
/// When the last session of a user ends, `systemd-logind` removes the POSIX and System V regions of
/// that user, unless it is a system user or `RemoveIPC=no` is set in `logind.conf(5)`. Processes
/// that have the region mapped keep the memory, but a process that attaches later creates or finds
/// another region. A unit with `RemoveIPC=yes` (`systemd.exec(5)`) removes the regions of its user
/// when it stops. Run services as a system user, set `RemoveIPC=no`, or use
/// [`RegionName::file`] in a directory such as `/run/NAME`.
///
/// # Truncation
/// A memfd is sealed, so no process can truncate it. A named region is a file, which a process with
/// write permission can truncate. Another process that accesses the removed part gets `SIGBUS`,
/// which ends that process. A thread that already sleeps in the removed part may sleep until its
/// timeout. Only the permissions prevent this.
///
/// # Process death
/// The memory of a region exists while it has a name, while a process maps it, or while a process
/// has its descriptor. If a process dies while it creates a region or an object, the region or
/// object is either complete or not created. If it was not created, another process can create it.
/// A creator that dies on a file system without `O_TMPFILE` may leave a file with a temporary name.
///
/// System V memory exists before its header is built. If the creator dies before the header is
/// built, `create` reports that the region exists, and `attach` reports that the memory is not a
/// region. [`create_or_attach`](RegionOptions::create_or_attach) then builds the region, and
/// [`remove`](RegionName::remove) removes the memory. `remove` works only if the creator had begun
/// the header, because memory that is all zero may belong to another program.
///
/// [`remove_on_drop`](RegionOptions::remove_on_drop) has no effect if the creator is killed: the
/// name stays. The command `interlatch gc` removes such regions.
///
/// # Fork
/// A forked child has the region mapped and uses its objects, also those that it attaches to later.
/// The child's copies of guards and handles do nothing: the documentation of each type says so, and
/// the page [identity](https://github.com/interlatch/interlatch/blob/main/docs/identity.md) lists
/// them. Dropping the child's copy of the `Region` unmaps the memory of the child only, and never
/// removes the name.
///
/// # Errors
/// Every fallible operation returns a [`RegionError`], which names the object or the region. The
/// error of a mismatch states the expected and the found value.
///
/// # Example
/// ```
/// use interlatch::{Region, Semaphore};
///
/// let region = Region::memfd("example", 4096)?;
/// let semaphore: &Semaphore = region.create("ready", ())?;
///
/// let same = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &Semaphore = same.attach("ready")?;
/// semaphore.release(1)?;
/// assert!(attached.try_acquire().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Region {
    memory: ManuallyDrop<Memory>,
    mapped: ManuallyDrop<MappedRegion>,
    name: Option<RegionName>,
    /// The process that removes the region's name when it drops this value.
    remover: Option<Generation>,
    claims: Claims,
}

// SAFETY: the mapping belongs to the process, not to a thread. Its header consists of atomic words,
// and the claims are `Sync`. The objects are accessed only through types that are `Sync`. If the
// thread that drops the region is not the one that leaked a lock in it, the memory stays mapped.
unsafe impl Send for Region {}
// SAFETY: the reason is the same as for `Send`.
unsafe impl Sync for Region {}

impl Region {
    /// Creates a region for this process and its forked children.
    ///
    /// # Errors
    /// Returns the same errors as [`memfd`](Region::memfd).
    pub fn anonymous(size: usize) -> Result<Self, RegionError> {
        // memmap2's anonymous mappings are private. The kernel implements shared anonymous mappings
        // like a memfd, so this function uses a memfd.
        Self::memfd("interlatch-anonymous", size)
    }

    /// Creates a region behind a descriptor, which the caller passes to other processes.
    ///
    /// The name appears only in `/proc`. All pages are reserved at creation, so a lack of memory
    /// causes an error here and not a signal when a page is first used. The memfd is sealed, so
    /// that no peer can truncate it.
    ///
    /// # Errors
    /// Fails if the size is 0 or too large, if the name contains a zero byte or has more than 249
    /// bytes, if the machine ([`NotEnoughMemory`](RegionError::NotEnoughMemory)) or a cgroup of
    /// this process ([`CgroupMemory`](RegionError::CgroupMemory)) has not enough memory, if
    /// `RLIMIT_FSIZE` is smaller than the region ([`FileSizeLimit`](RegionError::FileSizeLimit)),
    /// if the process has no free descriptor, or if `/proc`, which identifies the pid namespace, is
    /// not mounted.
    pub fn memfd(name: &str, size: usize) -> Result<Self, RegionError> {
        RegionOptions::new(size).memfd(name)
    }

    /// Attaches to the region behind a descriptor that another process created with
    /// [`memfd`](Region::memfd).
    ///
    /// # Errors
    /// Fails if the descriptor is not a sealed memfd, if the memfd belongs to another user
    /// ([`OtherOwner`](RegionError::OtherOwner)), if the memory is not a region of this version or
    /// belongs to another pid namespace, or if the memory cannot be mapped. To accept the memfd of
    /// another user, use [`RegionOptions::attach_descriptor`].
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, RegionError> {
        RegionOptions::new(0).attach_descriptor(descriptor)
    }

    pub(super) fn from_memory(memory: Memory, name: Option<RegionName>) -> Self {
        Self {
            memory: ManuallyDrop::new(memory),
            mapped: ManuallyDrop::new(MappedRegion::new()),
            name,
            remover: None,
            claims: Claims::default(),
        }
    }

    /// Sets whether this process removes the name when it drops the region.
    pub(super) fn removed_on_drop(mut self, is_removed: bool) -> Self {
        self.remover = is_removed.then(Generation::current);
        self
    }

    /// Gives the file of a region its name.
    pub(super) fn link(&self, file: NewFile, name: &RegionName) -> Result<(), RegionError> {
        self.memory.link(file, name)
    }

    /// Returns whether the name still refers to this region.
    pub(crate) fn has_name(&self, name: &RegionName) -> Result<bool, RegionError> {
        match self.descriptor() {
            Some(descriptor) => is_named(name.path()?, descriptor),
            None => Ok(false),
        }
    }

    /// Returns the number of bytes for objects. The region's header takes two more pages.
    pub fn size(&self) -> usize {
        self.memory.size() - header::SIZE
    }

    /// Returns the number of bytes that this process has mapped in huge pages. The kernel maps a
    /// page when a process first uses the page.
    ///
    /// # Errors
    /// Fails if `/proc` is not mounted.
    pub fn huge_page_bytes(&self) -> Result<usize, RegionError> {
        let start = self.memory.start().addr();
        mapping::huge_bytes(start..start + self.memory.size())
    }

    /// Returns the descriptor to pass to another process, or `None` for System V memory.
    ///
    /// `exec` closes the descriptor unless the caller clears the flag `FD_CLOEXEC`.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &*self.memory {
            Memory::Mapped(_, descriptor) => Some(descriptor.as_fd()),
            Memory::SysV(_) => None,
        }
    }

    /// Returns the process that created the region and the creation time, according to the header.
    pub fn creator(&self) -> (u32, SystemTime) {
        self.memory.header().creator()
    }

    /// Returns the user id of the owner of the region's memory, according to the kernel.
    ///
    /// Attaching accepts only regions of this process's user, of root, and of the users in
    /// [`RegionOptions::allow_owner`]. The owner can change the permissions of the region and, if
    /// the region is a file, truncate it.
    ///
    /// # Errors
    /// Fails if the kernel does not return the status of the memory.
    pub fn owner(&self) -> Result<u32, RegionError> {
        Ok(self.memory.ownership()?.owner)
    }

    /// Iterates over the objects in the region.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        self.memory.header().directory.objects()
    }

    /// Creates an object.
    ///
    /// `config` is the capacity for a buffer whose type does not state it, and `()` for most other
    /// types.
    ///
    /// # Errors
    /// Fails if an object with this name exists ([`ObjectExists`](RegionError::ObjectExists)), if
    /// the region has no space for the object ([`TooSmall`](RegionError::TooSmall)), if the name or
    /// the configuration is not valid, or if the directory is not available.
    pub fn create<T: ShmObject + ?Sized>(
        &self,
        name: &str,
        config: T::Config,
    ) -> Result<&T, RegionError> {
        let name = ObjectName::new(name)?;
        let layout = T::layout(config)?;
        if layout.align() > PAGE {
            return Err(RegionError::Alignment(layout.align()));
        }
        let new = NewObject {
            name,
            object_type: ObjectType::new::<T>(layout),
            config: config.to_word(),
        };
        let header = self.memory.header();
        let build = |object: &Object| {
            let offset = object.offset;
            let bytes = self.bytes_of(offset, layout);
            let bytes = bytes.ok_or(DirectoryError::Occupied { offset })?;
            let address = self.address(&bytes);
            // If building fails or panics, dropping `building` withdraws the claim.
            let building = self
                .claims
                .build(Claim::new::<T>(bytes, config.to_word()))
                .map_err(|_| DirectoryError::Occupied { offset })?;
            header.write_layout(object.index, &T::TYPE.layout_text());
            // SAFETY: `bytes_of` has checked bounds and alignment. No other process accesses the
            // memory, because this process holds the lock of the directory and the directory's
            // count does not include the object yet. The claim excludes all other uses by this
            // process.
            unsafe { T::init(address, config) };
            building.finish();
            Ok(())
        };
        let space = header::SIZE as u64..self.memory.size() as u64;
        let created = header
            .directory
            .create(new, space, header::timeout(), build);
        match created {
            Ok(object) => self.claim(&object, layout, config),
            Err(error) => Err(self.explain(error, name, layout)),
        }
    }

    /// Attaches to the object with this name.
    ///
    /// # Errors
    /// Fails if no object with this name exists ([`ObjectNotFound`](RegionError::ObjectNotFound)),
    /// or if the object has another type ([`OtherType`](RegionError::OtherType)). Types differ if
    /// their names, sizes, alignments, parameters or fields differ.
    pub fn attach<T: ShmObject + ?Sized>(&self, name: &str) -> Result<&T, RegionError> {
        let name = ObjectName::new(name)?;
        let object = self.memory.header().directory.find(&name);
        let object = object.ok_or(RegionError::ObjectNotFound(name))?;
        let config = T::Config::from_word(object.config);
        let layout = config.and_then(|config| T::layout(config).ok());
        match config.zip(layout) {
            Some((config, layout)) if ObjectType::new::<T>(layout) == object.object_type => {
                self.claim(&object, layout, config)
            }
            _ => Err(self.mismatch::<T>(&object)),
        }
    }

    /// Attaches to the object with this name, or creates the object.
    ///
    /// If several processes call this function, exactly one of them creates the object. If that
    /// process dies, another process creates the object.
    ///
    /// # Errors
    /// Returns the same errors as [`create`](Self::create) and [`attach`](Self::attach).
    pub fn create_or_attach<T: ShmObject + ?Sized>(
        &self,
        name: &str,
        config: T::Config,
    ) -> Result<&T, RegionError> {
        match self.attach(name) {
            Err(RegionError::ObjectNotFound(_)) => {}
            // Attaching first avoids the lock of the directory, whose owner may be stopped.
            found => return found,
        }
        match self.create(name, config) {
            Err(RegionError::ObjectExists(_)) => self.attach(name),
            created => created,
        }
    }

    /// Records that this process uses the object, and returns it.
    fn claim<T: ShmObject + ?Sized>(
        &self,
        object: &Object,
        layout: Layout,
        config: T::Config,
    ) -> Result<&T, RegionError> {
        let bytes = self.bytes_of(object.offset, layout);
        let bytes = bytes.ok_or_else(|| self.damaged(object.name, object.offset))?;
        let address = self.address(&bytes);
        let claim = Claim::new::<T>(bytes, config.to_word());
        self.claims.insert(&claim).map_err(|error| match error {
            ClaimError::UsedAs(used_as) => RegionError::UsedAs {
                name: object.name,
                used_as,
                expected: core::any::type_name::<T>(),
            },
            ClaimError::Overlap => self.damaged(object.name, object.offset),
        })?;
        // SAFETY: `bytes_of` has checked bounds and alignment. Every bit pattern is a `T`. The
        // claim prevents this process from using the memory as any other type. The reference cannot
        // outlive the mapping, which `self` owns.
        Ok(unsafe { T::from_raw(address, config) })
    }

    /// Returns the range of an object's bytes in the mapping. Returns `None` if the range is
    /// not behind the header, not inside the mapping, or not aligned. These checks are necessary
    /// because a peer may have written any offset into the directory.
    fn bytes_of(&self, offset: u64, layout: Layout) -> Option<Range<usize>> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(layout.size())?;
        let is_inside = start >= header::SIZE && end <= self.memory.size();
        let is_aligned = layout.align() <= PAGE && start.is_multiple_of(layout.align());
        (is_inside && is_aligned).then_some(start..end)
    }

    /// Returns the address of a range that `bytes_of` returned.
    fn address(&self, bytes: &Range<usize>) -> *mut u8 {
        self.memory.start().wrapping_add(bytes.start)
    }

    fn mismatch<T: ShmObject + ?Sized>(&self, object: &Object) -> RegionError {
        let found_layout = self.memory.header().read_layout(object.index);
        let mismatch = TypeMismatch::new::<T>(self.name.clone(), object, found_layout);
        RegionError::OtherType(Box::new(mismatch))
    }

    fn damaged(&self, name: ObjectName, offset: u64) -> RegionError {
        RegionError::Damaged {
            name,
            offset,
            size: self.memory.size(),
        }
    }

    fn explain(&self, error: DirectoryError, name: ObjectName, layout: Layout) -> RegionError {
        match error {
            DirectoryError::Exists => RegionError::ObjectExists(name),
            DirectoryError::Full => RegionError::Full,
            DirectoryError::TooSmall { offset } => RegionError::TooSmall {
                needed: layout.size(),
                offset: usize::try_from(offset).unwrap_or(usize::MAX),
                size: self.memory.size(),
            },
            DirectoryError::Busy => RegionError::Busy,
            DirectoryError::Occupied { offset } => self.damaged(name, offset),
            DirectoryError::RobustList(error) => error.into(),
        }
    }
}

/// Removes the name if requested, releases leaked locks, and unmaps the memory.
impl Drop for Region {
    fn drop(&mut self) {
        // A forked child has a copy of this value, and must not remove the name.
        let is_remover = self.remover.is_some_and(|remover| !remover.is_inherited());
        if let (Some(name), true) = (&self.name, is_remover) {
            // Another process may already have removed the name.
            let _ = self.memory.remove(name);
        }
        // SAFETY: the fields are taken only here, and not used afterwards.
        let (memory, mapped) = unsafe {
            (
                ManuallyDrop::take(&mut self.memory),
                ManuallyDrop::take(&mut self.mapped),
            )
        };
        let start = memory.start().addr();
        // SAFETY: `memory` is mapped. Every reference into it borrows this region, so this process
        // has none left.
        if unsafe { release_range(&(start..start + memory.size())) } {
            drop((memory, mapped));
        } else {
            memory.leave_mapped();
            core::mem::forget(mapped);
        }
    }
}

/// The smallest page size of Linux's architectures. Every mapping is aligned to at least this size.
const PAGE: usize = 4096;
