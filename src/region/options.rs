//! How a named region is created and found.

use super::header;
use super::name::{Location, RegionName};
use super::source::{Make, Memory, check_memory, check_size};
use super::{Region, RegionError};

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
            remove_on_drop: false,
            huge_pages: false,
        }
    }

    /// Sets the region's permissions, regardless of the umask. A user of the region needs both read
    /// and write permission.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
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

    fn make(&self) -> Result<Make, RegionError> {
        check_size(self.size)?;
        Ok(Make {
            size: self.size.saturating_add(header::SIZE),
            mode: self.mode,
            huge_pages: self.huge_pages,
        })
    }

    /// Creates the region's memory, but fails if the machine has less memory than the region needs.
    /// This check is not needed for a file on a disk, because the file system checks its own free
    /// space.
    fn make_named(&self, name: &RegionName) -> Result<Make, RegionError> {
        let make = self.make()?;
        if !matches!(name.0, Location::File(_)) {
            check_memory(make.size)?;
        }
        Ok(make)
    }

    /// Creates a region without a name, like [`Region::memfd`]. The region is in huge pages if that
    /// option is set.
    ///
    /// # Errors
    /// Returns the same errors as [`Region::memfd`].
    pub fn memfd(&self, name: &str) -> Result<Region, RegionError> {
        let make = self.make()?;
        check_memory(make.size)?;
        Ok(Region::from_memory(Memory::memfd(name, make)?, None))
    }

    /// Creates a region with this name.
    ///
    /// # Errors
    /// Fails if a region with this name exists ([`RegionExists`](RegionError::RegionExists)), if
    /// there is not enough memory, or if this process lacks the permission.
    pub fn create(&self, name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::create(name, self.make_named(name)?)?;
        let region = Region::from_memory(memory, Some(name.clone()));
        Ok(region.removed_on_drop(self.remove_on_drop))
    }

    /// Attaches to the region with this name.
    ///
    /// # Errors
    /// Fails if no region with this name exists ([`NotFound`](RegionError::NotFound)), if the
    /// memory is not a region of this version, if the region belongs to another pid namespace or an
    /// earlier boot, or if this process lacks the permission.
    pub fn attach(name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::attach(name)?;
        if name.is_sysv() {
            memory.header().check(memory.size())?;
        }
        Ok(Region::from_memory(memory, Some(name.clone())))
    }

    /// Attaches to the region with this name, or creates the region.
    ///
    /// Of several processes that call this function, exactly one creates the region. If that
    /// process dies, another process creates the region.
    ///
    /// # Errors
    /// Returns the same errors as [`create`](Self::create) and [`attach`](Self::attach).
    pub fn create_or_attach(&self, name: &RegionName) -> Result<Region, RegionError> {
        /// The maximum number of attempts. An attempt fails if another process removes the region
        /// at the same time.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let memory = match Memory::attach(name) {
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
    /// remains.
    pub(crate) fn create_filled(
        &self,
        name: &RegionName,
        fill: impl FnOnce(&Region) -> Result<(), RegionError>,
    ) -> Result<Region, RegionError> {
        let memory = Memory::unnamed(name, self.make_named(name)?)?;
        let region = Region::from_memory(memory, Some(name.clone()));
        fill(&region)?;
        region.link(name)?;
        Ok(region)
    }
}
