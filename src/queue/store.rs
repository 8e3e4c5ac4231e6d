//! Which message is where, and what a death leaves of that.
//!
//! **How.** The messages are a list in the order in which they were sent: `first` leads to the cell in
//! which the oldest begins, and from there each to the next. A message has as many cells as its length
//! needs, one behind the other; the cells that nobody uses are a list too.
//!
//! **Why it survives a death.** What there is is decided by the list of messages alone, and that changes by
//! one step of one word: the link to a message is written when all of it is in its cells, and the link
//! around it when all of it was copied out. Everything else (the end of the list, the free cells, how many
//! messages and bytes there are) follows from that list. So whoever gets the lock from the dead, and
//! whoever comes first of all, writes the rest anew: *what the list reaches is there, and all other cells
//! are free*. Who dies in the middle of that has changed nothing that counts.
//!
//! **Faulty peers.** A link is the number of a cell, counted from 1. Whatever it is, it leads to a cell or to
//! none, and no list is followed further than there are cells. A list that leads nowhere, or into a circle,
//! ends there.

use super::cell::{CELL_BYTES, Label, MessageCell, MessageCells, read, relink, write};
use super::{QueueLimits, Select};
use crate::platform::{UnsafeCell, Words, constructor};
use core::mem::offset_of;

/// The end of a list.
const NONE: u64 = 0;

/// The messages and the free cells. The caller of every method holds the lock of the queue.
#[repr(C)]
pub(super) struct Store<C: MessageCells + ?Sized> {
    limits: UnsafeCell<QueueLimits>,
    /// Where the oldest message begins. One step changes it.
    first: UnsafeCell<u64>,
    summary: UnsafeCell<Summary>,
    cells: C,
}

/// What follows from the list of messages.
#[repr(C)]
#[derive(Clone, Copy)]
struct Summary {
    /// Whether this was ever written.
    is_written: u64,
    /// Where the newest message begins.
    last: u64,
    /// The first of the free cells.
    free: u64,
    messages: u64,
    bytes: u64,
}

impl Summary {
    const UNWRITTEN: Self = Self {
        is_written: 0,
        last: NONE,
        free: NONE,
        messages: 0,
        bytes: 0,
    };
}

/// A message: where it begins, where the one before it does, and what stands on it.
#[derive(Clone, Copy)]
pub(super) struct Found {
    at: u64,
    before: u64,
    pub(super) label: Label,
}

// SAFETY: everything in it is accessed only by the holder of the lock of the queue, but the limits,
// which nobody changes.
unsafe impl<C: MessageCells + ?Sized> Sync for Store<C> {}

impl<C: MessageCells> Store<C> {
    constructor! {
        /// Without a message.
        pub(super) fn new(limits: QueueLimits, cells: C) -> Self {
            Self {
                limits: UnsafeCell::new(limits),
                first: UnsafeCell::new(NONE),
                summary: UnsafeCell::new(Summary::UNWRITTEN),
                cells,
            }
        }
    }
}

impl Store<[MessageCell; 0]> {
    /// The limits, and how many messages and bytes there are, as these words say: no more than the limits.
    pub(super) fn counts_of(words: &dyn Words) -> Option<(QueueLimits, u64, u64)> {
        let limit = |offset: usize| words.word((offset_of!(Self, limits) + offset) as u64);
        let limits = QueueLimits {
            messages: limit(offset_of!(QueueLimits, messages))?,
            bytes: limit(offset_of!(QueueLimits, bytes))?,
        };
        let count = |offset: usize| words.long((offset_of!(Self, summary) + offset) as u64);
        let messages = count(offset_of!(Summary, messages))?;
        let bytes = count(offset_of!(Summary, bytes))?;
        let messages = messages.min(limits.messages.into());
        Some((limits, messages, bytes.min(limits.bytes.into())))
    }
}

/// How many cells a message of that length has.
fn cells_of(length: u64) -> u64 {
    length.div_ceil(CELL_BYTES as u64).max(1)
}

impl<C: MessageCells + ?Sized> Store<C> {
    /// The limits; the lock need not be held.
    pub(super) fn limits(&self) -> QueueLimits {
        read(&self.limits)
    }

    /// Bytes of the longest message that fits into the empty queue.
    pub(super) fn longest(&self) -> usize {
        let room = self.cells.cells().len().saturating_mul(CELL_BYTES);
        room.min(self.limits().bytes as usize)
    }

    /// How many messages and bytes there are.
    pub(super) fn counts(&self) -> (u64, u64) {
        let summary = read(&self.summary);
        (summary.messages, summary.bytes)
    }

    fn cell(&self, link: u64) -> Option<&MessageCell> {
        let place = usize::try_from(link).ok()?.checked_sub(1)?;
        self.cells.cells().get(place)
    }

    /// The link to what comes behind the message that begins there; without one, to the first.
    fn link_behind(&self, before: u64) -> &UnsafeCell<u64> {
        self.cell(before).map_or(&self.first, MessageCell::link)
    }

    /// Appends a message. False, if there is no room for it.
    pub(super) fn push(&self, kind: i64, bytes: &[u8]) -> bool {
        let (limits, summary) = (self.limits(), read(&self.summary));
        let length = bytes.len() as u64;
        let sum = summary.bytes.saturating_add(length);
        if summary.messages >= u64::from(limits.messages) || sum > u64::from(limits.bytes) {
            return false;
        }
        let at = summary.free;
        let Some(free) = self.fill(at, bytes) else {
            return false;
        };
        let Some(cell) = self.cell(at) else {
            return false;
        };
        cell.begin(Label { kind, length });
        relink(self.link_behind(summary.last), at);
        let changed = Summary {
            last: at,
            free,
            messages: summary.messages + 1,
            bytes: sum,
            ..summary
        };
        write(&self.summary, changed);
        true
    }

    /// Copies the bytes into the free cells from there on, as they follow one another, and returns the
    /// next one. None, if they do not suffice.
    fn fill(&self, at: u64, bytes: &[u8]) -> Option<u64> {
        let cell = self.cell(at)?;
        let (piece, rest) = bytes.split_at(bytes.len().min(CELL_BYTES));
        cell.put(piece);
        let mut free = cell.next();
        for piece in rest.chunks(CELL_BYTES) {
            let cell = self.cell(free)?;
            cell.put(piece);
            free = cell.next();
        }
        Some(free)
    }

    /// The message that is asked for.
    pub(super) fn find(&self, select: Select) -> Option<Found> {
        let mut messages = self.messages();
        match select {
            Select::First => messages.next(),
            Select::Type(kind) => messages.find(|found| found.label.kind == kind.get()),
            // Of several of the same type, `min_by_key` returns the first.
            Select::LowestUpTo(most) => messages
                .filter(|found| found.label.kind <= most.get())
                .min_by_key(|found| found.label.kind),
        }
    }

    /// The messages, oldest first; no more than there are cells.
    fn messages(&self) -> impl Iterator<Item = Found> {
        let (mut at, mut before) = (read(&self.first), NONE);
        let next = move || {
            let cell = self.cell(at)?;
            let label = cell.label();
            let found = Found { at, before, label };
            (before, at) = (at, cell.following());
            Some(found)
        };
        core::iter::from_fn(next).take(self.cells.cells().len())
    }

    /// The cells of a message, as far as there are any.
    fn cells_from(&self, at: u64, length: u64) -> impl Iterator<Item = (u64, &MessageCell)> {
        let most = self.cells.cells().len();
        let count = usize::try_from(cells_of(length)).map_or(most, |count| count.min(most));
        let mut at = at;
        let next = move || {
            let cell = self.cell(at)?;
            let this = at;
            at = cell.next();
            Some((this, cell))
        };
        core::iter::from_fn(next).take(count)
    }

    /// How long the message is: what stands on it, unless that is more than any can be.
    pub(super) fn length(&self, found: Found) -> usize {
        let most = self.cells.cells().len().saturating_mul(CELL_BYTES);
        usize::try_from(found.label.length).map_or(most, |length| length.min(most))
    }

    /// Copies the beginning of the message out, as much as there is room for.
    pub(super) fn copy_to(&self, found: Found, room: &mut [u8]) {
        let cells = self.cells_from(found.at, found.label.length);
        for (piece, (_, cell)) in room.chunks_mut(CELL_BYTES).zip(cells) {
            cell.copy_to(piece);
        }
    }

    /// Takes the message out of the list, and its cells back.
    pub(super) fn remove(&self, found: Found) {
        let Some(cell) = self.cell(found.at) else {
            return;
        };
        relink(self.link_behind(found.before), cell.following());
        let summary = read(&self.summary);
        let last = self.cells_from(found.at, found.label.length).last();
        if let Some((_, last)) = last {
            last.go_on_at(summary.free);
        }
        let changed = Summary {
            last: match summary.last == found.at {
                true => found.before,
                false => summary.last,
            },
            free: found.at,
            messages: summary.messages.saturating_sub(1),
            bytes: summary.bytes.saturating_sub(found.label.length),
            ..summary
        };
        write(&self.summary, changed);
    }

    /// Whether the rest was ever written.
    pub(super) fn is_written(&self) -> bool {
        read(&self.summary).is_written != 0
    }

    /// Writes anew what follows from the list of messages.
    #[cold]
    pub(super) fn rewrite(&self) {
        let mut is_free = vec![true; self.cells.cells().len()];
        let mut summary = Summary {
            is_written: 1,
            ..Summary::UNWRITTEN
        };
        for found in self.messages() {
            if !self.is_whole(found, &mut is_free) {
                break;
            }
            summary.last = found.at;
            summary.messages += 1;
            summary.bytes = summary.bytes.saturating_add(found.label.length);
        }
        let end = self.link_behind(summary.last);
        if read(end) != NONE {
            // It leads nowhere, or to what is used twice: by a faulty peer.
            relink(end, NONE);
        }
        summary.free = self.chain(&is_free);
        write(&self.summary, summary);
    }

    /// Whether the message has all of its cells and shares none, which are taken then.
    fn is_whole(&self, found: Found, is_free: &mut [bool]) -> bool {
        let mut count = 0;
        for (at, _) in self.cells_from(found.at, found.label.length) {
            if !core::mem::replace(&mut is_free[at as usize - 1], false) {
                return false;
            }
            count += 1;
        }
        count == cells_of(found.label.length)
    }

    /// Links these cells to a list, and returns where it begins.
    fn chain(&self, is_free: &[bool]) -> u64 {
        let mut free = NONE;
        for (place, cell) in self.cells.cells().iter().enumerate().rev() {
            if is_free[place] {
                cell.go_on_at(free);
                free = place as u64 + 1;
            }
        }
        free
    }
}
