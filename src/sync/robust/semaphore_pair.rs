//! A semaphore pair whose turns come back when their holder dies.
//!
//! **Promise.** That of [`SemaphorePair`](crate::sync::SemaphorePair), and: a turn whose holder has ended before
//! it was finished, by whatever means, is there again for the same side within the recheck interval; so
//! the slots are always as many. Readers get them in the order in which the writers have finished.
//!
//! **Source.** The pair of the course notes, as a monitor (Hoare 1974) over slots that know their holder,
//! as in [`RobustSemaphore`](super::RobustSemaphore).
//!
//! **How.** A slot has a number: 0 if it is the writers', otherwise how many writings were finished
//! before it became the readers'. To have a turn is to hold the robust lock of a slot. Finishing it
//! changes the number in one step, and the two sides are told apart by that number alone; so whoever
//! dies has finished its turn or has not, and there is nothing to repair. Who has which slot is decided
//! under a lock. So that nobody has to look at all of them, they stand in two rows (`pair_rows`), which follow from
//! the numbers.

use super::slot_order::Rows;
use crate::platform::robust::{RobustListError, commit};
use crate::platform::{
    MemoryReader, OffsetReader, Parameter, ShmSafe, ShmType, TypeInfo, UnsafeCell, constructor,
};
use crate::sync::{
    AcquireError, Condvar, LockError, MAX_SLOTS, OwnerToken, RawRobustMutex, RobustLockError,
    RobustLockResult, RobustMutex, RobustMutexGuard, RobustSemaphorePairState, SlotState, Taken,
    Timeout,
};
use core::mem::offset_of;
use std::time::Duration;

/// The hand-off between writers and readers, which survives their death.
///
/// A turn says which slot it is about, and nobody else has that one meanwhile. It has to be
/// [finished](RobustTurn::finish): one that is only dropped goes back to the same side, as one whose
/// holder dies does.
///
/// `S` says where the slots are: `[PairSlot; N]` inside (for a `static`), or `[PairSlot]` behind the rest
/// (in a buffer).
///
/// # Cost
/// To take or to finish a turn is the same work for few slots and for many, but whoever comes after a death goes
/// through all of them once. A turn counts among the 128 robust locks that a thread can hold, and to take or to
/// finish it takes one more for a moment.
///
/// # Fairness
/// None: a process that runs may overtake one that is being woken.
///
/// # Process death
/// The turns of a thread that ends come back to their side: another one gets them at once if it asks
/// then, or within the [`recheck_interval`](crate::platform::futex) if it sleeps already. The child of a
/// fork has none.
///
/// # Example
/// ```
/// use interlatch::sync::{PairSlot, RobustSemaphorePair};
///
/// static PAIR: RobustSemaphorePair<[PairSlot; 1]> = RobustSemaphorePair::new([PairSlot::new()]);
///
/// // A thread that ends in the middle of its turn.
/// std::thread::spawn(|| std::mem::forget(PAIR.write())).join().unwrap();
/// assert!(PAIR.try_read().is_err(), "nothing was written");
/// PAIR.write()?.finish()?;
/// let turn = PAIR.read()?;
/// assert_eq!(turn.place(), 0);
/// turn.finish()?;
/// # Ok::<(), interlatch::sync::AcquireError>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RobustSemaphorePair<S: PairSlots + ?Sized> {
    lock: RobustMutex<()>,
    writable: Condvar,
    readable: Condvar,
    /// How many writings were finished.
    written: UnsafeCell<u64>,
    rows: Rows,
    slots: S,
}

// SAFETY: numbers and rows are accessed under the lock only; the slots may be asked for by several threads at the
// same time, and what is in them is `Sync`.
unsafe impl<S: PairSlots<Payload: Sync> + ?Sized> Sync for RobustSemaphorePair<S> {}

// SAFETY: `repr(C)`, of parts that are `ShmSafe`, and numbers, any of which will do.
unsafe impl<const N: usize> ShmSafe for RobustSemaphorePair<[PairSlot; N]> {
    fn initial() -> Self {
        Self::new(core::array::from_fn(|_| PairSlot::new()))
    }
}

impl<const N: usize> ShmType for RobustSemaphorePair<[PairSlot; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RobustSemaphorePair")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("SLOTS", N as u64)]);
}

/// A slot of a [`RobustSemaphorePair`].
///
/// # Example
/// See [`RobustSemaphorePair`].
#[repr(C)]
#[derive(Debug)]
pub struct PairSlot<P = ()> {
    holder: RawRobustMutex,
    number: UnsafeCell<u64>,
    /// The one behind it in its row.
    next: UnsafeCell<u64>,
    payload: P,
}

impl PairSlot {
    constructor! {
        /// The writers'.
        pub fn new() -> Self {
            Self::with(())
        }
    }
}

impl Default for PairSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> PairSlot<P> {
    constructor! {
        /// The writers', with what the turns are about.
        pub(crate) fn with(payload: P) -> Self {
            Self {
                holder: RawRobustMutex::new(),
                number: UnsafeCell::new(0),
                next: UnsafeCell::new(0),
                payload,
            }
        }
    }

    /// What the turns are about.
    pub(crate) fn payload(&self) -> &P {
        &self.payload
    }

    /// Whether somebody has it who lives.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_locked()
    }

    /// The link to the one behind it. The caller holds the lock of the pair.
    pub(super) fn next(&self) -> &UnsafeCell<u64> {
        &self.next
    }

    /// The caller holds the lock of the pair.
    pub(super) fn number(&self) -> u64 {
        // SAFETY: the lock is held.
        self.number.with(|number| unsafe { *number })
    }

    /// Ends a turn, in one step. The caller holds the lock of the pair.
    pub(super) fn set_number(&self, number: u64) {
        // SAFETY: the lock is held.
        unsafe { commit(&self.number, number) };
    }
}

/// Where the slots of a pair are.
///
/// # Safety
/// `slots` returns the same slots every time, and never none. They belong to this value alone: no other
/// one returns any of them. Several threads may call it at the same time.
pub unsafe trait PairSlots {
    /// What the turns of a slot are about.
    type Payload;

    /// The slots.
    fn slots(&self) -> &[PairSlot<Self::Payload>];
}

// SAFETY: the array's own slots.
unsafe impl<P, const N: usize> PairSlots for [PairSlot<P>; N] {
    type Payload = P;

    fn slots(&self) -> &[PairSlot<P>] {
        self
    }
}

// SAFETY: the slice's own slots.
unsafe impl<P> PairSlots for [PairSlot<P>] {
    type Payload = P;

    fn slots(&self) -> &[PairSlot<P>] {
        self
    }
}

/// Whose turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Writers,
    Readers,
}

impl Side {
    /// That of a slot of this number.
    pub(super) fn of(number: u64) -> Self {
        match number {
            0 => Self::Writers,
            _ => Self::Readers,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Writers => Self::Readers,
            Self::Readers => Self::Writers,
        }
    }
}

/// Why there was no turn.
pub(crate) enum Missed {
    /// The caller no longer wants one.
    Closed,
    /// None was to be had.
    Refused(AcquireError),
}

impl From<RobustListError> for Missed {
    fn from(refusal: RobustListError) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<RobustLockError<'_, ()>> for Missed {
    fn from(error: RobustLockError<'_, ()>) -> Self {
        Self::Refused(error.into())
    }
}

impl<P, const N: usize> RobustSemaphorePair<[PairSlot<P>; N]> {
    constructor! {
        /// A pair over these slots, all of them the writers'. None at all does not compile.
        pub fn new(slots: [PairSlot<P>; N]) -> Self {
            const { assert!(N > 0, "at least 1 slot") };
            Self::over(slots)
        }
    }
}

impl<S: PairSlots> RobustSemaphorePair<S> {
    constructor! {
        pub(crate) fn over(slots: S) -> Self {
            Self {
                lock: RobustMutex::new(()),
                writable: Condvar::new(),
                readable: Condvar::new(),
                written: UnsafeCell::new(0),
                rows: Rows::new(),
                slots,
            }
        }
    }
}

impl<S: PairSlots + ?Sized> RobustSemaphorePair<S> {
    /// Takes a writer's turn, however long it takes.
    ///
    /// # Errors
    /// `Refused`, if this thread cannot hold it; `Broken`, by a faulty peer.
    pub fn write(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.take(Side::Writers)
    }

    /// Takes a writer's turn if there is one.
    ///
    /// # Errors
    /// `TimedOut`, if there is none; and as [`write`](Self::write).
    pub fn try_write(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.write_with(Timeout::NonBlocking)
    }

    /// Takes a writer's turn, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn write_timeout(&self, timeout: Duration) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.write_with(Timeout::after(timeout))
    }

    /// Takes a writer's turn as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn write_with(&self, timeout: Timeout) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.take_with(Side::Writers, timeout)
    }

    /// Takes a reader's turn, that of the oldest slot, however long it takes.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn read(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.take(Side::Readers)
    }

    /// Takes a reader's turn if there is one.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_read(&self) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.read_with(Timeout::NonBlocking)
    }

    /// Takes a reader's turn, or gives up after that time.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn read_timeout(&self, timeout: Duration) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.read_with(Timeout::after(timeout))
    }

    /// Takes a reader's turn as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn read_with(&self, timeout: Timeout) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.take_with(Side::Readers, timeout)
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.slots.slots().len()
    }

    /// How many slots were the readers' a moment ago; none, if the lock is not to be had.
    pub fn readable(&self) -> usize {
        let guard = self.decide(Timeout::Infinite);
        guard.map_or(0, |_guard| {
            let slots = self.slots.slots().iter();
            slots.filter(|slot| slot.number() != 0).count()
        })
    }

    fn take(&self, side: Side) -> Result<RobustTurn<'_, S>, AcquireError> {
        loop {
            match self.take_with(side, Timeout::Infinite) {
                // Forever does not run out.
                Err(AcquireError::TimedOut) => {}
                result => return result,
            }
        }
    }

    fn take_with(&self, side: Side, timeout: Timeout) -> Result<RobustTurn<'_, S>, AcquireError> {
        self.take_unless(side, timeout, || false)
            .map_err(|missed| match missed {
                Missed::Refused(error) => error,
                Missed::Closed => unreachable!("it never closes"),
            })
    }

    /// Takes a turn, unless that is so, which is asked under the lock.
    pub(crate) fn take_unless(
        &self,
        side: Side,
        timeout: Timeout,
        is_closed: impl Fn() -> bool,
    ) -> Result<RobustTurn<'_, S>, Missed> {
        let (guard, place) = self.find(side, timeout, is_closed)?;
        let slot = &self.slots.slots()[place];
        let taken = slot.holder.lock_with(Timeout::NonBlocking);
        drop(guard);
        let taken = taken.map_err(|error| {
            // It may have been told of the slot, which is for another one then.
            self.condition(side).notify_one();
            match error {
                LockError::Refused(refusal) => refusal.into(),
                // It was free, and is taken under the lock only.
                _ => Missed::Refused(AcquireError::Broken),
            }
        })?;
        Ok(RobustTurn {
            pair: self,
            side,
            place,
            taken,
            stamp: OwnerToken::new(),
        })
    }

    /// Takes a turn, uses it and finishes it, all within the lock: unlike one that is taken first, a reader's is
    /// never overtaken, also if the reader dies. Unless that is so, which is asked under the lock.
    pub(crate) fn act_unless<R>(
        &self,
        side: Side,
        timeout: Timeout,
        is_closed: impl Fn() -> bool + Copy,
        act: impl FnOnce(&S::Payload) -> R,
    ) -> Result<R, Missed> {
        let (guard, place) = self.find(side, timeout, is_closed)?;
        let result = act(&self.slots.slots()[place].payload);
        self.pass_on(side, place);
        let has_closed = side == Side::Readers && is_closed();
        drop(guard);
        self.condition(side.other()).notify_one();
        if has_closed {
            // That was the last one: all who wait for another one have to hear so.
            self.readable.notify_all();
        }
        Ok(result)
    }

    /// Waits for a slot that is this side's and that nobody has; the lock is held then.
    fn find(
        &self,
        side: Side,
        timeout: Timeout,
        is_closed: impl Fn() -> bool,
    ) -> Result<(RobustMutexGuard<'_, ()>, usize), Missed> {
        let mut guard = self.decide(timeout.for_internal_lock())?;
        let mut is_in_time = true;
        loop {
            if is_closed() {
                return Err(Missed::Closed);
            }
            if let Some(place) = self.rows.first(self.slots.slots(), side) {
                return Ok((guard, place));
            }
            if !is_in_time {
                return Err(Missed::Refused(AcquireError::TimedOut));
            }
            let locked;
            (locked, is_in_time) = self
                .condition(side)
                .wait_robust_for::<true, ()>(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }

    /// Takes the lock under which everything is decided. Its last holder may have died: there is nothing to repair.
    fn decide(&self, timeout: Timeout) -> RobustLockResult<'_, ()> {
        let locked = self.lock.lock_for::<true>(timeout);
        locked.or_else(RobustLockError::mark_consistent)
    }

    /// Whether no slot is the readers'. The caller holds the lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty(self.slots.slots(), Side::Readers)
    }

    /// The slot is the other side's from here on. The caller holds the lock, and nobody else has the slot.
    fn pass_on(&self, side: Side, place: usize) {
        let number = match side {
            Side::Readers => 0,
            Side::Writers => self.count_writing(),
        };
        self.rows.pass_on(self.slots.slots(), side, place, number);
    }

    /// The lock under which everything is decided.
    pub(crate) fn lock(&self) -> &RobustMutex<()> {
        &self.lock
    }

    /// Where this side waits.
    pub(crate) fn condition(&self, side: Side) -> &Condvar {
        match side {
            Side::Writers => &self.writable,
            Side::Readers => &self.readable,
        }
    }
}

impl PairSlot {
    /// The state of the one that these words are, whatever its payload.
    fn read_state(words: &dyn MemoryReader) -> Option<SlotState> {
        let holder = OffsetReader(words, offset_of!(Self, holder) as u64);
        Some(SlotState {
            readable: words.read_u64(offset_of!(Self, number) as u64)? != 0,
            holder: RawRobustMutex::read_state(&holder)?,
        })
    }
}

impl RobustSemaphorePair<[PairSlot; 0]> {
    /// The state of the one that these words are. Its size says how many slots there are, or, if their
    /// payload is of some size, `slots` does.
    pub(crate) fn read_state(
        words: &dyn MemoryReader,
        size: u64,
        align: u64,
        slots: Option<u64>,
    ) -> Option<RobustSemaphorePairState> {
        let first = offset_of!(Self, slots) as u64;
        let first = first.checked_next_multiple_of(align)?;
        let least = size_of::<PairSlot>() as u64;
        let rest = size.checked_sub(first)?;
        let count = slots.unwrap_or(rest / least);
        let each = rest.checked_div(count).filter(|each| *each >= least)?;
        if !rest.is_multiple_of(count) {
            return None;
        }
        let slots = (0..count.min(MAX_SLOTS))
            .map(|index| PairSlot::read_state(&OffsetReader(words, first + index * each)));
        Some(RobustSemaphorePairState {
            lock: RobustMutex::read_state(&OffsetReader(words, offset_of!(Self, lock) as u64))?,
            slots: slots.collect::<Option<_>>()?,
        })
    }
}

impl<P> RobustSemaphorePair<[PairSlot<P>]> {
    /// Writes the slots where they are: a payload may be larger than a stack.
    ///
    /// # Safety
    /// `at` is valid for writes, and aligned; nobody else accesses it. `build` writes the payload to its
    /// place.
    pub(crate) unsafe fn build_slots(at: *mut Self, build: impl Fn(*mut P)) {
        // SAFETY: valid, by the caller's promise. Nothing is read but the length, which is in the
        // pointer.
        let slots = unsafe { &raw mut (*at).slots };
        let first = slots.cast::<PairSlot<P>>();
        for place in 0..slots.len() {
            // SAFETY: the slots are one behind the other, as many as the length.
            unsafe {
                let slot = first.add(place);
                (&raw mut (*slot).holder).write(RawRobustMutex::new());
                (&raw mut (*slot).number).write(UnsafeCell::new(0));
                (&raw mut (*slot).next).write(UnsafeCell::new(0));
                build(&raw mut (*slot).payload);
            }
        }
    }
}

/// The turn of one side. It stays on the thread that has taken it.
///
/// A panic during the turn drops it, and it goes back to the same side, with the news: see
/// [`is_owner_died`](Self::is_owner_died).
///
/// # Process death
/// It goes back to the same side, unless it was finished.
///
/// # Example
/// It is of one thread:
/// ```compile_fail,E0277
/// use interlatch::sync::{PairSlot, RobustSemaphorePair};
///
/// let pair = RobustSemaphorePair::new([PairSlot::new()]);
/// let turn = pair.write().unwrap();
/// std::thread::scope(|scope| { scope.spawn(move || drop(turn)); });
/// ```
///
/// ```
/// use interlatch::sync::{PairSlot, RobustSemaphorePair};
///
/// let pair = RobustSemaphorePair::new([PairSlot::new()]);
/// drop(pair.write()?);
/// assert!(pair.try_read().is_err(), "nothing was written");
/// pair.write()?.finish()?;
/// assert!(pair.try_read().is_ok());
/// # Ok::<(), interlatch::sync::AcquireError>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping this gives the turn back untaken"]
pub struct RobustTurn<'a, S: PairSlots + ?Sized> {
    pair: &'a RobustSemaphorePair<S>,
    side: Side,
    place: usize,
    taken: Taken,
    stamp: OwnerToken,
}

impl<'a, S: PairSlots + ?Sized> RobustTurn<'a, S> {
    /// Which of the slots the turn is about.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Whether the last one that had the slot died, or panicked, in its turn: what that is about may be
    /// half-done.
    pub fn is_owner_died(&self) -> bool {
        self.taken == Taken::OwnerDied
    }

    /// Ends the turn: the slot is the other side's.
    ///
    /// Takes a lock for a moment, and so waits for a process that is stopped just there.
    ///
    /// # Errors
    /// `NotHeld`, in the child of a fork. `Refused`, if this thread holds too many locks, or `Broken`, by
    /// a faulty peer: then the turn goes back to the same side.
    pub fn finish(self) -> Result<(), AcquireError> {
        let turn = core::mem::ManuallyDrop::new(self);
        turn.end(true)
    }

    /// The slot.
    pub(crate) fn slot(&self) -> &'a PairSlot<S::Payload> {
        &self.pair.slots.slots()[self.place]
    }

    fn end(&self, is_finished: bool) -> Result<(), AcquireError> {
        let (pair, slot) = (self.pair, self.slot());
        if !slot.holder.is_held_by(&self.stamp) {
            return Err(AcquireError::NotHeld);
        }
        // Not to be had only where this thread holds too many; a sleeper that is overtaken then looks
        // again by itself.
        let guard = pair.decide(Timeout::Infinite);
        let passes_on = is_finished && guard.is_ok();
        // Before it is passed on: whoever gets the lock from a dead process finds no slot of the other
        // side that the kernel has not freed yet, and so overtakes none.
        // SAFETY: a turn is made only by locking, and ends only once.
        unsafe {
            match !is_finished && std::thread::panicking() {
                true => slot.holder.mark_owner_died(),
                false => slot.holder.unlock(),
            }
        }
        if passes_on {
            pair.pass_on(self.side, self.place);
        }
        let ended = guard.map(drop).map_err(AcquireError::from);
        match (self.side, passes_on) {
            (Side::Writers, true) | (Side::Readers, false) => pair.readable.notify_one(),
            (Side::Readers, true) | (Side::Writers, false) => pair.writable.notify_one(),
        }
        ended
    }
}

impl<S: PairSlots + ?Sized> RobustSemaphorePair<S> {
    /// The number of the next finished writing. The caller holds the lock.
    fn count_writing(&self) -> u64 {
        // SAFETY: the lock is held.
        let written = self.written.with(|written| unsafe { *written });
        // 0 would be the writers'; only a faulty peer gets there.
        let next = written.wrapping_add(1).max(1);
        // SAFETY: the lock is held. Whoever dies before it uses the number leaves a gap, which
        // changes no order.
        unsafe { commit(&self.written, next) };
        next
    }
}

impl<S: PairSlots + ?Sized> Drop for RobustTurn<'_, S> {
    fn drop(&mut self) {
        let _ = self.end(false);
    }
}
