//! A bounded buffer built from a lock and two condition variables.

use super::batch::Batch;
use super::slot::{Slot, Slots};
use super::store::{self, Guard, Store};
use super::{
    AttachError, Buffer, BufferState, Channel, CountsEndpoints, Direction, EndpointRef,
    OperationError, RecvTimeoutError, SendTimeoutError, Unregistered,
};
use crate::platform::{
    CachePadded, ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, Pod,
    ShmObject, ShmSafe, ShmType, TypeInfo, constructor,
};
use crate::sync::{Condvar, RawCondvar, RawLock, RawMutex, Timeout};
use core::alloc::Layout;
use core::mem::{ManuallyDrop, offset_of};

/// A bounded buffer built from a lock and condition variables.
///
/// Many senders and receivers may use the buffer. Items pass first in, first out.
///
/// The results `Full` and `Empty` are exact. The results of [`BoundedBuffer`](super::BoundedBuffer)
/// are not, but that buffer has a higher throughput. Where processes may die or be stopped, use
/// [`RobustMonitorBuffer`](super::RobustMonitorBuffer).
///
/// `S` holds the slots, as in [`BoundedBuffer`](super::BoundedBuffer). `C` is the type of the
/// condition variables, and `L` is the type of the lock.
///
/// # Fairness
/// The buffer is as fair as its condition variables.
///
/// # Ordering
/// Everything before a `send` happens before the `recv` of the sent item returns. Everything before
/// that `recv` happens before a later `send` that reuses the slot returns.
///
/// # Panics
/// No operation panics, because no foreign code runs inside an operation.
///
/// # Process death
/// If a process dies within an operation, the lock may stay held forever, as with a stopped
/// process. Operations with a deadline then return at most 100 milliseconds after the deadline, and
/// non-blocking operations fail with `Failed(Busy)` after 100 milliseconds. All other operations
/// wait for the lock. If a process dies outside an operation, its handles stay registered.
///
/// # Fork
/// Handles belong to the process that created them. Operations of a copy in a forked child fail
/// with
/// [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited), and dropping the copy does
/// nothing. The child creates handles of its own.
///
/// # How it works
/// Every operation holds the same lock, so each operation appears as a single step to the others. A
/// sender that finds the buffer full waits for "not full", which every receiver notifies. A
/// receiver that finds the buffer empty waits for "not empty", which every sender notifies. One
/// notification per item suffices, because an item lets one waiter proceed. Closing a side and
/// passing a batch may let several waiters proceed, so these operations use `notify_all`.
///
/// # Sources
/// The bounded buffer of Hoare, *Monitors: An Operating System Structuring Concept* (1974). Waiters
/// recheck in a loop, as Mesa and POSIX require.
///
/// # Example
/// Between processes, a region holds the buffer:
/// ```
/// use interlatch::channel::{RecvError, Slot, TrySendError};
/// use interlatch::{Channel, MonitorBuffer, Region};
///
/// type Numbers = MonitorBuffer<u64, [Slot<u64>]>;
///
/// let region = Region::memfd("orders", 1 << 16)?;
/// let buffer: &Numbers = region.create("numbers", 1)?;
/// let sender = buffer.sender()?;
/// // Another process maps the region and attaches to the buffer by its name.
/// let buffer: &Numbers = region.attach("numbers")?;
/// let receiver = buffer.receiver()?;
/// assert_eq!(sender.try_send(1), Ok(()));
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!(receiver.recv(), Ok(1));
/// drop(sender);
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
    /// Creates an empty buffer on the heap.
    ///
    /// # Errors
    /// Fails if the capacity is 0 or cannot be allocated.
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
    const ASSERT_CAPACITY: () = assert!(N > 0, "a capacity of at least 1");

    constructor! {
        /// Creates an empty buffer from an array of slots, for use in a `static`.
        ///
        /// Example: `MonitorBuffer::from_slots([const { Slot::new() }; 8])`.
        ///
        /// An array without slots does not compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Self {
            const { Self::ASSERT_CAPACITY };
            Self::from_parts(Condvar::new(), Condvar::new(), RawMutex::new(), slots)
        }
    }
}

impl<T, S: Slots<T>, C, L> MonitorBuffer<T, S, C, L> {
    constructor! {
        /// Creates an empty buffer from its parts.
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

// SAFETY: the struct and its fields are `repr(C)`. The store clamps every number that it reads.
unsafe impl<T: Pod, const N: usize> ShmSafe for MonitorBuffer<T, [Slot<T>; N]> {
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_CAPACITY };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe {
            Header::<T>::init(at.cast());
            Store::init_slots(&raw mut (*at).store);
        }
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

/// The memory of a buffer with its slots behind the header.
type Memory<T> = HeaderAndSlots<Header<T>, Slot<T>>;

/// A buffer without its slots, which follow it.
type Header<T> = MonitorBuffer<T, [Slot<T>; 0]>;

impl<T> Header<T> {
    /// Initializes all fields before the slots.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self) {
        let header = Self::from_parts(Condvar::new(), Condvar::new(), RawMutex::new(), []);
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(header) }
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern, the slots follow the header at
// the offset that the unsized type requires, and items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for MonitorBuffer<T, [Slot<T>]> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        Memory::<T>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. The
        // header records all slots as empty, so the slots may contain any bytes.
        unsafe { Header::<T>::init(at.cast()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        // SAFETY: the caller guarantees an aligned, valid object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<T>::slots(at, capacity) as *const Self) }
    }
}

impl<T: Pod> ShmType for MonitorBuffer<T, [Slot<T>]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("MonitorBuffer")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl MonitorBuffer<u64, [Slot<u64>; 0]> {
    /// Reads the state of a buffer with items of any type. The offset of the ring in memory depends
    /// on `align`, the alignment of the items.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        align: u64,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let store = (offset_of!(Self, store) as u64).checked_next_multiple_of(align)?;
        Store::read_state(&OffsetReader(reader, store), capacity)
    }
}

impl<T, S, C, L> Channel for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    type SendEndpoint<'a>
        = EndpointRef<'a, Self>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = EndpointRef<'a, Self>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        EndpointRef::new(self, Direction::Sending)
    }

    fn attach_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        EndpointRef::new(self, Direction::Receiving)
    }
}

impl<T, S, C, L> Unregistered for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    fn unregistered_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Receiving))
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

    fn send_with(
        &self,
        _endpoint: &Self::SendEndpoint<'_>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        let item = ManuallyDrop::new(item);
        // SAFETY: a sent item belongs to the store, and this function does not drop it.
        let sent = unsafe { self.send_from(&item, timeout) };
        sent.map_err(|error| error.with(ManuallyDrop::into_inner(item)))
    }

    fn send_ref_with(
        &self,
        _endpoint: &Self::SendEndpoint<'_>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        T: Pod,
    {
        // SAFETY: the item is `Pod`, so a bitwise copy of the item is sound.
        Ok(unsafe { self.send_from(item, timeout) }?)
    }

    fn recv_with(
        &self,
        _endpoint: &Self::RecvEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        Ok(self.recv_by(timeout, |store| Some((1, store.pop()?)))?)
    }

    fn recv_into_with(
        &self,
        _endpoint: &Self::RecvEndpoint<'_>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        T: Pod,
    {
        Ok(self.recv_by(timeout, |store| {
            store.pop_into(destination).then_some((1, ()))
        })?)
    }

    fn send_many_with(
        &self,
        _endpoint: &Self::SendEndpoint<'_>,
        items: &mut Vec<T>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let mut batch = Batch::new(items);
        while !batch.rest().is_empty() {
            self.send_by(timeout, |store| {
                // SAFETY: `forget_first` removes the items that the store now owns from the batch
                // without dropping them.
                unsafe {
                    let sent = store.push_some_from(batch.rest());
                    batch.forget_first(sent);
                    sent
                }
            })?;
        }
        Ok(())
    }

    fn recv_many_with(
        &self,
        _endpoint: &Self::RecvEndpoint<'_>,
        items: &mut Vec<T>,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        let max = max.min(self.capacity());
        if max == 0 {
            return Ok(0);
        }
        items.reserve(max);
        Ok(self.recv_by(timeout, |store| {
            let received = store.pop_some(items, max);
            (received > 0).then_some((received, received))
        })?)
    }

    fn len(&self) -> usize {
        let locked = self.store.lock_with(Timeout::NonBlocking);
        locked.map_or(0, |store| store.len())
    }

    fn capacity(&self) -> usize {
        self.store.capacity()
    }
}

impl<T, S, C, L> MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    /// Sends a bitwise copy of the item.
    ///
    /// # Safety
    /// After a success, the caller neither uses nor drops `item`, unless the type of the item is
    /// `Pod`.
    unsafe fn send_from(&self, item: &T, timeout: Timeout) -> Result<(), OperationError> {
        self.send_by(timeout, |store| {
            // SAFETY: the caller neither uses nor drops the item after a success.
            usize::from(unsafe { store.push_from(item) })
        })
    }

    /// Sends items with the function `put`, which fills free slots and returns the number of filled
    /// slots.
    fn send_by(
        &self,
        timeout: Timeout,
        mut put: impl FnMut(&mut Guard<'_, T, L, S>) -> usize,
    ) -> Result<(), OperationError> {
        let mut store = self.store.lock_with(timeout)?;
        let mut in_time = true;
        let sent = loop {
            if store.is_closed(Direction::Receiving) {
                return Err(OperationError::Disconnected);
            }
            let sent = put(&mut store);
            if sent > 0 {
                break sent;
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            (store, in_time) = store.wait(&self.not_full, timeout)?;
        };
        drop(store);
        notify(&self.not_empty, sent);
        Ok(())
    }

    /// Receives items with the function `take`, which returns the number of received items, or
    /// `None` if the buffer is empty.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        mut take: impl FnMut(&mut Guard<'_, T, L, S>) -> Option<(usize, R)>,
    ) -> Result<R, OperationError> {
        let mut store = self.store.lock_with(timeout)?;
        let mut in_time = true;
        let (received, item) = loop {
            if let Some(taken) = take(&mut store) {
                break taken;
            }
            if store.is_closed(Direction::Sending) || !in_time {
                return Err(OperationError::from_disconnected(
                    store.is_closed(Direction::Sending),
                ));
            }
            (store, in_time) = store.wait(&self.not_empty, timeout)?;
        };
        drop(store);
        notify(&self.not_full, received);
        Ok(item)
    }
}

/// Wakes one waiter if one item or slot became available, and all waiters if several did.
#[inline]
#[cfg_attr(loom, track_caller)]
fn notify(condvar: &impl RawCondvar, count: usize) {
    match count {
        1 => condvar.notify_one(),
        _ => condvar.notify_all(),
    }
}

impl<T, S, C, L> CountsEndpoints for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: RawCondvar,
    L: RawLock,
{
    fn join(&self, direction: Direction) -> Result<(), AttachError> {
        self.store.lock().attach(direction)
    }

    fn leave(&self, direction: Direction) {
        if self.store.lock().detach(direction) {
            match direction {
                Direction::Sending => self.not_empty.notify_all(),
                Direction::Receiving => self.not_full.notify_all(),
            }
        }
    }
}
