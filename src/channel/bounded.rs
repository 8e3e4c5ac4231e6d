//! A bounded buffer built from a semaphore pair and a lock.

use super::batch::Batch;
use super::slot::{Slot, Slots};
use super::store::{self, Guard, Store};
use super::{
    AttachError, Buffer, BufferState, Channel, CountsEndpoints, Direction, EndpointRef,
    OperationError, RecvTimeoutError, SendTimeoutError, Unregistered,
};
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe,
    ShmType, TypeInfo, constructor,
};
use crate::sync::{
    MAX_PERMITS, RawLock, RawMutex, RawSemaphore, Semaphore, SemaphorePair, Timeout, Turns,
};
use core::alloc::Layout;
use core::mem::{ManuallyDrop, offset_of};

/// A bounded buffer built from semaphores and a lock, for many senders and receivers.
///
/// Items pass first in, first out.
///
/// Use this buffer where processes do not die unexpectedly and throughput matters. Where processes
/// may die, use [`RobustMonitorBuffer`](super::RobustMonitorBuffer).
///
/// `S` holds the slots: `[Slot<T>; N]` inside the buffer (for a `static`), `Box<[Slot<T>]>` on the
/// heap, or `[Slot<T>]` behind the header (for a region, with a capacity chosen at run time). `P`
/// is the type of the semaphores, and `L` is the type of the lock.
///
/// # Fairness
/// The buffer is as fair as its semaphores.
///
/// # Ordering
/// Everything before a `send` happens before the `recv` of the sent item returns. Everything before
/// that `recv` happens before a later `send` that reuses the slot returns.
///
/// # Latency
/// If both sides are fast, each side processes several items in a row. This is many times faster
/// than switching between the sides for each item. A waiter lets the other side run for up to 50
/// microseconds while more items or free slots arrive. A process that has called
/// [`set_spinning`](crate::platform::spin::set_spinning) does not wait for further items or slots.
///
/// # Panics
/// No operation panics, because no foreign code runs inside an operation.
///
/// # Process death
/// If a process dies within an operation, the lock may stay held forever, as with a stopped
/// process. Operations with a deadline then return at most 100 milliseconds after the deadline, and
/// non-blocking operations fail with `Failed(Busy)` after 100 milliseconds, or with `Full` or
/// `Empty`. All other operations wait for the lock. The slots that the dead process's batch had
/// acquired may also stay unused forever. If a process dies outside an operation, its handles stay
/// registered.
///
/// # Fork
/// Handles belong to the process that created them. Operations of a copy in a forked child fail
/// with
/// [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited), and dropping the copy does
/// nothing. The child creates handles of its own.
///
/// # How it works
/// The semaphore pair counts free slots for the senders and filled slots for the receivers. A
/// sender acquires one of the writers' permits, appends its item to the ring under the lock, and
/// releases one of the readers' permits. A receiver does the reverse. So the permits bound the
/// ring, and the lock keeps the items in order.
///
/// - **Closing.** When the last sender is dropped, it releases one more of the readers' permits
///   than there are items. A receiver that acquires a permit and finds no item releases the permit
///   again and returns `Disconnected`. So this one permit informs every current and future
///   receiver. Dropping the last receiver informs the senders in the same way. This method of
///   closing works with any semaphore.
/// - **Batches.** A batch acquires all available permits in one step, passes the same number of
///   items under the lock, and ends all its turns in one step. A turn is the right to write or read
///   one slot once. The batch returns each permit for which it found no item.
/// - **`Full` and `Empty`.** A permit is acquired before the ring is locked, so an operation may
///   return `Full` or `Empty` because another operation is in progress. The results `Full` and
///   `Empty` are exact when no other operation is in progress.
///
/// # Sources
/// The producer and consumer of Dijkstra, *Cooperating sequential processes* (1965).
///
/// # Example
/// Between processes, a region holds the buffer:
/// ```
/// use interlatch::channel::{RecvError, Slot};
/// use interlatch::{BoundedBuffer, Channel, Region};
///
/// type Numbers = BoundedBuffer<u64, [Slot<u64>]>;
///
/// let region = Region::memfd("orders", 1 << 16)?;
/// let buffer: &Numbers = region.create("numbers", 100)?;
/// let sender = buffer.sender()?;
/// // Another process maps the region and attaches to the buffer by its name.
/// let buffer: &Numbers = region.attach("numbers")?;
/// let receiver = buffer.receiver()?;
/// sender.send(7)?;
/// drop(sender);
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// Between threads, the heap holds the buffer:
/// ```
/// use interlatch::{BoundedBuffer, Channel};
///
/// let buffer = BoundedBuffer::with_capacity(2)?;
/// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
/// std::thread::scope(|scope| {
///     scope.spawn(move || (1..=3).try_for_each(|item| sender.send(item)));
///     let received: Result<Vec<i32>, _> = receiver.into_iter().collect();
///     assert_eq!(received, Ok(vec![1, 2, 3]));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct BoundedBuffer<T, S = Box<[Slot<T>]>, P = Semaphore, L = RawMutex>
where
    S: Slots<T> + ?Sized,
{
    turns: SemaphorePair<P>,
    store: Store<T, L, S>,
}

/// The maximum capacity.
///
/// A semaphore counts one permit for each slot and, after closing, one additional permit.
const MAX_CAPACITY: usize = MAX_PERMITS as usize - 1;

/// The turns (rights to write or read one slot once) and the lock that an operation has acquired.
type Admitted<'a, T, P, L, S> = (Turns<'a, P>, Guard<'a, T, L, S>);

/// The number of turns that an operation requests for this number of items.
fn turns_for(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(MAX_PERMITS)
}

fn pair(capacity: usize) -> Result<SemaphorePair, ConfigError> {
    let too_large = ConfigError::TooLarge {
        found: capacity,
        max: MAX_CAPACITY,
    };
    let slots = u32::try_from(capacity).map_err(|_| too_large)?;
    SemaphorePair::new(slots).map_err(|_| too_large)
}

impl<T> BoundedBuffer<T> {
    /// Creates an empty buffer on the heap.
    ///
    /// # Errors
    /// Fails if the capacity is 0, exceeds the maximum count of the semaphores, or cannot be
    /// allocated.
    pub fn with_capacity(capacity: usize) -> Result<Self, ConfigError> {
        let slots = store::boxed(capacity)?;
        Ok(Self {
            turns: pair(capacity)?,
            store: Store::new(RawMutex::new(), slots),
        })
    }
}

impl<T, const N: usize> BoundedBuffer<T, [Slot<T>; N]> {
    const ASSERT_CAPACITY: () = assert!(
        N > 0 && N <= MAX_CAPACITY,
        "a capacity of 1 to MAX_PERMITS - 1"
    );

    constructor! {
        /// Creates an empty buffer from an array of slots, for use in a `static`.
        ///
        /// Example: `BoundedBuffer::from_slots([const { Slot::new() }; 8])`.
        ///
        /// An array without slots does not compile. An array with more slots than the semaphores
        /// can count does not compile either.
        pub fn from_slots(slots: [Slot<T>; N]) -> Self {
            const { Self::ASSERT_CAPACITY };
            match SemaphorePair::new(N as u32) {
                Ok(turns) => Self { turns, store: Store::new(RawMutex::new(), slots) },
                Err(_) => unreachable!(),
            }
        }
    }
}

impl<T, S: Slots<T>, P, L> BoundedBuffer<T, S, P, L> {
    constructor! {
        /// Creates an empty buffer from its parts.
        ///
        /// The caller passes a `turns` pair that counts as many slots as `slots` has.
        pub fn from_parts(turns: SemaphorePair<P>, lock: L, slots: S) -> Self {
            Self { turns, store: Store::new(lock, slots) }
        }
    }
}

// SAFETY: the struct and its fields are `repr(C)`. The store clamps every number that it reads.
unsafe impl<T: Pod, const N: usize> ShmSafe for BoundedBuffer<T, [Slot<T>; N]> {
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_CAPACITY };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe {
            Header::<T>::init(at.cast(), N);
            Store::init_slots(&raw mut (*at).store);
        }
    }
}

impl<T: Pod, const N: usize> ShmType for BoundedBuffer<T, [Slot<T>; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("BoundedBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
        ]);
}

/// The memory of a buffer with its slots behind the header.
type Memory<T> = HeaderAndSlots<Header<T>, Slot<T>>;

/// A buffer without its slots, which follow it.
type Header<T> = BoundedBuffer<T, [Slot<T>; 0]>;

impl<T> Header<T> {
    /// Initializes all fields before the `count` slots. `count` is at most `MAX_CAPACITY`.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self, count: usize) {
        let Ok(turns) = pair(count) else {
            unreachable!("the capacity was checked")
        };
        let store = Store::new(RawMutex::new(), []);
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self { turns, store }) }
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern, the slots follow the header at
// the offset that the unsized type requires, and items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for BoundedBuffer<T, [Slot<T>]> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        pair(capacity)?;
        Memory::<T>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, capacity: usize) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. The
        // header records all slots as empty, so the slots may contain any bytes.
        unsafe { Header::<T>::init(at.cast(), capacity) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        // SAFETY: the caller guarantees an aligned, valid object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<T>::slots(at, capacity) as *const Self) }
    }
}

impl<T: Pod> ShmType for BoundedBuffer<T, [Slot<T>]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("BoundedBuffer")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl BoundedBuffer<u64, [Slot<u64>; 0]> {
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

impl<T, S, P, L> Channel for BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
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

impl<T, S, P, L> Unregistered for BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
    L: RawLock,
{
    fn unregistered_sender(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<EndpointRef<'_, Self>, AttachError> {
        Ok(EndpointRef::unregistered(self, Direction::Receiving))
    }
}

impl<T, S, P, L> Buffer for BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
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
        Ok(self.recv_by(timeout, |store| store.pop())?)
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
        Ok(self.recv_by(timeout, |store| store.pop_into(destination).then_some(()))?)
    }

    fn send_many_with(
        &self,
        _endpoint: &Self::SendEndpoint<'_>,
        items: &mut Vec<T>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let mut batch = Batch::new(items);
        while !batch.rest().is_empty() {
            self.send_some(&mut batch, timeout)?;
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
        let (turns, mut store) = self.admit_receiver(turns_for(max), timeout)?;
        let received = store.pop_some(items, turns.count() as usize);
        let closed = store.is_closed(Direction::Sending);
        drop(store);
        turns.end(received as u32);
        match received {
            0 => Err(OperationError::from_disconnected(closed).into()),
            _ => Ok(received),
        }
    }

    fn len(&self) -> usize {
        let locked = self.store.lock_with(Timeout::NonBlocking);
        locked.map_or(0, |store| store.len())
    }

    fn capacity(&self) -> usize {
        self.store.capacity()
    }
}

impl<T, S, P, L> BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
    L: RawLock,
{
    /// Sends a bitwise copy of the item.
    ///
    /// # Safety
    /// After a success, the caller neither uses nor drops `item`, unless the type of the item is
    /// `Pod`.
    unsafe fn send_from(&self, item: &T, timeout: Timeout) -> Result<(), OperationError> {
        let (turn, mut store) = self.admit_sender(1, timeout)?;
        let closed = store.is_closed(Direction::Receiving);
        // SAFETY: the caller neither uses nor drops the item after a success.
        let sent = !closed && unsafe { store.push_from(item) };
        drop(store);
        if !sent {
            turn.cancel();
            return Err(OperationError::from_disconnected(closed));
        }
        Ok(())
    }

    /// Sends at least one item, and as many items as there are turns available.
    fn send_some(&self, batch: &mut Batch<'_, T>, timeout: Timeout) -> Result<(), OperationError> {
        let (turns, mut store) = self.admit_sender(turns_for(batch.rest().len()), timeout)?;
        let closed = store.is_closed(Direction::Receiving);
        let max = if closed { 0 } else { turns.count() as usize };
        // SAFETY: `forget_first` removes the items that the store now owns from the batch without
        // dropping them.
        let sent = unsafe {
            let sent = store.push_some_from(&batch.rest()[..max]);
            batch.forget_first(sent);
            sent
        };
        drop(store);
        turns.end(sent as u32);
        match sent {
            0 => Err(OperationError::from_disconnected(closed)),
            _ => Ok(()),
        }
    }

    /// Acquires between 1 and `max` of the senders' turns, and then the lock.
    #[inline]
    fn admit_sender(
        &self,
        max: u32,
        timeout: Timeout,
    ) -> Result<Admitted<'_, T, P, L, S>, OperationError> {
        let Some(turns) = self.turns.write_turns(max, timeout) else {
            let store = self.store.lock_with(timeout);
            let closed = store.is_ok_and(|store| store.is_closed(Direction::Receiving));
            return Err(OperationError::from_disconnected(closed));
        };
        match self.store.lock_with(timeout) {
            Ok(store) => Ok((turns, store)),
            Err(error) => {
                turns.cancel();
                Err(error)
            }
        }
    }

    /// Acquires between 1 and `max` of the receivers' turns, and then the lock.
    #[inline]
    fn admit_receiver(
        &self,
        max: u32,
        timeout: Timeout,
    ) -> Result<Admitted<'_, T, P, L, S>, OperationError> {
        let Some(turns) = self.turns.read_turns(max, timeout) else {
            let store = self.store.lock_with(timeout);
            return Err(OperationError::from_disconnected(
                store.is_ok_and(|store| store.has_ended()),
            ));
        };
        match self.store.lock_with(timeout) {
            Ok(store) => Ok((turns, store)),
            Err(error) => {
                turns.cancel();
                Err(error)
            }
        }
    }

    /// Receives by calling `take`, which takes the oldest item if the ring holds one.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        take: impl FnOnce(&mut Guard<'_, T, L, S>) -> Option<R>,
    ) -> Result<R, OperationError> {
        let (turn, mut store) = self.admit_receiver(1, timeout)?;
        let received = take(&mut store);
        let closed = store.is_closed(Direction::Sending);
        drop(store);
        match received {
            Some(item) => Ok(item),
            None => {
                turn.cancel();
                Err(OperationError::from_disconnected(closed))
            }
        }
    }
}

impl<T, S, P, L> CountsEndpoints for BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
    L: RawLock,
{
    fn join(&self, direction: Direction) -> Result<(), AttachError> {
        self.store.lock().attach(direction)
    }

    fn leave(&self, direction: Direction) {
        if self.store.lock().detach(direction) {
            let other = match direction {
                Direction::Sending => self.turns.reader(),
                Direction::Receiving => self.turns.writer(),
            };
            // `MAX_CAPACITY` is one less than the maximum count, so the semaphore can count this
            // permit.
            let _ = other.release(1);
        }
    }
}
