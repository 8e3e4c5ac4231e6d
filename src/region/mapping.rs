//! How files are mapped, and huge pages: one entry of the address tables for 2 MiB, where memory and address are aligned to that.
//!
//! The kernel aligns shared memory to small pages only, so an address range is reserved first, and the memory
//! mapped over its aligned part. Then `MADV_COLLAPSE` (Linux 6.1) makes huge pages of the small ones; it
//! asks nobody's leave but memory's: the setting `shmem_enabled` of transparent huge pages is for
//! those that the kernel makes by itself. Who attaches gets the same pages in the same size.

use super::RegionError;
use memmap2::{MmapOptions, MmapRaw};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// Bytes of a huge page, as x86-64 and AArch64 with small pages of 4 KiB have them.
const HUGE_PAGE: usize = 2 << 20;

/// A file that is mapped.
#[derive(Debug)]
pub(crate) enum Mapping {
    /// It has less than a huge page.
    Small(MmapRaw),
    Aligned(Aligned),
}

impl Mapping {
    /// Maps that much of a file.
    pub(crate) fn of(file: &File, size: usize) -> Result<Self, RegionError> {
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

    /// Makes huge pages of all memory that is there, as far as the kernel can. What it cannot is no error:
    /// [`huge_bytes`] tells.
    pub(crate) fn collapse(&self) {
        let length = self.size() / HUGE_PAGE * HUGE_PAGE;
        // SAFETY: inside the mapping; the contents stay as they are.
        unsafe { libc::madvise(self.start().cast(), length, libc::MADV_COLLAPSE) };
    }
}

/// A range of addresses, with memory mapped over the part that begins at a multiple of a huge page.
#[derive(Debug)]
pub(crate) struct Aligned {
    range: NonNull<c_void>,
    whole: usize,
    start: NonNull<c_void>,
    size: usize,
}

impl Aligned {
    /// Addresses that nothing else will be mapped to, without memory.
    fn reserve(size: usize) -> Result<Self, RegionError> {
        let whole = size.checked_add(HUGE_PAGE).and_then(NonZeroUsize::new);
        let whole = whole.ok_or(RegionError::Size(size))?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: the kernel chooses a place where nothing is.
        let range = unsafe { mmap_anonymous(None, whole, ProtFlags::PROT_NONE, flags) };
        let range = range.map_err(RegionError::system("mmap"))?;
        let skip = range.as_ptr().align_offset(HUGE_PAGE);
        Ok(Self {
            range,
            whole: whole.get(),
            // SAFETY: less than a huge page, and the range has one more than the memory.
            start: unsafe { range.byte_add(skip) },
            size,
        })
    }

    fn map(file: &File, size: usize) -> Result<Self, RegionError> {
        let aligned = Self::reserve(size)?;
        let length = NonZeroUsize::new(size).ok_or(RegionError::Size(size))?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        // SAFETY: over a part of the range that was just reserved, which nobody else knows.
        unsafe { mmap(Some(aligned.start.addr()), length, rights, flags, file, 0) }
            .map_err(RegionError::system("mmap"))?;
        Ok(aligned)
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: the range of `reserve`, and what was mapped over it, which nobody uses after the region.
        let unmapped = unsafe { munmap(self.range, self.whole) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// How many bytes of this range of addresses are in huge pages, as `/proc/self/smaps` says.
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

/// Whether a mapping, `begin-end` in hexadecimal digits, begins in the range.
fn begins_in(mapping: &str, range: &core::ops::Range<usize>) -> bool {
    let begin = mapping.split('-').next().unwrap_or_default();
    usize::from_str_radix(begin, 16).is_ok_and(|begin| range.contains(&begin))
}
