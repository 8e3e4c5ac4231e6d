//! The ring: two positions, two ends, and the slots.

use super::cursor::{RecvCursor, RingCursor, SendCursor};
use super::end::{Position, RingEnd};
use crate::channel::slot::{Slot, Slots};
use crate::channel::state::fill_of;
use crate::channel::{
    AttachError, Buffer, BufferState, Channel, RecvTimeoutError, SendTimeoutError, store,
};
use crate::platform::Ordering::Relaxed;
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe,
    ShmType, Static, TypeInfo, constructor,
};
use crate::sync::{LockState, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;

/// A bounded first-in-first-out channel for one sender and one receiver, without a lock.
///
/// Use the ring where one process streams items to one other process. It is the fastest channel of
/// this crate. Items pass one by one, as slices ([`Sender::send_slice`](crate::Sender::send_slice),
/// [`Receiver::recv_slice`](crate::Receiver::recv_slice)), or in place, without a copy
/// ([`Sender::loan`](crate::Sender::loan), [`Receiver::borrow`](crate::Receiver::borrow)).
///
/// `S` is the storage: `[Slot<T>]` behind the header (for a region, where the capacity is chosen at
/// run time; this is what `RingBuffer<T>` means), `[Slot<T>; N]` inside the ring (for a `static`),
/// or `Box<[Slot<T>]>`. A capacity of at least a few hundred gives full throughput. If the ring has
/// fewer slots, both sides work on the same cache lines.
///
/// An operation that does not wait makes no system call. An operation that has to wait spins for a
/// short time, if spinning has paid off before, and then sleeps. A side that repeatedly finds only
/// a few available slots backs off for up to some microseconds before it checks again, so slots
/// become available in batches and each cache line is transferred once. The back-off soon shrinks
/// to zero if items arrive one at a time. `try_` operations never back off.
///
/// # Fairness
/// Fairness does not apply, because each side has one handle.
///
/// # Panics
/// No operation panics.
///
/// # Errors
/// Each side has at most one handle at a time, across all processes. Creating a second one fails
/// with [`AttachError::SlotsInUse`], or with [`AttachError::Closed`] if the first handle was
/// dropped, because a dropped handle closes its side permanently. The operations fail with
/// `Disconnected` if the other side is closed or if the owner of the other side is dead. A copy of
/// a handle in a forked child fails with
/// [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited).
///
/// # Process death
/// When a process dies, its handles end. The other side then gets `Disconnected`. If the other
/// side is the receiver, it first drains the ring. An operation that starts after the death returns
/// `Disconnected` immediately, and an operation that sleeps returns within the
/// [`recheck_interval`](crate::platform::futex). The side of a dead owner is not closed. A
/// successor can claim it, and the other side is then connected again.
///
/// | process | effect of its death |
/// | --- | --- |
/// | a sender before it stores its position | the items since its last store were not sent |
/// | a sender after that | the items were sent |
/// | a receiver before it stores its position | its successor receives the same items again |
/// | a receiver after that | the items are lost with it |
///
/// If a process dies before it wakes a sleeper, the wake-up is delayed by at most one recheck
/// interval. The same delay can occur for a process that loses the right to call `membarrier(2)`
/// after it created its handle.
///
/// If a thread other than the main thread calls `exec`, its handles never end.
///
/// # Fork
/// Handles, loans and borrows belong to the process that created them. Operations of a copy in a
/// forked child fail with [`ChannelError::Inherited`](crate::channel::ChannelError::Inherited).
/// Dropping a copy, or sending a copy of a loan, does nothing.
///
/// # Ordering
/// Sending an item happens before receiving it, and receiving it happens before its slot is filled
/// again.
///
/// A side that is about to sleep calls `membarrier(2)`, so the other side does not need a fence for
/// each item. If the kernel does not permit the call to a process, both sides perform a
/// read-modify-write for each item or slice instead, which takes a few more nanoseconds. If such a
/// process succeeds a dead process that was permitted the call, the successor's first sleep may
/// last one recheck interval too long.
///
/// # Leaks
/// A leaked handle (`mem::forget`) ends when its process dies or drops the region, not when its
/// thread ends: see [`RawRobustMutex`](crate::sync::RawRobustMutex).
///
/// # How it works
/// | word | written by | meaning |
/// | --- | --- | --- |
/// | `written` | the sender | the number of items ever sent, wrapping |
/// | `read` | the receiver | the number of items ever received, wrapping |
/// | flags of each end | both sides | asleep, closed, with or without `membarrier(2)` |
/// | owner of each end | the owner, the kernel on its death | a robust lock, held by the handle |
///
/// A slot belongs to the sender until `written` says that it is filled, and then to the receiver
/// until `read` says that it is free. The Release store of each position pairs with the Acquire
/// load of the other side. One store publishes any number of items. So if a process dies, either
/// all or none of these items are sent or received, and no item is torn. Each side caches the other
/// side's position and loads that position again only when the cached position leaves no slot
/// available.
///
/// A sleeper sets its `ASLEEP` flag and then loads the other side's position. The other side stores
/// its position and then loads that flag. If each side performs its store before its load, at least
/// one side observes the other side's store. The sleeper ensures this order for both sides with one
/// heavy barrier ([`platform::asymmetric`](crate::platform::asymmetric)).
///
/// # Sources
/// Lamport, *Proving the Correctness of Multiprocess Programs* (1977): each side has a counter that
/// no other side writes. Lee, Bu and Chandranmenon, *A Lock-Free, Cache-Efficient Shared Ring
/// Buffer* (2009): each side caches the counter of the other side.
///
/// # Example
/// ```
/// use interlatch::channel::{AttachError, Direction};
/// use interlatch::{Channel, Region, RingBuffer};
///
/// let region = Region::memfd("samples", 1 << 16)?;
/// let ring = region.create::<RingBuffer<u64>>("samples", 1024)?;
/// let sender = ring.sender()?;
/// let error = ring.sender().unwrap_err();
/// assert!(matches!(error, AttachError::SlotsInUse { direction: Direction::Sending, max: 1, .. }));
/// std::thread::scope(|scope| -> anyhow::Result<()> {
///     let receiver = scope.spawn(|| {
///         // Another process maps the region and attaches to the ring.
///         let receiver = region.attach::<RingBuffer<u64>>("samples").unwrap().receiver().unwrap();
///         receiver.into_iter().collect::<Result<Vec<u64>, _>>()
///     });
///     sender.send(7)?;
///     sender.send_slice(&[8, 9])?;
///     sender.close();
///     assert_eq!(receiver.join().unwrap()?, [7, 8, 9]);
///     Ok(())
/// })?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[repr(C)]
pub struct RingBuffer<T, S: Slots<T> + ?Sized = [Slot<T>]> {
    written: Position,
    read: Position,
    sender: RingEnd,
    receiver: RingEnd,
    item: PhantomData<T>,
    slots: S,
}

// SAFETY: each slot belongs to one side at a time, and each side belongs to the thread that holds
// the `owner` lock of the side. All other fields are atomic. Items move between threads, which is
// sound because of `T: Send`.
unsafe impl<T: Send, S: Slots<T> + ?Sized> Sync for RingBuffer<T, S> {}
// SAFETY: the ring owns its slots and their items.
unsafe impl<T: Send, S: Slots<T> + Send> Send for RingBuffer<T, S> {}

impl<T, S: Slots<T>> RingBuffer<T, S> {
    constructor! {
        fn with_slots(slots: S) -> Self {
            Self {
                written: Position::new(),
                read: Position::new(),
                sender: RingEnd::new(),
                receiver: RingEnd::new(),
                item: PhantomData,
                slots,
            }
        }
    }
}

impl<T: Pod, const N: usize> RingBuffer<T, [Slot<T>; N]> {
    const ASSERT_CAPACITY: () = assert!(N > 0, "the capacity must be at least 1");

    constructor! {
        /// Creates an empty ring with these slots, for a `static`. An array without slots does not
        /// compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Static<Self> {
            const { Self::ASSERT_CAPACITY };
            Static::new(Self::with_slots(slots))
        }
    }
}

impl<T: Pod> RingBuffer<T, Box<[Slot<T>]>> {
    /// Creates an empty ring with its slots on the heap.
    ///
    /// # Errors
    /// Fails if the capacity is 0 or does not fit into memory.
    pub fn with_capacity(capacity: usize) -> Result<Static<Self>, ConfigError> {
        Ok(Static::new(Self::with_slots(store::boxed(capacity)?)))
    }
}

// SAFETY: the type is `repr(C)`, its fields and items are valid for every bit pattern, `RingCursor`
// clamps the positions to the capacity, and all changes are atomic or made by the owner of a side.
unsafe impl<T: Pod, const N: usize> ShmSafe for RingBuffer<T, [Slot<T>; N]> {
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_CAPACITY };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe {
            Header::<T>::init(at.cast());
            Slot::init_array(&raw mut (*at).slots);
        }
    }
}

impl<T: Pod, const N: usize> ShmType for RingBuffer<T, [Slot<T>; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RingBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
        ]);
}

/// A ring without its slots, which follow it.
type Header<T> = RingBuffer<T, [Slot<T>; 0]>;

impl<T> Header<T> {
    /// Initializes all fields before the slots.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::with_slots([])) }
    }
}

type Memory<T> = HeaderAndSlots<Header<T>, Slot<T>>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern. The slots follow the header at
// the offset that the unsized type requires, and items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for RingBuffer<T> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        Memory::<T>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. The
        // slots need no initialization: the two positions of a new ring mark every slot as empty.
        unsafe { Header::<T>::init(at.cast()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        // SAFETY: the caller guarantees a valid, aligned object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<T>::slots(at, capacity) as *const Self) }
    }
}

impl<T: Pod> ShmType for RingBuffer<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("RingBuffer")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl<T: Pod, S: Slots<T> + ?Sized> RingBuffer<T, S> {
    /// Makes both sides perform a read-modify-write for each item instead of relying on
    /// `membarrier(2)`.
    ///
    /// Call this before the first handle exists. This method is for tests and measurements. If the
    /// kernel does not permit `membarrier(2)`, a side switches to read-modify-writes by itself.
    pub fn avoid_membarrier(&self) {
        self.sender.require_exchanges();
        self.receiver.require_exchanges();
    }
}

impl<T: Pod, S: Slots<T> + ?Sized> Channel for RingBuffer<T, S> {
    type SendEndpoint<'a>
        = RingCursor<'a, T, true>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = RingCursor<'a, T, false>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<SendCursor<'_, T>, AttachError> {
        let (ends, positions) = ([&self.sender, &self.receiver], [&self.written, &self.read]);
        RingCursor::new(ends, positions, self.slots.slots())
    }

    fn attach_receiver(&self) -> Result<RecvCursor<'_, T>, AttachError> {
        let (ends, positions) = ([&self.receiver, &self.sender], [&self.read, &self.written]);
        RingCursor::new(ends, positions, self.slots.slots())
    }
}

impl<T: Pod, S: Slots<T> + ?Sized> Buffer for RingBuffer<T, S> {
    type Item = T;

    #[inline(always)]
    fn send_with(
        &self,
        cursor: &SendCursor<'_, T>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        cursor.send(item, timeout)
    }

    #[inline(always)]
    fn recv_with(
        &self,
        cursor: &RecvCursor<'_, T>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        cursor.recv(timeout)
    }

    fn send_ref_with(
        &self,
        cursor: &SendCursor<'_, T>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        cursor.send_ref(item, timeout)
    }

    fn recv_into_with(
        &self,
        cursor: &RecvCursor<'_, T>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        cursor.recv_into(destination, timeout)
    }

    fn len(&self) -> usize {
        // Both loads are Relaxed, because `fill_of` accepts any pair of positions.
        let read = self.read.word().load(Relaxed);
        let written = self.written.word().load(Relaxed);
        fill_of(written, read, Some(self.capacity() as u64)) as usize
    }

    fn capacity(&self) -> usize {
        self.slots.slots().len()
    }
}

impl RingBuffer<u64, [Slot<u64>; 0]> {
    /// Reads the state of a ring with items of any type.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let read = reader.read_u64(offset_of!(Self, read) as u64)?;
        let written = reader.read_u64(offset_of!(Self, written) as u64)?;
        let end = |offset: usize| RingEnd::read_state(&OffsetReader(reader, offset as u64));
        Some(BufferState {
            // A ring has no lock.
            lock: LockState::Free,
            fill: Some(fill_of(written, read, capacity)),
            capacity,
            senders: end(offset_of!(Self, sender))?,
            receivers: end(offset_of!(Self, receiver))?,
        })
    }
}

impl<T, S: Slots<T> + ?Sized> fmt::Debug for RingBuffer<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingBuffer { .. }")
    }
}
