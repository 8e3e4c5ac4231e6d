//! Mapped files, in huge pages on request.
//!
//! A huge page is a page of 2 MiB that needs only one page table entry. The memory and the address
//! of a huge page must be aligned to 2 MiB. The kernel aligns shared memory to small pages only, so
//! this module reserves a range of addresses and maps the memory over its aligned part.
//! `MADV_COLLAPSE` (Linux 6.1) then replaces small pages with huge ones. `MADV_COLLAPSE` works
//! whatever the kernel setting `shmem_enabled` is. That setting applies only to huge pages that the
//! kernel creates by itself. Other processes map the same huge pages.

use super::RegionError;
use memmap2::{MmapOptions, MmapRaw};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// The size of a huge page in bytes on x86-64, and on AArch64 with small pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// A mapped file.
#[derive(Debug)]
pub(crate) enum Mapping {
    /// A mapping that is smaller than a huge page.
    Small(MmapRaw),
    Aligned(Aligned),
}

impl Mapping {
    /// Maps the first `size` bytes of a file.
    pub(crate) fn new(file: &File, size: usize) -> Result<Self, RegionError> {
        if size >= HUGE_PAGE {
            return Ok(Self::Aligned(Aligned::map(file, size)?));
        }
        let map = MmapOptions::new().len(size).map_raw(file);
        Ok(Self::Small(map.map_err(RegionError::io("mmap"))?))
    }

    pub(crate) fn start(&self) -> *mut u8 {
        match self {
            Self::Small(map) => map.as_mut_ptr(),
            Self::Aligned(aligned) => aligned.start.as_ptr().cast(),
        }
    }

    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Small(map) => map.len(),
            Self::Aligned(aligned) => aligned.size,
        }
    }

    /// Replaces small pages with huge pages where the kernel can. If the kernel replaces no page,
    /// this function reports no error. [`huge_bytes`] returns how many bytes are in huge pages.
    pub(crate) fn collapse(&self) {
        let length = self.size() / HUGE_PAGE * HUGE_PAGE;
        // SAFETY: the range is inside the mapping, and the call does not change the contents of the
        // memory.
        unsafe { libc::madvise(self.start().cast(), length, libc::MADV_COLLAPSE) };
    }
}

/// A reserved range of addresses. The memory is mapped over a part of the range that starts at a
/// multiple of the huge page size.
#[derive(Debug)]
pub(crate) struct Aligned {
    range: NonNull<c_void>,
    range_size: usize,
    start: NonNull<c_void>,
    size: usize,
}

impl Aligned {
    /// Reserves a range of addresses, without memory.
    fn reserve(size: usize) -> Result<Self, RegionError> {
        let range_size = size.checked_add(HUGE_PAGE).and_then(NonZeroUsize::new);
        let range_size = range_size.ok_or(RegionError::Size(size))?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: the kernel chooses unused addresses.
        let range = unsafe { mmap_anonymous(None, range_size, ProtFlags::PROT_NONE, flags) };
        let range = range.map_err(RegionError::system("mmap"))?;
        let skip = range.as_ptr().align_offset(HUGE_PAGE);
        Ok(Self {
            range,
            range_size: range_size.get(),
            // SAFETY: `skip` is less than the size of a huge page, and the range is larger than the
            // memory by a whole huge page.
            start: unsafe { range.byte_add(skip) },
            size,
        })
    }

    fn map(file: &File, size: usize) -> Result<Self, RegionError> {
        let aligned = Self::reserve(size)?;
        let length = NonZeroUsize::new(size).ok_or(RegionError::Size(size))?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        // SAFETY: the addresses are part of the range that `reserve` returned, and no other code
        // uses that range.
        unsafe { mmap(Some(aligned.start.addr()), length, rights, flags, file, 0) }
            .map_err(RegionError::system("mmap"))?;
        Ok(aligned)
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: `self` owns the address range and the memory that is mapped over the range. The
        // owner of `self` no longer uses this memory.
        let unmapped = unsafe { munmap(self.range, self.range_size) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// Returns how many bytes of an address range are in huge pages, according to `/proc/self/smaps`.
pub(crate) fn huge_bytes(range: core::ops::Range<usize>) -> Result<usize, RegionError> {
    let text = std::fs::read_to_string("/proc/self/smaps");
    let text = text.map_err(RegionError::io("read(smaps)"))?;
    let (mut is_inside, mut kibibytes) = (false, 0);
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next().unwrap_or_default(), words.next()) {
            ("ShmemPmdMapped:" | "FilePmdMapped:" | "Shared_Hugetlb:", Some(count))
                if is_inside =>
            {
                kibibytes += count.parse::<usize>().unwrap_or(0);
            }
            (first, _) if !first.ends_with(':') => is_inside = begins_in(first, &range),
            _ => {}
        }
    }
    Ok(kibibytes << 10)
}

/// Returns whether a mapping, `begin-end` in hexadecimal digits, starts in the range.
fn begins_in(mapping: &str, range: &core::ops::Range<usize>) -> bool {
    let begin = mapping.split('-').next().unwrap_or_default();
    usize::from_str_radix(begin, 16).is_ok_and(|begin| range.contains(&begin))
}
