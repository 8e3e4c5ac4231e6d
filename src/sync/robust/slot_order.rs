//! In which order the slots of a recoverable pair are taken.
//!
//! **How.** Each side has a row of its slots, the one that is next at first: a slot leads to the one behind it, and
//! joins the end of the other side's row when it is passed on. It stays in its row while somebody has it, and when
//! it comes back; so whoever looks for one passes by those that others have, and by no more.
//!
//! **Why they survive a death.** The rows follow from the numbers of the slots: the readers' are in the order of
//! these. Whoever changes them says before that they are not whole, and afterwards that they are; and whoever finds
//! that they are not, writes them anew. The first of all does, too.
//!
//! **Faulty peers.** A link is the number of a slot, counted from 1. Whatever it is, it leads to a slot or to none,
//! and no row is followed further than there are slots.

use super::semaphore_pair::{PairSlot, Side};
use crate::platform::robust::commit;
use crate::platform::{UnsafeCell, constructor};

/// The end of a row.
const NONE: u64 = 0;

/// The rows of both sides. The caller of every method holds the lock of the pair, and passes its slots.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Rows {
    /// Whether they agree with the numbers of the slots.
    are_whole: UnsafeCell<u64>,
    writers: Row,
    readers: Row,
}

#[repr(C)]
#[derive(Debug)]
struct Row {
    first: UnsafeCell<u64>,
    last: UnsafeCell<u64>,
}

impl Row {
    constructor! {
        fn new() -> Self {
            Self { first: UnsafeCell::new(NONE), last: UnsafeCell::new(NONE) }
        }
    }
}

/// The slot that a link leads to.
fn slot_at<P>(slots: &[PairSlot<P>], link: u64) -> Option<&PairSlot<P>> {
    slots.get(usize::try_from(link).ok()?.checked_sub(1)?)
}

impl Rows {
    constructor! {
        /// Not yet written.
        pub(super) fn new() -> Self {
            Self { are_whole: UnsafeCell::new(0), writers: Row::new(), readers: Row::new() }
        }
    }

    fn row(&self, side: Side) -> &Row {
        match side {
            Side::Writers => &self.writers,
            Side::Readers => &self.readers,
        }
    }

    /// Whether this side has no slot.
    pub(super) fn is_empty<P>(&self, slots: &[PairSlot<P>], side: Side) -> bool {
        self.make_whole(slots);
        read(&self.row(side).first) == NONE
    }

    /// The first slot of this side that nobody has.
    pub(super) fn first<P>(&self, slots: &[PairSlot<P>], side: Side) -> Option<usize> {
        self.make_whole(slots);
        self.along(slots, side)
            .find(|place| !slots[*place].is_held())
    }

    /// Gives this slot of that side its number, which makes it the other side's last one.
    pub(super) fn pass_on<P>(&self, slots: &[PairSlot<P>], from: Side, place: usize, number: u64) {
        self.make_whole(slots);
        set_step(&self.are_whole, 0);
        slots[place].set_number(number);
        // By a faulty peer it is not there; then they are written anew.
        if self.take_out(slots, from, place) {
            self.append(slots, from.other(), place);
            set_step(&self.are_whole, 1);
        }
    }

    /// The places of a row.
    fn along<P>(&self, slots: &[PairSlot<P>], side: Side) -> impl Iterator<Item = usize> {
        let mut link = read(&self.row(side).first);
        let next = move || {
            let slot = slot_at(slots, link)?;
            let place = link as usize - 1;
            link = read(slot.next());
            Some(place)
        };
        core::iter::from_fn(next).take(slots.len())
    }

    /// False, if it is not there.
    fn take_out<P>(&self, slots: &[PairSlot<P>], side: Side, place: usize) -> bool {
        let (row, mut before) = (self.row(side), NONE);
        for other in self.along(slots, side) {
            if other == place {
                let behind = read(slots[place].next());
                let link = slot_at(slots, before).map_or(&row.first, PairSlot::next);
                write(link, behind);
                if behind == NONE {
                    write(&row.last, before);
                }
                return true;
            }
            before = other as u64 + 1;
        }
        false
    }

    fn append<P>(&self, slots: &[PairSlot<P>], side: Side, place: usize) {
        let (row, link) = (self.row(side), place as u64 + 1);
        write(slots[place].next(), NONE);
        let end = slot_at(slots, read(&row.last)).map_or(&row.first, PairSlot::next);
        write(end, link);
        write(&row.last, link);
    }

    fn make_whole<P>(&self, slots: &[PairSlot<P>]) {
        if read(&self.are_whole) != 1 {
            self.rewrite(slots);
        }
    }

    #[cold]
    fn rewrite<P>(&self, slots: &[PairSlot<P>]) {
        let numbers = slots.iter().map(PairSlot::number).zip(0..);
        let mut numbers: Vec<(u64, usize)> = numbers.collect();
        numbers.sort_unstable();
        for row in [&self.writers, &self.readers] {
            write(&row.first, NONE);
            write(&row.last, NONE);
        }
        for (number, place) in numbers {
            self.append(slots, Side::of(number), place);
        }
        set_step(&self.are_whole, 1);
    }
}

#[track_caller]
fn read(cell: &UnsafeCell<u64>) -> u64 {
    // SAFETY: the lock of the pair is held, by the callers' promise; volatile, so that it is read once.
    cell.with(|value| unsafe { value.read_volatile() })
}

#[track_caller]
fn write(cell: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the lock of the pair is held, by the callers' promise.
    cell.with_mut(|place| unsafe { place.write_volatile(value) });
}

/// After everything that was written before.
#[track_caller]
fn set_step(cell: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the lock of the pair is held, by the callers' promise.
    unsafe { commit(cell, value) };
}
