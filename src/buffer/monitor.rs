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
use super::store::{self, End, Store, Visit};
use super::{
    Buffer, BufferState, Counted, CountsEnds, Disconnected, RecvTimeoutError, SendTimeoutError,
};
use crate::platform::{InPlace, NextLine, Place, Plain, PlanError, Words, WordsFrom, constructor};
use crate::sync::{Condition, Condvar, Lock, Patience, RawMutex};
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
/// use interlatch::{Buffer, MonitorBuffer, TryRecvError, TrySendError};
///
/// let buffer = MonitorBuffer::with_capacity(1)?;
/// let (sender, receiver) = (buffer.sender().unwrap(), buffer.receiver().unwrap());
/// assert_eq!(sender.try_send("one"), Ok(()));
/// assert_eq!(sender.try_send("two"), Err(TrySendError::Full("two")));
/// assert_eq!(receiver.recv(), Ok("one"));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
/// # Ok::<(), interlatch::PlanError>(())
/// ```
#[repr(C)]
pub struct MonitorBuffer<T, S = Box<[Slot<T>]>, C = Condvar, L = RawMutex>
where
    S: Slots<T> + ?Sized,
{
    not_full: C,
    next_line: NextLine,
    not_empty: C,
    store_line: NextLine,
    store: Store<T, L, S>,
}

impl<T> MonitorBuffer<T> {
    /// An empty buffer on the heap.
    ///
    /// # Errors
    /// If the capacity is zero or cannot be allocated.
    pub fn with_capacity(capacity: usize) -> Result<Self, PlanError> {
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
                next_line: NextLine,
                not_empty,
                store_line: NextLine,
                store: Store::new(lock, slots),
            }
        }
    }
}

// SAFETY: `repr(C)`, of parts that are; the store reduces every number that it reads.
unsafe impl<T: Plain, const N: usize> InPlace for MonitorBuffer<T, [Slot<T>; N]> {
    fn initial() -> Self {
        Self::from_slots(core::array::from_fn(|_| Slot::new()))
    }
}

// SAFETY: the header is `repr(C)` and valid for every bit pattern; the slots follow it as in the
// layout of the unsized type; items are valid for every bit pattern.
unsafe impl<T: Plain> Place for MonitorBuffer<T, [Slot<T>]> {
    /// The capacity.
    type Plan = usize;

    fn layout(capacity: usize) -> Result<Layout, PlanError> {
        store::layout::<Slot<T>>(Layout::new::<MonitorBuffer<T, [Slot<T>; 0]>>(), capacity)
    }

    unsafe fn build(at: *mut u8, _capacity: usize) {
        let header: MonitorBuffer<T, [Slot<T>; 0]> =
            MonitorBuffer::from_parts(Condvar::new(), Condvar::new(), RawMutex::new(), []);
        // SAFETY: valid for writes of the layout, of which the header is the beginning. The
        // slots are empty, whatever is in them.
        unsafe { at.cast::<MonitorBuffer<T, [Slot<T>; 0]>>().write(header) }
    }

    unsafe fn view<'a>(at: *mut u8, capacity: usize) -> &'a Self {
        let wide = core::ptr::slice_from_raw_parts(at.cast::<Slot<T>>(), capacity);
        // SAFETY: valid and aligned by the caller's promise. The cast keeps the length, which
        // is that of the slots behind the header.
        unsafe { &*(wide as *const Self) }
    }
}

impl MonitorBuffer<u64, [Slot<u64>; 0]> {
    /// The state of the one that these words are, whatever its items: only the alignment says where the
    /// ring is.
    pub(crate) fn state_of(
        words: &dyn Words,
        align: u64,
        capacity: Option<u64>,
    ) -> Option<BufferState> {
        let store = (offset_of!(Self, store) as u64).checked_next_multiple_of(align)?;
        Store::state_of(&WordsFrom(words, store), capacity)
    }
}

impl<T, S, C, L> Buffer for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: Condition,
    L: Lock,
{
    type Item = T;
    type Seat<'a>
        = Counted<'a, Self>
    where
        Self: 'a;
    type AttachError = Disconnected;

    fn send_within(&self, item: T, patience: Patience) -> Result<(), SendTimeoutError<T>> {
        let item = ManuallyDrop::new(item);
        // SAFETY: an item that was sent is not dropped here.
        let sent = unsafe { self.send_from(&item, patience) };
        sent.map_err(|refused| refused.with(ManuallyDrop::into_inner(item)))
    }

    fn send_ref_within(&self, item: &T, patience: Patience) -> Result<(), SendTimeoutError<()>>
    where
        T: Plain,
    {
        // SAFETY: it is plain.
        unsafe { self.send_from(item, patience) }
    }

    fn recv_within(&self, patience: Patience) -> Result<T, RecvTimeoutError> {
        self.recv_by(patience, |visit| Some((1, visit.pop()?)))
    }

    fn recv_into_within(&self, place: &mut T, patience: Patience) -> Result<(), RecvTimeoutError>
    where
        T: Plain,
    {
        self.recv_by(patience, |visit| visit.pop_into(place).then_some((1, ())))
    }

    fn send_many_within(
        &self,
        items: &mut Vec<T>,
        patience: Patience,
    ) -> Result<(), SendTimeoutError<()>> {
        let mut batch = Batch::of(items);
        while !batch.rest().is_empty() {
            self.send_by(patience, |visit| {
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

    fn recv_many_within(
        &self,
        items: &mut Vec<T>,
        most: usize,
        patience: Patience,
    ) -> Result<usize, RecvTimeoutError> {
        let most = most.min(self.capacity());
        if most == 0 {
            return Ok(0);
        }
        items.reserve(most);
        self.recv_by(patience, |visit| {
            let received = visit.pop_some(items, most);
            (received > 0).then_some((received, received))
        })
    }

    fn len(&self) -> usize {
        self.store.enter().len()
    }

    fn capacity(&self) -> usize {
        self.store.capacity()
    }

    fn attach(&self, end: End) -> Result<Counted<'_, Self>, Disconnected> {
        Counted::new(self, end)
    }
}

impl<T, S, C, L> MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: Condition,
    L: Lock,
{
    /// Sends what the item is made of.
    ///
    /// # Safety
    /// Whoever has the item forgets it if it was sent, or it is plain.
    unsafe fn send_from(&self, item: &T, patience: Patience) -> Result<(), SendTimeoutError<()>> {
        self.send_by(patience, |visit| {
            // SAFETY: the caller's promise.
            usize::from(unsafe { visit.push_from(item) })
        })
    }

    /// Sends by this, which appends items if there is room, and says how many.
    fn send_by(
        &self,
        patience: Patience,
        mut put: impl FnMut(&mut Visit<'_, T, L, S>) -> usize,
    ) -> Result<(), SendTimeoutError<()>> {
        let Some(mut visit) = self.store.enter_within(patience) else {
            return Err(SendTimeoutError::Timeout(()));
        };
        let mut in_time = true;
        let sent = loop {
            if visit.is_closed(End::Receiving) {
                return Err(SendTimeoutError::Disconnected(()));
            }
            let sent = put(&mut visit);
            if sent > 0 {
                break sent;
            }
            if !in_time {
                return Err(SendTimeoutError::Timeout(()));
            }
            in_time = self.not_full.wait_within(visit.held(), patience);
        };
        drop(visit);
        announce(&self.not_empty, sent);
        Ok(())
    }

    /// Receives by this, which takes items if there are some, and says how many.
    fn recv_by<R>(
        &self,
        patience: Patience,
        mut take: impl FnMut(&mut Visit<'_, T, L, S>) -> Option<(usize, R)>,
    ) -> Result<R, RecvTimeoutError> {
        let Some(mut visit) = self.store.enter_within(patience) else {
            return Err(RecvTimeoutError::Timeout);
        };
        let mut in_time = true;
        let (received, item) = loop {
            if let Some(taken) = take(&mut visit) {
                break taken;
            }
            if visit.is_closed(End::Sending) || !in_time {
                return Err(RecvTimeoutError::of(visit.is_closed(End::Sending)));
            }
            in_time = self.not_empty.wait_within(visit.held(), patience);
        };
        drop(visit);
        announce(&self.not_full, received);
        Ok(item)
    }
}

/// Says that there are so many more items, or places: each lets one go.
#[inline]
fn announce(condition: &impl Condition, count: usize) {
    match count {
        1 => condition.notify_one(),
        _ => condition.notify_all(),
    }
}

impl<T, S, C, L> CountsEnds for MonitorBuffer<T, S, C, L>
where
    T: Send,
    S: Slots<T> + ?Sized,
    C: Condition,
    L: Lock,
{
    fn join(&self, end: End) -> Result<(), Disconnected> {
        self.store.enter().attach(end)
    }

    fn leave(&self, end: End) {
        if self.store.enter().detach(end) {
            match end {
                End::Sending => self.not_empty.notify_all(),
                End::Receiving => self.not_full.notify_all(),
            }
        }
    }
}
