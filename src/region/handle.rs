//! A region: memory that several processes map, and the objects in it, each with a name.

use super::RegionError;
use super::header;
use super::mapping;
use super::name::{Location, RegionName};
use super::source::{self, Make, Memory, check_memory, check_size};
use crate::platform::robust::as_owner;
use crate::platform::{Config, ShmObject};
use crate::region::directory::{Kind, Object, ObjectName, Refused};
use core::alloc::Layout;
use core::any::type_name;
use core::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Memory that processes share.
///
/// Any of them may create objects in it, and every other one attaches to them by name.
///
/// | kind | shared by |
/// | --- | --- |
/// | [`anonymous`](Region::anonymous) | the creator and the children that it forks |
/// | [`memfd`](Region::memfd) | whoever has the descriptor: see [`from_descriptor`](Region::from_descriptor) |
/// | [`RegionName::posix`], [`file`](RegionName::file), [`sysv`](RegionName::sysv) | whoever knows the name, and may: see [`RegionOptions`] |
///
/// A region belongs to the pid namespace of its creator, since locks in it hold thread ids.
///
/// It stays on its thread, since robust locks in it may be held there when it is dropped; other threads
/// use a reference to it.
/// ```compile_fail,E0277
/// let region = interlatch::Region::memfd("example", 4096).unwrap();
/// std::thread::spawn(move || drop(region));
/// ```
///
/// # Hostile peers
/// Whatever a peer has written there, attaching is an error or an object that works as far as it can: what is
/// read is checked, no index or length is believed. But to share memory with somebody is to trust it to keep
/// to the locks. A peer that writes into what this process has locked, or frees a lock that this process
/// holds, makes two owners of one value; and one that writes into the list of robust locks that a thread
/// of this process holds may have the kernel change another word of it when the thread ends. So let
/// only friends write, which is the default: mode 0600. To look without trust there is
/// [`RegionView`](crate::inspect::RegionView).
///
/// # Truncation
/// A memfd is sealed: nobody can cut it short. A named region is a file, and whoever may write it may
/// truncate it; a process that then touches what is gone gets `SIGBUS`, which ends it. Nothing can be
/// done about that but to let only friends write it, which is the default: mode 0600.
///
/// # Process death
/// The memory lives as long as any process maps it, has its descriptor, or as it has a name. A process
/// that dies while it creates a region or an object has done so or not; the next one can. (System V memory
/// is there before it is a region: if its creator dies in between, `create` finds that it exists and
/// `attach` that it is none, until [`create_or_attach`](RegionOptions::create_or_attach) makes it one or
/// [`remove`](RegionName::remove) removes it: that if it was begun, since memory that is all zero may be
/// anybody's.) Only a name that should have been removed with its creator
/// stays behind.
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
    /// Removed when this is dropped by the process of this id.
    name: Option<(RegionName, u32)>,
    /// The objects that this process uses. No other one overlaps them, whatever the directory says.
    claims: Mutex<Vec<Claim>>,
    stays_on_its_thread: PhantomData<*const ()>,
}

/// An object that this process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    start: usize,
    end: usize,
    plan: u64,
    /// With its modules, and so different for different types of one name.
    type_name: &'static str,
}

// SAFETY: a mapping, whose header is made of words, that nobody moves, and a list under a lock.
unsafe impl Sync for Region {}

/// How a named region is made, or found.
///
/// # Example
/// ```
/// use interlatch::{RegionName, RegionOptions, Semaphore};
///
/// let name = RegionName::posix(&format!("example-{}", std::process::id()))?;
/// let region = RegionOptions::new(4096).remove_on_drop(true).create(&name)?;
/// let semaphore: &Semaphore = region.create("ready", ())?;
///
/// // In another program:
/// let same = RegionOptions::attach(&name)?;
/// let attached: &Semaphore = same.attach("ready")?;
/// semaphore.release(1)?;
/// assert!(attached.try_acquire().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RegionOptions {
    size: usize,
    mode: u32,
    remove_on_drop: bool,
    huge_pages: bool,
}

impl RegionOptions {
    /// A region with this many bytes for objects, which only the user of this process may use, and whose
    /// name stays.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            mode: 0o600,
            remove_on_drop: false,
            huge_pages: false,
        }
    }

    /// The permissions, whatever the umask. Whoever may use the region needs to read and write it.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Whether the name is removed when the `Region` that has created it is dropped, by the process that
    /// has. Who has it mapped keeps it.
    #[must_use]
    pub fn remove_on_drop(self, remove_on_drop: bool) -> Self {
        Self {
            remove_on_drop,
            ..self
        }
    }

    /// Whether a new region lies in huge pages, as far as it fills them and the kernel can find them; see
    /// [`Region::huge_page_bytes`]. A large buffer costs fewer misses of the address tables then. Needs Linux
    /// 6.1, and memory that is shared memory: System V's is left as it is.
    #[must_use]
    pub fn huge_pages(self, huge_pages: bool) -> Self {
        Self { huge_pages, ..self }
    }

    fn make(&self) -> Result<Make, RegionError> {
        check_size(self.size)?;
        Ok(Make {
            whole: self.size.saturating_add(header::SIZE),
            mode: self.mode,
            huge_pages: self.huge_pages,
        })
    }

    /// A region without a name: [`Region::memfd`], with these options. The mode and what to do with a name do
    /// not matter.
    ///
    /// # Errors
    /// As of [`Region::memfd`].
    pub fn memfd(&self, name: &str) -> Result<Region, RegionError> {
        let make = self.make()?;
        check_memory(make.whole)?;
        Ok(Region::over(Memory::memfd(name, make)?, None))
    }

    /// A new region of this name.
    ///
    /// # Errors
    /// If there is one of this name, or it cannot be made.
    pub fn create(&self, name: &RegionName) -> Result<Region, RegionError> {
        let make = self.make()?;
        if !matches!(name.0, Location::File(_)) {
            check_memory(make.whole)?;
        }
        let memory = Memory::create(name, make)?;
        let name = self.remove_on_drop.then(|| name.clone());
        Ok(Region::over(memory, name))
    }

    /// The region of this name.
    ///
    /// # Errors
    /// If there is none, it is none of this crate or of this pid namespace, or this process may not use
    /// it.
    pub fn attach(name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::attach(name)?;
        if name.is_sysv() {
            memory.header().check(memory.size())?;
        }
        Ok(Region::over(memory, None))
    }

    /// The region of this name, which is made if there is none. Of all that do this at once one makes it,
    /// and if that one dies, another one does.
    ///
    /// # Errors
    /// As of both.
    pub fn create_or_attach(&self, name: &RegionName) -> Result<Region, RegionError> {
        /// More often than that nobody removes it just then.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let memory = match Memory::attach(name) {
                Err(RegionError::NoRegionOfThatName(_)) => match self.create(name) {
                    Err(RegionError::RegionExists(_)) => continue,
                    // A segment that was removed while it was made; or there is no such directory.
                    Err(RegionError::NoRegionOfThatName(_)) if name.is_sysv() => continue,
                    made => return made,
                },
                found => found?,
            };
            if name.is_sysv() {
                // Its creator may have died before it has built the header.
                memory.build_once()?;
                memory.header().check(memory.size())?;
            }
            return Ok(Region::over(memory, None));
        }
        Err(RegionError::Busy)
    }
}

impl RegionOptions {
    /// A new region in a file, which gets its name when it is filled: who finds it finds all of that in it, and
    /// one that dies before leaves nothing.
    pub(crate) fn create_filled(
        &self,
        name: &RegionName,
        fill: impl FnOnce(&Region) -> Result<(), RegionError>,
    ) -> Result<Region, RegionError> {
        let make = self.make()?;
        if !matches!(name.0, Location::File(_)) {
            check_memory(make.whole)?;
        }
        let region = Region::over(Memory::unnamed(name, make)?, None);
        fill(&region)?;
        region.memory.link(name)?;
        Ok(region)
    }
}

impl RegionName {
    pub(super) fn is_sysv(&self) -> bool {
        matches!(self.0, Location::SysV(_))
    }

    /// Removes the region of this name. Who has it mapped keeps it. (Of several that remove the same System V
    /// memory at the same time, more than one may hear that it has.)
    ///
    /// # Errors
    /// If there is none, it is none of this crate, or this process may not remove it.
    pub fn remove(&self) -> Result<(), RegionError> {
        source::remove(self)
    }
}

impl Region {
    /// A region without a name, for this process and the children that it forks.
    ///
    /// # Errors
    /// If the size is zero or too large, or the kernel has no memory for it.
    pub fn anonymous(size: usize) -> Result<Self, RegionError> {
        // memmap2's own anonymous maps are private. The kernel makes a shared one of the same stuff as a
        // memfd.
        Self::memfd("interlatch-anonymous", size)
    }

    /// A region behind a descriptor, for whoever is given it. The name is for `/proc` only.
    ///
    /// Its pages are reserved now, so that a full memory is an error here and not a signal later,
    /// and it is sealed: no peer can cut it short.
    ///
    /// # Errors
    /// If the size is zero or too large, the name contains a zero byte or is longer than 249
    /// bytes, the machine has not that much memory, or the kernel no descriptor left; or if there is no
    /// `/proc`, which names the pid namespace.
    pub fn memfd(name: &str, size: usize) -> Result<Self, RegionError> {
        RegionOptions::new(size).memfd(name)
    }

    /// The region behind a descriptor that another process made with [`memfd`](Region::memfd).
    ///
    /// # Errors
    /// If it is not a sealed memfd, is none of this crate, was made in another pid namespace, or cannot
    /// be mapped.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, RegionError> {
        let memory = Memory::of_memfd(descriptor)?;
        memory.header().check(memory.size())?;
        Ok(Self::over(memory, None))
    }

    fn over(memory: Memory, name: Option<RegionName>) -> Self {
        Self {
            memory,
            name: name.map(|name| (name, std::process::id())),
            claims: Mutex::new(Vec::new()),
            stays_on_its_thread: PhantomData,
        }
    }

    /// Bytes of the region that objects can take. A page more is for what says that it is one.
    pub fn size(&self) -> usize {
        self.memory.size() - header::SIZE
    }

    /// How much of it this process has mapped in huge pages, so far: a page is mapped when it is first used.
    ///
    /// # Errors
    /// If there is no `/proc` that says so.
    pub fn huge_page_bytes(&self) -> Result<usize, RegionError> {
        let start = self.memory.start().addr();
        mapping::huge_bytes(start..start + self.memory.size())
    }

    /// The descriptor to pass on, except for System V memory, which has none. It is closed by `exec`
    /// unless that is changed.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.memory {
            Memory::Mapped(_, descriptor) => Some(descriptor.as_fd()),
            Memory::SysV(_) => None,
        }
    }

    /// The process that has made it, and when, as the header says.
    pub fn creator(&self) -> (u32, SystemTime) {
        self.memory.header().creator()
    }

    /// What is in it.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        self.memory.header().directory.objects()
    }

    /// Builds an object.
    ///
    /// # Errors
    /// If there is one of this name, it does not fit, or it cannot be.
    pub fn create<T: ShmObject + ?Sized>(
        &self,
        name: &str,
        plan: T::Config,
    ) -> Result<&T, RegionError> {
        let name = ObjectName::new(name)?;
        let layout = T::layout(plan)?;
        let kind = Kind::of::<T>(layout);
        if layout.align() > PAGE {
            return Err(RegionError::Alignment(layout.align()));
        }
        let space = header::SIZE as u64..self.memory.size() as u64;
        let build = |offset: u64| {
            let at = self.place(offset, layout);
            let at = at.filter(|_| self.is_unused(offset as usize, layout));
            let at = at.ok_or(Refused::Taken { offset })?;
            // SAFETY: inside the mapping and aligned. Nobody else has it: the lock of the directory is
            // held, it is not counted yet, and nothing that this process uses is there, or overlaps it.
            unsafe { T::init(at, plan) };
            Ok(())
        };
        let directory = &self.memory.header().directory;
        match directory.create(name, kind, plan.to_word(), space, header::timeout(), build) {
            Ok(object) => self.view(&object, layout, plan),
            Err(refused) => Err(self.explain(refused, name, layout)),
        }
    }

    /// The object of this name, which somebody has created as the same type: one whose name, without its
    /// modules, size and alignment are the same. Two programs that give one name to two types of one size must
    /// not share it: the order of the fields is not known here. So a type that changes gets another name.
    ///
    /// # Errors
    /// If there is none, or it is something else.
    pub fn attach<T: ShmObject + ?Sized>(&self, name: &str) -> Result<&T, RegionError> {
        let name = ObjectName::new(name)?;
        let object = self.memory.header().directory.find(&name);
        let object = object.ok_or(RegionError::NoObject(name))?;
        let plan = T::Config::from_word(object.plan);
        let layout = plan.and_then(|plan| T::layout(plan).ok());
        let expected = Kind::of::<T>(layout.unwrap_or(Layout::new::<()>()));
        match (plan, layout) {
            (Some(plan), Some(layout)) if expected == object.kind => {
                self.view(&object, layout, plan)
            }
            _ => Err(RegionError::OtherType {
                name,
                expected: Box::new(expected),
                found: Box::new(object.kind),
            }),
        }
    }

    /// The object of this name, which is built if there is none. Of all that do this at once one builds
    /// it, and if that one dies, another one does.
    ///
    /// # Errors
    /// As of both.
    pub fn create_or_attach<T: ShmObject + ?Sized>(
        &self,
        name: &str,
        plan: T::Config,
    ) -> Result<&T, RegionError> {
        match self.attach(name) {
            Err(RegionError::NoObject(_)) => {}
            // Without the lock of the directory, which somebody may hold who is stopped.
            found => return found,
        }
        match self.create(name, plan) {
            Err(RegionError::Exists(_)) => self.attach(name),
            made => made,
        }
    }

    /// The object where its entry says that it is.
    fn view<T: ShmObject + ?Sized>(
        &self,
        object: &Object,
        layout: Layout,
        plan: T::Config,
    ) -> Result<&T, RegionError> {
        let at = self.claim::<T>(object.offset, layout, plan);
        let at = at.map_err(|other| match other {
            Some(used_as) => RegionError::UsedAs {
                name: object.name,
                used_as,
                expected: type_name::<T>(),
            },
            None => self.damaged(object.name, object.offset),
        })?;
        // SAFETY: inside the mapping, behind the header, aligned, and valid for every bit pattern; this
        // process uses it as no other type. The reference cannot outlive `self`.
        Ok(unsafe { T::from_raw(at, plan) })
    }

    /// The memory at the offset. What comes from the directory is checked here: a peer may have written it.
    fn place(&self, offset: u64, layout: Layout) -> Option<*mut u8> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(layout.size())?;
        let is_inside = start >= header::SIZE && end <= self.memory.size();
        let is_aligned = layout.align() <= PAGE && start.is_multiple_of(layout.align());
        // SAFETY: inside the mapping.
        (is_inside && is_aligned).then(|| unsafe { self.memory.start().add(start) })
    }

    /// Whether this process uses nothing that is there, or overlaps it.
    fn is_unused(&self, start: usize, layout: Layout) -> bool {
        let end = start + layout.size();
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims
            .iter()
            .all(|claim| claim.end <= start || end <= claim.start)
    }

    /// Notes that this process uses the memory at the offset so.
    ///
    /// # Errors
    /// It is none that can be used: outside, not aligned, or part of something else that is used; or it is
    /// used as another type, which is named.
    fn claim<T: ShmObject + ?Sized>(
        &self,
        offset: u64,
        layout: Layout,
        plan: T::Config,
    ) -> Result<*mut u8, Option<&'static str>> {
        let at = self.place(offset, layout).ok_or(None)?;
        let (start, end) = (offset as usize, offset as usize + layout.size());
        let claim = Claim {
            start,
            end,
            plan: plan.to_word(),
            type_name: type_name::<T>(),
        };
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let overlaps = |other: &&Claim| other.start < end && start < other.end;
        match claims.iter().find(overlaps) {
            Some(other) if *other == claim => {}
            Some(other) if (other.start, other.end) == (start, end) => {
                return Err(Some(other.type_name));
            }
            Some(_) => return Err(None),
            None if claims.contains(&claim) => {}
            None => claims.push(claim),
        }
        Ok(at)
    }

    fn damaged(&self, name: ObjectName, offset: u64) -> RegionError {
        RegionError::Damaged {
            name,
            offset,
            size: self.memory.size(),
        }
    }

    fn explain(&self, refused: Refused, name: ObjectName, layout: Layout) -> RegionError {
        match refused {
            Refused::Exists => RegionError::Exists(name),
            Refused::Full => RegionError::Full,
            Refused::TooSmall { offset } => RegionError::TooSmall {
                needed: layout.size(),
                offset: usize::try_from(offset).unwrap_or(usize::MAX),
                size: self.memory.size(),
            },
            Refused::Busy => RegionError::Busy,
            Refused::Taken { offset } => self.damaged(name, offset),
            Refused::Thread(refusal) => refusal.into(),
        }
    }
}

/// A guard of a robust lock in the region may have been leaked by this thread: the kernel must not be
/// led into memory that is not mapped any more.
impl Drop for Region {
    fn drop(&mut self) {
        let start = self.memory.start() as usize;
        as_owner(|me| me.forget_range(&(start..start + self.memory.size())));
        match &self.name {
            // Somebody else may have removed it.
            Some((name, creator)) if *creator == std::process::id() => {
                let _ = self.memory.remove(name);
            }
            // The child of a fork has a copy of this.
            _ => {}
        }
    }
}

/// The smallest page of the architectures that Linux runs on: the most that a mapping is aligned to.
const PAGE: usize = 4096;
