//! A queue that grows: segments in a chain, each made when it is needed, and removed when it is drained and another
//! one follows.
//!
//! **Promise.** Who sends waits for the lock and never for a receiver; at the limit it has its item back. A
//! sender or receiver that is killed has sent or received an item or not, and leaves the chain whole.
//!
//! **Source.** The linked blocks of every unbounded queue (Michael and Scott 1996), under one lock, with
//! numbers for links. Each block is a ring, so that nothing is made and removed while one is enough.
//!
//! | number | meaning |
//! | --- | --- |
//! | `first` | the segment of the oldest item; one more than `last` if there is no segment |
//! | `last` | the segment of the newest item |
//! | `removed` | all segments before this one are removed |
//! | `sent`, `received` of a segment | so many items were put into it, and taken out: into the last one only |
//!
//! **Why it is correct.** Everything happens under one robust lock, and each change is one step of one word: an
//! item is in its place before `sent` says so; a segment is made, and empty, before `last` says that it is
//! there, and is removed after `first` has left it. Whoever dies in between leaves a segment that is made and
//! not linked, which the next one makes again, or one that is drained and not removed, which the next one
//! removes. Numbers are never used again, so the two cannot be taken for each other.
//!
//! **Faulty peers** write what they like. How far the chain grows is what each user has found at first, and
//! keeps; so nobody else decides how much memory is asked for, or how many steps are taken.

use super::endpoints::{Endpoints, RobustEndpoint};
use crate::channel::AttachError;
use crate::channel::slot::{Slot, Slots};
use crate::channel::state::fill_of;
use crate::channel::{Direction, SegmentListState, SegmentState};
use crate::platform::robust::commit;
use crate::platform::{
    Config, ConfigError, HeaderAndSlots, MemoryReader, OffsetReader, Parameter, Pod, ShmObject,
    ShmSafe, ShmType, TypeInfo, UnsafeCell, constructor,
};
use crate::sync::{Condvar, RobustLockError, RobustMutex, RobustMutexGuard, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;

/// How far a chain grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrowthLimit {
    /// Items of one segment.
    pub items: u32,
    /// The most segments at one time.
    pub segments: u32,
}

impl GrowthLimit {
    /// What the word says.
    const fn of(word: u64) -> Self {
        Self {
            items: (word >> 32) as u32,
            segments: word as u32,
        }
    }

    const fn word(self) -> u64 {
        (self.items as u64) << 32 | self.segments as u64
    }
}

impl Config for GrowthLimit {
    fn to_word(self) -> u64 {
        self.word()
    }

    fn from_word(word: u64) -> Option<Self> {
        Some(Self::of(word))
    }
}

/// What the users of a chain of items share besides its segments; for at most `ENDS` senders and as many
/// receivers at one time. The items are part of its type, so that nobody takes them for others.
///
/// # Process death
/// See [`Segments`], and the buffer that is made of it.
#[repr(C)]
pub struct SegmentList<T, const ENDS: usize = 8> {
    lock: RobustMutex<()>,
    not_empty: Condvar,
    first: UnsafeCell<u64>,
    last: UnsafeCell<u64>,
    removed: UnsafeCell<u64>,
    /// A [`GrowthLimit`]. It never changes, but by a faulty peer.
    growth: UnsafeCell<u64>,
    ends: Endpoints<ENDS>,
    item: PhantomData<T>,
}

// SAFETY: the numbers are accessed under the lock only, and the growth is only read; items move from the one
// that sends to the one that receives.
unsafe impl<T: Send, const ENDS: usize> Sync for SegmentList<T, ENDS> {}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, and numbers that are checked where they are read.
unsafe impl<T: Pod, const ENDS: usize> ShmObject for SegmentList<T, ENDS> {
    type Config = GrowthLimit;

    fn layout(growth: GrowthLimit) -> Result<Layout, ConfigError> {
        match growth.items.min(growth.segments) {
            0 => Err(ConfigError::ZeroCapacity),
            _ => Ok(Layout::new::<Self>()),
        }
    }

    unsafe fn init(at: *mut u8, growth: GrowthLimit) {
        // SAFETY: valid for writes of, and aligned to, the layout, by the caller's promise.
        unsafe { at.cast::<Self>().write(Self::new(growth)) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, _growth: GrowthLimit) -> &'a Self {
        // SAFETY: valid and aligned by the caller's promise; every bit pattern is one.
        unsafe { &*at.cast::<Self>() }
    }
}

impl<T: Pod, const ENDS: usize> ShmType for SegmentList<T, ENDS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("SegmentList")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("MAX_ENDPOINTS", ENDS as u64),
        ]);
}

/// A number, which a faulty peer may change at any time: once read, it stays what it is. The caller holds the lock
/// of the chain, or the number is one that nobody else changes.
fn read(number: &UnsafeCell<u64>) -> u64 {
    // SAFETY: nobody writes meanwhile, as said above; volatile, so that it is read once.
    number.with(|number| unsafe { number.read_volatile() })
}

/// The numbers of the first and of the last segment, as they can be.
fn linked(first: u64, last: u64, growth: GrowthLimit) -> (u64, u64) {
    let last = last.min(u64::MAX - 1);
    let oldest = last.saturating_sub(u64::from(growth.segments)) + 1;
    (first.clamp(oldest, last + 1), last)
}

impl SegmentList<u64, 1> {
    /// The state of the one that these words are, with so many handles at each end.
    pub fn read_state(words: &dyn MemoryReader, ends: Option<u64>) -> Option<SegmentListState> {
        let long = |offset: usize| words.read_u64(offset as u64);
        let growth = GrowthLimit::of(long(offset_of!(Self, growth))?);
        let (first, last) = (
            long(offset_of!(Self, first))?,
            long(offset_of!(Self, last))?,
        );
        let (first, last) = linked(first, last, growth);
        let condition = OffsetReader(words, offset_of!(Self, not_empty) as u64);
        let handles = OffsetReader(words, offset_of!(Self, ends) as u64);
        let (senders, receivers) = Endpoints::states_of(&handles, ends);
        Some(SegmentListState {
            lock: RobustMutex::read_state(&OffsetReader(words, offset_of!(Self, lock) as u64))?,
            segments: last + 1 - first,
            ever: last,
            growth,
            waiters: Condvar::read_state(&condition)?.waiters,
            senders,
            receivers,
        })
    }
}

impl Segment<u64, [Slot<u64>; 0]> {
    /// The state of the one that these words are, whatever its items.
    pub fn read_state(words: &dyn MemoryReader, capacity: Option<u64>) -> Option<SegmentState> {
        let received = words.read_u64(offset_of!(Self, received) as u64)?;
        let sent = words.read_u64(offset_of!(Self, sent) as u64)?;
        Some(SegmentState {
            fill: fill_of(sent, received, capacity),
            capacity,
        })
    }
}

/// Items in a ring: filled while it is the last segment, and then drained.
#[repr(C)]
pub struct Segment<T, S: Slots<T> + ?Sized> {
    sent: UnsafeCell<u64>,
    received: UnsafeCell<u64>,
    item: PhantomData<T>,
    slots: S,
}

// SAFETY: accessed under the lock of its chain only, and items move from the one that sends to the one that
// receives.
unsafe impl<T: Send, S: Slots<T> + ?Sized> Sync for Segment<T, S> {}

// SAFETY: `repr(C)`, numbers that are checked where they are read, and items valid for every bit pattern.
unsafe impl<T: Pod, const N: usize> ShmSafe for Segment<T, [Slot<T>; N]> {
    fn initial() -> Self {
        Self::over(core::array::from_fn(|_| Slot::new()))
    }
}

impl<T: Pod, const N: usize> ShmType for Segment<T, [Slot<T>; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Segment")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
        ]);
}

impl<T, S: Slots<T>> Segment<T, S> {
    fn over(slots: S) -> Self {
        Self {
            sent: UnsafeCell::new(0),
            received: UnsafeCell::new(0),
            item: PhantomData,
            slots,
        }
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the
// layout of the unsized type; items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for Segment<T, [Slot<T>]> {
    /// The number of items.
    type Config = usize;

    fn layout(items: usize) -> Result<Layout, ConfigError> {
        HeaderAndSlots::<Segment<T, [Slot<T>; 0]>, Slot<T>>::layout(items)
    }

    unsafe fn init(at: *mut u8, _items: usize) {
        let header = Segment::<T, [Slot<T>; 0]>::over([]);
        // SAFETY: valid for writes of the layout, of which the header is the beginning. The slots are
        // empty, whatever is in them.
        unsafe { at.cast::<Segment<T, [Slot<T>; 0]>>().write(header) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, items: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<T>>(), items);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which is that
        // of the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl<T: Pod> ShmType for Segment<T, [Slot<T>]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("Segment")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl<T: Pod, S: Slots<T> + ?Sized> Segment<T, S> {
    /// How many items there are, as can be: another number was written by a faulty peer. The caller holds the lock
    /// of the chain, as in all that follows.
    fn length(&self) -> usize {
        let most = self.slots.slots().len();
        let length = read(&self.sent).wrapping_sub(read(&self.received));
        usize::try_from(length).map_or(most, |length| length.min(most))
    }

    fn is_full(&self) -> bool {
        self.length() == self.slots.slots().len()
    }

    /// The place of the item with this number; there is one at least.
    fn slot(&self, number: u64) -> &Slot<T> {
        let slots = self.slots.slots();
        &slots[(number % slots.len() as u64) as usize]
    }

    /// Makes it an empty one again: what is in it was never linked.
    fn clear(&self) {
        // SAFETY: the lock is held.
        unsafe {
            commit(&self.received, 0);
            commit(&self.sent, 0);
        }
    }

    /// Appends the item; false, if there is no room.
    fn push(&self, item: &T) -> bool {
        if self.is_full() {
            return false;
        }
        let sent = read(&self.sent);
        // SAFETY: the lock is held. The place is not among those with items; what was in it was copied out, and
        // is plain.
        unsafe {
            self.slot(sent).put_from(item);
            commit(&self.sent, sent.wrapping_add(1));
        }
        true
    }

    /// Takes the oldest item; false, if there is none.
    fn pop(&self, into: &mut T) -> bool {
        if self.length() == 0 {
            return false;
        }
        let received = read(&self.received);
        // SAFETY: the lock is held. The place has an item, or whatever a faulty peer has made one; it is
        // plain, so it may be copied out again if this process dies before the next step.
        unsafe {
            self.slot(received).take_into(into);
            commit(&self.received, received.wrapping_add(1));
        }
        true
    }
}

/// Where the segments of a chain are. Each has a number. All of it is called under the lock of the chain, but
/// [`growth`](Self::growth) and [`keep`](Self::keep).
///
/// # Safety
/// The implementor promises that
/// - nobody but one chain works on the segments: there are no two chains, and so no two locks, for one of
///   them, and whoever passes this to a chain passes it to that one;
/// - the segment of a number is the same memory for all users, until it is removed.
pub unsafe trait Segments {
    /// What is sent.
    type Item: Pod;
    /// Where the places of a segment are.
    type Slots: Slots<Self::Item> + ?Sized;
    /// Why there is no such segment.
    type Error: std::error::Error + 'static;

    /// How far the chain grows: the same at each call, whatever a peer has written meanwhile.
    fn growth(&self) -> GrowthLimit;

    /// Makes the segment with this number, or finds the one that somebody has made who then died.
    ///
    /// # Errors
    /// It is not to be made.
    fn make(&self, number: u64) -> Result<(), Self::Error>;

    /// Does something with the segment, which somebody has made.
    ///
    /// # Errors
    /// It is not to be found.
    fn with<R>(
        &self,
        number: u64,
        act: impl FnOnce(&Segment<Self::Item, Self::Slots>) -> R,
    ) -> Result<R, Self::Error>;

    /// Removes the segment, if it is there.
    fn remove(&self, number: u64);

    /// What comes next is in the first or in the last segment: no other one is needed now.
    fn keep(&self, first: u64, last: u64);
}

/// Why an item was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrowError<E> {
    /// There are as many segments as there may be, and the last one is full.
    #[error("{0} segments are full of items: expected a receiver to drain one")]
    AtLimit(u32),
    /// The lock inside was not to be had in time: somebody sends or receives, makes a segment or removes one, or
    /// is stopped at that.
    #[error("timed out waiting for the lock of the queue")]
    Timeout,
    /// All receivers are gone; or this thread holds too many locks, or is the child of a fork.
    #[error("sending on a buffer without receivers")]
    Disconnected,
    /// A segment is not to be made or found.
    #[error("segment {number}: {error}")]
    Segment {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        error: E,
    },
    /// A segment with room has none: a faulty peer has written into it.
    #[error("segment {0} is damaged: it had room, and has none")]
    Damaged(u64),
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError<E> {
    /// There was no item before the deadline.
    #[error("timed out waiting to receive")]
    Timeout,
    /// There is no item, and all senders are gone; or this thread holds too many locks, or is the child of a
    /// fork.
    #[error("receiving on an empty buffer without senders")]
    Disconnected,
    /// A segment is not to be found.
    #[error("segment {number}: {error}")]
    Segment {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        error: E,
    },
}

/// How far a chain has grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Segments that there are.
    pub segments: u64,
    /// Segments that there ever were.
    pub ever: u64,
}

type Guard<'a> = RobustMutexGuard<'a, ()>;

impl<T, const ENDS: usize> SegmentList<T, ENDS> {
    constructor! {
        /// One without a segment.
        pub fn new(growth: GrowthLimit) -> Self {
            Self {
                lock: RobustMutex::new(()),
                not_empty: Condvar::new(),
                first: UnsafeCell::new(1),
                last: UnsafeCell::new(0),
                removed: UnsafeCell::new(1),
                growth: UnsafeCell::new(growth.word()),
                ends: Endpoints::new(),
                item: PhantomData,
            }
        }
    }
}

impl<T: Pod, const ENDS: usize> SegmentList<T, ENDS> {
    /// How far it grows, as the memory says now. Who works with it reads it once.
    ///
    /// # Errors
    /// There is no such chain: a faulty peer has written there.
    #[cfg_attr(loom, allow(dead_code, reason = "models have no regions"))]
    pub fn growth(&self) -> Result<GrowthLimit, ConfigError> {
        let growth = GrowthLimit::of(read(&self.growth));
        <Self as ShmObject>::layout(growth).map(|_| growth)
    }

    /// `first` and `last`, as they can be. The caller holds the lock, as in all that follows.
    fn linked(&self, growth: GrowthLimit) -> (u64, u64) {
        linked(read(&self.first), read(&self.last), growth)
    }

    fn lock_with(&self, timeout: Timeout) -> Result<Guard<'_>, RobustLockError<'_, ()>> {
        let locked = self.lock.lock_with(timeout);
        locked.or_else(RobustLockError::mark_consistent)
    }

    /// The segment for the next item: the last one, or a new one.
    fn room<G: Segments>(&self, segments: &G) -> Result<u64, GrowError<G::Error>> {
        let growth = segments.growth();
        let (first, last) = self.linked(growth);
        if first <= last {
            let is_full = segments.with(last, Segment::is_full);
            let is_full = is_full.map_err(|error| GrowError::Segment {
                number: last,
                error,
            })?;
            if !is_full {
                return Ok(last);
            }
        }
        if last + 1 - first >= u64::from(growth.segments) {
            return Err(GrowError::AtLimit(growth.segments));
        }
        let number = last + 1;
        segments
            .make(number)
            .and_then(|()| segments.with(number, Segment::clear))
            .map_err(|error| GrowError::Segment { number, error })?;
        // SAFETY: the lock is held.
        unsafe { commit(&self.last, number) };
        Ok(number)
    }

    /// Appends the item. It waits for nothing but the lock, and for that as long as timeout lasts.
    ///
    /// # Errors
    /// The item was not sent.
    pub fn send_with<G: Segments<Item = T>>(
        &self,
        segments: &G,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), GrowError<G::Error>> {
        let guard = self.lock_with(timeout).map_err(|error| match error {
            RobustLockError::TimedOut => GrowError::Timeout,
            _ => GrowError::Disconnected,
        })?;
        // SAFETY: the guard holds the lock of the channel.
        if unsafe { self.ends.has_closed(Direction::Receiving) } {
            return Err(GrowError::Disconnected);
        }
        let number = self.room(segments)?;
        let sent = segments.with(number, |segment| segment.push(item));
        let sent = sent.map_err(|error| GrowError::Segment { number, error })?;
        let (first, last) = self.linked(segments.growth());
        drop(guard);
        segments.keep(first, last);
        if !sent {
            return Err(GrowError::Damaged(number));
        }
        self.not_empty.notify_one();
        Ok(())
    }

    /// Takes the oldest item, as long as timeout lasts.
    ///
    /// # Errors
    /// There was none in time, or never will be.
    pub fn take<G: Segments<Item = T>>(
        &self,
        segments: &G,
        into: &mut T,
        timeout: Timeout,
    ) -> Result<(), TakeError<G::Error>> {
        let lost = |error: RobustLockError<'_, ()>| match error {
            RobustLockError::TimedOut => TakeError::Timeout,
            _ => TakeError::Disconnected,
        };
        let mut guard = self.lock_with(timeout.for_internal_lock()).map_err(lost)?;
        let mut in_time = true;
        loop {
            match self.oldest(segments, into) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    drop(guard);
                    // The item for which this one was woken is there still: for one who can take it.
                    self.not_empty.notify_one();
                    return Err(error);
                }
            }
            // SAFETY: the guard holds the lock of the channel.
            if unsafe { self.ends.has_closed(Direction::Sending) } {
                return Err(TakeError::Disconnected);
            }
            if !in_time {
                return Err(TakeError::Timeout);
            }
            let locked;
            (locked, in_time) = self.not_empty.wait_robust(guard, timeout);
            guard = locked
                .or_else(RobustLockError::mark_consistent)
                .map_err(lost)?;
        }
    }

    /// Takes the oldest item; false, if there is none. Segments that are drained go.
    fn oldest<G: Segments<Item = T>>(
        &self,
        segments: &G,
        into: &mut T,
    ) -> Result<bool, TakeError<G::Error>> {
        let growth = segments.growth();
        // One of them is drained if somebody died before the step below; a faulty peer may drain all.
        for _ in 0..=growth.segments {
            let (first, last) = self.linked(growth);
            self.sweep(segments, first);
            if first > last {
                return Ok(false);
            }
            let popped = segments.with(first, |segment| (segment.pop(into), segment.length() == 0));
            let (is_owned, is_empty) = popped.map_err(|error| TakeError::Segment {
                number: first,
                error,
            })?;
            // Nothing is sent into one that another one follows.
            let is_drained = is_empty && first < last;
            if is_drained {
                // SAFETY: the lock is held.
                unsafe { commit(&self.first, first + 1) };
                self.sweep(segments, first + 1);
            }
            if is_owned || !is_drained {
                return Ok(is_owned);
            }
        }
        Ok(false)
    }

    /// Removes the segments before this one: one at most, since everybody does so before another one is drained.
    fn sweep<G: Segments>(&self, segments: &G, first: u64) {
        let removed = read(&self.removed);
        // Only a faulty peer leaves more of them.
        for number in removed.max(first.saturating_sub(1))..first {
            segments.remove(number);
            // SAFETY: the lock is held.
            unsafe { commit(&self.removed, number + 1) };
        }
        segments.keep(first, self.linked(segments.growth()).1);
    }

    /// How far it has grown; nothing, if the lock is not to be had.
    #[cfg_attr(loom, allow(dead_code, reason = "models have no regions"))]
    pub fn grown(&self, growth: GrowthLimit) -> Option<Usage> {
        let _guard = self.lock_with(Timeout::Infinite).ok()?;
        let (first, last) = self.linked(growth);
        Some(Usage {
            segments: last + 1 - first,
            ever: last,
        })
    }

    /// A seat at this end.
    ///
    /// # Errors
    /// If that end has closed, or no seat can be had.
    pub fn attach(&self, end: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        // Who sends waits for no item.
        self.ends.attach(end, &self.lock, &self.not_empty)
    }
}

impl<T, const ENDS: usize> fmt::Debug for SegmentList<T, ENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentList { .. }")
    }
}

impl<T, S: Slots<T> + ?Sized> fmt::Debug for Segment<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Segment { .. }")
    }
}
