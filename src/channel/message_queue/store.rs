//! Which message is where, and what a death leaves of that.
//!
//! **How.** The messages are a list in the order in which they were sent: `first` leads to the cell in
//! which the oldest begins, and from there each to the next. A message is in runs of cells, one behind the other, and
//! the free cells are a list of runs too. A message takes its cells from the beginning of that list, and what it leaves
//! goes to the end, to the run that is there if it follows that one without a gap. So while the oldest message is always
//! the next to be received, the free cells are a ring in at most two runs, and a message is in one, or in two at
//! the end of the memory. In another order the runs become shorter, until the queue is empty: then all cells are one run
//! again.
//!
//! **Why there is room.** The first cell of a run holds [`CELL_BYTES`] of a message, and each further one more. A
//! message takes no cell that it does not need, so it never has more cells than if each were a run of its own, which
//! is what [`QueueLimits::cells`] counts.
//!
//! **Why it survives a death.** What there is is decided by the list of messages alone, and that changes by
//! one step of one word: the link to a message is written when all of it is in its cells, and the link
//! around it when all of it was copied out. Everything else (the end of the list, the free cells, how many
//! messages and bytes there are) follows from that list. So whoever gets the lock from the dead, and
//! whoever comes first of all, writes the rest anew: *what the list reaches is there, and all other cells
//! are free*. Who dies in the middle of that has changed nothing that counts.
//!
//! **Faulty peers.** A link is the number of a cell, counted from 1. Whatever it is, it leads to a cell or to
//! none; a run that is longer than there are cells, or has none, is no run; and no list is followed further than there
//! are cells. A list that leads nowhere, or into a circle, ends there.

use super::cell::{CELL_BYTES, Header, MessageCell, MessageCells, cells_of, copy_to, put, room_of};
use super::{QueueLimits, Select};
use crate::platform::robust::commit;
use crate::platform::{MemoryReader, UnsafeCell, constructor};
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
    /// The first of the free runs, and the last one, if there is one.
    free: u64,
    last_free: u64,
    messages: u64,
    bytes: u64,
}

impl Summary {
    const UNWRITTEN: Self = Self {
        is_written: 0,
        last: NONE,
        free: NONE,
        last_free: NONE,
        messages: 0,
        bytes: 0,
    };
}

/// A message: where it begins, where the one before it does, and what stands on it.
#[derive(Clone, Copy)]
pub(super) struct Found {
    at: u64,
    before: u64,
    pub(super) label: Header,
}

/// Cells in a row, at least one: where they begin, and where the next run does.
#[derive(Clone, Copy)]
struct Run<'a> {
    at: u64,
    cells: &'a [MessageCell],
    next: u64,
}

impl Run<'_> {
    /// Where a run would begin that follows it without a gap.
    fn end(&self) -> u64 {
        self.at + self.cells.len() as u64
    }
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
    pub(super) fn counts_of(words: &dyn MemoryReader) -> Option<(QueueLimits, u64, u64)> {
        let limit = |offset: usize| words.read_u32((offset_of!(Self, limits) + offset) as u64);
        let limits = QueueLimits {
            messages: limit(offset_of!(QueueLimits, messages))?,
            bytes: limit(offset_of!(QueueLimits, bytes))?,
        };
        let count = |offset: usize| words.read_u64((offset_of!(Self, summary) + offset) as u64);
        let messages = count(offset_of!(Summary, messages))?;
        let bytes = count(offset_of!(Summary, bytes))?;
        let messages = messages.min(limits.messages.into());
        Some((limits, messages, bytes.min(limits.bytes.into())))
    }
}

fn read<T: Copy>(word: &UnsafeCell<T>) -> T {
    // SAFETY: the lock of the queue is held, by the callers' promise; every bit pattern is valid.
    word.with(|value| unsafe { value.read_volatile() })
}

fn write<T: Copy>(word: &UnsafeCell<T>, value: T) {
    // SAFETY: the lock of the queue is held, by the callers' promise.
    word.with_mut(|place| unsafe { place.write_volatile(value) });
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

    /// The run that begins there.
    fn run(&self, at: u64) -> Option<Run<'_>> {
        let place = usize::try_from(at).ok()?.checked_sub(1)?;
        let cells = self.cells.cells().get(place..)?;
        let (count, next) = cells.first()?.run();
        let cells = cells.get(..usize::try_from(count).ok()?)?;
        (!cells.is_empty()).then_some(Run { at, cells, next })
    }

    /// Where the message begins that comes behind the one that begins there; without one, the first.
    fn following(&self, before: u64) -> u64 {
        let cell = self.cell(before);
        cell.map_or_else(|| read(&self.first), MessageCell::following)
    }

    /// Changes that in one step: whoever sees it sees all that was written before.
    fn relink(&self, before: u64, following: u64) {
        match self.cell(before) {
            Some(cell) => cell.relink(following),
            // SAFETY: the lock of the queue is held, by the callers' promise.
            None => unsafe { commit(&self.first, following) },
        }
    }

    /// Appends a message. False, if there is no room for it.
    pub(super) fn push(&self, kind: i64, bytes: &[u8]) -> bool {
        let (limits, summary) = (self.limits(), read(&self.summary));
        let Ok(length) = u32::try_from(bytes.len()) else {
            return false;
        };
        let sum = summary.bytes.saturating_add(length.into());
        if summary.messages >= u64::from(limits.messages) || sum > u64::from(limits.bytes) {
            return false;
        }
        let (at, mut changed) = (summary.free, summary);
        if !self.fill(&mut changed, bytes) {
            return false;
        }
        let Some(cell) = self.cell(at) else {
            return false;
        };
        cell.begin_message(kind, length);
        self.relink(summary.last, at);
        (changed.last, changed.bytes) = (at, sum);
        changed.messages += 1;
        write(&self.summary, changed);
        true
    }

    /// Copies the bytes into the first free runs, and takes these, of the last one no more than is needed. False, if
    /// they do not suffice.
    fn fill(&self, summary: &mut Summary, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            let Some(run) = self.run(summary.free) else {
                return false;
            };
            let count = cells_of(rest.len()).min(run.cells.len());
            let piece;
            (piece, rest) = rest.split_at(rest.len().min(room_of(count)));
            put(run.cells, piece);
            summary.free = self.split(summary, run, count);
            if rest.is_empty() {
                return true;
            }
        }
    }

    /// Leaves the run so many cells. Returns where the free runs go on.
    fn split(&self, summary: &mut Summary, run: Run<'_>, count: usize) -> u64 {
        let (used, left) = run.cells.split_at(count);
        let (Some(first), Some(first_left)) = (used.first(), left.first()) else {
            return run.next;
        };
        let at = run.at + used.len() as u64;
        // Neither is more than the run had.
        first_left.begin_run(left.len() as u32, run.next);
        first.begin_run(used.len() as u32, NONE);
        if summary.last_free == run.at {
            summary.last_free = at;
        }
        at
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

    /// The runs of a message, as far as there are any; no more than there are cells.
    fn runs(&self, found: Found) -> impl Iterator<Item = Run<'_>> {
        let (mut at, mut rest) = (found.at, usize::try_from(found.label.length).ok());
        let next = move || {
            let length = rest?;
            let run = self.run(at)?;
            let left = length.saturating_sub(room_of(run.cells.len()));
            rest = (left > 0).then_some(left);
            at = run.next;
            Some(run)
        };
        core::iter::from_fn(next).take(self.cells.cells().len())
    }

    /// How long the message is: what stands on it, unless that is more than any can be.
    pub(super) fn length(&self, found: Found) -> usize {
        let most = self.cells.cells().len().saturating_mul(CELL_BYTES);
        usize::try_from(found.label.length).map_or(most, |length| length.min(most))
    }

    /// Copies the beginning of the message out, as much as there is room for.
    pub(super) fn copy_to(&self, found: Found, room: &mut [u8]) {
        let mut rest = room;
        for run in self.runs(found) {
            let length = rest.len().min(room_of(run.cells.len()));
            let piece;
            (piece, rest) = core::mem::take(&mut rest).split_at_mut(length);
            copy_to(run.cells, piece);
        }
    }

    /// Takes the message out of the list, and its cells back.
    pub(super) fn remove(&self, found: Found) {
        self.relink(found.before, self.following(found.at));
        let mut summary = read(&self.summary);
        if summary.last == found.at {
            summary.last = found.before;
        }
        summary.messages = summary.messages.saturating_sub(1);
        summary.bytes = summary.bytes.saturating_sub(found.label.length.into());
        match read(&self.first) {
            NONE => self.free_all(&mut summary),
            // No run has more cells than a number of 32 bits counts.
            _ => self.runs(found).for_each(|run| {
                self.append(&mut summary, run.at, run.cells.len() as u32);
            }),
        }
        write(&self.summary, summary);
    }

    /// Makes one run of all cells: there is no message.
    fn free_all(&self, summary: &mut Summary) {
        summary.free = NONE;
        self.free(summary, 1, self.cells.cells().len());
    }

    /// Appends the cells to those that are free, however many.
    fn free(&self, summary: &mut Summary, at: u64, count: usize) {
        let (mut at, mut count) = (at, count);
        while count > 0 {
            let piece = u32::try_from(count).unwrap_or(u32::MAX);
            self.append(summary, at, piece);
            at += u64::from(piece);
            count -= piece as usize;
        }
    }

    /// Appends a run to those that are free, and to the last of them if it follows that one without a gap.
    fn append(&self, summary: &mut Summary, at: u64, count: u32) {
        let last = match summary.free {
            NONE => None,
            _ => self.run(summary.last_free),
        };
        if let Some(last) = last {
            let sum = u32::try_from(last.cells.len() + count as usize);
            if let (true, Ok(sum)) = (last.end() == at, sum) {
                return last.cells[0].begin_run(sum, NONE);
            }
            last.cells[0].go_on_at(at);
        } else {
            summary.free = at;
        }
        if let Some(first) = self.cell(at) {
            first.begin_run(count, NONE);
        }
        summary.last_free = at;
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
            summary.bytes = summary.bytes.saturating_add(found.label.length.into());
        }
        if self.following(summary.last) != NONE {
            // It leads nowhere, or to what is used twice: by a faulty peer.
            self.relink(summary.last, NONE);
        }
        // Behind the newest message first, so that they are a ring again.
        let load_latest = self.messages().last();
        let last_run = load_latest.and_then(|found| self.runs(found).last());
        let behind = last_run.map_or(0, |run| run.end() as usize - 1);
        let (before, behind_it) = is_free.split_at(behind);
        self.free_others(&mut summary, behind, behind_it);
        self.free_others(&mut summary, 0, before);
        write(&self.summary, summary);
    }

    /// Whether the message has all of its cells and shares none, which are taken then.
    fn is_whole(&self, found: Found, is_free: &mut [bool]) -> bool {
        let mut room = 0;
        for run in self.runs(found) {
            let cells = &mut is_free[run.at as usize - 1..][..run.cells.len()];
            if cells.contains(&false) {
                return false;
            }
            cells.fill(false);
            room += room_of(run.cells.len());
        }
        room >= found.label.length as usize && room > 0
    }

    /// Makes these cells the free ones.
    fn free_others(&self, summary: &mut Summary, from: usize, is_free: &[bool]) {
        let mut place = from;
        for cells in is_free.chunk_by(|one, next| one == next) {
            if cells[0] {
                self.free(summary, place as u64 + 1, cells.len());
            }
            place += cells.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QueueLimits = QueueLimits {
        messages: 40,
        bytes: 4000,
    };

    /// Sends so many messages of very different lengths, and receives the oldest whenever there are more than five.
    /// Returns of how many runs a message was at most.
    fn most_runs(store: &Store<[MessageCell; 40]>, messages: usize) -> usize {
        let mut most = 0;
        for number in 0..messages {
            assert!(store.push(1, &vec![0; number * 37 % 601]), "there is room");
            let load_latest = store.messages().last().expect("just sent");
            most = most.max(store.runs(load_latest).count());
            if store.counts().0 > 5 {
                let oldest = store.messages().next().expect("the oldest");
                store.remove(oldest);
            }
        }
        most
    }

    #[test]
    fn in_order_of_age_a_message_is_in_two_runs_at_most_also_after_a_repair() {
        let store = Store::new(LIMITS, [const { MessageCell::new() }; 40]);
        store.rewrite();
        assert_eq!(most_runs(&store, 100), 2, "one of them lies at the end");
        for messages in 0..40 {
            most_runs(&store, messages);
            store.rewrite();
            assert!(most_runs(&store, 100) <= 2, "{messages}");
        }
    }
}
