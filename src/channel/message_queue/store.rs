//! The order of the messages in memory, and its repair after an owner death.

use super::cell::{
    CELL_PAYLOAD, MessageCell, MessageCells, MessageHeader, cells_for, payload_of, read_extent,
    write_extent,
};
use super::{QueueLimits, Select};
use crate::platform::robust::commit;
use crate::platform::{MemoryReader, UnsafeCell, constructor};
use core::mem::offset_of;

/// The link that ends a list. Every other link is the number of a cell, counted from 1.
const END: u64 = 0;

/// The messages and the free cells of a queue. A [`LockedStore`] provides access for the holder of
/// the queue's lock.
#[repr(C)]
pub(super) struct MessageStore<C: MessageCells + ?Sized> {
    limits: UnsafeCell<QueueLimits>,
    /// The link to the oldest message. A single store changes this link.
    first: UnsafeCell<u64>,
    derived: UnsafeCell<DerivedState>,
    cells: C,
}

/// The derived state, which a repair computes again from the list of messages.
#[repr(C)]
#[derive(Clone, Copy)]
struct DerivedState {
    /// This number is 0 until the derived state is computed for the first time.
    is_computed: u64,
    /// The link to the newest message.
    last: u64,
    /// The links to the first and the last free extent. If the first link is `END`, the last link
    /// is not used.
    first_free: u64,
    last_free: u64,
    messages: u64,
    bytes: u64,
}

impl DerivedState {
    const INITIAL: Self = Self {
        is_computed: 0,
        last: END,
        first_free: END,
        last_free: END,
        messages: 0,
        bytes: 0,
    };
}

/// The position and the header of a message in the list.
#[derive(Clone, Copy)]
pub(super) struct MessageEntry {
    link: u64,
    /// The link to the previous message.
    previous: u64,
    pub(super) header: MessageHeader,
}

/// One or more consecutive cells that are used by one message or are free.
#[derive(Clone, Copy)]
struct Extent<'a> {
    link: u64,
    cells: &'a [MessageCell],
    next: u64,
}

impl Extent<'_> {
    /// The link to the cell directly after this extent.
    fn end(&self) -> u64 {
        self.link + self.cells.len() as u64
    }
}

// SAFETY: `limits` is never written after construction. Everything else is accessed only through
// `LockedStore`, whose creator holds the queue's lock.
unsafe impl<C: MessageCells + ?Sized> Sync for MessageStore<C> {}

impl<C: MessageCells> MessageStore<C> {
    constructor! {
        /// Creates a store without messages.
        pub(super) fn new(limits: QueueLimits, cells: C) -> Self {
            Self {
                limits: UnsafeCell::new(limits),
                first: UnsafeCell::new(END),
                derived: UnsafeCell::new(DerivedState::INITIAL),
                cells,
            }
        }
    }
}

impl<const N: usize> MessageStore<[MessageCell; N]> {
    /// Initializes the cells in place.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes, and no other access to the cells happens during the
    /// call.
    pub(super) unsafe fn init_cells(at: *mut Self) {
        // SAFETY: the caller passes an `at` that is valid for writes, so each cell is too.
        unsafe {
            let first = (&raw mut (*at).cells).cast::<MessageCell>();
            (0..N).for_each(|index| first.add(index).write(MessageCell::new()));
        }
    }
}

impl MessageStore<[MessageCell; 0]> {
    /// Reads the limits and the numbers of messages and bytes, clamped to the limits.
    pub(super) fn read_counts(reader: &dyn MemoryReader) -> Option<(QueueLimits, u64, u64)> {
        let limit = |offset: usize| reader.read_u32((offset_of!(Self, limits) + offset) as u64);
        let limits = QueueLimits {
            messages: limit(offset_of!(QueueLimits, messages))?,
            bytes: limit(offset_of!(QueueLimits, bytes))?,
        };
        let count = |offset: usize| reader.read_u64((offset_of!(Self, derived) + offset) as u64);
        let messages = count(offset_of!(DerivedState, messages))?;
        let bytes = count(offset_of!(DerivedState, bytes))?;
        let messages = messages.min(limits.messages.into());
        Some((limits, messages, bytes.min(limits.bytes.into())))
    }
}

impl<C: MessageCells + ?Sized> MessageStore<C> {
    /// Returns the limits. The caller does not need to hold the lock.
    pub(super) fn limits(&self) -> QueueLimits {
        // SAFETY: only a faulty peer writes the limits after construction, and every bit pattern is
        // valid.
        self.limits.with(|limits| unsafe { limits.read_volatile() })
    }

    /// Returns the length of the longest message that fits into the empty queue.
    pub(super) fn max_length(&self) -> usize {
        let payload = self.cells.cells().len().saturating_mul(CELL_PAYLOAD);
        payload.min(self.limits().bytes as usize)
    }

    /// Returns access to the messages and the free cells.
    ///
    /// # Safety
    /// The caller holds the queue's lock for as long as it uses the returned value.
    pub(super) unsafe fn assume_locked(&self) -> LockedStore<'_, C> {
        LockedStore { store: self }
    }
}

/// Access to a [`MessageStore`], for the holder of the queue's lock.
///
/// **How it works.** The messages form a list in sending order: `first` links to the cell where the
/// oldest message starts, and each message links to the next. A message occupies a list of extents,
/// and the free cells are a list of extents too. A message takes its cells from the head of the
/// free list. When a message is removed, its cells return to the tail of the free list. If these
/// cells start where the last free extent ends, they become part of that extent. While messages are
/// received in sending order, the free cells are therefore a ring of at most two extents, and a
/// message occupies one extent, or two if it wraps around the end of the memory. Other orders
/// produce shorter extents. When the queue becomes empty, all cells become one extent again.
///
/// **Capacity.** The first cell of an extent holds [`CELL_PAYLOAD`] message bytes, and each further
/// cell holds more. A message takes only as many cells as it needs. It needs most cells if each of
/// its cells is a separate extent. [`QueueLimits::cells`] assumes this worst case.
///
/// **Owner death.** The list of messages alone decides which messages exist, and a single store of
/// one word changes the list. A sender stores the link to a message after it has written all cells
/// of the message. A receiver stores the link that skips the message after it has copied the
/// message out. All other state (the newest message, the free cells, the counts) follows from that
/// list. The first user computes this state, and so does each process that takes over the lock from
/// a dead owner. The cells that the list reaches are in use, and all other cells are free. The list
/// is unchanged if the process dies during that repair.
///
/// **Faulty peers.** A link is the number of a cell, counted from 1. A number that belongs to no
/// cell is treated as the end of the list. An extent that has no cells, or more cells than the
/// queue, is treated as the end of the list. No list is followed for more steps than there are
/// cells, so an operation ends even if the links form a cycle.
pub(super) struct LockedStore<'a, C: MessageCells + ?Sized> {
    store: &'a MessageStore<C>,
}

impl<C: MessageCells + ?Sized> Clone for LockedStore<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: MessageCells + ?Sized> Copy for LockedStore<'_, C> {}

impl<'a, C: MessageCells + ?Sized> LockedStore<'a, C> {
    fn first(self) -> u64 {
        // SAFETY: the creator of `self` holds the queue's lock. The read is volatile, so it yields
        // one value even while a faulty peer writes.
        self.store
            .first
            .with(|first| unsafe { first.read_volatile() })
    }

    fn derived(self) -> DerivedState {
        // SAFETY: the creator of `self` holds the queue's lock. The read is volatile, and every bit
        // pattern is valid.
        self.store
            .derived
            .with(|derived| unsafe { derived.read_volatile() })
    }

    fn set_derived(self, derived: DerivedState) {
        // SAFETY: the creator of `self` holds the queue's lock, which excludes every other access.
        self.store
            .derived
            .with_mut(|target| unsafe { target.write_volatile(derived) });
    }

    fn cells(self) -> &'a [MessageCell] {
        self.store.cells.cells()
    }

    /// Returns the numbers of messages and bytes.
    pub(super) fn counts(self) -> (u64, u64) {
        let derived = self.derived();
        (derived.messages, derived.bytes)
    }

    fn cell(self, link: u64) -> Option<&'a MessageCell> {
        let index = usize::try_from(link).ok()?.checked_sub(1)?;
        self.cells().get(index)
    }

    /// Returns the extent that starts at `link`.
    fn extent(self, link: u64) -> Option<Extent<'a>> {
        let index = usize::try_from(link).ok()?.checked_sub(1)?;
        let cells = self.cells().get(index..)?;
        // SAFETY: the creator of `self` holds the queue's lock.
        let (count, next) = unsafe { cells.first()?.extent() };
        let cells = cells.get(..usize::try_from(count).ok()?)?;
        (!cells.is_empty()).then_some(Extent { link, cells, next })
    }

    /// Returns the link that follows the message at `previous`. If `previous` is `END`, returns the
    /// link to the first message.
    fn next_message(self, previous: u64) -> u64 {
        match self.cell(previous) {
            // SAFETY: the creator of `self` holds the queue's lock.
            Some(cell) => unsafe { cell.next_message() },
            None => self.first(),
        }
    }

    /// Links the message at `previous` to `next`. This single store becomes visible after all
    /// earlier writes.
    fn link_message(self, previous: u64, next: u64) {
        // SAFETY: the creator of `self` holds the queue's lock.
        unsafe {
            match self.cell(previous) {
                Some(cell) => cell.link_message(next),
                None => commit(&self.store.first, next),
            }
        }
    }

    /// Makes the cell at `link` the first of an extent of `cells` cells. Does nothing if the cell
    /// does not exist.
    fn start_extent(self, link: u64, cells: u32, next: u64) {
        if let Some(cell) = self.cell(link) {
            // SAFETY: the creator of `self` holds the queue's lock.
            unsafe { cell.start_extent(cells, next) };
        }
    }

    /// Appends a message. Returns `false` if the queue does not have enough free space.
    pub(super) fn push(self, message_type: i64, bytes: &[u8]) -> bool {
        let (limits, derived) = (self.store.limits(), self.derived());
        let Ok(length) = u32::try_from(bytes.len()) else {
            return false;
        };
        let sum = derived.bytes.saturating_add(length.into());
        if derived.messages >= u64::from(limits.messages) || sum > u64::from(limits.bytes) {
            return false;
        }
        let (link, mut changed) = (derived.first_free, derived);
        if !self.fill(&mut changed, bytes) {
            return false;
        }
        let Some(cell) = self.cell(link) else {
            return false;
        };
        // SAFETY: the creator of `self` holds the queue's lock.
        unsafe { cell.start_message(message_type, length) };
        self.link_message(derived.last, link);
        (changed.last, changed.bytes) = (link, sum);
        changed.messages += 1;
        self.set_derived(changed);
        true
    }

    /// Copies `bytes` into the first free extents and removes the used cells from the free list.
    ///
    /// If only a part of the last extent is needed, the remaining cells stay free. Returns `false`
    /// if there are not enough free cells.
    fn fill(self, derived: &mut DerivedState, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            let Some(extent) = self.extent(derived.first_free) else {
                return false;
            };
            let count = cells_for(rest.len()).min(extent.cells.len());
            let piece;
            (piece, rest) = rest.split_at(rest.len().min(payload_of(count)));
            // SAFETY: the creator of `self` holds the queue's lock.
            unsafe { write_extent(extent.cells, piece) };
            derived.first_free = self.split(derived, extent, count);
            if rest.is_empty() {
                return true;
            }
        }
    }

    /// Shortens a free extent to the `count` cells that are about to be used, at least one.
    ///
    /// Returns the link to the new head of the free list.
    fn split(self, derived: &mut DerivedState, extent: Extent<'_>, count: usize) -> u64 {
        let (used, left) = extent.cells.split_at(count);
        if left.is_empty() {
            return extent.next;
        }
        let link_left = extent.link + used.len() as u64;
        // The casts preserve the values, because the number of cells of an extent fits into a u32.
        self.start_extent(link_left, left.len() as u32, extent.next);
        self.start_extent(extent.link, used.len() as u32, END);
        if derived.last_free == extent.link {
            derived.last_free = link_left;
        }
        link_left
    }

    /// Returns the message that `select` chooses.
    pub(super) fn find(self, select: Select) -> Option<MessageEntry> {
        let mut messages = self.messages();
        match select {
            Select::First => messages.next(),
            Select::Type(wanted) => {
                messages.find(|message| message.header.message_type == wanted.get())
            }
            // `min_by_key` returns the first of several minima, which is the oldest message of the
            // lowest type.
            Select::LowestUpTo(max) => messages
                .filter(|message| message.header.message_type <= max.get())
                .min_by_key(|message| message.header.message_type),
        }
    }

    /// Returns the messages, oldest first. Returns at most as many messages as there are cells.
    fn messages(self) -> impl Iterator<Item = MessageEntry> + use<'a, C> {
        let (mut link, mut previous) = (self.first(), END);
        let next = move || {
            let cell = self.cell(link)?;
            // SAFETY: the creator of `self` holds the queue's lock.
            let (header, next) = unsafe { (cell.message_header(), cell.next_message()) };
            let entry = MessageEntry {
                link,
                previous,
                header,
            };
            (previous, link) = (link, next);
            Some(entry)
        };
        core::iter::from_fn(next).take(self.cells().len())
    }

    /// Returns the extents of a message up to the first corrupted one. Returns at most as many
    /// extents as there are cells.
    fn extents(self, message: MessageEntry) -> impl Iterator<Item = Extent<'a>> + use<'a, C> {
        let mut link = message.link;
        let mut rest = usize::try_from(message.header.length).ok();
        let next = move || {
            let length = rest?;
            let extent = self.extent(link)?;
            let left = length.saturating_sub(payload_of(extent.cells.len()));
            rest = (left > 0).then_some(left);
            link = extent.next;
            Some(extent)
        };
        core::iter::from_fn(next).take(self.cells().len())
    }

    /// Returns the length in a message's header, but at most the number of bytes that all cells can
    /// hold.
    pub(super) fn length(self, message: MessageEntry) -> usize {
        let max = self.cells().len().saturating_mul(CELL_PAYLOAD);
        usize::try_from(message.header.length).map_or(max, |length| length.min(max))
    }

    /// Copies the beginning of a message into `buffer`, until the buffer is full.
    pub(super) fn copy_to(self, message: MessageEntry, buffer: &mut [u8]) {
        let mut rest = buffer;
        for extent in self.extents(message) {
            let length = rest.len().min(payload_of(extent.cells.len()));
            let piece;
            (piece, rest) = core::mem::take(&mut rest).split_at_mut(length);
            // SAFETY: the creator of `self` holds the queue's lock.
            unsafe { read_extent(extent.cells, piece) };
        }
    }

    /// Removes a message from the list and frees its cells.
    pub(super) fn remove(self, message: MessageEntry) {
        self.link_message(message.previous, self.next_message(message.link));
        let mut derived = self.derived();
        if derived.last == message.link {
            derived.last = message.previous;
        }
        derived.messages = derived.messages.saturating_sub(1);
        derived.bytes = derived.bytes.saturating_sub(message.header.length.into());
        match self.first() {
            END => self.free_all(&mut derived),
            // The cast preserves the value, because the number of cells of an extent was read as a
            // u32.
            _ => self.extents(message).for_each(|extent| {
                self.free_extent(&mut derived, extent.link, extent.cells.len() as u32);
            }),
        }
        self.set_derived(derived);
    }

    /// Makes all cells one free extent. The caller ensures that the queue contains no message.
    fn free_all(self, derived: &mut DerivedState) {
        derived.first_free = END;
        self.free_cells(derived, 1, self.cells().len());
    }

    /// Appends any number of cells to the free list.
    fn free_cells(self, derived: &mut DerivedState, link: u64, count: usize) {
        let (mut link, mut count) = (link, count);
        while count > 0 {
            let piece = u32::try_from(count).unwrap_or(u32::MAX);
            self.free_extent(derived, link, piece);
            link += u64::from(piece);
            count -= piece as usize;
        }
    }

    /// Appends an extent to the free list. If the last free extent ends where this extent starts,
    /// the two extents become one.
    fn free_extent(self, derived: &mut DerivedState, link: u64, count: u32) {
        let last = match derived.first_free {
            END => None,
            _ => self.extent(derived.last_free),
        };
        if let Some(last) = last {
            let sum = u32::try_from(last.cells.len() + count as usize);
            if let (true, Ok(sum)) = (last.end() == link, sum) {
                return self.start_extent(last.link, sum, END);
            }
            // SAFETY: the creator of `self` holds the queue's lock.
            unsafe { last.cells[0].link_extent(link) };
        } else {
            derived.first_free = link;
        }
        self.start_extent(link, count, END);
        derived.last_free = link;
    }

    /// Returns whether the derived state has been computed at least once.
    pub(super) fn is_computed(self) -> bool {
        self.derived().is_computed != 0
    }

    /// Computes the derived state from the list of messages.
    #[cold]
    pub(super) fn repair(self) {
        let mut is_free = vec![true; self.cells().len()];
        let mut derived = DerivedState {
            is_computed: 1,
            ..DerivedState::INITIAL
        };
        for message in self.messages() {
            if !self.claim_cells(message, &mut is_free) {
                break;
            }
            derived.last = message.link;
            derived.messages += 1;
            derived.bytes = derived.bytes.saturating_add(message.header.length.into());
        }
        if self.next_message(derived.last) != END {
            // A faulty peer has overwritten the link. The link now leads to no cell, or to a cell
            // of another message.
            self.link_message(derived.last, END);
        }
        // The free list starts with the cells behind the newest message, so the free cells again
        // follow the messages in memory order.
        let newest = self.messages().last();
        let last_extent = newest.and_then(|message| self.extents(message).last());
        let boundary = last_extent.map_or(0, |extent| extent.end() as usize - 1);
        let (before, behind) = is_free.split_at(boundary);
        self.free_unclaimed(&mut derived, boundary, behind);
        self.free_unclaimed(&mut derived, 0, before);
        self.set_derived(derived);
    }

    /// Marks the cells of a message as used, for the repair after an owner death. Returns `false`
    /// if a cell is missing or already used.
    fn claim_cells(self, message: MessageEntry, is_free: &mut [bool]) -> bool {
        let mut payload = 0;
        for extent in self.extents(message) {
            let cells = &mut is_free[extent.link as usize - 1..][..extent.cells.len()];
            if cells.contains(&false) {
                return false;
            }
            cells.fill(false);
            payload += payload_of(extent.cells.len());
        }
        payload >= message.header.length as usize && payload > 0
    }

    /// Appends the cells marked in `is_free` to the free list. The index of the first cell of
    /// `is_free` is `start`.
    fn free_unclaimed(self, derived: &mut DerivedState, start: usize, is_free: &[bool]) {
        let mut index = start;
        for cells in is_free.chunk_by(|one, next| one == next) {
            if cells[0] {
                self.free_cells(derived, index as u64 + 1, cells.len());
            }
            index += cells.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MessageType;
    use super::*;

    const LIMITS: QueueLimits = QueueLimits {
        messages: 40,
        bytes: 4000,
    };

    /// The number of cells of a small store.
    const CELLS: usize = 12;

    type SmallStore = MessageStore<[MessageCell; CELLS]>;
    type LockedSmallStore<'a> = LockedStore<'a, [MessageCell; CELLS]>;

    /// The type and the bytes of a message.
    type Content = (i64, Vec<u8>);

    /// A store of 12 cells, and the messages that it contains, oldest first.
    struct Checked<'a> {
        store: LockedSmallStore<'a>,
        expected: Vec<Content>,
    }

    fn small_store(limits: QueueLimits) -> SmallStore {
        MessageStore::new(limits, [const { MessageCell::new() }; CELLS])
    }

    /// Returns the bytes of a message, which depend on its type.
    fn bytes_of(message_type: i64, length: usize) -> Vec<u8> {
        (0..length)
            .map(|index| (message_type as usize * 31 + index) as u8)
            .collect()
    }

    impl<'a> Checked<'a> {
        fn new(store: &'a SmallStore) -> Self {
            // SAFETY: only this thread can access the store.
            let store = unsafe { store.assume_locked() };
            store.repair();
            Self {
                store,
                expected: Vec::new(),
            }
        }

        /// Returns the free extents, in the order in which messages use them.
        fn free(&self) -> Vec<Extent<'a>> {
            let derived = self.store.derived();
            let first = self.store.extent(derived.first_free);
            let next = |extent: &Extent<'a>| self.store.extent(extent.next);
            let extents: Vec<_> = core::iter::successors(first, next).take(CELLS).collect();
            if let Some(last) = extents.last() {
                assert_eq!(last.link, derived.last_free);
                assert_eq!(last.next, END);
            }
            extents
        }

        /// Checks the messages and their counts.
        fn check_messages(&self) {
            let store = self.store;
            assert!(store.is_computed());
            let content = |message: MessageEntry| {
                let mut bytes = vec![0; store.length(message)];
                store.copy_to(message, &mut bytes);
                (message.header.message_type, bytes)
            };
            let found: Vec<Content> = store.messages().map(content).collect();
            assert_eq!(found, self.expected);
            let bytes: usize = found.iter().map(|(_, bytes)| bytes.len()).sum();
            assert_eq!(store.counts(), (found.len() as u64, bytes as u64));
            let newest = store.messages().last().map_or(END, |message| message.link);
            assert_eq!(store.derived().last, newest);
            assert_eq!(store.next_message(newest), END);
        }

        /// Checks that each cell is free or in use exactly once.
        fn check_cells(&self) {
            let used = self.store.messages().flat_map(|it| self.store.extents(it));
            let mut cells: Vec<u64> = used
                .chain(self.free())
                .flat_map(|extent| (extent.link..).take(extent.cells.len()))
                .collect();
            cells.sort_unstable();
            assert!(cells.into_iter().eq(1..=CELLS as u64));
        }

        /// Returns whether a message of this length fits.
        fn has_room(&self, length: usize) -> bool {
            let limits = self.store.store.limits();
            let used: usize = self.expected.iter().map(|(_, bytes)| bytes.len()).sum();
            let free: Vec<Extent<'_>> = self.free();
            let payload: usize = free
                .iter()
                .map(|extent| payload_of(extent.cells.len()))
                .sum();
            self.expected.len() < limits.messages as usize
                && used + length <= limits.bytes as usize
                && !free.is_empty()
                && payload >= length
        }

        fn push(&mut self, message_type: i64, length: usize) {
            let has_room = self.has_room(length);
            let bytes = bytes_of(message_type, length);
            assert_eq!(self.store.push(message_type, &bytes), has_room);
            if has_room {
                self.expected.push((message_type, bytes));
            }
        }

        /// Writes a message as a sender does that dies before it links the message.
        fn push_without_link(&self, message_type: i64, length: usize) {
            let mut changed = self.store.derived();
            let link = changed.first_free;
            let is_filled = self
                .store
                .fill(&mut changed, &bytes_of(message_type, length));
            if let (Some(cell), true) = (self.store.cell(link), is_filled) {
                // SAFETY: only this thread can access the store.
                unsafe { cell.start_message(message_type, length as u32) };
            }
        }

        fn remove(&mut self, message_type: i64) {
            let wanted = MessageType::new(message_type).map(Select::Type);
            let found = self.store.find(wanted.unwrap_or(Select::First));
            let index = match message_type {
                0 => (!self.expected.is_empty()).then_some(0),
                _ => self
                    .expected
                    .iter()
                    .position(|(found, _)| *found == message_type),
            };
            assert_eq!(found.is_some(), index.is_some());
            if let (Some(message), Some(index)) = (found, index) {
                self.store.remove(message);
                self.expected.remove(index);
            }
        }

        /// Changes the derived state back to an older state, as if the owner of the lock had died
        /// before it stored the new state. Then repairs the store.
        fn repair_from(&self, older: DerivedState) {
            self.store.set_derived(older);
            self.store.repair();
        }

        /// Performs a random operation, in which the owner of the lock may die.
        fn step(&mut self, random: &mut fastrand::Rng) {
            let before = self.store.derived();
            let message_type = random.i64(1..4);
            let full = payload_of(random.usize(1..4));
            let length = match random.u8(..4) {
                0 => full,
                1 => full + 1,
                _ => random.usize(..300),
            };
            match random.u8(..8) {
                0..3 => self.push(message_type, length),
                3..6 => self.remove(random.i64(0..4)),
                6 => {
                    self.push_without_link(message_type, length);
                    self.repair_from(before);
                }
                _ => self.repair_from(before),
            }
            if random.u8(..4) == 0 {
                self.repair_from(before);
            }
        }
    }

    fn check_random_operations(limits: QueueLimits) {
        for seed in 0..40 {
            let store = small_store(limits);
            let mut checked = Checked::new(&store);
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..200 {
                checked.step(&mut random);
                checked.check_messages();
                checked.check_cells();
            }
        }
    }

    #[test]
    fn each_cell_is_free_or_in_one_message_also_after_owner_death() {
        let limits = QueueLimits {
            messages: 4,
            bytes: 863,
        };
        assert_eq!(limits.cells(), CELLS);
        check_random_operations(limits);
    }

    #[test]
    fn message_without_enough_cells_is_not_sent() {
        check_random_operations(QueueLimits {
            messages: 100,
            bytes: 10_000,
        });
    }

    /// Corrupts the memory of three messages, whose links it gets.
    type Corruption = fn(LockedSmallStore<'_>, [u64; 3]);

    /// Fills a store with three messages, corrupts it, and repairs it. The first `intact` messages
    /// are left.
    fn check_repair_of(corrupt: Corruption, intact: usize) {
        let store = small_store(LIMITS);
        let mut checked = Checked::new(&store);
        for (number, length) in [(1, 96), (2, 150), (3, 0)] {
            checked.push(number, length);
        }
        let links: Vec<u64> = checked.store.messages().map(|it| it.link).collect();
        corrupt(checked.store, links.try_into().expect("three messages"));
        checked.store.repair();
        checked.expected.truncate(intact);
        checked.check_messages();
    }

    #[test]
    fn repair_ends_the_list_before_a_corrupted_message() {
        let cases: [(usize, Corruption); 9] = [
            (3, |_, _| ()),
            (2, |store, [_, two, _]| store.link_message(two, 99)),
            (2, |store, [_, two, _]| store.link_message(two, two)),
            (2, |store, [_, two, _]| store.link_message(two, two + 1)),
            (2, |store, [_, two, _]| store.start_extent(two, 5, END)),
            (1, |store, [_, two, _]| store.start_extent(two, 0, END)),
            (1, |store, [_, two, _]| store.start_extent(two, 1, END)),
            (2, |store, [_, _, three]| store.start_extent(three, 0, END)),
            (0, |store, [one, _, _]| store.start_extent(one, 99, END)),
        ];
        for (intact, corrupt) in cases {
            check_repair_of(corrupt, intact);
        }
    }

    #[test]
    fn corrupted_length_is_at_most_the_memory() {
        let store = small_store(LIMITS);
        let mut checked = Checked::new(&store);
        checked.push(1, 10);
        let message = checked.store.messages().next().expect("the message");
        let cell = checked.store.cell(message.link).expect("its cell");
        // SAFETY: only this thread can access the store.
        unsafe { cell.start_message(1, u32::MAX) };
        let message = checked.store.messages().next().expect("the message");
        assert_eq!(checked.store.length(message), CELLS * CELL_PAYLOAD);
    }

    /// The memory of a store, as the inspector reads it.
    struct Memory(Vec<u8>);

    impl Memory {
        fn read<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
            self.0.get(offset as usize..)?.first_chunk().copied()
        }
    }

    impl MemoryReader for Memory {
        fn read_u32(&self, offset: u64) -> Option<u32> {
            self.read(offset).map(u32::from_ne_bytes)
        }

        fn read_u64(&self, offset: u64) -> Option<u64> {
            self.read(offset).map(u64::from_ne_bytes)
        }
    }

    #[test]
    fn inspector_clamps_the_counts_to_the_limits() {
        let store = small_store(LIMITS);
        let mut checked = Checked::new(&store);
        checked.push(1, 10);
        checked.push(1, 20);
        let counts = || {
            let bytes = core::ptr::from_ref(&store).cast::<u8>();
            // SAFETY: the store is `repr(C)` without padding, and no other thread accesses it.
            let bytes = unsafe { core::slice::from_raw_parts(bytes, size_of_val(&store)) };
            MessageStore::read_counts(&Memory(bytes.to_vec()))
        };
        assert_eq!(counts(), Some((LIMITS, 2, 30)));
        checked.store.set_derived(DerivedState {
            messages: u64::MAX,
            bytes: u64::MAX,
            ..checked.store.derived()
        });
        assert_eq!(counts(), Some((LIMITS, 40, 4000)));
    }

    /// Cells outside of the store.
    struct BorrowedCells(&'static [MessageCell]);

    // SAFETY: no other storage has the cells, and a borrowed slice does not move.
    unsafe impl MessageCells for BorrowedCells {
        fn cells(&self) -> &[MessageCell] {
            self.0
        }
    }

    #[test]
    fn more_cells_than_an_extent_can_have_are_free() {
        let count = u32::MAX as usize + 5;
        let Some(memory) = crate::platform::map_sparse(count * size_of::<MessageCell>()) else {
            println!("not tested: this process cannot map 512 GiB");
            return;
        };
        // SAFETY: the memory stays mapped, a page is aligned for cells, and a zeroed cell is valid.
        let cells = unsafe { core::slice::from_raw_parts(memory.as_ptr().cast(), count) };
        let store = MessageStore::new(LIMITS, BorrowedCells(cells));
        // SAFETY: only this thread can access the store.
        let store = unsafe { store.assume_locked() };
        let mut derived = DerivedState::INITIAL;
        store.free_all(&mut derived);
        let first = store.extent(derived.first_free).expect("an extent");
        assert_eq!((first.link, first.cells.len()), (1, u32::MAX as usize));
        let last = store.extent(first.next).expect("another extent");
        assert_eq!((last.link, last.cells.len()), (first.end(), 5));
        assert_eq!((last.link, last.next), (derived.last_free, END));
    }

    /// Sends `count` messages of very different lengths, and receives the oldest whenever the queue
    /// has more than five. Returns the largest number of extents of one message.
    fn max_extents(store: LockedStore<'_, [MessageCell; 40]>, count: usize) -> usize {
        let mut max = 0;
        for number in 0..count {
            assert!(store.push(1, &vec![0; number * 37 % 601]), "there is room");
            let newest = store.messages().last().expect("the message just sent");
            max = max.max(store.extents(newest).count());
            if store.counts().0 > 5 {
                let oldest = store.messages().next().expect("the oldest message");
                store.remove(oldest);
            }
        }
        max
    }

    #[test]
    fn message_has_at_most_two_extents_in_sending_order_also_after_a_repair() {
        let store = MessageStore::new(LIMITS, [const { MessageCell::new() }; 40]);
        // SAFETY: only this thread can access the store.
        let store = unsafe { store.assume_locked() };
        store.repair();
        assert_eq!(max_extents(store, 100), 2, "one ends the memory");
        for count in 0..40 {
            max_extents(store, count);
            store.repair();
            assert!(max_extents(store, 100) <= 2, "{count}");
        }
    }
}
