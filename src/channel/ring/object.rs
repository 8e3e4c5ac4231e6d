//! The ring itself: two counts, two sides, and places.

use super::cursor::Cursor;
use super::end::{Position, RingEnd};
use super::receiver::RingReceiver;
use super::sender::RingSender;
use crate::channel::slot::{Slot, Slots};
use crate::channel::state::fill_of;
use crate::channel::{AttachError, BufferState, store};
use crate::platform::Ordering::Relaxed;
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe,
    ShmType, TypeInfo, constructor,
};
use crate::sync::LockState;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;

/// A first-in-first-out buffer for one producer and one consumer, without a lock: the fastest here.
///
/// There is at most one [`RingSender`] and one [`RingReceiver`] at a time; the type sees to that, between
/// processes too. Items go one by one, as slices ([`RingSender::send_slice`], [`RingReceiver::recv_into`]), or
/// are written and read where they are ([`RingSender::loan`], [`RingReceiver::borrow`]). While neither side
/// waits, an operation makes no system call; one that has to wait spins for a while, as long as that has been of use, and
/// then sleeps. In a stream, whoever keeps finding a few items, or places, leaves the other side a head start of up to
/// some microseconds before it looks again: so many go at once, and each cache line is waited for once. For
/// items that come one by one the head start soon ends, and `try_` operations give none.
///
/// `S` says where the places are: `[Slot<T>]` behind the header (for a region, where the capacity is chosen at run
/// time; this is what `RingBuffer<T>` means), `[Slot<T>; N]` inside (for a `static`), or `Box<[Slot<T>]>`. For a
/// full pace let them be a few hundred at least: with few, both sides touch the same cache lines.
///
/// # Fairness
/// There is one on each side.
///
/// # Panics
/// None.
///
/// # Errors
/// A second handle of an end is [`AttachError::SlotsInUse`] while the first one lives, and
/// [`AttachError::Closed`] once it has been dropped: that closes its end for good.
///
/// # Process death
/// A handle ends with its thread. The other side hears that it is disconnected (a receiver after it has drained
/// the ring): at once if it asks then, or within the [`recheck_interval`](crate::platform::futex) if it
/// sleeps. Unlike an end that was closed, that of a dead process can be taken by a successor, from then on the
/// other side is connected again.
///
/// | who dies | what happens |
/// | --- | --- |
/// | a sender before it has moved its count | its items, of `send_slice` those since the last step of the count, were not sent; what it has written is never read |
/// | a sender after that | they were sent |
/// | a receiver before it has moved its count | its items are there again for its successor, in their order: the dead one may have seen them |
/// | a receiver after that | they have gone with it |
///
/// A wake-up that a dead process owed is made up for within the recheck interval; so is one of a process to which
/// `membarrier(2)` was forbidden only after it had its handle. The copies of handles in the child
/// of a `fork(3)` are of no use: to them the other side has gone.
///
/// # Ordering
/// What happened before an item was sent happens before it is received, and what happened before it was received
/// happens before its place is filled again.
///
/// Who sleeps uses `membarrier(2)`, so that the other side needs no fence for each item. A process for which the kernel
/// refuses it makes both sides exchange a word for each item, or slice, instead, which takes some nanoseconds more; if it
/// comes while the other side is at work already, its first sleep may take a recheck interval too long.
///
/// # Leaks
/// As of [`RawRobustMutex`](crate::sync::RawRobustMutex): the ring must not be moved, freed or unmapped while a leaked
/// handle of it is held.
///
/// # Example
/// ```
/// use interlatch::{Region, RingBuffer};
///
/// let region = Region::memfd("samples", 1 << 16)?;
/// let ring = region.create::<RingBuffer<u64>>("samples", 1024)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let mut sender = ring.sender().unwrap();
///         sender.send(7).unwrap();
///         sender.send_slice(&[8, 9]).unwrap();
///     });
///     let received: Vec<u64> = ring.receiver().unwrap().into_iter().collect();
///     assert_eq!(received, [7, 8, 9]);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
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

// SAFETY: a place is accessed by the side that it belongs to, of which there is one thread; the words are
// atomic; and items move from the one that sends to the one that receives.
unsafe impl<T: Send, S: Slots<T> + ?Sized> Sync for RingBuffer<T, S> {}
// SAFETY: it owns its places, and what is in them.
unsafe impl<T: Send, S: Slots<T> + Send> Send for RingBuffer<T, S> {}

impl<T, S: Slots<T>> RingBuffer<T, S> {
    constructor! {
        fn over(slots: S) -> Self {
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
    constructor! {
        /// An empty ring over these places, for a `static`. An array of none does not compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Self {
            const { assert!(N > 0, "a capacity of at least 1") };
            Self::over(slots)
        }
    }
}

impl<T: Pod> RingBuffer<T, Box<[Slot<T>]>> {
    /// An empty ring on the heap.
    ///
    /// # Errors
    /// A capacity of zero, or one that memory cannot hold.
    pub fn with_capacity(capacity: usize) -> Result<Self, ConfigError> {
        Ok(Self::over(store::boxed(capacity)?))
    }
}

// SAFETY: `repr(C)`, words that are reduced to what the places allow, and items that are valid for every
// bit pattern.
unsafe impl<T: Pod, const N: usize> ShmSafe for RingBuffer<T, [Slot<T>; N]> {
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| Slot::new()))
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

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the layout of the
// unsized type; items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for RingBuffer<T> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        HeaderAndSlots::<RingBuffer<T, [Slot<T>; 0]>, Slot<T>>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, _capacity: usize) {
        let header = RingBuffer::<T, [Slot<T>; 0]>::over([]);
        // SAFETY: valid for writes of the layout, of which the header is the beginning. The slots are
        // empty, whatever is in them.
        unsafe { at.cast::<RingBuffer<T, [Slot<T>; 0]>>().write(header) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<T>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which is that of
        // the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<T: Pod> ShmType for RingBuffer<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("RingBuffer")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl<T: Pod, S: Slots<T> + ?Sized> RingBuffer<T, S> {
    /// The handle that sends.
    ///
    /// # Errors
    /// There is one; or the last one has closed the ring.
    pub fn sender(&self) -> Result<RingSender<'_, T>, AttachError> {
        let (sides, counts) = ([&self.sender, &self.receiver], [&self.written, &self.read]);
        let hand = Cursor::new(sides, counts, self.slots.slots())?;
        Ok(RingSender::new(hand))
    }

    /// The handle that receives.
    ///
    /// # Errors
    /// There is one; or the last one has closed the ring.
    pub fn receiver(&self) -> Result<RingReceiver<'_, T>, AttachError> {
        let (sides, counts) = ([&self.receiver, &self.sender], [&self.read, &self.written]);
        let hand = Cursor::new(sides, counts, self.slots.slots())?;
        Ok(RingReceiver::new(hand))
    }

    /// The number of places.
    pub fn capacity(&self) -> usize {
        self.slots.slots().len()
    }

    /// How many items there were a moment ago.
    pub fn len(&self) -> usize {
        // Relaxed: each number stands for itself, and `fill_of` takes any two.
        let read = self.read.word().load(Relaxed);
        let written = self.written.word().load(Relaxed);
        fill_of(written, read, Some(self.capacity() as u64)) as usize
    }

    /// Whether there was no item a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has both sides exchange a word whenever they have moved a count, from here on: so it is where the kernel
    /// has no `membarrier(2)`. Before anybody has a handle.
    pub fn avoid_membarrier(&self) {
        self.sender.demand_exchanges();
        self.receiver.demand_exchanges();
    }
}

impl RingBuffer<u64, [Slot<u64>; 0]> {
    /// The state of the one that these words are, whatever its items.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let read = words.read_u64(offset_of!(Self, read) as u64)?;
        let written = words.read_u64(offset_of!(Self, written) as u64)?;
        let end = |offset: usize| RingEnd::read_state(&OffsetReader(words, offset as u64));
        Some(BufferState {
            // It has none.
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
