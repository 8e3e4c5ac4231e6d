//! A bounded buffer built from a robust semaphore pair, whose slots record their holders.

use super::endpoints::{Endpoints, RobustEndpoint};
use crate::channel::slot::Slot;
use crate::channel::{
    AttachError, Buffer, BufferState, Channel, Direction, OperationError, RecvTimeoutError,
    SendTimeoutError, Unregistered,
};
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe,
    ShmType, Static, TypeInfo, constructor, repeat,
};
use crate::sync::{
    Condvar, LockState, LockedPair, PairSide, PairSlot, PairSlots, RobustSemaphorePair, Timeout,
};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;

/// The maximum size of an item that a sender copies under the lock.
///
/// A sender of a larger item first acquires a turn, which takes less time than the copy.
const MAX_LOCKED_COPY: usize = 1024;

/// A slot for one item, with the lock of its current user.
pub type TurnSlot<T> = PairSlot<Slot<T>>;

/// A bounded buffer for large items that survives the death of its users.
///
/// Items pass first in, first out.
///
/// Unlike in a [`RobustMonitorBuffer`](super::RobustMonitorBuffer), senders of items of more than
/// 1024 bytes fill their slots concurrently, without holding the internal lock, and items can be
/// written and read in place: see [`Loan`](super::Loan) and [`Borrowed`](super::Borrowed). For
/// small items [`RobustMonitorBuffer`](super::RobustMonitorBuffer) takes less time. Only one
/// receiver at a time can copy an item out of the buffer.
///
/// `S` holds the slots: `[TurnSlot<T>; N]` inside the buffer (for a `static`), or `[TurnSlot<T>]`
/// behind the header (for a region, with a capacity chosen at run time). `MAX_ENDPOINTS` limits the
/// number of senders at a time, and also the number of receivers. The cost of an operation does not
/// depend on the capacity. Exceptions are `len` and the first operation after a death, which visit
/// all slots.
///
/// Items are plain data ([`Pod`]). A partly written item of a dead process is never read as an
/// item.
///
/// # Errors
/// See [`RobustMonitorBuffer`](super::RobustMonitorBuffer#errors). Sending an item of more than
/// 1024 bytes briefly holds two robust locks. It therefore fails on a thread that already holds 127
/// robust locks.
///
/// # Fairness, process death, leaks
/// These are the same as for [`RobustMonitorBuffer`](super::RobustMonitorBuffer).
///
/// # How it works
/// The [`RobustSemaphorePair`] assigns its slots to the two sides. A sender acquires a writer's
/// turn, which gives it exclusive access to a free slot, and fills the slot. Finishing the turn is
/// one step, which makes the slot an item for the readers. Readers get the items in the order in
/// which the turns were finished. A sender of at most 1024 bytes does all of this under the lock of
/// the pair. A receiver copies the oldest item out and frees its slot in one step under that lock,
/// so no other receiver overtakes this one. A process that dies before that step has changed
/// nothing, and its slot becomes available to the same side again.
///
/// # Sources
/// The producer and consumer of Dijkstra, as in [`BoundedBuffer`](crate::BoundedBuffer).
///
/// # Example
/// ```
/// use interlatch::channel::{AttachError, RecvError, TurnSlot};
/// use interlatch::{Channel, Region, RobustBoundedBuffer};
///
/// // At most 1 sender and 1 receiver at one time.
/// type Pages = RobustBoundedBuffer<[u8; 4096], [TurnSlot<[u8; 4096]>], 1>;
///
/// let region = Region::memfd("pages", 1 << 16)?;
/// region.create::<Pages>("pages", 4)?;
///
/// // Another process receives the descriptor, attaches, and dies without closing its handle. The
/// // drop of its region stands for the death.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &Pages = other.attach("pages")?;
/// let sender = attached.sender()?;
/// assert!(matches!(attached.sender(), Err(AttachError::SlotsInUse { max: 1, .. })));
/// sender.send_ref(&[7; 4096])?;
/// std::mem::forget(sender);
/// drop(other);
///
/// let pages: &Pages = region.attach("pages")?;
/// let receiver = pages.receiver()?;
/// assert_eq!(receiver.recv()?[0], 7);
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected), "the last sender died");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
pub struct RobustBoundedBuffer<T, S, const MAX_ENDPOINTS: usize = 8>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    endpoints: Endpoints<MAX_ENDPOINTS>,
    item: PhantomData<T>,
    turns: RobustSemaphorePair<S>,
}

// SAFETY: only the holder of a turn accesses its slot. A slot without a holder is accessed only
// under the lock of the pair. That lock also protects the endpoints. Items move from the sender to
// the receiver, which is sound because the items are `Send`.
unsafe impl<T, S, const MAX_ENDPOINTS: usize> Sync for RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    T: Send,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
}

// SAFETY: the struct is `repr(C)`, its fields are `ShmSafe`, and items are valid for every bit
// pattern.
unsafe impl<T: Pod, const N: usize, const MAX_ENDPOINTS: usize> ShmSafe
    for RobustBoundedBuffer<T, [TurnSlot<T>; N], MAX_ENDPOINTS>
{
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_CAPACITY };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe { Header::<T, MAX_ENDPOINTS>::init_with_slots(at.cast(), N) }
    }
}

impl<T: Pod, const N: usize, const MAX_ENDPOINTS: usize> ShmType
    for RobustBoundedBuffer<T, [TurnSlot<T>; N], MAX_ENDPOINTS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustBoundedBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

impl<T, const N: usize, const MAX_ENDPOINTS: usize>
    RobustBoundedBuffer<T, [TurnSlot<T>; N], MAX_ENDPOINTS>
{
    const ASSERT_CAPACITY: () = assert!(N > 0, "a capacity of at least 1");

    constructor! {
        /// Creates an empty buffer, for use in a `static`.
        ///
        /// A buffer without slots does not compile.
        pub fn new() -> Static<Self> {
            const { Self::ASSERT_CAPACITY };
            let slots = repeat!(TurnSlot::with_payload(Slot::new()));
            let turns = RobustSemaphorePair::with_slots(slots);
            Static::new(Self { endpoints: Endpoints::new(), item: PhantomData, turns })
        }
    }
}

/// A buffer without its slots, which follow it.
type Header<T, const MAX_ENDPOINTS: usize> =
    RobustBoundedBuffer<T, [TurnSlot<T>; 0], MAX_ENDPOINTS>;

impl<T, const MAX_ENDPOINTS: usize> Header<T, MAX_ENDPOINTS> {
    /// Initializes a buffer in place: the header at `at`, and the `count` slots that follow it.
    ///
    /// # Safety
    /// `at` is aligned, the header and its slots are valid for writes, and no other access to these
    /// bytes happens during the call.
    unsafe fn init_with_slots(at: *mut Self, count: usize) {
        // SAFETY: the caller passes memory that is valid for writes, so the fields are too.
        unsafe {
            Endpoints::init_in_place(&raw mut (*at).endpoints);
            let turns = &raw mut (*at).turns;
            RobustSemaphorePair::init_with_slots(turns, count, |slot| Slot::init(slot));
        }
    }
}

/// The memory of a buffer with its slots behind the header.
type Memory<T, const MAX_ENDPOINTS: usize> = HeaderAndSlots<Header<T, MAX_ENDPOINTS>, TurnSlot<T>>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern, the slots follow the header at
// the offset that the unsized type requires, and items are valid for every bit pattern.
unsafe impl<T: Pod, const MAX_ENDPOINTS: usize> ShmObject
    for RobustBoundedBuffer<T, [TurnSlot<T>], MAX_ENDPOINTS>
{
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        Memory::<T, MAX_ENDPOINTS>::layout(capacity)
    }

    unsafe fn init(at: *mut u8, capacity: usize) {
        // SAFETY: the caller guarantees memory of this layout that is valid for writes, and
        // excludes other accesses.
        unsafe { Header::<T, MAX_ENDPOINTS>::init_with_slots(at.cast(), capacity) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        // SAFETY: the caller guarantees an aligned, valid object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<T, MAX_ENDPOINTS>::slots(at, capacity) as *const Self) }
    }
}

impl<T: Pod, const MAX_ENDPOINTS: usize> ShmType
    for RobustBoundedBuffer<T, [TurnSlot<T>], MAX_ENDPOINTS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("RobustBoundedBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

impl RobustBoundedBuffer<u64, [TurnSlot<u64>; 0], 1> {
    /// Reads the state of a buffer of this size with items of any type.
    ///
    /// If `max_endpoints` is `None`, the offset of the slots is unknown, so the number of items is
    /// unknown too.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        (size, align): (u64, u64),
        capacity: Option<u64>,
        max_endpoints: Option<u64>,
    ) -> Option<BufferState> {
        let (senders, receivers) = Endpoints::states_of(reader, max_endpoints);
        let turns = || {
            let turns = Endpoints::bytes(max_endpoints?)?.checked_next_multiple_of(align)?;
            let reader = OffsetReader(reader, turns);
            RobustSemaphorePair::read_state(
                &reader,
                size.checked_sub(turns)?,
                align,
                Some(capacity?),
            )
        };
        let turns = turns();
        let fill = turns.as_ref().and_then(|turns| {
            let is_whole = turns.slots.len() as u64 == capacity?;
            let full = turns.slots.iter().filter(|slot| slot.readable).count();
            is_whole.then_some(full as u64)
        });
        Some(BufferState {
            lock: turns.map_or(LockState::Unknown, |turns| turns.lock),
            fill,
            capacity,
            senders,
            receivers,
        })
    }
}

impl<T, S, const MAX_ENDPOINTS: usize> RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    T: Pod,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    fn attach(&self, direction: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        self.endpoints
            .attach(direction, self.turns.mutex(), self.waiters(direction))
    }

    fn unregistered(&self, direction: Direction) -> RobustEndpoint<'_> {
        self.endpoints
            .unregistered(direction, self.turns.mutex(), self.waiters(direction))
    }

    /// The condition variable on which the other side's handles wait.
    fn waiters(&self, direction: Direction) -> &Condvar {
        self.turns.condvar(match direction {
            Direction::Sending => PairSide::Readers,
            Direction::Receiving => PairSide::Writers,
        })
    }
}

impl<T, S, const MAX_ENDPOINTS: usize> Channel for RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    T: Pod,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    type SendEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;
    type RecvEndpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;

    fn attach_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.attach(Direction::Sending)
    }

    fn attach_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        self.attach(Direction::Receiving)
    }
}

impl<T, S, const MAX_ENDPOINTS: usize> Unregistered for RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    T: Pod,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    fn unregistered_sender(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Sending))
    }

    fn unregistered_receiver(&self) -> Result<RobustEndpoint<'_>, AttachError> {
        Ok(self.unregistered(Direction::Receiving))
    }
}

impl<T, S, const MAX_ENDPOINTS: usize> Buffer for RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    T: Pod,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    type Item = T;
    fn send_with(
        &self,
        endpoint: &RobustEndpoint<'_>,
        item: T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<T>> {
        let sent = self.send_ref_with(endpoint, &item, timeout);
        sent.map_err(|error| error.map(|()| item))
    }

    fn send_ref_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        // SAFETY: the pair calls this under its lock, which is the channel's lock.
        let has_closed =
            |_: &LockedPair<'_, S>| unsafe { self.endpoints.has_closed(Direction::Receiving) };
        if size_of::<T>() <= MAX_LOCKED_COPY {
            // SAFETY: the pair calls this under its lock with a free slot of the writers. The slot
            // is empty, because the slot's last item is plain data and was copied out.
            let put = |slot: &Slot<T>| unsafe { slot.put_from(item) };
            let sent = self
                .turns
                .complete_unless(PairSide::Writers, timeout, has_closed, put);
            sent.map_err(OperationError::from)?
                .ok_or(OperationError::Disconnected)?;
            return Ok(());
        }
        let acquired = self
            .turns
            .acquire_unless(PairSide::Writers, timeout, has_closed);
        let turn = acquired.map_err(OperationError::from)?;
        let turn = turn.ok_or(OperationError::Disconnected)?;
        // SAFETY: `turn` gives exclusive access to a slot of the writers. The slot is empty,
        // because the slot's last item is plain data and was copied out.
        unsafe { turn.slot().payload().put_from(item) };
        turn.finish_with(timeout)
            .map_err(|error| OperationError::from(error).into())
    }

    fn recv_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<T, RecvTimeoutError> {
        // SAFETY: `recv_by` passes a full slot and excludes every other access.
        self.recv_by(timeout, |slot| unsafe { slot.take() })
    }

    fn recv_into_with(
        &self,
        _endpoint: &RobustEndpoint<'_>,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        // SAFETY: `recv_by` passes a full slot and excludes every other access.
        self.recv_by(timeout, |slot| unsafe { slot.take_into(destination) })
    }

    fn len(&self) -> usize {
        self.turns.readable()
    }

    fn capacity(&self) -> usize {
        self.turns.slots()
    }
}

impl<T, S, const MAX_ENDPOINTS: usize> RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// Receives an item: calls `copy` with a full slot while holding the lock.
    ///
    /// An item is plain data, so another receiver may copy it again if this process dies before it
    /// frees the slot. A faulty peer may have written any bytes into the slot, and all bytes are
    /// valid.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        copy: impl FnOnce(&Slot<T>) -> R,
    ) -> Result<R, RecvTimeoutError> {
        let has_ended = |turns: &LockedPair<'_, S>| {
            // SAFETY: the pair calls this under its lock, which is the channel's lock.
            turns.is_empty() && unsafe { self.endpoints.has_closed(Direction::Sending) }
        };
        let received = self
            .turns
            .complete_unless(PairSide::Readers, timeout, has_ended, copy);
        let received = received.map_err(OperationError::from)?;
        Ok(received.ok_or(OperationError::Disconnected)?)
    }

    pub(super) fn endpoints(&self) -> &Endpoints<MAX_ENDPOINTS> {
        &self.endpoints
    }

    pub(super) fn turns(&self) -> &RobustSemaphorePair<S> {
        &self.turns
    }
}

impl<T, S, const MAX_ENDPOINTS: usize> fmt::Debug for RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RobustBoundedBuffer { .. }")
    }
}
