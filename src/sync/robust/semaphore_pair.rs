//! A semaphore pair whose turns return when their holder dies.

use super::pair_slot::{PairSide, PairSlot, PairSlots};
use super::slot_order::{SlotLists, SlotOrder};
use crate::platform::robust::commit;
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, ShmSafe, ShmType, Static, TypeInfo, UnsafeCell,
    constructor, repeat,
};
use crate::sync::{
    AcquireError, Acquired, Condvar, LockError, MAX_SLOTS, OwnerToken, RobustLockError,
    RobustMutex, RobustMutexGuard, RobustSemaphorePairState, Timeout,
};
use core::mem::{ManuallyDrop, offset_of};
use std::time::Duration;

/// A hand-off between writers and readers that survives their death.
///
/// Writers and readers alternate as with [`SemaphorePair`](crate::sync::SemaphorePair). Use this
/// type where a process may be killed during its turn. A turn is the right of one thread to write
/// or read one slot, which no other thread uses during the turn. [`RobustTurn::finish`] hands the
/// slot to the other side. If a turn is dropped unfinished, or if its thread dies, the slot stays
/// on the same side and can be acquired again. Readers get the slots in the order in which the
/// writers finished them.
///
/// `S` stores the slots: `[PairSlot; N]` inside the object (for a `static` or a region), or
/// `[PairSlot]` behind it (in a buffer).
///
/// # Cost
/// Acquiring and finishing a turn cost the same for few slots and for many. After an owner death,
/// the next operation visits all slots once. A thread can hold 128 robust locks, and each turn is
/// one of them. While a thread acquires or finishes a turn, it holds one more robust lock.
///
/// # Errors
/// Operations return [`AcquireError`]. A thread that already holds the maximum number of robust
/// locks gets `RobustList`.
///
/// # Fairness
/// The pair is not fair: a running thread may acquire a turn before a thread that is being woken.
///
/// # Process death
/// If a process dies during a turn, the slot of the turn becomes free for the same side. A later
/// attempt gets the slot immediately. A thread that already sleeps gets the slot within the
/// [`recheck_interval`](crate::sync::recheck_interval). The next holder sees
/// [`is_owner_died`](RobustTurn::is_owner_died).
///
/// If a thread other than the main thread calls `exec`, its turns never end.
///
/// # Fork
/// A copy of a turn in a forked child cannot be finished: `finish` fails with
/// [`AcquireError::Inherited`], and dropping the copy does nothing.
///
/// # How it works
/// Each slot has a number. The number is 0 if the slot belongs to the writers. Otherwise, the
/// number says how many writes were finished when the slot passed to the readers. A thread has a
/// turn while it holds the robust lock of a slot, as with the permits of a
/// [`RobustSemaphore`](super::RobustSemaphore).
///
/// Finishing a turn changes the number of the slot in one step, and the number alone decides which
/// side the slot belongs to. So a thread that dies has either finished its turn or not, and no slot
/// is left in a state between the two. One more robust lock protects the numbers and the assignment
/// of slots to threads.
///
/// The slots of each side form a list in the order of use, so that no operation searches all slots.
/// The lists can be derived from the numbers. Before a thread changes the lists, it marks them as
/// incomplete, and afterwards it marks them as complete. If the lists are incomplete, the next
/// holder of the lock derives them again.
///
/// # Sources
/// - The sources of [`SemaphorePair`](crate::sync::SemaphorePair).
/// - The monitor (C. A. R. Hoare, 1974).
///
/// # Example
/// ```
/// use interlatch::Region;
/// use interlatch::sync::{AcquireError, PairSlot, RobustSemaphorePair};
///
/// // One process creates the pair.
/// let region = Region::memfd("example", 4096)?;
/// let pair: &RobustSemaphorePair<[PairSlot; 1]> = region.create("pair", ())?;
///
/// // Another process receives the descriptor, attaches, and dies during its turn. The drop of
/// // its region stands for the death.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &RobustSemaphorePair<[PairSlot; 1]> = other.attach("pair")?;
/// std::mem::forget(attached.write()?);
/// drop(other);
///
/// assert_eq!(pair.try_read().unwrap_err(), AcquireError::TimedOut, "the write is unfinished");
/// let turn = pair.write()?;
/// assert!(turn.is_owner_died());
/// turn.finish()?;
/// let turn = pair.read()?;
/// assert_eq!(turn.slot_index(), 0);
/// turn.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RobustSemaphorePair<S: PairSlots + ?Sized> {
    lock: RobustMutex<()>,
    writable: Condvar,
    readable: Condvar,
    /// The number of finished writes. `lock` protects this field and the lists.
    written: UnsafeCell<u64>,
    lists: SlotLists,
    slots: S,
}

// SAFETY: only `LockedPair`, which holds `lock`, accesses `written`, `lists` and the numbers and
// links of the slots. `PairSlots` lets several threads call `slots`, and the payload is `Sync`.
unsafe impl<S: PairSlots<Payload: Sync> + ?Sized> Sync for RobustSemaphorePair<S> {}

// SAFETY: the type is `repr(C)`. Each field is `ShmSafe`, or a number for which every value is
// valid.
unsafe impl<const N: usize> ShmSafe for RobustSemaphorePair<[PairSlot; N]> {
    unsafe fn init_in_place(at: *mut Self) {
        const { Self::ASSERT_SLOTS };
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots. The payload has no bytes.
        unsafe { RobustSemaphorePair::init_with_slots(at.cast(), N, |_: *mut ()| {}) }
    }
}

impl<const N: usize> ShmType for RobustSemaphorePair<[PairSlot; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustSemaphorePair")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("SLOTS", N as u64)]);
}

impl<const N: usize> RobustSemaphorePair<[PairSlot; N]> {
    const ASSERT_SLOTS: () = assert!(N > 0, "a semaphore pair needs at least 1 slot");

    constructor! {
        /// Creates a pair whose slots all belong to the writers. A pair without slots does not
        /// compile.
        pub fn new() -> Static<Self> {
            const { Self::ASSERT_SLOTS };
            Static::new(Self::with_slots(repeat!(PairSlot::with_payload(()))))
        }
    }
}

impl<S: PairSlots> RobustSemaphorePair<S> {
    constructor! {
        /// Creates a pair by value, for a [`Static`].
        pub(crate) fn with_slots(slots: S) -> Self {
            Self {
                lock: RobustMutex::by_value(()),
                writable: Condvar::new(),
                readable: Condvar::new(),
                written: UnsafeCell::new(0),
                lists: SlotLists::new(),
                slots,
            }
        }
    }
}

impl<S: PairSlots + ?Sized> RobustSemaphorePair<S> {
    /// Acquires a turn of the writers, blocking until a slot is free.
    ///
    /// # Errors
    /// Fails with `RobustList` or `Corrupted`.
    pub fn write(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.acquire(PairSide::Writers)
    }

    /// Acquires a turn of the writers if a slot is free.
    ///
    /// # Errors
    /// Fails with `TimedOut` if no slot is free, or with `RobustList` or `Corrupted`.
    pub fn try_write(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.write_with(Timeout::NonBlocking)
    }

    /// Acquires a turn of the writers, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Fails with `TimedOut`, `RobustList` or `Corrupted`.
    pub fn write_timeout(&self, timeout: Duration) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.write_with(Timeout::after(timeout))
    }

    /// Acquires a turn of the writers, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Fails with `TimedOut`, `RobustList` or `Corrupted`.
    pub fn write_with(&self, timeout: Timeout) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.acquire_with(PairSide::Writers, timeout)
    }

    /// Acquires a turn of the readers with the oldest free slot, blocking until there is one.
    ///
    /// # Errors
    /// Fails with `RobustList` or `Corrupted`.
    pub fn read(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.acquire(PairSide::Readers)
    }

    /// Acquires a turn of the readers if a slot is free.
    ///
    /// # Errors
    /// Fails with `TimedOut` if no slot is free, or with `RobustList` or `Corrupted`.
    pub fn try_read(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.read_with(Timeout::NonBlocking)
    }

    /// Acquires a turn of the readers, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Fails with `TimedOut`, `RobustList` or `Corrupted`.
    pub fn read_timeout(&self, timeout: Duration) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.read_with(Timeout::after(timeout))
    }

    /// Acquires a turn of the readers, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Fails with `TimedOut`, `RobustList` or `Corrupted`.
    pub fn read_with(&self, timeout: Timeout) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.acquire_with(PairSide::Readers, timeout)
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> usize {
        self.slots.slots().len()
    }

    /// Returns how many slots belonged to the readers a moment ago, or 0 if the internal lock is
    /// unusable or a stopped process holds it.
    pub fn readable(&self) -> usize {
        let locked = self.lock(Timeout::NonBlocking);
        locked.map_or(0, |locked| locked.order().count(PairSide::Readers))
    }

    fn acquire(&self, side: PairSide) -> Result<RobustTurn<'_, S>, AcquireError> {
        loop {
            match self.acquire_with(side, Timeout::Infinite) {
                // An infinite timeout does not expire.
                Err(AcquireError::TimedOut) => {}
                result => return result,
            }
        }
    }

    fn acquire_with(
        &self,
        side: PairSide,
        timeout: Timeout,
    ) -> Result<RobustTurn<'_, S>, AcquireError> {
        let turn = self.acquire_unless(side, timeout, |_| false)?;
        Ok(turn.expect("`acquire_unless` returns `None` only if the predicate is true"))
    }

    /// Acquires a turn, or returns `None` as soon as `is_closed` is true.
    ///
    /// `is_closed` runs under the lock, before every search for a slot.
    pub(crate) fn acquire_unless(
        &self,
        side: PairSide,
        timeout: Timeout,
        is_closed: impl Fn(&LockedPair<'_, S>) -> bool,
    ) -> Result<Option<RobustTurn<'_, S>>, AcquireError> {
        let acquire = |_: &LockedPair<'_, S>, index: usize| {
            let slot = &self.slots.slots()[index];
            (index, slot.holder.lock_with(Timeout::NonBlocking))
        };
        let found = self.with_free_slot(side, timeout, is_closed, acquire)?;
        let Some((index, acquired)) = found else {
            return Ok(None);
        };
        let acquired = acquired.map_err(|error| {
            // This thread may have received a notification that it cannot use, so it notifies
            // another waiter.
            self.condvar(side).notify_one();
            match error {
                LockError::RobustList(error) => error.into(),
                // The slot was free, and correct processes acquire slots only under the internal
                // lock. So a failure here means that a faulty process changed the slot.
                _ => AcquireError::Corrupted,
            }
        })?;
        Ok(Some(RobustTurn {
            pair: self,
            side,
            index,
            acquired,
            token: OwnerToken::new(),
        }))
    }

    /// Acquires a turn, runs `action` with the turn's slot, and finishes the turn, all under the
    /// lock.
    ///
    /// Returns `None` as soon as `is_closed`, which runs under the lock, is true. No other reader
    /// can overtake a reader that uses this method, not even if the reader dies. A reader that
    /// acquires a turn in one call and finishes the turn in another call can be overtaken.
    pub(crate) fn complete_unless<R>(
        &self,
        side: PairSide,
        timeout: Timeout,
        is_closed: impl Fn(&LockedPair<'_, S>) -> bool,
        action: impl FnOnce(&S::Payload) -> R,
    ) -> Result<Option<R>, AcquireError> {
        let complete = |locked: &LockedPair<'_, S>, index: usize| {
            let result = action(&self.slots.slots()[index].payload);
            locked.pass_on(side, index);
            (result, side == PairSide::Readers && is_closed(locked))
        };
        let completed = self.with_free_slot(side, timeout, &is_closed, complete)?;
        let Some((result, has_closed)) = completed else {
            return Ok(None);
        };
        self.condvar(side.other()).notify_one();
        if has_closed {
            // This call took the last item. Every reader that waits for another item must see that
            // no item will come.
            self.readable.notify_all();
        }
        Ok(Some(result))
    }

    /// Waits for a free slot of `side` and runs `action` with its index, under the lock.
    ///
    /// Returns `None` as soon as `is_closed` is true.
    #[inline]
    fn with_free_slot<R>(
        &self,
        side: PairSide,
        timeout: Timeout,
        is_closed: impl Fn(&LockedPair<'_, S>) -> bool,
        action: impl FnOnce(&LockedPair<'_, S>, usize) -> R,
    ) -> Result<Option<R>, AcquireError> {
        let mut locked = self.lock(timeout)?;
        let mut is_in_time = true;
        loop {
            if is_closed(&locked) {
                return Ok(None);
            }
            if let Some(index) = locked.order().first_free(side) {
                return Ok(Some(action(&locked, index)));
            }
            if !is_in_time {
                return Err(AcquireError::TimedOut);
            }
            (locked, is_in_time) = locked.wait(side, timeout)?;
        }
    }

    /// Takes the internal lock. If the last holder of that lock died, there is nothing to repair.
    #[inline]
    fn lock(&self, timeout: Timeout) -> Result<LockedPair<'_, S>, AcquireError> {
        let guard = self
            .lock
            .lock_internal(timeout, SpinPolicy::Turns, |()| ())?;
        Ok(LockedPair { pair: self, guard })
    }

    /// Returns the lock of the pair, which a buffer also uses for its endpoints.
    pub(crate) fn mutex(&self) -> &RobustMutex<()> {
        &self.lock
    }

    /// Returns the condition variable on which `side` waits.
    pub(crate) fn condvar(&self, side: PairSide) -> &Condvar {
        match side {
            PairSide::Writers => &self.writable,
            PairSide::Readers => &self.readable,
        }
    }
}

/// A pair whose lock the calling thread holds.
pub(crate) struct LockedPair<'a, S: PairSlots + ?Sized> {
    pair: &'a RobustSemaphorePair<S>,
    /// The guard of `pair.lock`, which protects the lists and numbers.
    guard: RobustMutexGuard<'a, ()>,
}

impl<S: PairSlots + ?Sized> LockedPair<'_, S> {
    /// Returns whether no slot belongs to the readers.
    pub(crate) fn is_empty(&self) -> bool {
        self.order().is_empty(PairSide::Readers)
    }

    fn order(&self) -> SlotOrder<'_, S::Payload> {
        // SAFETY: the lists and the slots belong to `pair`, whose lock `guard` holds.
        unsafe { SlotOrder::new(&self.pair.lists, self.pair.slots.slots()) }
    }

    /// Hands the slot at `index` to the other side.
    #[inline]
    fn pass_on(&self, side: PairSide, index: usize) {
        let number = match side {
            PairSide::Readers => 0,
            PairSide::Writers => self.next_number(),
        };
        self.order().pass_on(side, index, number);
    }

    /// Counts one more finished write and returns its number.
    fn next_number(&self) -> u64 {
        let written = &self.pair.written;
        // SAFETY: `guard` holds the lock of the pair, which excludes every other access to
        // `written`.
        let before = written.with(|written| unsafe { *written });
        // The number 0 is skipped, because it marks a slot of the writers. The number wraps only if
        // a faulty process has written it.
        let number = before.wrapping_add(1).max(1);
        // SAFETY: `guard` holds the lock of the pair, which excludes every other access to
        // `written`. If a thread dies before it uses the number, the number stays unused, which
        // does not change the order of the slots.
        unsafe { commit(written, number) };
        number
    }

    /// Unlocks, waits for a notification of `side`, and locks again.
    ///
    /// The second value is false if the timeout expired.
    #[cold]
    fn wait(self, side: PairSide, timeout: Timeout) -> Result<(Self, bool), LockError> {
        let Self { pair, guard } = self;
        let (locked, is_in_time) = pair.condvar(side).wait_robust_or_recheck_with_policy(
            guard,
            timeout,
            SpinPolicy::Turns,
        );
        let guard = locked.or_else(RobustLockError::mark_consistent)?;
        Ok((Self { pair, guard }, is_in_time))
    }
}

impl RobustSemaphorePair<[PairSlot; 0]> {
    /// Reads the state of a pair in foreign memory.
    ///
    /// `size` and `align` are the size and the alignment of the pair. `slots` is the number of
    /// slots. If `slots` is `None`, the slots have no payload, and `size` determines the number of
    /// slots.
    pub(crate) fn read_state(
        reader: &dyn MemoryReader,
        size: u64,
        align: u64,
        slots: Option<u64>,
    ) -> Option<RobustSemaphorePairState> {
        let first = offset_of!(Self, slots) as u64;
        let first = first.checked_next_multiple_of(align)?;
        let min = size_of::<PairSlot>() as u64;
        let rest = size.checked_sub(first)?;
        let count = slots.unwrap_or(rest / min);
        let each = rest.checked_div(count).filter(|each| *each >= min)?;
        if !rest.is_multiple_of(count) {
            return None;
        }
        let slots = (0..count.min(MAX_SLOTS))
            .map(|index| PairSlot::read_state(&OffsetReader(reader, first + index * each)));
        Some(RobustSemaphorePairState {
            lock: RobustMutex::read_state(&OffsetReader(reader, offset_of!(Self, lock) as u64))?,
            slots: slots.collect::<Option<_>>()?,
        })
    }
}

impl<P> RobustSemaphorePair<[PairSlot<P>; 0]> {
    /// Initializes a pair in place: the header at `at`, and the `count` slots that follow it.
    ///
    /// # Safety
    /// `at` is aligned, the header and its slots are valid for writes, and no other access to these
    /// bytes happens during the call. `init_payload` initializes the payload at its argument.
    pub(crate) unsafe fn init_with_slots(
        at: *mut Self,
        count: usize,
        init_payload: impl Fn(*mut P),
    ) {
        // SAFETY: the caller passes memory that is valid for writes, so each field and each of the
        // `count` contiguous slots is aligned and valid for writes.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            Condvar::init_in_place(&raw mut (*at).writable);
            Condvar::init_in_place(&raw mut (*at).readable);
            (&raw mut (*at).written).write(UnsafeCell::new(0));
            (&raw mut (*at).lists).write(SlotLists::new());
            let first = (&raw mut (*at).slots).cast::<PairSlot<P>>();
            for index in 0..count {
                PairSlot::init(first.add(index), &init_payload);
            }
        }
    }
}

/// A turn of one side of a [`RobustSemaphorePair`].
///
/// A turn cannot move to another thread. Dropping a turn unfinished returns the slot to the same
/// side. If a panic drops the turn, the next holder of the slot sees
/// [`is_owner_died`](Self::is_owner_died).
///
/// # Process death
/// If the process dies during the turn, the slot returns to the same side, and the next holder of
/// the slot sees [`is_owner_died`](Self::is_owner_died).
///
/// # Example
/// ```
/// use interlatch::sync::{PairSlot, RobustSemaphorePair};
///
/// let pair = RobustSemaphorePair::<[PairSlot; 1]>::new().leak();
/// drop(pair.write()?);
/// assert!(pair.try_read().is_err(), "the write was not finished");
/// pair.write()?.finish()?;
/// assert!(pair.try_read().is_ok());
/// # Ok::<(), interlatch::sync::AcquireError>(())
/// ```
///
/// A turn cannot move to another thread:
/// ```compile_fail,E0277
/// use interlatch::sync::{PairSlot, RobustSemaphorePair};
///
/// let pair = RobustSemaphorePair::<[PairSlot; 1]>::new().leak();
/// let turn = pair.write().unwrap();
/// std::thread::scope(|scope| { scope.spawn(move || drop(turn)); });
/// ```
#[derive(Debug)]
#[must_use = "dropping the turn returns it unfinished"]
pub struct RobustTurn<'a, S: PairSlots + ?Sized> {
    pair: &'a RobustSemaphorePair<S>,
    side: PairSide,
    index: usize,
    acquired: Acquired,
    token: OwnerToken,
}

impl<'a, S: PairSlots + ?Sized> RobustTurn<'a, S> {
    /// The index of the slot that the turn holds.
    pub fn slot_index(&self) -> usize {
        self.index
    }

    /// Returns whether the last holder of this slot died or panicked during its turn.
    ///
    /// If this method returns true, the data that the slot stands for may be inconsistent.
    pub fn is_owner_died(&self) -> bool {
        self.acquired == Acquired::OwnerDied
    }

    /// Finishes the turn and hands the slot to the other side.
    ///
    /// The call briefly takes the internal lock of the pair. If a stopped process holds that lock,
    /// the call waits until that process continues.
    ///
    /// # Errors
    /// Returns `Inherited` in the child of a fork. Returns `RobustList` if this thread holds the
    /// maximum number of robust locks, or `Corrupted`. In these two cases, the turn returns to the
    /// same side.
    pub fn finish(self) -> Result<(), AcquireError> {
        self.finish_with(Timeout::Infinite)
    }

    /// Finishes the turn like [`finish`](Self::finish), and waits for the internal lock until the
    /// timeout expires.
    ///
    /// # Errors
    /// Also returns `TimedOut` or `Busy` if a stopped process holds the internal lock. The turn
    /// then returns to the same side.
    pub(crate) fn finish_with(self, timeout: Timeout) -> Result<(), AcquireError> {
        let turn = ManuallyDrop::new(self);
        turn.end(true, timeout)
    }

    /// Returns the slot that the turn holds.
    pub(crate) fn slot(&self) -> &'a PairSlot<S::Payload> {
        &self.pair.slots.slots()[self.index]
    }

    fn end(&self, is_finished: bool, timeout: Timeout) -> Result<(), AcquireError> {
        let (pair, slot) = (self.pair, self.slot());
        if !slot.holder.is_held_by(&self.token) {
            return Err(AcquireError::Inherited);
        }
        // The lock fails if this thread holds the maximum number of robust locks, if a stopped
        // process holds the lock until the timeout expires, or if a faulty peer has damaged the
        // lock. In the last two cases, a thread that is about to sleep may miss the free slot until
        // it rechecks.
        let locked = pair.lock(timeout);
        // The slot's own lock is released before the slot passes to the other side. Otherwise, if
        // this thread died between the two steps, a thread of the other side could find the slot
        // still locked and skip it.
        // SAFETY: a turn exists only after its thread locked `holder`, `is_held_by` confirmed that
        // the thread still holds the lock, and `end` runs once per turn.
        unsafe {
            match !is_finished && std::thread::panicking() {
                true => slot.holder.mark_owner_died(),
                false => slot.holder.unlock(),
            }
        }
        if let Err(AcquireError::RobustList(_)) = &locked {
            // Without the slot's own lock, this thread can hold the lock of the pair. A thread that
            // has found the slot locked is registered as a waiter before it unlocks the pair, so it
            // gets the notification.
            drop(pair.lock(timeout));
        }
        let is_passed_on = is_finished && locked.is_ok();
        if let (true, Ok(locked)) = (is_finished, &locked) {
            locked.pass_on(self.side, self.index);
        }
        let ended = locked.map(drop);
        let side = match is_passed_on {
            true => self.side.other(),
            false => self.side,
        };
        pair.condvar(side).notify_one();
        ended
    }
}

impl<S: PairSlots + ?Sized> Drop for RobustTurn<'_, S> {
    fn drop(&mut self) {
        // An error can be ignored. The child of a fork has no slot to return, and after any other
        // error the slot is already free.
        let _ = self.end(false, Timeout::Infinite);
    }
}
