//! A region: shared memory with named objects.

use super::RegionError;
use super::claims::{Claim, ClaimError, Claims};
use super::directory::{DirectoryError, NewObject, Object, ObjectName, ObjectType};
use super::error::TypeMismatch;
use super::header;
use super::mapping;
use super::name::RegionName;
use super::options::RegionOptions;
use super::source::Memory;
use crate::platform::robust::as_owner;
use crate::platform::{Config, ShmObject};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

/// Memory that processes share, with named objects.
///
/// A process creates an object under a name; other processes attach to it by this name, and get a
/// reference to the same memory.
///
/// | kind | processes that can use it |
/// | --- | --- |
/// | [`anonymous`](Region::anonymous) | the creator and its forked children |
/// | [`memfd`](Region::memfd) | processes with the descriptor: [`from_descriptor`] |
/// | [`RegionName::posix`] | processes with the name and the permission: [`RegionOptions`] |
/// | [`RegionName::file`] | the same, as persistent as the file system |
/// | [`RegionName::sysv`] | the same, with a System V key |
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
/// The other one attaches to both. The order in which they start does not matter, because both use
/// `create_or_attach`:
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
/// An object is a primitive of this crate, an array of them, or a struct with
/// [`#[derive(ShmSafe)]`](derive@crate::ShmSafe). A region records the type of each object by its
/// [identity](crate::ShmType), which covers the name, the size and the fields. Attaching as
/// another type fails, and the error names both:
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
/// # Threads
/// A `Region` is not `Send`: the thread that drops it may hold robust locks in it. Other threads
/// use a reference.
///
/// ```compile_fail,E0277
/// let region = interlatch::Region::memfd("example", 4096).unwrap();
/// std::thread::spawn(move || drop(region));
/// ```
///
/// # Pid namespaces
/// A region belongs to the pid namespace of its creator, because locks in it contain thread ids.
/// Attaching from another namespace fails.
///
/// # How it works
/// The first two pages are the header. Its first word identifies the format and is written last.
/// The header names the size, the pid namespace, the boot and the creator, and contains the
/// [directory](crate::region::directory::Directory) of at most 24 objects. Objects follow each
/// other, aligned as their types need; an object is never removed.
///
/// - *Creation.* A memfd or file gets its header before another process can find it: a file is
///   created without a name and linked to the name in one step, which fails if the name exists.
///   System V memory is visible at once; its header is built under a robust lock, for which zeroed
///   memory is free.
/// - *Attaching* reads each word of the header once and checks the copy: format, size, namespace,
///   boot, and for an object its bounds, alignment and type.
/// - *Claims.* Each `Region` records the objects that it has handed out. It hands out no memory
///   that overlaps another object, or is in use as another type, whatever a peer writes into the
///   directory.
///
/// # Hostile peers
/// A peer may write any bytes. Attaching then fails, or returns an object that works without
/// memory errors: indices and lengths in shared memory are checked before use. But a peer must be
/// trusted to respect the locks:
///
/// - A peer that writes into data that this process has locked, or releases a lock that this
///   process holds, creates two owners of one value.
/// - A peer that writes into the list of robust locks of a thread of this process can make the
///   kernel change another word of this process when the thread ends.
///
/// So give the write permission only to trusted users, as the default mode 0600 does. To read a
/// region without trust, use [`RegionView`](crate::inspect::RegionView).
///
/// # Truncation
/// A memfd is sealed, so no process can truncate it. A named region is a file, which a process
/// with write permission can truncate; another process that touches the removed part gets
/// `SIGBUS`, which ends it. Only the permissions prevent this.
///
/// # Process death
/// The memory exists while a process maps it or has its descriptor, or while it has a name. A
/// process that dies while it creates a region or an object has either created it or not; in the
/// latter case another process can create it.
///
/// System V memory exists before it is a region. If its creator dies in between, `create` reports
/// that it exists and `attach` that it is not a region, until
/// [`create_or_attach`](RegionOptions::create_or_attach) builds it or
/// [`remove`](RegionName::remove) removes it. `remove` needs a header that was begun, because
/// memory that is all zero may belong to another program.
///
/// [`remove_on_drop`](RegionOptions::remove_on_drop) has no effect if the creator is killed: the
/// name stays. The command `interlatch gc` removes such regions.
///
/// # Errors
/// Every fallible operation returns [`RegionError`], which names the object or region and both
/// sides of a mismatch.
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
    memory: Memory,
    name: Option<RegionName>,
    /// The process that removes the name when it drops this.
    remover: Option<u32>,
    claims: Claims,
    is_not_send: PhantomData<*const ()>,
}

// SAFETY: the mapping does not move, its header consists of atomic words, and the list of claims
// is under a lock. The memory of the objects is reached through types that are `Sync`.
unsafe impl Sync for Region {}

impl Region {
    /// Creates a region for this process and its forked children.
    ///
    /// # Errors
    /// The size is 0 or too large, or the kernel has no memory for it.
    pub fn anonymous(size: usize) -> Result<Self, RegionError> {
        // memmap2's anonymous maps are private. The kernel implements shared ones like a memfd.
        Self::memfd("interlatch-anonymous", size)
    }

    /// Creates a region behind a descriptor, which the caller passes to other processes.
    ///
    /// The name appears in `/proc` only. The pages are reserved at once, so that a lack of memory
    /// is an error here and not a signal later. The memfd is sealed, so that no peer can truncate
    /// it.
    ///
    /// # Errors
    /// The size is 0 or too large; the name contains a zero byte or has more than 249 bytes; the
    /// machine has less memory, or the process no free descriptor; or `/proc`, which identifies
    /// the pid namespace, is not mounted.
    pub fn memfd(name: &str, size: usize) -> Result<Self, RegionError> {
        RegionOptions::new(size).memfd(name)
    }

    /// Attaches to the region behind a descriptor that another process created with
    /// [`memfd`](Region::memfd).
    ///
    /// # Errors
    /// The descriptor is not a sealed memfd, the memory is not a region of this version or belongs
    /// to another pid namespace, or it cannot be mapped.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, RegionError> {
        let memory = Memory::from_memfd(descriptor)?;
        memory.header().check(memory.size())?;
        Ok(Self::from_memory(memory, None))
    }

    pub(super) fn from_memory(memory: Memory, name: Option<RegionName>) -> Self {
        Self {
            memory,
            name,
            remover: None,
            claims: Claims::default(),
            is_not_send: PhantomData,
        }
    }

    /// Sets whether this process removes the name when it drops the region.
    pub(super) fn removed_on_drop(mut self, is_removed: bool) -> Self {
        self.remover = is_removed.then(std::process::id);
        self
    }

    /// Links the file of an unnamed region to its name.
    pub(super) fn link(&self, name: &RegionName) -> Result<(), RegionError> {
        self.memory.link(name)
    }

    /// Bytes for objects. The header takes two more pages.
    pub fn size(&self) -> usize {
        self.memory.size() - header::SIZE
    }

    /// Bytes that this process has mapped in huge pages. The kernel maps a page at its first use.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn huge_page_bytes(&self) -> Result<usize, RegionError> {
        let start = self.memory.start().addr();
        mapping::huge_bytes(start..start + self.memory.size())
    }

    /// The descriptor to pass to another process. System V memory has none.
    ///
    /// `exec` closes it unless the caller changes the flag `FD_CLOEXEC`.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.memory {
            Memory::Mapped(_, descriptor) => Some(descriptor.as_fd()),
            Memory::SysV(_) => None,
        }
    }

    /// The process that created the region, and the time, according to the header.
    pub fn creator(&self) -> (u32, SystemTime) {
        self.memory.header().creator()
    }

    /// Iterates over the objects in the region.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        self.memory.header().directory.objects()
    }

    /// Creates an object.
    ///
    /// `config` is `()` for most types, and the capacity for a buffer with slots behind it.
    ///
    /// # Errors
    /// An object with this name exists ([`ObjectExists`](RegionError::ObjectExists)), the region
    /// has no space for it ([`TooSmall`](RegionError::TooSmall)), the name or the configuration is
    /// not valid, or the directory is not available.
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
            let bytes = self.bytes_of(object.offset, layout);
            let bytes = bytes.filter(|bytes| self.claims.is_free(bytes));
            let offset = object.offset;
            let bytes = bytes.ok_or(DirectoryError::Occupied { offset })?;
            header.write_layout(object.index, &T::TYPE.layout_text());
            // SAFETY: `bytes_of` has checked bounds and alignment. No other process accesses the
            // memory: this one holds the lock of the directory, whose count does not include the
            // object yet. No object that this process uses overlaps it.
            unsafe { T::init(self.address(&bytes), config) };
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
    /// No object with this name exists ([`ObjectNotFound`](RegionError::ObjectNotFound)), or it
    /// has another type ([`OtherType`](RegionError::OtherType)): another name, size, alignment,
    /// parameter or field.
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

    /// Attaches to the object with this name, or creates it.
    ///
    /// Of several processes that call this, one creates the object. If it dies, another one does.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`attach`](Self::attach).
    pub fn create_or_attach<T: ShmObject + ?Sized>(
        &self,
        name: &str,
        config: T::Config,
    ) -> Result<&T, RegionError> {
        match self.attach(name) {
            Err(RegionError::ObjectNotFound(_)) => {}
            // This needs no lock of the directory, whose owner may be stopped.
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
        self.claims.insert(claim).map_err(|error| match error {
            ClaimError::UsedAs(used_as) => RegionError::UsedAs {
                name: object.name,
                used_as,
                expected: core::any::type_name::<T>(),
            },
            ClaimError::Overlap => self.damaged(object.name, object.offset),
        })?;
        // SAFETY: `bytes_of` has checked bounds and alignment. Every bit pattern is a `T`. The
        // claim excludes every other type in this process. The reference cannot outlive the
        // mapping, which `self` owns.
        Ok(unsafe { T::from_raw(address, config) })
    }

    /// The bytes of an object in the mapping, if they are behind the header, inside and aligned.
    /// The offset comes from the directory, where a peer may have written it.
    fn bytes_of(&self, offset: u64, layout: Layout) -> Option<Range<usize>> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(layout.size())?;
        let is_inside = start >= header::SIZE && end <= self.memory.size();
        let is_aligned = layout.align() <= PAGE && start.is_multiple_of(layout.align());
        (is_inside && is_aligned).then_some(start..end)
    }

    /// The address of bytes that `bytes_of` returned.
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

/// Removes locks in this memory from the robust list of this thread: if the thread leaked a guard,
/// the kernel must not follow the list into memory that is unmapped.
impl Drop for Region {
    fn drop(&mut self) {
        let start = self.memory.start().addr();
        as_owner(|owner| owner.forget_range(&(start..start + self.memory.size())));
        // A forked child has a copy of this, and does not remove the name.
        if let (Some(name), true) = (&self.name, self.remover == Some(std::process::id())) {
            // Another process may have removed it.
            let _ = self.memory.remove(name);
        }
    }
}

/// The smallest page of the architectures of Linux, to which every mapping is aligned.
const PAGE: usize = 4096;
