//! A region: memory that several processes map, and the objects in it, one after the other.

use super::header::{self, PidNamespace};
use crate::platform::robust::as_owner;
use crate::platform::{Place, PlanError};
use core::alloc::Layout;
use core::cell::Cell;
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Memory that processes share.
///
/// One process creates the objects in it with [`create`](Region::create); every other attaches
/// to them in the same order with [`attach`](Region::attach). A child of the creator that inherited
/// the mapping, or threads, use the creator's references.
///
/// | kind | shared by |
/// | --- | --- |
/// | [`anonymous`](Region::anonymous) | the creator and the children that it forks |
/// | [`memfd`](Region::memfd) | whoever has the descriptor: see [`from_descriptor`](Region::from_descriptor) |
///
/// A region belongs to the pid namespace of its creator, since locks in it hold thread ids.
///
/// # Process death
/// The memory lives as long as any process maps it or holds its descriptor, and nothing stays
/// behind in the file system.
///
/// # Example
/// ```
/// use interlatch::{Region, Semaphore};
///
/// let region = Region::memfd("example", 4096)?;
/// let semaphore: &Semaphore = region.create(())?;
///
/// let same = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &Semaphore = same.attach(())?;
/// semaphore.release(1)?;
/// assert!(attached.try_acquire().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
    descriptor: Option<OwnedFd>,
    used: Cell<usize>,
    owner: bool,
}

/// Why a region could not be made, mapped or used.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// A region of no bytes, or of more than the address space.
    #[error("a region of {0} bytes: expected 1 to {max}", max = isize::MAX)]
    Size(usize),
    /// The object does not fit behind those that are there already.
    #[error("the object needs {needed} bytes at offset {offset}: the region has {size}")]
    TooSmall {
        /// Bytes of the object.
        needed: usize,
        /// Where it would begin.
        offset: usize,
        /// Bytes of the region.
        size: usize,
    },
    /// The object cannot exist, whatever the region.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Objects are made by the process that made the region, and attached to by the others.
    #[error("{attempted} in a region that this process has {this_process}")]
    Role {
        /// What was tried.
        attempted: &'static str,
        /// What this process did before.
        this_process: &'static str,
    },
    /// The descriptor is not a memfd that is sealed against changing its size.
    #[error("the descriptor is not sealed against shrinking: a peer could cut the memory off")]
    NotSealed,
    /// A sealed memfd, but none that this crate has made, or one of another version.
    #[error(
        "the memory does not begin as a region does: expected {expected:#018x}, found {found:#018x}"
    )]
    NoRegion {
        /// What a region of this version begins with.
        expected: u64,
        /// What was there.
        found: u64,
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
    /// More than the machine has to give. (Reserving it would not fail but wake the kernel's
    /// out-of-memory killer, which ends whichever process it likes.)
    #[error("a region of {asked} bytes: {available} are available on this machine")]
    Memory {
        /// Bytes of the region.
        asked: usize,
        /// Bytes that could be had now.
        available: usize,
    },
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
    fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::System {
            call,
            error: errno.into(),
        }
    }
}

impl Region {
    /// A region without a name or a descriptor, for this process and the children that it forks.
    ///
    /// # Errors
    /// If the size is zero or too large, or the kernel has no memory for it.
    pub fn anonymous(size: usize) -> Result<Self, RegionError> {
        // memmap2's own anonymous maps are private. The kernel makes a shared one of the same
        // stuff as a memfd, whose descriptor nobody needs after mapping.
        let mut region = Self::memfd("interlatch-anonymous", size)?;
        region.descriptor = None;
        Ok(region)
    }

    /// A region behind a descriptor, for whoever is given it. The name is for `/proc` only.
    ///
    /// Its pages are reserved now, so that a full memory is an error here and not a signal later,
    /// and it is sealed: no peer can cut it short.
    ///
    /// # Errors
    /// If the size is zero or too large, the name contains a zero byte or is longer than 249
    /// bytes, the machine has not that much memory, or the kernel no descriptor left.
    pub fn memfd(name: &str, size: usize) -> Result<Self, RegionError> {
        check_size(size)?;
        let whole = size.saturating_add(header::SIZE);
        check_memory(whole)?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let descriptor = memfd_create(name, flags).map_err(RegionError::system("memfd_create"))?;
        let length = i64::try_from(whole).map_err(|_| RegionError::Size(size))?;
        ftruncate(&descriptor, length).map_err(RegionError::system("ftruncate"))?;
        fallocate(&descriptor, FallocateFlags::empty(), 0, length)
            .map_err(RegionError::system("fallocate"))?;
        fcntl(&descriptor, FcntlArg::F_ADD_SEALS(SIZE_SEALS))
            .map_err(RegionError::system("fcntl(F_ADD_SEALS)"))?;
        Self::map(descriptor, true)
    }

    /// The region behind a descriptor that another process made with [`memfd`](Region::memfd).
    ///
    /// # Errors
    /// If it is not a sealed memfd, is none of this crate, was made in another pid namespace, or cannot
    /// be mapped.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, RegionError> {
        let seals =
            fcntl(&descriptor, FcntlArg::F_GET_SEALS).map_err(|_| RegionError::NotSealed)?;
        if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
            return Err(RegionError::NotSealed);
        }
        Self::map(descriptor, false)
    }

    fn map(descriptor: OwnedFd, owner: bool) -> Result<Self, RegionError> {
        let file = File::from(descriptor);
        let length = file
            .metadata()
            .map_err(|error| RegionError::System {
                call: "fstat",
                error,
            })?
            .len();
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        check_size(size.saturating_sub(header::SIZE))?;
        let map = MmapOptions::new()
            .map_raw(&file)
            .map_err(|error| RegionError::System {
                call: "mmap",
                error,
            })?;
        // SAFETY: the mapping has just been made, and is longer than a header.
        unsafe {
            match owner {
                true => header::write(map.as_mut_ptr())?,
                false => header::check(map.as_mut_ptr())?,
            }
        }
        let descriptor = Some(OwnedFd::from(file));
        Ok(Self {
            map,
            descriptor,
            used: Cell::new(0),
            owner,
        })
    }

    /// Bytes of the region that objects can take. A page more is for what says that it is one.
    pub fn size(&self) -> usize {
        self.map.len() - header::SIZE
    }

    /// The descriptor to pass on, for a memfd. It is closed by `exec` unless that is changed.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    /// Builds the next object. Others can attach to it once they know that this has returned.
    ///
    /// # Errors
    /// If it does not fit, or this process attached to the region.
    pub fn create<T: Place + ?Sized>(&self, plan: T::Plan) -> Result<&T, RegionError> {
        self.must_own(true, "create")?;
        let at = self.next(T::layout(plan)?)?;
        // SAFETY: `next` returns each part of the mapping once; it is inside, and aligned. Nobody
        // else knows of it before this returns. The reference cannot outlive `self`.
        unsafe {
            T::build(at, plan);
            Ok(T::view(at, plan))
        }
    }

    /// The next object, which the creator has built with the same type and plan.
    ///
    /// # Errors
    /// If it does not fit, or this process made the region.
    pub fn attach<T: Place + ?Sized>(&self, plan: T::Plan) -> Result<&T, RegionError> {
        self.must_own(false, "attach")?;
        let at = self.next(T::layout(plan)?)?;
        // SAFETY: inside the mapping, aligned, and valid for every bit pattern, so even the
        // wrong type is only wrong. The reference cannot outlive `self`.
        unsafe { Ok(T::view(at, plan)) }
    }

    fn must_own(&self, expected: bool, attempted: &'static str) -> Result<(), RegionError> {
        if self.owner == expected {
            return Ok(());
        }
        let this_process = if self.owner { "created" } else { "attached to" };
        Err(RegionError::Role {
            attempted,
            this_process,
        })
    }

    fn next(&self, layout: Layout) -> Result<*mut u8, RegionError> {
        let size = self.size();
        let offset = self.used.get().next_multiple_of(layout.align());
        let needed = layout.size();
        // A page is the most that the mapping itself is aligned to.
        let fits =
            layout.align() <= PAGE && offset.checked_add(needed).is_some_and(|end| end <= size);
        if !fits {
            return Err(RegionError::TooSmall {
                needed,
                offset,
                size,
            });
        }
        self.used.set(offset + needed);
        // SAFETY: `offset` is inside what follows the header.
        Ok(unsafe { self.map.as_mut_ptr().add(header::SIZE + offset) })
    }
}

/// A guard of a robust lock in the region may have been leaked by this thread: the kernel must not be
/// led into memory that is not mapped any more.
impl Drop for Region {
    fn drop(&mut self) {
        let start = self.map.as_ptr() as usize;
        as_owner(|me| me.let_go(&(start..start + self.map.len())));
    }
}

/// The smallest page of the architectures that Linux runs on.
const PAGE: usize = 4096;

/// Nobody may change the size, nor these seals.
const SIZE_SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

fn check_size(size: usize) -> Result<(), RegionError> {
    if size == 0 || isize::try_from(size).is_err() {
        return Err(RegionError::Size(size));
    }
    Ok(())
}

fn check_memory(size: usize) -> Result<(), RegionError> {
    match available_memory() {
        Some(available) if size > available => Err(RegionError::Memory {
            asked: size,
            available,
        }),
        _ => Ok(()),
    }
}

/// What the kernel thinks it could give, or nothing where `/proc` does not say.
fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |name: &str| -> Option<usize> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let all = kibibytes("MemAvailable:")?.saturating_add(kibibytes("SwapFree:").unwrap_or(0));
    Some(all.saturating_mul(1024))
}
