//! Two semaphores that hand a turn back and forth.
//!
//! **Promise.** Writers and readers alternate: with one slot, write, read, write, read; with `n`
//! slots, writers are at most `n` turns ahead of the readers, who are never ahead.
//!
//! **Source.** The pair of the course notes, writer = 1 and reader = 0, generalized to a number
//! of slots as in Dijkstra's bounded buffer (*Cooperating sequential processes*, 1965).
//!
//! **Why it is correct.** Each side waits for its own semaphore and posts the other's, so the
//! permits of both and the turns that are being taken always add up to the number of slots.

use super::{MAX_PERMITS, PermitOverflow, RawSemaphore, Semaphore, SemaphorePairState, Timeout};
use crate::platform::{
    CachePadded, MemoryReader, OffsetReader, ShmSafe, ShmType, TypeInfo, constructor,
};
use core::mem::offset_of;
use std::time::Duration;

/// The hand-off between writers and readers.
///
/// A turn is a guard: dropping it ends the turn and lets the other side go. It says whose turn
/// it is, not which slot: with more than one slot, what the turns are about needs a lock, as
/// in `BoundedBuffer`.
///
/// # Process death
/// A turn whose holder dies is never ended: the slot is lost.
///
/// # Example
/// ```
/// use interlatch::sync::SemaphorePair;
///
/// let pair = SemaphorePair::new(1)?;
/// drop(pair.write());
/// assert!(pair.try_write().is_none(), "the reader has not read yet");
/// drop(pair.read());
/// assert!(pair.try_write().is_some());
/// # Ok::<(), interlatch::sync::PermitOverflow>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct SemaphorePair<P = Semaphore> {
    writer: P,
    next_line: CachePadded,
    reader: P,
}

// SAFETY: two values that are `ShmSafe` themselves.
unsafe impl ShmSafe for SemaphorePair {
    fn initial() -> Self {
        Self::one()
    }
}

impl ShmType for SemaphorePair {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("SemaphorePair").of_this_crate();
}

impl SemaphorePair {
    constructor! {
        /// The pair of the notes: one slot, and the writer begins.
        pub fn one() -> Self {
            Self { writer: Semaphore::binary(), next_line: CachePadded, reader: Semaphore::empty() }
        }
    }

    constructor! {
        /// A pair with that many slots, all of them the writers'.
        ///
        /// # Errors
        /// If a semaphore cannot count that many and one more.
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
    /// The state of the one that these words are.
    pub(crate) fn read_state(words: &dyn MemoryReader) -> Option<SemaphorePairState> {
        let part = |offset| Semaphore::read_state(&OffsetReader(words, offset as u64));
        Some(SemaphorePairState {
            writer: part(offset_of!(Self, writer))?,
            reader: part(offset_of!(Self, reader))?,
        })
    }
}

impl<P: RawSemaphore> SemaphorePair<P> {
    constructor! {
        /// A pair of two semaphores: the writers' holds the slots, the readers' none.
        pub fn from_parts(writer: P, reader: P) -> Self {
            Self { writer, next_line: CachePadded, reader }
        }
    }

    /// The writers' semaphore.
    pub fn writer(&self) -> &P {
        &self.writer
    }

    /// The readers' semaphore.
    pub fn reader(&self) -> &P {
        &self.reader
    }

    /// Waits for a writer's turn.
    pub fn write(&self) -> WriteTurn<'_, P> {
        Turn::take(&self.writer, &self.reader)
    }

    /// A writer's turn if there is one now.
    pub fn try_write(&self) -> Option<WriteTurn<'_, P>> {
        self.write_with(Timeout::NonBlocking)
    }

    /// Waits for a writer's turn, or gives up after that time.
    pub fn write_timeout(&self, timeout: Duration) -> Option<WriteTurn<'_, P>> {
        self.write_with(Timeout::after(timeout))
    }

    /// Waits for a writer's turn as long as timeout lasts.
    pub fn write_with(&self, timeout: Timeout) -> Option<WriteTurn<'_, P>> {
        Turn::take_with(&self.writer, &self.reader, 1, timeout)
    }

    /// Waits for a reader's turn.
    pub fn read(&self) -> ReadTurn<'_, P> {
        Turn::take(&self.reader, &self.writer)
    }

    /// A reader's turn if there is one now.
    pub fn try_read(&self) -> Option<ReadTurn<'_, P>> {
        self.read_with(Timeout::NonBlocking)
    }

    /// Waits for a reader's turn, or gives up after that time.
    pub fn read_timeout(&self, timeout: Duration) -> Option<ReadTurn<'_, P>> {
        self.read_with(Timeout::after(timeout))
    }

    /// Waits for a reader's turn as long as timeout lasts.
    pub fn read_with(&self, timeout: Timeout) -> Option<ReadTurn<'_, P>> {
        Turn::take_with(&self.reader, &self.writer, 1, timeout)
    }

    /// Waits for a writer's turn as long as timeout lasts, and takes others along that are there, so that
    /// they are at most that many.
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
    pub fn write_some_with(&self, most: u32, timeout: Timeout) -> Option<WriteTurn<'_, P>> {
        Turn::take_with(&self.writer, &self.reader, most, timeout)
    }

    /// The same for readers.
    pub fn read_some_with(&self, most: u32, timeout: Timeout) -> Option<ReadTurn<'_, P>> {
        Turn::take_with(&self.reader, &self.writer, most, timeout)
    }
}

/// A writer's turn: dropping it lets a reader go.
pub type WriteTurn<'a, P = Semaphore> = Turn<'a, P>;

/// A reader's turn: dropping it lets a writer go.
pub type ReadTurn<'a, P = Semaphore> = Turn<'a, P>;

/// The turn of one side: it holds a permit of its own semaphore and ends with one for the other. Or several
/// turns, that were taken together.
///
/// A panic during the turn ends it too, as if its work were done.
///
/// # Process death
/// A process that dies does not end its turn.
///
/// # Example
/// ```
/// let pair = interlatch::sync::SemaphorePair::one();
/// pair.write().cancel();
/// assert!(pair.try_read().is_none(), "nothing was written");
/// drop(pair.write());
/// assert!(pair.try_read().is_some());
/// ```
#[derive(Debug)]
#[must_use = "dropping this ends the turn"]
pub struct Turn<'a, P: RawSemaphore = Semaphore> {
    mine: &'a P,
    other: &'a P,
    count: u32,
}

impl<'a, P: RawSemaphore> Turn<'a, P> {
    fn take(mine: &'a P, other: &'a P) -> Self {
        loop {
            if let Some(turn) = Self::take_with(mine, other, 1, Timeout::Infinite) {
                return turn;
            }
        }
    }

    #[inline]
    fn take_with(mine: &'a P, other: &'a P, most: u32, timeout: Timeout) -> Option<Self> {
        let count = match most {
            1 => u32::from(mine.acquire_with(timeout)),
            _ => mine.acquire_some_with(most, timeout),
        };
        (count > 0).then_some(Self { mine, other, count })
    }

    /// How many turns these are: one, unless more were asked for.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Ends so many of the turns, all at most, and gives the others back untaken.
    pub fn end(mut self, count: u32) {
        let untaken = self.count.saturating_sub(count);
        if untaken > 0 {
            self.count -= untaken;
            // As in `drop`, an overflow is somebody else's surplus.
            let _ = self.mine.release(untaken);
        }
    }

    /// Gives the turn back untaken: the same side may go again, the other has nothing to do.
    pub fn cancel(self) {
        self.end(0);
    }
}

impl<P: RawSemaphore> Drop for Turn<'_, P> {
    fn drop(&mut self) {
        if self.count > 0 {
            // Overflow needs permits that never were turns; then the other side has enough to go on.
            let _ = self.other.release(self.count);
        }
    }
}
