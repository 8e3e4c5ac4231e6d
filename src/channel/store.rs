//! What both constructions keep under their lock: a ring of places, and who is attached.

use super::slot::{Slot, Slots};
use super::{AttachError, BufferState, Direction, EndState};
use crate::platform::{
    CachePadded, ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Pod, UnsafeCell,
    constructor,
};
use crate::sync::{LockGuard, RawLock, RawMutex, Timeout};
use core::marker::PhantomData;
use core::mem::offset_of;

/// A ring of items behind a lock, on one cache line with what it protects: who takes the one needs the
/// other. The slots come last, so that it can be built unsized over the
/// rest of a region; their number is then known from the reference, not from shared memory.
#[repr(C)]
pub(super) struct Store<T, L, S: Slots<T> + ?Sized> {
    lock: L,
    state: UnsafeCell<State>,
    item: PhantomData<T>,
    next_line: CachePadded,
    slots: S,
}

/// Valid for every bit pattern: whoever reads a number here reduces it to what the slots allow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct State {
    /// Where the oldest item is; the capacity, for the first place.
    first: u64,
    /// How many items there are.
    length: u64,
    senders: Side,
    receivers: Side,
}

/// One side of the buffer. It is open until its last handle goes, also before the first comes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Side {
    handles: u64,
    closed: u64,
}

impl Side {
    const OPEN: Self = Self {
        handles: 0,
        closed: 0,
    };

    fn is_closed(&self) -> bool {
        self.closed != 0
    }

    /// Counts one more handle. Returns false if the side has closed.
    fn attach(&mut self) -> bool {
        let is_open = !self.is_closed();
        self.handles = self.handles.saturating_add(u64::from(is_open));
        is_open
    }

    /// True if that was the last handle, and closed the side.
    fn detach(&mut self) -> bool {
        self.handles = self.handles.saturating_sub(1);
        let closes = self.handles == 0 && !self.is_closed();
        self.closed |= u64::from(closes);
        closes
    }
}

// SAFETY: the state and the slots are accessed only by the holder of the lock, and items move
// from the process or thread that sends to the one that receives.
unsafe impl<T: Send, L: RawLock, S: Slots<T> + ?Sized> Sync for Store<T, L, S> {}
// SAFETY: it owns its items, and the slots that they are in.
unsafe impl<T: Send, L: RawLock + Send, S: Slots<T> + Send> Send for Store<T, L, S> {}

impl<T, L, S: Slots<T>> Store<T, L, S> {
    constructor! {
        /// An empty ring over these slots.
        pub(super) fn new(lock: L, slots: S) -> Self {
            let state = State { first: 0, length: 0, senders: Side::OPEN, receivers: Side::OPEN };
            Self { lock, state: UnsafeCell::new(state), item: PhantomData, next_line: CachePadded, slots }
        }
    }
}

impl<T, L: RawLock, S: Slots<T> + ?Sized> Store<T, L, S> {
    /// The number of places.
    pub(super) fn capacity(&self) -> usize {
        self.slots.slots().len()
    }

    /// Comes in: nobody else is inside until the visit is dropped.
    pub(super) fn lock(&self) -> Guard<'_, T, L, S> {
        Guard {
            held: self.lock.lock(),
            store: self,
        }
    }

    /// Comes in before timeout runs out.
    pub(super) fn lock_with(&self, timeout: Timeout) -> Option<Guard<'_, T, L, S>> {
        let held = self.lock.lock_with(timeout.for_internal_lock())?;
        Some(Guard { held, store: self })
    }
}

impl<T, L, S: Slots<T> + ?Sized> Drop for Store<T, L, S> {
    /// Drops the items that nobody received.
    fn drop(&mut self) {
        let slots = self.slots.slots();
        let state = self.state.with(|state| {
            // SAFETY: `&mut self`: nobody else is here.
            unsafe { *state }
        });
        let length = (state.length as usize).min(slots.len());
        for position in 0..length {
            let index = (state.first(slots.len()) + position) % slots.len();
            // SAFETY: the `length` places from `first` on are full, and nobody else is here.
            drop(unsafe { slots[index].take() });
        }
    }
}

/// Being inside: the only way to the ring.
pub(super) struct Guard<'a, T, L: RawLock, S: Slots<T> + ?Sized> {
    held: LockGuard<'a, L>,
    store: &'a Store<T, L, S>,
}

impl<'a, T, L: RawLock, S: Slots<T> + ?Sized> Guard<'a, T, L, S> {
    /// The lock that is held, for waiting on a condition variable.
    pub(super) fn held(&mut self) -> &mut LockGuard<'a, L> {
        &mut self.held
    }

    fn read(&self) -> State {
        // SAFETY: the lock is held.
        self.store.state.with(|state| unsafe { *state })
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: the lock is held, and `&mut self` lends the state to one caller at a time.
        self.store
            .state
            .with_mut(|state| change(unsafe { &mut *state }))
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        // A number that is too large was written by a faulty peer.
        (self.read().length as usize).min(self.store.capacity())
    }

    /// Whether this side has closed for good.
    pub(super) fn is_closed(&self, end: Direction) -> bool {
        let state = self.read();
        match end {
            Direction::Sending => state.senders.is_closed(),
            Direction::Receiving => state.receivers.is_closed(),
        }
    }

    /// Whether there is no item and never will be.
    pub(super) fn has_ended(&self) -> bool {
        self.len() == 0 && self.is_closed(Direction::Sending)
    }

    pub(super) fn attach(&mut self, direction: Direction) -> Result<(), AttachError> {
        match self.change(|state| state.side(direction).attach()) {
            true => Ok(()),
            false => Err(AttachError::Closed(direction)),
        }
    }

    /// True if that closed the side.
    pub(super) fn detach(&mut self, end: Direction) -> bool {
        self.change(|state| state.side(end).detach())
    }

    /// Appends what the item is made of, which is the store's then. False, if every place is taken.
    ///
    /// # Safety
    /// Whoever has the item forgets it after that, or it is plain.
    pub(super) unsafe fn push_from(&mut self, item: &T) -> bool {
        let length = self.len();
        if length == self.store.capacity() {
            return false;
        }
        let slot = self.slot(length);
        // SAFETY: the places beyond `length` are empty, and the lock is held. That the item is there
        // once is the caller's promise.
        unsafe { slot.put_from(item) };
        self.change(|state| state.length = length as u64 + 1);
        true
    }

    /// Appends what these items are made of, which is the store's then, as many as there are places for.
    /// Returns how many: the first ones.
    ///
    /// # Safety
    /// Whoever has those items forgets them after that, or they are plain.
    pub(super) unsafe fn push_some_from(&mut self, items: &[T]) -> usize {
        let length = self.len();
        let count = items.len().min(self.store.capacity() - length);
        for (position, item) in (length..).zip(&items[..count]) {
            // SAFETY: as in `push_from`.
            unsafe { self.slot(position).put_from(item) };
        }
        self.change(|state| state.length = (length + count) as u64);
        count
    }

    /// Takes the oldest items, so many at most, to the end of `into`, which has room for them. Returns how
    /// many.
    pub(super) fn pop_some(&mut self, into: &mut Vec<T>, most: usize) -> usize {
        let (length, capacity) = (self.len(), self.store.capacity());
        let count = length.min(most);
        // SAFETY: the places are full, and each is emptied once.
        into.extend((0..count).map(|position| unsafe { self.slot(position).take() }));
        self.change(|state| {
            // Both are at most a capacity.
            let first = state.first(capacity) + count;
            state.first = first.checked_sub(capacity).unwrap_or(first) as u64;
            state.length = (length - count) as u64;
        });
        count
    }

    /// Takes the oldest item.
    pub(super) fn pop(&mut self) -> Option<T> {
        // SAFETY: the place is full, and this is done once.
        self.pop_with(|slot| unsafe { slot.take() })
    }

    /// Takes the oldest item into a place of the caller's. False, if there is none.
    pub(super) fn pop_into(&mut self, into: &mut T) -> bool
    where
        T: Pod,
    {
        // SAFETY: the place is full.
        self.pop_with(|slot| unsafe { slot.take_into(into) })
            .is_some()
    }

    /// Takes the oldest item by this, which finds the place full and nobody else there.
    fn pop_with<R>(&mut self, take: impl FnOnce(&Slot<T>) -> R) -> Option<R> {
        let length = self.len();
        if length == 0 {
            return None;
        }
        // The first `length` places are full, and the lock is held.
        let item = take(self.slot(0));
        let capacity = self.store.capacity();
        self.change(|state| {
            state.first = state.first(capacity) as u64 + 1;
            state.length = length as u64 - 1;
        });
        Some(item)
    }

    /// The place at this position from the oldest item.
    fn slot(&self, position: usize) -> &'a Slot<T> {
        let slots = self.store.slots.slots();
        let index = self.read().first(slots.len()) + position;
        // Both are less than a capacity; and a division would take longer than all the rest.
        let past = index.checked_sub(slots.len());
        &slots[past.unwrap_or(index)]
    }
}

impl State {
    /// Where the oldest item is, or would be: inside the ring, whatever a faulty peer wrote.
    fn first(&self, capacity: usize) -> usize {
        match self.first < capacity as u64 {
            true => self.first as usize,
            false => (self.first % capacity as u64) as usize,
        }
    }

    fn side(&mut self, end: Direction) -> &mut Side {
        match end {
            Direction::Sending => &mut self.senders,
            Direction::Receiving => &mut self.receivers,
        }
    }
}

impl Store<u64, RawMutex, [Slot<u64>; 0]> {
    /// The state of the one that these words are, whatever its items.
    pub(super) fn read_state(
        words: &dyn MemoryReader,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let state = offset_of!(Self, state);
        let length = words.read_u64((state + offset_of!(State, length)) as u64)?;
        let end = |offset| Side::read_state(&OffsetReader(words, (state + offset) as u64));
        Some(BufferState {
            lock: RawMutex::read_state(&OffsetReader(words, offset_of!(Self, lock) as u64))?,
            fill: Some(length.min(capacity.unwrap_or(length))),
            capacity,
            senders: end(offset_of!(State, senders))?,
            receivers: end(offset_of!(State, receivers))?,
        })
    }
}

impl Side {
    fn read_state(words: &dyn MemoryReader) -> Option<EndState> {
        let handles = words.read_u64(offset_of!(Self, handles) as u64)?;
        let closed = words.read_u64(offset_of!(Self, closed) as u64)?;
        Some(match closed {
            0 => EndState::Counted(handles),
            _ => EndState::Closed,
        })
    }
}

/// Creates empty slots on the heap.
pub(super) fn boxed<T>(capacity: usize) -> Result<Box<[Slot<T>]>, ConfigError> {
    let overflow = ConfigError::SizeOverflow {
        capacity,
        item: size_of::<T>(),
    };
    HeaderAndSlots::<(), Slot<T>>::layout(capacity)?;
    let mut slots = Vec::new();
    slots.try_reserve_exact(capacity).map_err(|_| overflow)?;
    slots.resize_with(capacity, Slot::new);
    Ok(slots.into_boxed_slice())
}
