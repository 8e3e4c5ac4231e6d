//! The order in which the slots of a robust semaphore pair are used.
//!
//! Each side has a list of its slots, and the first slot of the list is the next to be used. A slot
//! links to the next slot of its side. When a thread finishes a turn (one write or read of the
//! slot), the slot moves to the end of the other side's list. A slot keeps its position in the list
//! during a turn, even if the turn is never finished. So a search for a free slot visits only the
//! slots in use and the first free slot.
//!
//! **Process death.** The lists can be derived from the numbers of the slots: the readers' slots
//! are in the order of their numbers. Before a thread changes the lists, it marks them as
//! incomplete, and afterwards it marks them as complete. If the lists are incomplete, the next
//! holder of the lock derives them again from the numbers. In a new pair, the first holder of the
//! lock also derives the lists.
//!
//! **Faulty peers.** A link is the index of a slot plus 1. Every value leads to a slot or ends the
//! list, and a walk visits at most as many slots as the pair has.

use super::pair_slot::{PairSide, PairSlot};
use crate::platform::robust::commit;
use crate::platform::{UnsafeCell, constructor};

/// The link that ends a list.
const END: u64 = 0;

/// The lists of slots of both sides, which the internal lock of the semaphore pair protects.
#[repr(C)]
#[derive(Debug)]
pub(super) struct SlotLists {
    /// 1 if the lists agree with the numbers of the slots.
    are_complete: UnsafeCell<u64>,
    writers: SlotList,
    readers: SlotList,
}

#[repr(C)]
#[derive(Debug)]
struct SlotList {
    first: UnsafeCell<u64>,
    last: UnsafeCell<u64>,
}

impl SlotLists {
    constructor! {
        /// Creates lists that the first access derives from the slots.
        pub(super) fn new() -> Self {
            Self {
                are_complete: UnsafeCell::new(0),
                writers: SlotList::new(),
                readers: SlotList::new(),
            }
        }
    }
}

impl SlotList {
    constructor! {
        fn new() -> Self {
            Self { first: UnsafeCell::new(END), last: UnsafeCell::new(END) }
        }
    }
}

/// Exclusive access to the lists of one semaphore pair and to the numbers of its slots.
pub(super) struct SlotOrder<'a, P> {
    lists: &'a SlotLists,
    slots: &'a [PairSlot<P>],
}

impl<'a, P> SlotOrder<'a, P> {
    /// Creates the access to the lists of a pair, and derives the lists again if they are
    /// incomplete.
    ///
    /// # Safety
    /// `lists` and `slots` belong to one pair, and the caller holds the lock of that pair while the
    /// value lives.
    pub(super) unsafe fn new(lists: &'a SlotLists, slots: &'a [PairSlot<P>]) -> Self {
        let order = Self { lists, slots };
        if order.read(&lists.are_complete) != 1 {
            order.rewrite();
        }
        order
    }

    /// Returns whether no slot belongs to `side`.
    pub(super) fn is_empty(&self, side: PairSide) -> bool {
        self.read(&self.list(side).first) == END
    }

    /// Returns the index of the first slot of `side` that is not in use.
    pub(super) fn first_free(&self, side: PairSide) -> Option<usize> {
        self.indices(side)
            .find(|index| !self.slots[*index].is_held())
    }

    /// Counts the slots of `side`.
    pub(super) fn count(&self, side: PairSide) -> usize {
        let sides = self.slots.iter().map(|slot| self.side_of(slot));
        sides.filter(|found| *found == side).count()
    }

    /// Gives the slot at `index` a new number, and moves the slot to the end of the other side's
    /// list.
    #[inline]
    pub(super) fn pass_on(&self, from: PairSide, index: usize, number: u64) {
        self.commit(&self.lists.are_complete, 0);
        let is_removed = self.remove(from, index);
        self.commit(&self.slots[index].number, number);
        // If a faulty process changed the list, the slot may be missing from the list. The lists
        // then stay marked as incomplete.
        if is_removed {
            self.append(index);
            self.commit(&self.lists.are_complete, 1);
        }
    }

    fn list(&self, side: PairSide) -> &'a SlotList {
        match side {
            PairSide::Writers => &self.lists.writers,
            PairSide::Readers => &self.lists.readers,
        }
    }

    fn side_of(&self, slot: &PairSlot<P>) -> PairSide {
        PairSide::from_number(self.read(&slot.number))
    }

    /// Returns the slot to which a link leads, or `None` at the end of the list.
    fn linked(&self, link: u64) -> Option<&'a PairSlot<P>> {
        self.slots.get(usize::try_from(link).ok()?.checked_sub(1)?)
    }

    /// Returns the indices of the slots of a list, in order.
    fn indices(&self, side: PairSide) -> impl Iterator<Item = usize> {
        let mut link = self.read(&self.list(side).first);
        let next = move || {
            let slot = self.linked(link)?;
            let index = link as usize - 1;
            link = self.read(&slot.next);
            Some(index)
        };
        core::iter::from_fn(next).take(self.slots.len())
    }

    /// Removes the slot from the list of `side`. Returns false if the list does not contain the
    /// slot.
    fn remove(&self, side: PairSide, index: usize) -> bool {
        let (list, mut before) = (self.list(side), END);
        for other in self.indices(side) {
            if other == index {
                let next = self.read(&self.slots[index].next);
                let link = self.linked(before).map_or(&list.first, |slot| &slot.next);
                self.write(link, next);
                if next == END {
                    self.write(&list.last, before);
                }
                return true;
            }
            before = other as u64 + 1;
        }
        false
    }

    /// Appends the slot to the list of the side to which its number assigns it.
    fn append(&self, index: usize) {
        let (list, link) = (
            self.list(self.side_of(&self.slots[index])),
            index as u64 + 1,
        );
        self.write(&self.slots[index].next, END);
        let last = self.linked(self.read(&list.last));
        let end = last.map_or(&list.first, |slot| &slot.next);
        self.write(end, link);
        self.write(&list.last, link);
    }

    /// Derives the lists from the numbers of the slots.
    #[cold]
    fn rewrite(&self) {
        let numbers = self.slots.iter().map(|slot| self.read(&slot.number));
        let mut numbers: Vec<(u64, usize)> = numbers.zip(0..).collect();
        numbers.sort_unstable();
        for list in [&self.lists.writers, &self.lists.readers] {
            self.write(&list.first, END);
            self.write(&list.last, END);
        }
        for (_, index) in numbers {
            self.append(index);
        }
        self.commit(&self.lists.are_complete, 1);
    }

    #[track_caller]
    fn read(&self, cell: &UnsafeCell<u64>) -> u64 {
        // SAFETY: the caller of `new` holds the lock of the pair, which excludes every other access
        // to `cell`. The read is volatile, so the compiler does not repeat it.
        cell.with(|value| unsafe { value.read_volatile() })
    }

    #[track_caller]
    fn write(&self, cell: &UnsafeCell<u64>, value: u64) {
        // SAFETY: the caller of `new` holds the lock of the pair, which excludes every other access
        // to `cell`.
        cell.with_mut(|target| unsafe { target.write_volatile(value) });
    }

    /// Writes the value after all earlier writes of this thread.
    #[track_caller]
    fn commit(&self, cell: &UnsafeCell<u64>, value: u64) {
        // SAFETY: the caller of `new` holds the lock of the pair, which excludes every other access
        // to `cell`.
        unsafe { commit(cell, value) };
    }
}
