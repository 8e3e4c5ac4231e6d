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

use super::{MAX_PERMITS, PairState, Patience, PermitOverflow, Permits, Semaphore};
use crate::platform::{InPlace, NextLine, Words, WordsFrom, constructor};
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
/// use interlatch::SemaphorePair;
///
/// let pair = SemaphorePair::new(1)?;
/// drop(pair.write());
/// assert!(pair.try_write().is_none(), "the reader has not read yet");
/// drop(pair.read());
/// assert!(pair.try_write().is_some());
/// # Ok::<(), interlatch::PermitOverflow>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct SemaphorePair<P = Semaphore> {
    writer: P,
    next_line: NextLine,
    reader: P,
}

// SAFETY: two values that are `InPlace` themselves.
unsafe impl InPlace for SemaphorePair {
    fn initial() -> Self {
        Self::one()
    }
}

impl SemaphorePair {
    constructor! {
        /// The pair of the notes: one slot, and the writer begins.
        pub fn one() -> Self {
            Self { writer: Semaphore::binary(), next_line: NextLine, reader: Semaphore::empty() }
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
                Ok(writer) => Ok(Self { writer, next_line: NextLine, reader: Semaphore::empty() }),
                Err(overflow) => Err(overflow),
            }
        }
    }
}

impl SemaphorePair {
    /// The state of the one that these words are.
    pub(crate) fn state_of(words: &dyn Words) -> Option<PairState> {
        let part = |offset| Semaphore::state_of(&WordsFrom(words, offset as u64));
        Some(PairState {
            writer: part(offset_of!(Self, writer))?,
            reader: part(offset_of!(Self, reader))?,
        })
    }
}

impl<P: Permits> SemaphorePair<P> {
    constructor! {
        /// A pair of two semaphores: the writers' holds the slots, the readers' none.
        pub fn from_parts(writer: P, reader: P) -> Self {
            Self { writer, next_line: NextLine, reader }
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
        self.write_within(Patience::Never)
    }

    /// Waits for a writer's turn, or gives up after that time.
    pub fn write_timeout(&self, timeout: Duration) -> Option<WriteTurn<'_, P>> {
        self.write_within(Patience::of(timeout))
    }

    /// Waits for a writer's turn as long as patience lasts.
    pub fn write_within(&self, patience: Patience) -> Option<WriteTurn<'_, P>> {
        Turn::take_within(&self.writer, &self.reader, patience)
    }

    /// Waits for a reader's turn.
    pub fn read(&self) -> ReadTurn<'_, P> {
        Turn::take(&self.reader, &self.writer)
    }

    /// A reader's turn if there is one now.
    pub fn try_read(&self) -> Option<ReadTurn<'_, P>> {
        self.read_within(Patience::Never)
    }

    /// Waits for a reader's turn, or gives up after that time.
    pub fn read_timeout(&self, timeout: Duration) -> Option<ReadTurn<'_, P>> {
        self.read_within(Patience::of(timeout))
    }

    /// Waits for a reader's turn as long as patience lasts.
    pub fn read_within(&self, patience: Patience) -> Option<ReadTurn<'_, P>> {
        Turn::take_within(&self.reader, &self.writer, patience)
    }
}

/// A writer's turn: dropping it lets a reader go.
pub type WriteTurn<'a, P = Semaphore> = Turn<'a, P>;

/// A reader's turn: dropping it lets a writer go.
pub type ReadTurn<'a, P = Semaphore> = Turn<'a, P>;

/// The turn of one side: it holds a permit of its own semaphore and ends with one for the other.
///
/// A panic during the turn ends it too, as if its work were done.
///
/// # Process death
/// A process that dies does not end its turn.
///
/// # Example
/// ```
/// let pair = interlatch::SemaphorePair::one();
/// pair.write().cancel();
/// assert!(pair.try_read().is_none(), "nothing was written");
/// drop(pair.write());
/// assert!(pair.try_read().is_some());
/// ```
#[derive(Debug)]
#[must_use = "dropping this ends the turn"]
pub struct Turn<'a, P: Permits = Semaphore> {
    mine: &'a P,
    other: &'a P,
}

impl<'a, P: Permits> Turn<'a, P> {
    fn take(mine: &'a P, other: &'a P) -> Self {
        while !mine.acquire_within(Patience::Forever) {}
        Self { mine, other }
    }

    fn take_within(mine: &'a P, other: &'a P, patience: Patience) -> Option<Self> {
        mine.acquire_within(patience).then(|| Self { mine, other })
    }

    /// Gives the turn back untaken: the same side may go again, the other has nothing to do.
    pub fn cancel(self) {
        // As in `drop`, an overflow is somebody else's surplus.
        let _ = self.mine.release(1);
        core::mem::forget(self);
    }
}

impl<P: Permits> Drop for Turn<'_, P> {
    fn drop(&mut self) {
        // Overflow needs permits that never were turns; then the other side has enough to go on.
        let _ = self.other.release(1);
    }
}
