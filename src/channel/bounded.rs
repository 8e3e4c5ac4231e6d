//! The bounded buffer from a semaphore pair and a lock.
//!
//! **Source.** Dijkstra's producer and consumer (*Cooperating sequential processes*, 1965).
//!
//! **Why it is correct.** A sender takes a writer's turn, which is a free place, appends under the
//! lock, and ends the turn, which is an item for a reader; a receiver does the reverse. The turns
//! bound the ring, and the lock keeps its order.
//!
//! **Closing.** The last sender that goes leaves one reader's permit more than there are items.
//! Whoever gets a turn and finds no item hands the permit on and reports the end, so the one permit
//! tells every receiver, now and later; the same on the other side. That needs nothing of the
//! semaphore but to be one.
//!
//! **Many at once.** A batch takes as many turns as there are, in one step, passes as many items under the
//! lock, and ends all the turns in one step; turns without an item it gives back.
//!
//! **Full and empty.** A turn is taken before the ring is touched, so `Full` and `Empty` may be
//! said while another operation is half-way; they are exact when none is.

use super::batch::Batch;
use super::slot::{Slot, Slots};
use super::store::{self, Direction, Guard, Store};
use super::{
    Buffer, BufferState, CountsEndpoints, Disconnected, EndpointRef, RecvTimeoutError,
    SendTimeoutError,
};
use crate::platform::{
    ConfigError, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe, ShmType, TypeInfo,
    constructor,
};
use crate::sync::{
    MAX_PERMITS, RawLock, RawMutex, RawSemaphore, Semaphore, SemaphorePair, Timeout, Turn,
};
use core::alloc::Layout;
use core::mem::{ManuallyDrop, offset_of};

/// A first-in-first-out buffer of fixed capacity for many senders and many receivers, from a
/// [`SemaphorePair`] and a lock.
///
/// `S` says where the places are: `[Slot<T>; N]` inside (for a `static`), `Box<[Slot<T>]>` on the
/// heap, `[Slot<T>]` behind the header (for a region, where the capacity is chosen at run time).
/// `P` and `L` are the semaphores and the lock that it is made of.
///
/// # Fairness
/// None of its own: that of the semaphores.
///
/// # Latency
/// Where both sides are fast, each goes in bursts, since that is many times faster than to meet at every step:
/// who waits lets the other side go on for up to 50 microseconds, as long as more comes all the time. A process that
/// has called [`set_spinning`](crate::platform::spin::set_spinning) does not.
///
/// # Panics
/// None. A panic in the middle of an operation is impossible, as no foreign code runs inside.
///
/// # Process death
/// A process that dies inside an operation may leave the lock held or a place unused for ever, in the middle of a
/// batch as many places as that had turns; one that dies outside leaves its ends open.
///
/// # Example
/// ```
/// use interlatch::{BoundedBuffer, Buffer};
///
/// let buffer = BoundedBuffer::with_capacity(2)?;
/// std::thread::scope(|scope| {
///     let sender = buffer.sender().unwrap();
///     scope.spawn(move || (1..=3).for_each(|item| sender.send(item).unwrap()));
///     let received: Vec<i32> = buffer.receiver().unwrap().into_iter().collect();
///     assert_eq!(received, [1, 2, 3]);
/// });
/// # Ok::<(), interlatch::region::ConfigError>(())
/// ```
#[repr(C)]
pub struct BoundedBuffer<T, S = Box<[Slot<T>]>, P = Semaphore, L = RawMutex>
where
    S: Slots<T> + ?Sized,
{
    turns: SemaphorePair<P>,
    store: Store<T, L, S>,
}

/// The most places: the writers' semaphore has to count them, and one permit more when closed.
const MAX: usize = MAX_PERMITS as usize - 1;

/// What somebody has who has come in to send or to receive.
type Admitted<'a, T, P, L, S> = (Turn<'a, P>, Guard<'a, T, L, S>);

/// To ask for turns for so many items.
fn turns_of(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(MAX_PERMITS)
}

fn pair(capacity: usize) -> Result<SemaphorePair, ConfigError> {
    let too_large = ConfigError::TooLarge {
        found: capacity,
        most: MAX,
    };
    let slots = u32::try_from(capacity).map_err(|_| too_large)?;
    SemaphorePair::new(slots).map_err(|_| too_large)
}

impl<T> BoundedBuffer<T> {
    /// An empty buffer on the heap.
    ///
    /// # Errors
    /// If the capacity is zero, or larger than can be counted or allocated.
    pub fn with_capacity(capacity: usize) -> Result<Self, ConfigError> {
        let slots = store::boxed(capacity)?;
        Ok(Self {
            turns: pair(capacity)?,
            store: Store::new(RawMutex::new(), slots),
        })
    }
}

impl<T, const N: usize> BoundedBuffer<T, [Slot<T>; N]> {
    constructor! {
        /// An empty buffer over these places, for a `static`:
        /// `BoundedBuffer::from_slots([const { Slot::new() }; 8])`.
        ///
        /// An array of none, or of more than can be counted, does not compile.
        pub fn from_slots(slots: [Slot<T>; N]) -> Self {
            const { assert!(N > 0 && N <= MAX, "a capacity of 1 to MAX_PERMITS - 1") };
            match SemaphorePair::new(N as u32) {
                Ok(turns) => Self { turns, store: Store::new(RawMutex::new(), slots) },
                Err(_) => unreachable!(),
            }
        }
    }
}

impl<T, S: Slots<T>, P, L> BoundedBuffer<T, S, P, L> {
    constructor! {
        /// An empty buffer from its parts. The pair has as many slots as there are places.
        pub fn from_parts(turns: SemaphorePair<P>, lock: L, slots: S) -> Self {
            Self { turns, store: Store::new(lock, slots) }
        }
    }
}

// SAFETY: `repr(C)`, of parts that are; the store reduces every number that it reads.
unsafe impl<T: Pod, const N: usize> ShmSafe for BoundedBuffer<T, [Slot<T>; N]> {
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| Slot::new()))
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

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the
// layout of the unsized type; items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for BoundedBuffer<T, [Slot<T>]> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        pair(capacity)?;
        store::layout::<Slot<T>>(Layout::new::<BoundedBuffer<T, [Slot<T>; 0]>>(), capacity)
    }

    unsafe fn init(at: *mut u8, capacity: usize) {
        let Ok(turns) = pair(capacity) else {
            unreachable!("`layout` has refused this capacity")
        };
        let header = BoundedBuffer {
            turns,
            store: Store::new(RawMutex::new(), []),
        };
        // SAFETY: valid for writes of the layout, of which the header is the beginning. The
        // slots are empty, whatever is in them.
        unsafe { at.cast::<BoundedBuffer<T, [Slot<T>; 0]>>().write(header) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<T>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which
        // is that of the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<T: Pod> ShmType for BoundedBuffer<T, [Slot<T>]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("BoundedBuffer")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl BoundedBuffer<u64, [Slot<u64>; 0]> {
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

impl<T, S, P, L> Buffer for BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
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
        self.recv_by(timeout, |visit| visit.pop())
    }

    fn recv_into_with(&self, place: &mut T, timeout: Timeout) -> Result<(), RecvTimeoutError>
    where
        T: Pod,
    {
        self.recv_by(timeout, |visit| visit.pop_into(place).then_some(()))
    }

    fn send_many_with(
        &self,
        items: &mut Vec<T>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let mut batch = Batch::of(items);
        while !batch.rest().is_empty() {
            self.send_some(&mut batch, timeout)?;
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
        let (turns, mut visit) = self.come_to_receive(turns_of(most), timeout)?;
        let received = visit.pop_some(items, turns.count() as usize);
        let closed = visit.is_closed(Direction::Sending);
        drop(visit);
        turns.end(received as u32);
        match received {
            0 => Err(RecvTimeoutError::of(closed)),
            _ => Ok(received),
        }
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

impl<T, S, P, L> BoundedBuffer<T, S, P, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    P: RawSemaphore,
    L: RawLock,
{
    /// Sends what the item is made of.
    ///
    /// # Safety
    /// Whoever has the item forgets it if it was sent, or it is plain.
    unsafe fn send_from(&self, item: &T, timeout: Timeout) -> Result<(), SendTimeoutError<()>> {
        let (turn, mut visit) = self.come_to_send(1, timeout)?;
        let closed = visit.is_closed(Direction::Receiving);
        // SAFETY: the caller's promise.
        let sent = !closed && unsafe { visit.push_from(item) };
        drop(visit);
        if !sent {
            turn.cancel();
            return Err(SendTimeoutError::of((), closed));
        }
        Ok(())
    }

    /// Sends the first of these items, as many as there are turns for and one at least.
    fn send_some(
        &self,
        batch: &mut Batch<'_, T>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        let (turns, mut visit) = self.come_to_send(turns_of(batch.rest().len()), timeout)?;
        let closed = visit.is_closed(Direction::Receiving);
        let most = if closed { 0 } else { turns.count() as usize };
        // SAFETY: they are forgotten at once.
        let sent = unsafe {
            let sent = visit.push_some_from(&batch.rest()[..most]);
            batch.forget_first(sent);
            sent
        };
        drop(visit);
        turns.end(sent as u32);
        match sent {
            0 => Err(SendTimeoutError::of((), closed)),
            _ => Ok(()),
        }
    }

    /// Takes turns of a sender, so many at most, and comes in.
    #[inline]
    fn come_to_send(
        &self,
        most: u32,
        timeout: Timeout,
    ) -> Result<Admitted<'_, T, P, L, S>, SendTimeoutError<()>> {
        let Some(turns) = self.turns.write_some_with(most, timeout) else {
            let visit = self.store.lock_with(timeout);
            let closed = visit.is_some_and(|visit| visit.is_closed(Direction::Receiving));
            return Err(SendTimeoutError::of((), closed));
        };
        match self.store.lock_with(timeout) {
            Some(visit) => Ok((turns, visit)),
            None => {
                turns.cancel();
                Err(SendTimeoutError::Timeout(()))
            }
        }
    }

    /// Takes turns of a receiver, so many at most, and comes in.
    #[inline]
    fn come_to_receive(
        &self,
        most: u32,
        timeout: Timeout,
    ) -> Result<Admitted<'_, T, P, L, S>, RecvTimeoutError> {
        let Some(turns) = self.turns.read_some_with(most, timeout) else {
            let visit = self.store.lock_with(timeout);
            return Err(RecvTimeoutError::of(
                visit.is_some_and(|visit| visit.has_ended()),
            ));
        };
        match self.store.lock_with(timeout) {
            Some(visit) => Ok((turns, visit)),
            None => {
                turns.cancel();
                Err(RecvTimeoutError::Timeout)
            }
        }
    }

    /// Receives by this, which takes an item if there is one.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        take: impl FnOnce(&mut Guard<'_, T, L, S>) -> Option<R>,
    ) -> Result<R, RecvTimeoutError> {
        let (turn, mut visit) = self.come_to_receive(1, timeout)?;
        let received = take(&mut visit);
        let closed = visit.is_closed(Direction::Sending);
        drop(visit);
        match received {
            Some(item) => Ok(item),
            None => {
                turn.cancel();
                Err(RecvTimeoutError::of(closed))
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
    fn join(&self, end: Direction) -> Result<(), Disconnected> {
        self.store.lock().attach(end)
    }

    fn leave(&self, end: Direction) {
        if self.store.lock().detach(end) {
            let other = match end {
                Direction::Sending => self.turns.reader(),
                Direction::Receiving => self.turns.writer(),
            };
            // The capacity leaves room for this one.
            let _ = other.release(1);
        }
    }
}
