//! The bounded buffer from a lock and two condition variables.
//!
//! **Source.** Hoare's bounded buffer (*Monitors: An Operating System Structuring Concept*, 1974),
//! with waiting in a loop as Mesa and POSIX need it.
//!
//! **Why it is correct.** Everything happens under one lock, so each operation is one step for all
//! others. Whoever finds the buffer full waits for "not full", which every receiver announces;
//! whoever finds it empty waits for "not empty", which every sender announces. One announcement
//! per item is enough, because one item lets one waiter go. Closing lets all go, and needs
//! `notify_all`; so does a batch, whose items let many go.
//!
//! `Full` and `Empty` are exact.

use super::batch::Batch;
use super::slot::{Slot, Slots};
use super::store::{self, Direction, Guard, Store};
use super::{
    Buffer, BufferState, CountsEndpoints, Disconnected, EndpointRef, RecvTimeoutError,
    SendTimeoutError,
};
use crate::platform::{
    CachePadded, ConfigError, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe,
    ShmType, TypeInfo, constructor,
};
use crate::sync::{Condvar, RawCondvar, RawLock, RawMutex, Timeout};
use core::alloc::Layout;
use core::mem::{ManuallyDrop, offset_of};

/// A first-in-first-out buffer of fixed capacity for many senders and many receivers, from a lock
/// and two condition variables.
///
/// `S` says where the places are, as in [`BoundedBuffer`](super::BoundedBuffer); `C` and `L` are
/// the condition variables and the lock that it is made of.
///
/// # Fairness
/// None of its own: that of the condition variables.
///
/// # Process death
/// A process that dies inside an operation may leave the lock held for ever; one that dies
/// outside leaves its ends open. Others wait for the lock, also those that have slept and whose time is over:
/// they hold it when they come back. Where processes may die or be stopped, use
/// [`RobustMonitorBuffer`](crate::RobustMonitorBuffer).
///
/// # Example
/// ```
/// use interlatch::channel::{TryRecvError, TrySendError};
/// use interlatch::{Buffer, MonitorBuffer};
///
/// let buffer = MonitorBuffer::with_capacity(1)?;
/// let (sender, receiver) = (buffer.sender().unwrap(), buffer.receiver().unwrap());
/// assert_eq!(sender.try_send("one"), Ok(()));
/// assert_eq!(sender.try_send("two"), Err(TrySendError::Full("two")));
/// assert_eq!(receiver.recv(), Ok("one"));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
/// # Ok::<(), interlatch::region::ConfigError>(())
/// ```
#[repr(C)]
pub struct MonitorBuffer<T, S = Box<[Slot<T>]>, C = Condvar, L = RawMutex>
where
    S: Slots<T> + ?Sized,
{
    not_full: C,
    next_line: CachePadded,
    not_empty: C,
    store_line: CachePadded,
    store: Store<T, L, S>,
}

impl<T> MonitorBuffer<T> {
    /// An empty buffer on the heap.
    ///
    /// # Errors
    /// If the capacity is zero or cannot be allocated.
    pub fn with_capacity(capacity: usize) -> Result<Self, ConfigError> {
        let slots = store::boxed(capacity)?;
        Ok(Self::from_parts(
            Condvar::new(),
            Condvar::new(),
            RawMutex::new(),
            slots,
        ))
    }
}

impl<T, const N: usize> MonitorBuffer<T, [Slot<T>; N]> {
    constructor! {
        /// An empty buffer over these places, for a `static`:
        /// `MonitorBuffer::from_slots([const { Slot::new() }; 8])`.
        ///
        /// An array of none does not compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Self {
            const { assert!(N > 0, "a capacity of at least 1") };
            Self::from_parts(Condvar::new(), Condvar::new(), RawMutex::new(), slots)
        }
    }
}

impl<T, S: Slots<T>, C, L> MonitorBuffer<T, S, C, L> {
    constructor! {
        /// An empty buffer from its parts.
        pub fn from_parts(not_full: C, not_empty: C, lock: L, slots: S) -> Self {
            Self {
                not_full,
                next_line: CachePadded,
                not_empty,
                store_line: CachePadded,
                store: Store::new(lock, slots),
            }
        }
    }
}

// SAFETY: `repr(C)`, of parts that are; the store reduces every number that it reads.
unsafe impl<T: Pod, const N: usize> ShmSafe for MonitorBuffer<T, [Slot<T>; N]> {
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| Slot::new()))
    }
}

impl<T: Pod, const N: usize> ShmType for MonitorBuffer<T, [Slot<T>; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("MonitorBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
        ]);
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the
// layout of the unsized type; items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for MonitorBuffer<T, [Slot<T>]> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        store::layout::<Slot<T>>(Layout::new::<MonitorBuffer<T, [Slot<T>; 0]>>(), capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        let header: MonitorBuffer<T, [Slot<T>; 0]> =
            MonitorBuffer::from_parts(Condvar::new(), Condvar::new(), RawMutex::new(), []);
        // SAFETY: valid for writes of the layout, of which the header is the beginning. The
        // slots are empty, whatever is in them.
        unsafe { at.cast::<MonitorBuffer<T, [Slot<T>; 0]>>().write(header) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<T>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which
        // is that of the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<T: Pod> ShmType for MonitorBuffer<T, [Slot<T>]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("MonitorBuffer")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl MonitorBuffer<u64, [Slot<u64>; 0]> {
    /// The state of the one that these words are, whatever its items: only the alignment says where the
    /// ring is.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        align: u64,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let store = (offset_of!(Self, store) as u64).checked_next_multiple_of(align)?;
        Store::read_state(&OffsetReader(words, store), capacity)
    }
}

impl<T, S, C, L> Buffer for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    type Item = T;
    type Endpoint<'a>
        = EndpointRef<'a, Self>
    where
        Self: 'a;
    type AttachError = Disconnected;

    fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        let item = ManuallyDrop::new(item);
        // SAFETY: an item that was sent is not dropped here.
        let sent = unsafe { self.send_from(&item, timeout) };
        sent.map_err(|refused| refused.with(ManuallyDrop::into_inner(item)))
    }

    fn send_ref_with(&self, item: &T, timeout: Timeout) -> Result<(), SendTimeoutError<()>>
    where
        T: Pod,
    {
        // SAFETY: it is plain.
        unsafe { self.send_from(item, timeout) }
    }

    fn recv_with(&self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        self.recv_by(timeout, |visit| Some((1, visit.pop()?)))
    }

    fn recv_into_with(&self, place: &mut T, timeout: Timeout) -> Result<(), RecvTimeoutError>
    where
        T: Pod,
    {
        self.recv_by(timeout, |visit| visit.pop_into(place).then_some((1, ())))
    }

    fn send_many_with(
        &self,
        items: &mut Vec<T>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let mut batch = Batch::of(items);
        while !batch.rest().is_empty() {
            self.send_by(timeout, |visit| {
                // SAFETY: they are forgotten at once.
                unsafe {
                    let sent = visit.push_some_from(batch.rest());
                    batch.forget_first(sent);
                    sent
                }
            })?;
        }
        Ok(())
    }

    fn recv_many_with(
        &self,
        items: &mut Vec<T>,
        most: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        let most = most.min(self.capacity());
        if most == 0 {
            return Ok(0);
        }
        items.reserve(most);
        self.recv_by(timeout, |visit| {
            let received = visit.pop_some(items, most);
            (received > 0).then_some((received, received))
        })
    }

    fn len(&self) -> usize {
        self.store.lock().len()
    }

    fn capacity(&self) -> usize {
        self.store.capacity()
    }

    fn attach(&self, end: Direction) -> Result<EndpointRef<'_, Self>, Disconnected> {
        EndpointRef::new(self, end)
    }
}

impl<T, S, C, L> MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    /// Sends what the item is made of.
    ///
    /// # Safety
    /// Whoever has the item forgets it if it was sent, or it is plain.
    unsafe fn send_from(&self, item: &T, timeout: Timeout) -> Result<(), SendTimeoutError<()>> {
        self.send_by(timeout, |visit| {
            // SAFETY: the caller's promise.
            usize::from(unsafe { visit.push_from(item) })
        })
    }

    /// Sends by this, which appends items if there is room, and says how many.
    fn send_by(
        &self,
        timeout: Timeout,
        mut put: impl FnMut(&mut Guard<'_, T, L, S>) -> usize,
    ) -> Result<(), SendTimeoutError<()>> {
        let Some(mut visit) = self.store.lock_with(timeout) else {
            return Err(SendTimeoutError::Timeout(()));
        };
        let mut in_time = true;
        let sent = loop {
            if visit.is_closed(Direction::Receiving) {
                return Err(SendTimeoutError::Disconnected(()));
            }
            let sent = put(&mut visit);
            if sent > 0 {
                break sent;
            }
            if !in_time {
                return Err(SendTimeoutError::Timeout(()));
            }
            in_time = self.not_full.wait_with(visit.held(), timeout);
        };
        drop(visit);
        announce(&self.not_empty, sent);
        Ok(())
    }

    /// Receives by this, which takes items if there are some, and says how many.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        mut take: impl FnMut(&mut Guard<'_, T, L, S>) -> Option<(usize, R)>,
    ) -> Result<R, RecvTimeoutError> {
        let Some(mut visit) = self.store.lock_with(timeout) else {
            return Err(RecvTimeoutError::Timeout);
        };
        let mut in_time = true;
        let (received, item) = loop {
            if let Some(taken) = take(&mut visit) {
                break taken;
            }
            if visit.is_closed(Direction::Sending) || !in_time {
                return Err(RecvTimeoutError::of(visit.is_closed(Direction::Sending)));
            }
            in_time = self.not_empty.wait_with(visit.held(), timeout);
        };
        drop(visit);
        announce(&self.not_full, received);
        Ok(item)
    }
}

/// Says that there are so many more items, or places: each lets one go.
#[inline]
fn announce(condition: &impl RawCondvar, count: usize) {
    match count {
        1 => condition.notify_one(),
        _ => condition.notify_all(),
    }
}

impl<T, S, C, L> CountsEndpoints for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    fn join(&self, end: Direction) -> Result<(), Disconnected> {
        self.store.lock().attach(end)
    }

    fn leave(&self, end: Direction) {
        if self.store.lock().detach(end) {
            match end {
                Direction::Sending => self.not_empty.notify_all(),
                Direction::Receiving => self.not_full.notify_all(),
            }
        }
    }
}
