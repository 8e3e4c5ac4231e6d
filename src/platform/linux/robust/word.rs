//! A word in the robust list.

use crate::platform::linux::{AtomicU32, AtomicUsize, futex};
use crate::platform::robust::{OWNER, OWNER_DIED, WAITERS};
use core::mem::offset_of;
use core::sync::atomic::Ordering::{Relaxed, Release};

/// A word that the kernel recovers when its owner dies, and the word's link in the owner's list.
///
/// The link is an address in the owner's memory, which only the kernel reads.
#[repr(C)]
#[derive(Debug)]
pub struct RobustWord {
    word: AtomicU32,
    /// A number by which the owner recognizes the word in another mapping. Normally 0.
    probe: AtomicU32,
    /// Unused space, where libc's `pthread_mutex_t` has other fields.
    padding: [u32; 6],
    pub(super) link: AtomicUsize,
}

impl RobustWord {
    /// Creates a word with this value.
    ///
    /// # Safety
    /// The word is neither moved nor freed while a thread holds it.
    pub const unsafe fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            probe: AtomicU32::new(0),
            padding: [0; 6],
            link: AtomicUsize::new(0),
        }
    }

    /// Returns the atomic word.
    #[inline]
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// The address of the link, which identifies the word in the kernel's list.
    #[inline]
    pub(super) fn entry(&self) -> usize {
        self.link.as_ptr() as usize
    }

    /// Returns the word with this list entry.
    ///
    /// # Safety
    /// The entry is that of a `RobustWord` which stays mapped during `'a`.
    pub(super) unsafe fn from_entry<'a>(entry: usize) -> &'a Self {
        // SAFETY: the link is a field of the word, at this offset. The caller promises the rest.
        unsafe { &*((entry - offset_of!(RobustWord, link)) as *const Self) }
    }

    /// Does what the kernel does when `owner` dies: if the word names this owner, marks the word
    /// and wakes one waiter.
    pub(super) fn report_death(&self, owner: u32) {
        // Release pairs with the Acquire of the next locker, which sees the writes of this process.
        let marked = self.word.fetch_update(Release, Relaxed, |word| {
            (word & OWNER == owner).then_some((word & WAITERS) | OWNER_DIED)
        });
        if marked.is_ok_and(|before| before & WAITERS != 0) {
            futex::wake(&self.word, 1);
        }
    }

    /// Replaces the owner in the word and keeps its flags. Returns false if the word does not name
    /// the owner `from`.
    pub(super) fn change_owner(&self, from: u32, to: u32) -> bool {
        // Relaxed: the hand-over between the two threads orders their accesses, and the kernel or
        // the next owner publishes the protected data.
        let changed = self.word.fetch_update(Relaxed, Relaxed, |word| {
            (word & OWNER == from).then_some((word & !OWNER) | to)
        });
        changed.is_ok()
    }

    /// Whether `self` and `other` are the same word in two mappings. The caller owns `other`.
    pub(super) fn is_mapped_as(&self, other: &Self) -> bool {
        // A peer that does the same with another word cannot store both numbers at the right time.
        let finds = |number: u32| {
            other.probe.store(number, Relaxed);
            self.probe.load(Relaxed) == number
        };
        let id = other.word.load(Relaxed) & OWNER;
        let is_same = finds(id) && finds(!id);
        other.probe.store(0, Relaxed);
        is_same
    }
}

/// The offset from the link to the word, which is the same in glibc's `pthread_mutex_t` and in
/// [`RobustWord`].
pub(super) const WORD_FROM_LINK: isize =
    offset_of!(RobustWord, word) as isize - offset_of!(RobustWord, link) as isize;
