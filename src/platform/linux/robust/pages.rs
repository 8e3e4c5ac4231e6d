//! The pages of all threads of the process.
//!
//! Pages are created in chunks, which stay mapped until the process ends. The page of a thread that
//! has ended goes to another thread.
//!
//! A forked child inherits the chunks. The kernel has wiped their pages, but not the marks that say
//! which are taken. So the child's first thread keeps the page that its thread-local names, and no
//! other thread gets it. The pages of the parent's other threads stay taken in the child.

use super::page::Page;
use crate::platform::linux::{AtomicBool, AtomicPtr, wiped};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The number of pages in a chunk.
const COUNT: usize = 31;

/// A chunk of pages. This type is in memory that a fork copies, and the pages are in memory that a
/// fork wipes.
struct Chunk {
    pages: &'static [Page; COUNT],
    is_taken: [AtomicBool; COUNT],
    next: Option<&'static Chunk>,
}

/// The newest chunk. Chunks are only added.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(null_mut());

fn chunks() -> impl Iterator<Item = &'static Chunk> {
    core::iter::successors(newest(), |chunk| chunk.next)
}

fn newest() -> Option<&'static Chunk> {
    // SAFETY: the pointer is null or that of a chunk, which stays mapped. Acquire pairs with the
    // Release in `add_chunk`.
    unsafe { CHUNKS.load(Acquire).as_ref() }
}

/// Takes a page for the running thread. Returns `None` if the kernel has no memory.
pub(super) fn take() -> Option<&'static Page> {
    loop {
        if let Some(page) = chunks().find_map(Chunk::take) {
            return Some(page);
        }
        add_chunk()?;
    }
}

/// Returns a page whose thread is not registered any more.
pub(super) fn give_back(page: &'static Page) {
    let chunk = chunks().find_map(|chunk| Some((chunk, chunk.position(page)?)));
    if let Some((chunk, index)) = chunk {
        // Release pairs with the Acquire in `Chunk::take`: the next thread sees the cleared page.
        chunk.is_taken[index].store(false, Release);
    }
}

/// Returns the pages of all threads of this process, and free pages.
pub(super) fn all() -> impl Iterator<Item = &'static Page> {
    chunks().flat_map(|chunk| chunk.pages)
}

impl Chunk {
    fn take(&self) -> Option<&'static Page> {
        let mut pages = self.is_taken.iter().zip(self.pages);
        pages.find_map(|(is_taken, page)| {
            // Acquire pairs with the Release in `give_back`.
            let is_free = !is_taken.load(Relaxed) && !is_taken.swap(true, Acquire);
            is_free.then_some(page)
        })
    }

    fn position(&self, page: &Page) -> Option<usize> {
        self.pages.iter().position(|each| core::ptr::eq(each, page))
    }
}

/// Maps a chunk and adds it to the list. Several threads may add chunks at the same time.
fn add_chunk() -> Option<()> {
    let pages = wiped::map_wiped(size_of::<[Page; COUNT]>())?;
    let chunk = wiped::map_private(size_of::<Chunk>())?.cast::<Chunk>();
    let mut head = newest();
    loop {
        let new = Chunk {
            // SAFETY: the new mapping is aligned to a page, stays mapped, and has the size of the
            // array. Zeros are valid pages.
            pages: unsafe { pages.cast().as_ref() },
            is_taken: [const { AtomicBool::new(false) }; COUNT],
            next: head,
        };
        // SAFETY: the new mapping has room for a chunk, and no other code uses it yet.
        unsafe { chunk.write(new) };
        let expected = head.map_or(null_mut(), |head| core::ptr::from_ref(head).cast_mut());
        // Release pairs with the Acquire in `newest`.
        match CHUNKS.compare_exchange(expected, chunk.as_ptr(), AcqRel, Acquire) {
            Ok(_) => return Some(()),
            // SAFETY: the pointer is that of a chunk, which stays mapped.
            Err(newer) => head = unsafe { newer.as_ref() },
        }
    }
}

const _: () = assert!(size_of::<[Page; COUNT]>() <= 1 << 16);
const _: () = assert!(size_of::<Chunk>() <= 4096);
