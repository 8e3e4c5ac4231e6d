//! How a named region is created and found.

use super::header;
use super::name::RegionName;
use super::owner::Trust;
use super::source::{Make, Memory, check_size};
use super::{Region, RegionError};
use std::os::fd::OwnedFd;

/// Options for creating a region.
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
    owners: Vec<u32>,
    remove_on_drop: bool,
    huge_pages: bool,
}

impl RegionOptions {
    /// Creates options for a region with `size` bytes for objects. By default, the region's mode is
    /// 0600, and its name stays when the `Region` is dropped.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            mode: 0o600,
            owners: Vec::new(),
            remove_on_drop: false,
            huge_pages: false,
        }
    }

    /// Sets the permissions of a new region, regardless of the umask. A user of the region needs
    /// both read and write permission.
    ///
    /// Attaching to a region fails with [`WritableByOthers`](RegionError::WritableByOthers) if its
    /// group or other users may write to it and may not by this mode. So all programs that share a
    /// region pass the same mode.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Accepts regions that belong to the user with this id. Call this function once for each such
    /// user.
    ///
    /// Without this option, attaching fails with [`OtherOwner`](RegionError::OtherOwner) unless the
    /// region belongs to the effective user of this process or to root. The owner of a region can
    /// write into it at any time and can truncate a file, so accept only trusted users. See
    /// [the section on other users](Region#other-users).
    ///
    /// # Example
    /// ```no_run
    /// use interlatch::{RegionName, RegionOptions};
    ///
    /// // A server of user 1000 shares the region with the members of its group.
    /// let options = RegionOptions::new(4096).mode(0o660).allow_owner(1000);
    /// let region = options.attach_existing(&RegionName::posix("jobs")?)?;
    /// assert_eq!(region.owner()?, 1000);
    /// # Ok::<(), interlatch::RegionError>(())
    /// ```
    #[must_use]
    pub fn allow_owner(mut self, user: u32) -> Self {
        self.owners.push(user);
        self
    }

    /// Sets whether dropping the created `Region` removes its name.
    ///
    /// Only the creating process removes the name, not a forked child. Processes that have the
    /// region mapped keep the memory.
    #[must_use]
    pub fn remove_on_drop(self, remove_on_drop: bool) -> Self {
        Self {
            remove_on_drop,
            ..self
        }
    }

    /// Sets whether a new region uses huge pages. Only the parts of the region that fill whole huge
    /// pages use them, and only if the kernel can provide them: see [`Region::huge_page_bytes`].
    ///
    /// Huge pages reduce the TLB misses of a large buffer. This option needs Linux 6.1, and has no
    /// effect on System V memory.
    #[must_use]
    pub fn huge_pages(self, huge_pages: bool) -> Self {
        Self { huge_pages, ..self }
    }

    fn trust(&self) -> Trust<'_> {
        Trust {
            mode: self.mode,
            owners: &self.owners,
        }
    }

    fn make(&self) -> Result<Make, RegionError> {
        check_size(self.size)?;
        Ok(Make {
            size: self.size.saturating_add(header::SIZE),
            mode: self.mode,
            huge_pages: self.huge_pages,
        })
    }

    /// Creates a region without a name, like [`Region::memfd`]. The region is in huge pages if that
    /// option is set.
    ///
    /// # Errors
    /// Returns the same errors as [`Region::memfd`].
    pub fn memfd(&self, name: &str) -> Result<Region, RegionError> {
        Ok(Region::from_memory(
            Memory::memfd(name, self.make()?)?,
            None,
        ))
    }

    /// Creates a region with this name.
    ///
    /// # Errors
    /// Fails if a region with this name exists ([`RegionExists`](RegionError::RegionExists)), if
    /// there is not enough memory ([`NotEnoughMemory`](RegionError::NotEnoughMemory),
    /// [`CgroupMemory`](RegionError::CgroupMemory), [`NoSpace`](RegionError::NoSpace)), if the
    /// process may not create such a large file ([`FileSizeLimit`](RegionError::FileSizeLimit)), or
    /// if this process lacks the permission. In all these cases, no region remains.
    pub fn create(&self, name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::create(name, self.make()?)?;
        let region = Region::from_memory(memory, Some(name.clone()));
        Ok(region.removed_on_drop(self.remove_on_drop))
    }

    /// Attaches to the region with this name, if its mode is 0600 and it belongs to the user of
    /// this process or to root.
    ///
    /// For a region with another mode or owner, use [`attach_existing`](Self::attach_existing).
    ///
    /// # Errors
    /// Returns the same errors as [`attach_existing`](Self::attach_existing).
    pub fn attach(name: &RegionName) -> Result<Region, RegionError> {
        Self::new(0).attach_existing(name)
    }

    /// Attaches to the region with this name, if these options accept its mode and its owner. The
    /// other options have no effect.
    ///
    /// # Errors
    /// Fails if no region with this name exists ([`NotFound`](RegionError::NotFound)), if the
    /// region belongs to another user ([`OtherOwner`](RegionError::OtherOwner)), if its mode lets
    /// more users write than [`mode`](Self::mode)
    /// ([`WritableByOthers`](RegionError::WritableByOthers)), if the memory is not a region of this
    /// version, if the region belongs to another pid namespace or an earlier boot, or if this
    /// process lacks the permission.
    pub fn attach_existing(&self, name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::attach(name, self.trust())?;
        if name.is_sysv() {
            memory.header().check(memory.size())?;
        }
        Ok(Region::from_memory(memory, Some(name.clone())))
    }

    /// Attaches to the region behind a descriptor, if these options accept its owner. The other
    /// options have no effect: the permission bits of a memfd have no meaning.
    ///
    /// # Errors
    /// Returns the same errors as [`Region::from_descriptor`].
    pub fn attach_descriptor(&self, descriptor: OwnedFd) -> Result<Region, RegionError> {
        let memory = Memory::from_memfd(descriptor, self.trust())?;
        memory.header().check(memory.size())?;
        Ok(Region::from_memory(memory, None))
    }

    /// Attaches to the region with this name, or creates the region.
    ///
    /// Of several processes that call this function, exactly one creates the region. If that
    /// process dies, another process creates the region.
    ///
    /// # Errors
    /// Returns the same errors as [`create`](Self::create) and
    /// [`attach_existing`](Self::attach_existing).
    pub fn create_or_attach(&self, name: &RegionName) -> Result<Region, RegionError> {
        /// The maximum number of attempts. An attempt fails if another process removes the region
        /// at the same time.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let memory = match Memory::attach(name, self.trust()) {
                Err(RegionError::NotFound(_)) => match self.create(name) {
                    Err(RegionError::RegionExists(_)) => continue,
                    // Another process removed the segment while this process created it.
                    Err(RegionError::NotFound(_)) if name.is_sysv() => continue,
                    created => return created,
                },
                found => found?,
            };
            if name.is_sysv() {
                // The segment's creator may have died before it built the header.
                memory.build_once()?;
                memory.header().check(memory.size())?;
            }
            return Ok(Region::from_memory(memory, Some(name.clone())));
        }
        Err(RegionError::Busy)
    }

    /// Creates a region in a file that gets its name after `fill` has run. A process that finds the
    /// region finds all its objects. If the creator dies before the file has its name, no file
    /// remains, or a file with a temporary name on a file system without `O_TMPFILE`.
    pub(crate) fn create_filled(
        &self,
        name: &RegionName,
        fill: impl FnOnce(&Region) -> Result<(), RegionError>,
    ) -> Result<Region, RegionError> {
        let (memory, file) = Memory::unnamed(name, self.make()?)?;
        let region = Region::from_memory(memory, Some(name.clone()));
        fill(&region)?;
        region.link(file, name)?;
        Ok(region)
    }
}
