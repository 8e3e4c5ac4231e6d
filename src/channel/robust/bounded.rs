//! The bounded buffer from a semaphore pair, over slots that know their holder.
//!
//! **Source.** Dijkstra's producer and consumer, as in [`BoundedBuffer`](crate::BoundedBuffer).
//!
//! **Why it is correct.** A sender takes a writer's turn, which is a free place, and fills that place; it
//! is nobody else's meanwhile. Finishing the turn is one step, and makes it an item for the readers, in
//! the order of the finishes. A receiver copies the oldest out and gives the place back, in one step
//! too, under the lock of the pair, so that no other one overtakes it. Whoever dies before its step has
//! done nothing, and its turn comes back to its side. A sender of a short item does all of it under that lock.

use super::endpoints::{AttachError, Endpoints, Refused, RobustEndpoint};
use crate::channel::slot::Slot;
use crate::channel::{Buffer, BufferState, Direction, RecvTimeoutError, SendTimeoutError, store};
use crate::platform::{
    ConfigError, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe, ShmType, TypeInfo,
    constructor,
};
use crate::sync::{LockState, Missed, PairSlot, PairSlots, RobustSemaphorePair, Side, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;

/// The most bytes of an item that a sender copies under the lock: that takes less time than to take a turn first.
const SHORT: usize = 1024;

/// A place for one item with the word of who has it.
pub type TurnSlot<T> = PairSlot<Slot<T>>;

impl<T> TurnSlot<T> {
    constructor! {
        /// An empty place.
        pub fn empty() -> Self {
            Self::with(Slot::new())
        }
    }
}

/// A first-in-first-out buffer of fixed capacity that survives the death of its users, from a
/// [`RobustSemaphorePair`]; for at most `ENDS` senders and as many receivers at one time.
///
/// Unlike in a [`RobustMonitorBuffer`](super::RobustMonitorBuffer), senders of more than 1024 bytes fill their
/// places at the same time, outside every lock: the one to choose for large items from many senders. Receivers
/// copy theirs out one after the other.
///
/// `S` says where the places are: `[TurnSlot<T>; N]` inside (for a `static`), or `[TurnSlot<T>]` behind the
/// header (for a region, where the capacity is chosen at run time). To send or to receive is the same work for few
/// places and for many; `len` goes through all of them, as does, once, whoever comes after a death.
///
/// Items are plain data: what a dead process has half-written is never looked at.
///
/// # Fairness, process death, leaks, many locks
/// As of [`RobustMonitorBuffer`](super::RobustMonitorBuffer); but to send more than 1024 bytes takes two locks
/// for a moment, so a thread that holds 127 hears `Disconnected` already.
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, TurnSlot};
/// use interlatch::{Buffer, RobustBoundedBuffer};
///
/// static BUFFER: RobustBoundedBuffer<u64, [TurnSlot<u64>; 4]> =
///     RobustBoundedBuffer::from_slots([const { TurnSlot::empty() }; 4]);
///
/// // A thread that ends without closing anything.
/// std::thread::spawn(|| {
///     let sender = BUFFER.sender().unwrap();
///     sender.send(7).unwrap();
///     std::mem::forget(sender);
/// })
/// .join()
/// .unwrap();
///
/// let receiver = BUFFER.receiver().unwrap();
/// assert_eq!(receiver.recv(), Ok(7));
/// assert_eq!(receiver.recv(), Err(RecvError), "nobody will send any more");
/// ```
#[repr(C)]
pub struct RobustBoundedBuffer<T, S, const ENDS: usize = 8>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    ends: Endpoints<ENDS>,
    item: PhantomData<T>,
    turns: RobustSemaphorePair<S>,
}

// SAFETY: a place is accessed by the holder of its turn only, or under the lock of the pair when nobody
// has it; the handles are under that lock; and items move from the one that sends to the one that
// receives.
unsafe impl<T, S, const ENDS: usize> Sync for RobustBoundedBuffer<T, S, ENDS>
where
    T: Send,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, and items that are valid for every bit pattern.
unsafe impl<T: Pod, const N: usize, const ENDS: usize> ShmSafe
    for RobustBoundedBuffer<T, [TurnSlot<T>; N], ENDS>
{
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| TurnSlot::empty()))
    }
}

impl<T, const N: usize, const ENDS: usize> RobustBoundedBuffer<T, [TurnSlot<T>; N], ENDS> {
    constructor! {
        /// An empty buffer over these places, for a `static`. An array of none does not compile.
        pub fn from_slots(slots: [TurnSlot<T>; N]) -> Self {
            const { assert!(N > 0, "a capacity of at least 1") };
            Self::over(slots)
        }
    }

    constructor! {
        fn over(slots: [TurnSlot<T>; N]) -> Self {
            Self { ends: Endpoints::new(), item: PhantomData, turns: RobustSemaphorePair::over(slots) }
        }
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the
// layout of the unsized type; items are valid for every bit pattern.
unsafe impl<T: Pod, const ENDS: usize> ShmObject for RobustBoundedBuffer<T, [TurnSlot<T>], ENDS> {
    /// The capacity.
    type Config = usize;

    fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        let header = Layout::new::<RobustBoundedBuffer<T, [TurnSlot<T>; 0], ENDS>>();
        store::layout::<TurnSlot<T>>(header, capacity)
    }

    unsafe fn init(at: *mut u8, capacity: usize) {
        let header = RobustBoundedBuffer::<T, [TurnSlot<T>; 0], ENDS>::over([]);
        let wide = core::ptr::slice_from_raw_parts_mut(at.cast::<TurnSlot<T>>(), capacity);
        // SAFETY: valid for writes of the layout, of which the header is the beginning, and the slots
        // are what follows.
        unsafe {
            at.cast::<RobustBoundedBuffer<T, [TurnSlot<T>; 0], ENDS>>()
                .write(header);
            let turns = &raw mut (*(wide as *mut Self)).turns;
            // The places are empty: zeros, as those of `Slot::new`.
            RobustSemaphorePair::build_slots(turns, |place| place.write_bytes(0, 1));
        }
    }

    unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<TurnSlot<T>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which
        // is that of the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<T: Pod, const N: usize, const ENDS: usize> ShmType
    for RobustBoundedBuffer<T, [TurnSlot<T>; N], ENDS>
{
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustBoundedBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
            Parameter::new_number("ENDS", ENDS as u64),
        ]);
}

impl<T: Pod, const ENDS: usize> ShmType for RobustBoundedBuffer<T, [TurnSlot<T>], ENDS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("RobustBoundedBuffer")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("ENDS", ENDS as u64),
        ]);
}

impl RobustBoundedBuffer<u64, [TurnSlot<u64>; 0], 1> {
    /// The state of the one of this size that these words are, whatever its items, with so many handles at
    /// each end. Only who knows their number finds the slots.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        (size, align): (u64, u64),
        capacity: Option<u64>,
        ends: Option<u64>,
    ) -> Option<BufferState> {
        let (senders, receivers) = Endpoints::states_of(words, ends);
        let turns = || {
            let turns = Endpoints::bytes(ends?)?.checked_next_multiple_of(align)?;
            let words = OffsetReader(words, turns);
            RobustSemaphorePair::read_state(
                &words,
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

impl<T, S, const ENDS: usize> Buffer for RobustBoundedBuffer<T, S, ENDS>
where
    T: Pod,
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    type Item = T;
    type Endpoint<'a>
        = RobustEndpoint<'a>
    where
        Self: 'a;
    type AttachError = AttachError;

    fn send_with(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        let sent = self.send_ref_with(&item, timeout);
        sent.map_err(|refused| refused.with(item))
    }

    fn send_ref_with(&self, item: &T, timeout: Timeout) -> Result<(), SendTimeoutError<()>> {
        let has_closed = || self.ends.has_closed(Direction::Receiving);
        if size_of::<T>() <= SHORT {
            // SAFETY: the place is a writer's that nobody has, under the lock. It has no item, as below.
            let put = |slot: &Slot<T>| unsafe { slot.put_from(item) };
            let sent = self
                .turns
                .act_unless(Side::Writers, timeout, has_closed, put);
            return sent.map_err(|missed| Refused::from(missed).with(()));
        }
        let turn = match self.turns.take_unless(Side::Writers, timeout, has_closed) {
            Ok(turn) => turn,
            Err(missed) => return Err(Refused::from(missed).with(())),
        };
        // SAFETY: the turn is this one's, so nobody else accesses the place. It has no item: what was
        // in it was copied out, and is plain.
        unsafe { turn.slot().payload().put_from(item) };
        turn.finish().map_err(|error| Refused::from(error).with(()))
    }

    fn recv_with(&self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        // SAFETY: as `recv_by` says.
        self.recv_by(timeout, |slot| unsafe { slot.take() })
    }

    fn recv_into_with(&self, place: &mut T, timeout: Timeout) -> Result<(), RecvTimeoutError> {
        // SAFETY: as `recv_by` says.
        self.recv_by(timeout, |slot| unsafe { slot.take_into(place) })
    }

    fn len(&self) -> usize {
        self.turns.readable()
    }

    fn capacity(&self) -> usize {
        self.turns.slots()
    }

    fn attach(&self, end: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        let others = match end {
            Direction::Sending => Side::Readers,
            Direction::Receiving => Side::Writers,
        };
        let others = self.turns.condition(others);
        self.ends.attach(end, self.turns.lock(), others)
    }
}

impl<T, S, const ENDS: usize> RobustBoundedBuffer<T, S, ENDS>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// Receives by this copy. The slot is a reader's, under the lock, so it has an item, or whatever a faulty
    /// peer has made one; it is plain, so it may be copied out again if this process dies before the place is
    /// given back.
    fn recv_by<R>(
        &self,
        timeout: Timeout,
        copy: impl FnOnce(&Slot<T>) -> R,
    ) -> Result<R, RecvTimeoutError> {
        let has_ended = || self.turns.is_empty() && self.ends.has_closed(Direction::Sending);
        self.turns
            .act_unless(Side::Readers, timeout, has_ended, copy)
            .map_err(|missed| Refused::from(missed).into())
    }

    pub(super) fn ends(&self) -> &Endpoints<ENDS> {
        &self.ends
    }

    pub(super) fn turns(&self) -> &RobustSemaphorePair<S> {
        &self.turns
    }
}

impl From<Missed> for Refused {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Closed => Self::Disconnected,
            Missed::Refused(error) => error.into(),
        }
    }
}

impl<T, S, const ENDS: usize> fmt::Debug for RobustBoundedBuffer<T, S, ENDS>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RobustBoundedBuffer { .. }")
    }
}
