//! The ring of slots, and the counts of handles, that `BoundedBuffer` and `MonitorBuffer` protect
//! with a lock.

use super::slot::{Slot, Slots};
use super::{AttachError, BufferState, Direction, EndState, OperationError};
use crate::platform::{
    CachePadded, ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Pod, UnsafeCell,
    constructor,
};
use crate::sync::{LockError, LockGuard, RawCondvar, RawLock, RawMutex, Timeout};
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, offset_of};

/// A ring of items and the lock that protects it.
///
/// The lock shares a cache line with the state, because the holder of the lock accesses the state
/// next. The slots are the last field, so the struct can be unsized and lie in a region. The number
/// of slots is then part of the reference, not of shared memory.
#[repr(C)]
pub(super) struct Store<T, L, S: Slots<T> + ?Sized> {
    lock: L,
    state: UnsafeCell<RingState>,
    item: PhantomData<T>,
    next_line: CachePadded,
    slots: S,
}

/// The state of the ring.
///
/// A faulty peer may write any number, so every reader clamps the numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct RingState {
    /// The index of the oldest item. A value equal to the capacity stands for index 0.
    first: u64,
    /// The number of items.
    length: u64,
    senders: HandleCount,
    receivers: HandleCount,
}

/// The handles of one side.
///
/// The side is open from the creation of the buffer until the last handle of the side is dropped.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct HandleCount {
    handles: u64,
    closed: u64,
}

impl HandleCount {
    const OPEN: Self = Self {
        handles: 0,
        closed: 0,
    };

    fn is_closed(&self) -> bool {
        self.closed != 0
    }

    /// Adds one handle to the count, unless the side has closed. Returns whether it was added.
    fn attach(&mut self) -> bool {
        let is_open = !self.is_closed();
        self.handles = self.handles.saturating_add(u64::from(is_open));
        is_open
    }

    /// Removes one handle from the count. Returns true if this call closed the side.
    fn detach(&mut self) -> bool {
        self.handles = self.handles.saturating_sub(1);
        let closes = self.handles == 0 && !self.is_closed();
        self.closed |= u64::from(closes);
        closes
    }
}

// SAFETY: only the holder of the lock accesses the state and the slots. The items move from the
// sender to the receiver, which is sound because the items are `Send`.
unsafe impl<T: Send, L: RawLock, S: Slots<T> + ?Sized> Sync for Store<T, L, S> {}
// SAFETY: the store owns its items and their slots.
unsafe impl<T: Send, L: RawLock + Send, S: Slots<T> + Send> Send for Store<T, L, S> {}

impl<T, L, S: Slots<T>> Store<T, L, S> {
    constructor! {
        /// Creates an empty ring with these slots.
        pub(super) fn new(lock: L, slots: S) -> Self {
            let state = RingState { first: 0, length: 0, senders: HandleCount::OPEN, receivers: HandleCount::OPEN };
            Self { lock, state: UnsafeCell::new(state), item: PhantomData, next_line: CachePadded, slots }
        }
    }
}

impl<T, L, const N: usize> Store<T, L, [Slot<T>; N]> {
    /// Initializes the slots in place.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes, and no other access to the slots happens during the
    /// call.
    pub(super) unsafe fn init_slots(at: *mut Self) {
        // SAFETY: the caller passes an `at` that is valid for writes, so the slots are too.
        unsafe { Slot::init_array(&raw mut (*at).slots) }
    }
}

impl<T, L: RawLock, S: Slots<T> + ?Sized> Store<T, L, S> {
    /// The number of slots.
    pub(super) fn capacity(&self) -> usize {
        self.slots.slots().len()
    }

    /// Locks the store until the guard is dropped.
    pub(super) fn lock(&self) -> Guard<'_, T, L, S> {
        while !self.lock.raw_lock_with(Timeout::Infinite) {}
        Guard { store: self }
    }

    /// Locks the store, or fails if a stopped process holds the lock and the timeout expires.
    #[inline]
    pub(super) fn lock_with(&self, timeout: Timeout) -> Result<Guard<'_, T, L, S>, OperationError> {
        let is_locked = match timeout {
            Timeout::Infinite => self.lock.raw_lock_with(timeout),
            // Most calls find the lock free and need no deadline.
            Timeout::NonBlocking => self.lock.raw_lock_with(timeout),
            Timeout::At(_) => false,
        };
        if !is_locked {
            self.lock_slowly(timeout)?;
        }
        Ok(Guard { store: self })
    }

    /// Locks without a guard.
    #[cold]
    fn lock_slowly(&self, timeout: Timeout) -> Result<(), OperationError> {
        match self.lock.raw_lock_with(timeout.for_internal_lock()) {
            true => Ok(()),
            false => Err(timeout.internal_lock_error(LockError::TimedOut).into()),
        }
    }
}

impl<T, L, S: Slots<T> + ?Sized> Drop for Store<T, L, S> {
    /// Drops the items that have not been received.
    fn drop(&mut self) {
        let slots = self.slots.slots();
        let state = self.state.with(|state| {
            // SAFETY: `&mut self` excludes every other access.
            unsafe { *state }
        });
        let length = (state.length as usize).min(slots.len());
        for position in 0..length {
            let index = (state.first(slots.len()) + position) % slots.len();
            // SAFETY: the `length` slots from `first` on are full, and `&mut self` excludes every
            // other access.
            unsafe { slots[index].drop_item() };
        }
    }
}

/// The locked store, which gives access to the ring. Dropping the guard unlocks.
///
/// A guard exists within one call only, in which no process forks. So unlike a `LockGuard`, it does
/// not check whether it is a copy in a forked child.
pub(super) struct Guard<'a, T, L: RawLock, S: Slots<T> + ?Sized> {
    store: &'a Store<T, L, S>,
}

impl<T, L: RawLock, S: Slots<T> + ?Sized> Drop for Guard<'_, T, L, S> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `Store::lock` and `Store::lock_with` locked before they created the guard, and
        // only this drop unlocks.
        unsafe { self.store.lock.unlock() };
    }
}

impl<'a, T, L: RawLock, S: Slots<T> + ?Sized> Guard<'a, T, L, S> {
    /// Unlocks, waits for a notification, and locks again, or fails if a stopped process holds the
    /// lock and the timeout expires.
    ///
    /// The second value is false if the timeout expired without a notification.
    pub(super) fn wait(
        self,
        condvar: &impl RawCondvar,
        timeout: Timeout,
    ) -> Result<(Self, bool), OperationError> {
        if timeout == Timeout::NonBlocking {
            return Ok((self, false));
        }
        let store = ManuallyDrop::new(self).store;
        // SAFETY: the guard of this method holds the lock and is never dropped, so only `adopted`
        // unlocks the lock.
        let adopted = unsafe { LockGuard::adopt(&store.lock) };
        let in_time = condvar.unlock_and_wait(adopted, timeout);
        match store.lock_with(timeout) {
            Ok(guard) => Ok((guard, in_time)),
            Err(error) => {
                if in_time {
                    // This thread cannot use its notification, so it notifies another waiter.
                    condvar.notify_one();
                }
                Err(error)
            }
        }
    }

    fn read(&self) -> RingState {
        // SAFETY: `self` holds the lock, which excludes every other access to `state`.
        self.store.state.with(|state| unsafe { *state })
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut RingState) -> R) -> R {
        // SAFETY: `self` holds the lock, which excludes every other access to `state`, and
        // `&mut self` lends `state` to one caller at a time.
        self.store
            .state
            .with_mut(|state| change(unsafe { &mut *state }))
    }

    /// The number of items.
    pub(super) fn len(&self) -> usize {
        // A faulty peer may have written a larger number.
        (self.read().length as usize).min(self.store.capacity())
    }

    /// Whether this side has closed permanently.
    pub(super) fn is_closed(&self, direction: Direction) -> bool {
        let state = self.read();
        match direction {
            Direction::Sending => state.senders.is_closed(),
            Direction::Receiving => state.receivers.is_closed(),
        }
    }

    /// Whether the stream has ended: the ring is empty and all senders are gone.
    pub(super) fn has_ended(&self) -> bool {
        self.len() == 0 && self.is_closed(Direction::Sending)
    }

    /// Adds one handle of this side to the count.
    pub(super) fn attach(&mut self, direction: Direction) -> Result<(), AttachError> {
        match self.change(|state| state.side(direction).attach()) {
            true => Ok(()),
            false => Err(AttachError::Closed(direction)),
        }
    }

    /// Removes one handle from the count. Returns true if this call closed the side.
    pub(super) fn detach(&mut self, direction: Direction) -> bool {
        self.change(|state| state.side(direction).detach())
    }

    /// Appends a bitwise copy of the item, which the store then owns.
    ///
    /// Returns false if the ring is full.
    ///
    /// # Safety
    /// After a success, the caller neither uses nor drops `item`, unless the type of the item is
    /// `Pod`.
    pub(super) unsafe fn push_from(&mut self, item: &T) -> bool {
        let length = self.len();
        if length == self.store.capacity() {
            return false;
        }
        let slot = self.slot(length);
        // SAFETY: the slots beyond `length` are empty, and the lock excludes every other
        // access. The caller does not use or drop the item.
        unsafe { slot.put_from(item) };
        self.change(|state| state.length = length as u64 + 1);
        true
    }

    /// Appends bitwise copies of the first items, one for each free slot.
    ///
    /// Returns the number of items.
    ///
    /// # Safety
    /// The caller neither uses nor drops these items afterwards, unless their type is `Pod`.
    pub(super) unsafe fn push_some_from(&mut self, items: &[T]) -> usize {
        let length = self.len();
        let count = items.len().min(self.store.capacity() - length);
        for (position, item) in (length..).zip(&items[..count]) {
            // SAFETY: the slots from `length` on are empty, and the lock excludes every other
            // access. The caller does not use or drop the items.
            unsafe { self.slot(position).put_from(item) };
        }
        self.change(|state| state.length = (length + count) as u64);
        count
    }

    /// Moves up to `max` of the oldest items to the end of `items`, which has enough reserved
    /// capacity. Returns the number of items.
    pub(super) fn pop_some(&mut self, items: &mut Vec<T>, max: usize) -> usize {
        let (length, capacity) = (self.len(), self.store.capacity());
        let count = length.min(max);
        for position in 0..count {
            let destination = items.spare_capacity_mut()[0].as_mut_ptr();
            // SAFETY: the first `length` slots are full, `lock_guard` excludes every other access,
            // and each slot is emptied once. The vector has enough reserved capacity, and its
            // length counts an item after the item has been moved.
            unsafe {
                self.slot(position).take_to(destination);
                items.set_len(items.len() + 1);
            }
        }
        self.change(|state| {
            // Both terms are at most the capacity, so one subtraction wraps the sum.
            let first = state.first(capacity) + count;
            state.first = first.checked_sub(capacity).unwrap_or(first) as u64;
            state.length = (length - count) as u64;
        });
        count
    }

    /// Removes the oldest item.
    pub(super) fn pop(&mut self) -> Option<T> {
        // SAFETY: `pop_with` passes a full slot, excludes every other access and empties the slot
        // once.
        self.pop_with(|slot| unsafe { slot.take() })
    }

    /// Moves the oldest item to `destination`. Returns false if the ring is empty.
    pub(super) fn pop_into(&mut self, destination: &mut T) -> bool
    where
        T: Pod,
    {
        // SAFETY: `pop_with` passes a full slot and excludes every other access.
        self.pop_with(|slot| unsafe { slot.take_into(destination) })
            .is_some()
    }

    /// Removes the oldest item by passing its full slot to `take`. No other access to the slot
    /// happens during this call.
    fn pop_with<R>(&mut self, take: impl FnOnce(&Slot<T>) -> R) -> Option<R> {
        let length = self.len();
        if length == 0 {
            return None;
        }
        let item = take(self.slot(0));
        let capacity = self.store.capacity();
        self.change(|state| {
            state.first = state.first(capacity) as u64 + 1;
            state.length = length as u64 - 1;
        });
        Some(item)
    }

    /// The slot at this distance behind the oldest item.
    fn slot(&self, position: usize) -> &'a Slot<T> {
        let slots = self.store.slots.slots();
        let index = self.read().first(slots.len()) + position;
        // Both terms are less than the capacity. The code avoids a division, because a division
        // would take longer than the rest of the operation.
        let past = index.checked_sub(slots.len());
        &slots[past.unwrap_or(index)]
    }
}

impl RingState {
    /// The index of the oldest item, clamped to the ring.
    fn first(&self, capacity: usize) -> usize {
        match self.first < capacity as u64 {
            true => self.first as usize,
            false => (self.first % capacity as u64) as usize,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut HandleCount {
        match direction {
            Direction::Sending => &mut self.senders,
            Direction::Receiving => &mut self.receivers,
        }
    }
}

impl Store<u64, RawMutex, [Slot<u64>; 0]> {
    /// Reads the state of a store with items of any type.
    pub(super) fn read_state(
        reader: &dyn MemoryReader,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let state = offset_of!(Self, state);
        let length = reader.read_u64((state + offset_of!(RingState, length)) as u64)?;
        let end = |offset| HandleCount::read_state(&OffsetReader(reader, (state + offset) as u64));
        Some(BufferState {
            lock: RawMutex::read_state(&OffsetReader(reader, offset_of!(Self, lock) as u64))?,
            fill: Some(length.min(capacity.unwrap_or(length))),
            capacity,
            senders: end(offset_of!(RingState, senders))?,
            receivers: end(offset_of!(RingState, receivers))?,
        })
    }
}

impl HandleCount {
    fn read_state(reader: &dyn MemoryReader) -> Option<EndState> {
        let handles = reader.read_u64(offset_of!(Self, handles) as u64)?;
        let closed = reader.read_u64(offset_of!(Self, closed) as u64)?;
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
    // The slots are created in place, because a slot may not fit on the stack.
    // SAFETY: the vector has reserved memory for `capacity` slots, which nothing else accesses.
    // Its length counts them after all of them have been created.
    unsafe {
        let first: *mut Slot<T> = slots.as_mut_ptr();
        (0..capacity).for_each(|index| Slot::init(first.add(index)));
        slots.set_len(capacity);
    }
    Ok(slots.into_boxed_slice())
}
