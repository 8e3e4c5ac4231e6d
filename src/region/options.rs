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
    /// Options for a region with `size` bytes for objects, mode 0600, and a name that stays.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            mode: 0o600,
            remove_on_drop: false,
            huge_pages: false,
        }
    }

    /// Sets the permissions, regardless of the umask. Users need both read and write permission.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Sets whether dropping the created `Region` removes its name.
    ///
    /// Only the creating process removes it, not a forked child. Processes that have the region
    /// mapped keep it.
    #[must_use]
    pub fn remove_on_drop(self, remove_on_drop: bool) -> Self {
        Self {
            remove_on_drop,
            ..self
        }
    }

    /// Sets whether a new region uses huge pages where it fills them and the kernel has them; see
    /// [`Region::huge_page_bytes`].
    ///
    /// A large buffer then costs fewer TLB misses. It needs Linux 6.1, and has no effect on System
    /// V memory.
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

    /// Like `make`; fails if the machine has less memory. A file system on a disk checks its space
    /// itself.
    fn make_named(&self, name: &RegionName) -> Result<Make, RegionError> {
        let make = self.make()?;
        if !matches!(name.0, Location::File(_)) {
            check_memory(make.size)?;
        }
        Ok(make)
    }

    /// Creates a region without a name, like [`Region::memfd`], in huge pages if so set.
    ///
    /// # Errors
    /// Those of [`Region::memfd`].
    pub fn memfd(&self, name: &str) -> Result<Region, RegionError> {
        let make = self.make()?;
        check_memory(make.size)?;
        Ok(Region::from_memory(Memory::memfd(name, make)?, None))
    }

    /// Creates a region with this name.
    ///
    /// # Errors
    /// A region with this name exists ([`RegionExists`](RegionError::RegionExists)); or the memory
    /// or the permission is lacking.
    pub fn create(&self, name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::create(name, self.make_named(name)?)?;
        let region = Region::from_memory(memory, Some(name.clone()));
        Ok(region.removed_on_drop(self.remove_on_drop))
    }

    /// Attaches to the region with this name.
    ///
    /// # Errors
    /// No region with this name exists ([`NotFound`](RegionError::NotFound)); the memory is not a
    /// region of this version; it belongs to another pid namespace or an earlier boot; or this
    /// process lacks the permission.
    pub fn attach(name: &RegionName) -> Result<Region, RegionError> {
        let memory = Memory::attach(name)?;
        if name.is_sysv() {
            memory.header().check(memory.size())?;
        }
        Ok(Region::from_memory(memory, Some(name.clone())))
    }

    /// Attaches to the region with this name, or creates it.
    ///
    /// Of several processes that call this, one creates the region. If it dies, another one does.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`attach`](Self::attach).
    pub fn create_or_attach(&self, name: &RegionName) -> Result<Region, RegionError> {
        /// Attempts that a concurrent removal may defeat.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let memory = match Memory::attach(name) {
                Err(RegionError::NotFound(_)) => match self.create(name) {
                    Err(RegionError::RegionExists(_)) => continue,
                    // The segment was removed during creation.
                    Err(RegionError::NotFound(_)) if name.is_sysv() => continue,
                    created => return created,
                },
                found => found?,
            };
            if name.is_sysv() {
                // The creator may have died before it built the header.
                memory.build_once()?;
                memory.header().check(memory.size())?;
            }
            return Ok(Region::from_memory(memory, Some(name.clone())));
        }
        Err(RegionError::Busy)
    }

    /// Creates a region in a file that gets its name after `fill` has run. A process that finds it
    /// finds all objects; a creator that dies before leaves nothing.
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
