//! Two semaphores with which writers and readers alternate.

use super::{MAX_PERMITS, PermitOverflow, RawSemaphore, Semaphore, SemaphorePairState, Timeout};
use crate::platform::identity::Generation;
use crate::platform::{
    CachePadded, MemoryReader, OffsetReader, ShmSafe, ShmType, TypeInfo, constructor,
};
use core::mem::offset_of;
use std::time::Duration;

/// A hand-off between writers and readers.
///
/// Writers and readers alternate. A turn is the right to write or read one slot once. With one
/// slot, the turns are write, read, write, read. With `n` slots, writers are at most `n` turns
/// ahead of the readers, and readers are never ahead of the writers. Dropping a [`Turn`] ends it
/// and lets the other side continue.
///
/// A turn does not say which slot to use. With more than one slot, the threads must protect the
/// data with a lock, as in `BoundedBuffer`.
///
/// # Errors
/// [`new`](Self::new) returns [`PermitOverflow`] for too many slots. `try_write`, `try_read` and
/// the timed variants return `None`.
///
/// # Fairness
/// The pair is not fair: see [`Semaphore`].
///
/// # Process death
/// The turn of a process that dies never ends, so its slot is lost. Use
/// [`RobustSemaphorePair`](super::RobustSemaphorePair) where a process may be killed during its
/// turn.
///
/// # Fork
/// A forked child has no turn of its parent. Dropping or ending the child's copy of a [`Turn`] does
/// nothing.
///
/// # How it works
/// Each side acquires a permit of its own semaphore and releases a permit of the other side's
/// semaphore. So the permits of both semaphores and the turns in progress always add up to the
/// number of slots.
///
/// # Ordering
/// Ending a turn is a Release that pairs with the Acquire of the other side's next turn, as
/// described for [`Semaphore`].
///
/// # Sources
/// Two semaphores that start with one permit for the writer and none for the reader, generalized to
/// several slots as in the bounded buffer of E. W. Dijkstra, *Cooperating sequential processes*
/// (1965).
///
/// # Example
/// ```
/// use interlatch::Region;
/// use interlatch::sync::SemaphorePair;
///
/// // One process creates a pair with one slot.
/// let region = Region::memfd("example", 4096)?;
/// let pair: &SemaphorePair = region.create("pair", ())?;
///
/// // Another process receives the descriptor and attaches.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &SemaphorePair = other.attach("pair")?;
///
/// drop(pair.write());
/// assert!(pair.try_write().is_none(), "the reader has not read yet");
/// drop(attached.read());
/// assert!(pair.try_write().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct SemaphorePair<P = Semaphore> {
    writer: P,
    next_line: CachePadded,
    reader: P,
}

// SAFETY: the type is `repr(C)` and both semaphores are `ShmSafe`.
unsafe impl ShmSafe for SemaphorePair {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::one()) }
    }
}

impl ShmType for SemaphorePair {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("SemaphorePair").of_this_crate();
}

impl SemaphorePair {
    constructor! {
        /// Creates a pair with one slot, which belongs to the writers.
        pub fn one() -> Self {
            Self { writer: Semaphore::binary(), next_line: CachePadded, reader: Semaphore::empty() }
        }
    }

    constructor! {
        /// Creates a pair with `slots` slots, which all belong to the writers.
        ///
        /// # Errors
        /// Fails if `slots` is [`MAX_PERMITS`] or more, because a semaphore must be able to count
        /// one more permit.
        pub fn new(slots: u32) -> Result<Self, PermitOverflow> {
            if slots >= MAX_PERMITS {
                return Err(PermitOverflow { held: 1, added: slots });
            }
            match Semaphore::new(slots) {
                Ok(writer) => Ok(Self { writer, next_line: CachePadded, reader: Semaphore::empty() }),
                Err(overflow) => Err(overflow),
            }
        }
    }
}

impl SemaphorePair {
    /// Reads the state of a pair in foreign memory.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<SemaphorePairState> {
        let state_at = |offset| Semaphore::read_state(&OffsetReader(reader, offset as u64));
        Some(SemaphorePairState {
            writer: state_at(offset_of!(Self, writer))?,
            reader: state_at(offset_of!(Self, reader))?,
        })
    }
}

impl<P: RawSemaphore> SemaphorePair<P> {
    constructor! {
        /// Creates a pair from two semaphores.
        ///
        /// `writer` has one permit for each slot, and `reader` has no permits.
        pub fn from_parts(writer: P, reader: P) -> Self {
            Self { writer, next_line: CachePadded, reader }
        }
    }

    /// Returns the semaphore of the writers.
    pub fn writer(&self) -> &P {
        &self.writer
    }

    /// Returns the semaphore of the readers.
    pub fn reader(&self) -> &P {
        &self.reader
    }

    /// Acquires a turn of the writers, blocking until one is available.
    pub fn write(&self) -> Turn<'_, P> {
        loop {
            if let Some(turn) = self.write_with(Timeout::Infinite) {
                return turn;
            }
        }
    }

    /// Acquires a turn of the writers if one is available.
    pub fn try_write(&self) -> Option<Turn<'_, P>> {
        self.write_with(Timeout::NonBlocking)
    }

    /// Acquires a turn of the writers, blocking for at most `timeout`.
    pub fn write_timeout(&self, timeout: Duration) -> Option<Turn<'_, P>> {
        self.write_with(Timeout::after(timeout))
    }

    /// Acquires a turn of the writers, blocking for at most `timeout`.
    pub fn write_with(&self, timeout: Timeout) -> Option<Turn<'_, P>> {
        self.write_some_with(1, timeout)
    }

    /// Acquires a turn of the readers, blocking until one is available.
    pub fn read(&self) -> Turn<'_, P> {
        loop {
            if let Some(turn) = self.read_with(Timeout::Infinite) {
                return turn;
            }
        }
    }

    /// Acquires a turn of the readers if one is available.
    pub fn try_read(&self) -> Option<Turn<'_, P>> {
        self.read_with(Timeout::NonBlocking)
    }

    /// Acquires a turn of the readers, blocking for at most `timeout`.
    pub fn read_timeout(&self, timeout: Duration) -> Option<Turn<'_, P>> {
        self.read_with(Timeout::after(timeout))
    }

    /// Acquires a turn of the readers, blocking for at most `timeout`.
    pub fn read_with(&self, timeout: Timeout) -> Option<Turn<'_, P>> {
        self.read_some_with(1, timeout)
    }

    /// Acquires between 1 and `max` turns of the writers, blocking until one is available.
    ///
    /// Returns `None` if the timeout expired first or if `max` is 0.
    ///
    /// # Example
    /// ```
    /// use interlatch::sync::SemaphorePair;
    /// use interlatch::sync::Timeout;
    ///
    /// let pair = SemaphorePair::new(3)?;
    /// let turns = pair.write_some_with(5, Timeout::NonBlocking).unwrap();
    /// assert_eq!(turns.count(), 3);
    /// turns.end(2);
    /// assert_eq!(pair.read_some_with(5, Timeout::NonBlocking).unwrap().count(), 2);
    /// # Ok::<(), interlatch::sync::PermitOverflow>(())
    /// ```
    pub fn write_some_with(&self, max: u32, timeout: Timeout) -> Option<Turn<'_, P>> {
        self.write_turns(max, timeout).map(Turn::new)
    }

    /// Acquires between 1 and `max` turns of the readers, blocking until one is available.
    ///
    /// Returns `None` if the timeout expired first or if `max` is 0.
    pub fn read_some_with(&self, max: u32, timeout: Timeout) -> Option<Turn<'_, P>> {
        self.read_turns(max, timeout).map(Turn::new)
    }

    /// Acquires turns like [`write_some_with`](Self::write_some_with), for use within one call.
    #[inline]
    pub(crate) fn write_turns(&self, max: u32, timeout: Timeout) -> Option<Turns<'_, P>> {
        Turns::acquire_with(&self.writer, &self.reader, max, timeout)
    }

    /// Acquires turns like [`read_some_with`](Self::read_some_with), for use within one call.
    #[inline]
    pub(crate) fn read_turns(&self, max: u32, timeout: Timeout) -> Option<Turns<'_, P>> {
        Turns::acquire_with(&self.reader, &self.writer, max, timeout)
    }
}

/// One or several turns of one side of a [`SemaphorePair`].
///
/// Dropping the turn ends it and lets the other side continue. If a panic drops the turn, the turn
/// also ends, as if its work were done.
///
/// # Process death
/// If the process dies during a turn, that turn never ends.
///
/// # Fork
/// The copy of a turn in a forked child stands for no turn: dropping or ending the copy does
/// nothing.
///
/// # Example
/// ```
/// let pair = interlatch::sync::SemaphorePair::one();
/// pair.write().cancel();
/// assert!(pair.try_read().is_none(), "there was no write");
/// drop(pair.write());
/// assert!(pair.try_read().is_some());
/// ```
#[derive(Debug)]
#[must_use = "dropping the turn ends it"]
pub struct Turn<'a, P: RawSemaphore = Semaphore> {
    turns: Turns<'a, P>,
    /// The process that acquired the turns.
    generation: Generation,
}

impl<'a, P: RawSemaphore> Turn<'a, P> {
    #[inline]
    fn new(turns: Turns<'a, P>) -> Self {
        let generation = Generation::current();
        Self { turns, generation }
    }

    /// Returns the number of turns that this value stands for, which is 1 unless more were
    /// requested.
    pub fn count(&self) -> u32 {
        self.turns.count
    }

    /// Ends at most `count` of these turns. The remaining turns return to the side that acquired
    /// them.
    pub fn end(mut self, count: u32) {
        if !self.generation.is_inherited() {
            self.turns.return_unused(count);
        }
    }

    /// Gives the turn back to the side that acquired it, so that the other side gets no turn.
    pub fn cancel(self) {
        self.end(0);
    }
}

impl<P: RawSemaphore> Drop for Turn<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if self.generation.is_inherited() {
            // The drop of `turns` then ends no turn.
            self.turns.count = 0;
        }
    }
}

/// Turns that are acquired and ended within one call, in which no process forks. Dropping the value
/// ends the turns.
#[derive(Debug)]
pub(crate) struct Turns<'a, P: RawSemaphore> {
    own: &'a P,
    other: &'a P,
    count: u32,
}

impl<'a, P: RawSemaphore> Turns<'a, P> {
    #[inline]
    fn acquire_with(own: &'a P, other: &'a P, max: u32, timeout: Timeout) -> Option<Self> {
        let count = match max {
            1 => u32::from(own.acquire_with(timeout)),
            // `RawSemaphore` is a safe trait, so an implementation may return more than `max`.
            _ => own.acquire_some_with(max, timeout).min(max),
        };
        (count > 0).then_some(Self { own, other, count })
    }

    /// The number of turns.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Ends at most `count` of these turns, and returns the others to the side that acquired them.
    #[inline]
    pub(crate) fn end(mut self, count: u32) {
        self.return_unused(count);
    }

    /// Returns all turns to the side that acquired them.
    #[inline]
    pub(crate) fn cancel(self) {
        self.end(0);
    }

    /// Keeps at most `count` turns, and returns the others to the side that acquired them.
    #[inline]
    fn return_unused(&mut self, count: u32) {
        let unused = self.count.saturating_sub(count);
        if unused > 0 {
            self.count -= unused;
            // An overflow means that other threads released permits of this semaphore without
            // having a turn.
            let _ = self.own.release(unused);
        }
    }
}

impl<P: RawSemaphore> Drop for Turns<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            // An overflow means that other threads released permits of this semaphore without
            // having a turn. The other side then has enough permits to continue.
            let _ = self.other.release(self.count);
        }
    }
}
