//! What a thread records about the words that it holds.

use super::MAX_HELD;
use crate::platform::linux::{AtomicU32, AtomicUsize};
use core::ops::Range;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The records of one thread, in memory that the kernel wipes in a forked child.
///
/// Zeroed memory is the page of a thread that is not registered: it has no id and no room. Only its
/// thread writes the page. Other threads read it with [`holds_in`](Self::holds_in).
#[repr(C, align(64))]
pub(super) struct Page {
    /// The kernel's id of the thread, or 0.
    id: AtomicU32,
    /// The number of words that the thread can still hold. The words that it holds are
    /// `held[room..MAX_HELD]`, the most recent first. One comparison with 0 shows that the slow
    /// path must run, either to register the thread or to report the limit.
    room: AtomicUsize,
    /// The list entries of the words, followed by that of the node which ends the list. The length
    /// is a power of two, so that an index needs no comparison.
    held: [AtomicUsize; LENGTH],
}

const LENGTH: usize = 256;

const _: () = assert!(MAX_HELD + 1 < LENGTH && LENGTH.is_power_of_two());

/// The page of all threads that are not registered. No code writes it.
pub(super) static EMPTY: Page = Page {
    id: AtomicU32::new(0),
    room: AtomicUsize::new(0),
    held: [const { AtomicUsize::new(0) }; LENGTH],
};

impl Page {
    /// Whether this is the page of the threads that are not registered.
    pub(super) fn is_empty(&self) -> bool {
        core::ptr::eq(self, &EMPTY)
    }

    #[inline]
    pub(super) fn id(&self) -> u32 {
        self.id.load(Relaxed)
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        self.room.load(Relaxed)
    }

    /// Returns the number of words that a registered thread holds.
    pub(super) fn count(&self) -> usize {
        match self.id() {
            0 => 0,
            _ => MAX_HELD - self.room(),
        }
    }

    /// Registers a thread whose list ends with the entry `end`.
    pub(super) fn register(&self, id: u32, end: usize) {
        self.held[MAX_HELD].store(end, Relaxed);
        self.id.store(id, Relaxed);
        self.set_room(MAX_HELD);
    }

    /// Makes the page that of a thread which is not registered.
    pub(super) fn clear(&self) {
        self.set_room(0);
        self.id.store(0, Relaxed);
        self.held.iter().for_each(|held| held.store(0, Relaxed));
    }

    /// Returns the entry at a position.
    #[inline]
    pub(super) fn entry(&self, position: usize) -> usize {
        self.held[position % LENGTH].load(Relaxed)
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// Panics if there is no room.
    #[inline]
    pub(super) fn push(&self, entry: usize) {
        let room = self.room();
        assert!(room > 0, "no room for a robust lock");
        let top = room - 1;
        self.held[top % LENGTH].store(entry, Relaxed);
        self.set_room(top);
    }

    /// Returns the position of an entry that is not the most recent one.
    #[cold]
    #[inline(never)]
    pub(super) fn position(&self, entry: usize) -> Option<usize> {
        let room = self.room();
        let held = self.held.get(room..MAX_HELD)?;
        // The word is often that of a handle, which the thread has held for long.
        let found = held.iter().rposition(|held| held.load(Relaxed) == entry);
        Some(room + found?)
    }

    /// Removes the most recent entry.
    #[inline]
    pub(super) fn pop(&self) {
        self.set_room(self.room() + 1);
    }

    /// Removes the entry at a position.
    pub(super) fn remove(&self, position: usize) {
        // Each entry is stored at its new position before it disappears from the old one, and all
        // move in the same direction. So `holds_in` misses none of them.
        for moved in (self.room() + 1..=position).rev() {
            // Release pairs with the Acquire in `holds_in`.
            self.held[moved].store(self.entry(moved - 1), Release);
        }
        self.pop();
    }

    #[inline]
    fn set_room(&self, room: usize) {
        // Release pairs with the Acquire in `holds_in`.
        self.room.store(room, Release);
    }

    /// Whether the thread holds a word with an entry in this range. Any thread may call this
    /// function. It also returns true if the thread has just released such a word.
    ///
    /// If the thread acquired the word before this call and never releases it, the function returns
    /// true, whatever other words the thread acquires and releases meanwhile.
    pub(super) fn holds_in(&self, entries: &Range<usize>) -> bool {
        // An entry only moves to higher positions, and never lies below `room`. So a search in
        // ascending order does not miss it.
        let room = self.room.load(Acquire);
        let mut held = self.held[..MAX_HELD].iter().skip(room);
        self.id() != 0 && held.any(|held| entries.contains(&held.load(Acquire)))
    }
}
