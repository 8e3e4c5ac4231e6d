//! Items that are written and read where they are: explicit buffering, without a copy.
//!
//! **Promise.** A loan is a place of the buffer that nobody else has; sending it makes what is in it an item.
//! What is borrowed is an item that nobody else has, until it is given back as a place. No item is copied.
//!
//! **Why it is correct.** Both are turns of the [`RobustSemaphorePair`](crate::RobustSemaphorePair) of the buffer: a
//! turn belongs to one process until it is finished, in one step, or until that process dies.

use super::bounded::RobustBoundedBuffer;
use crate::channel::slot::Slot;
use crate::channel::{
    ChannelError, Direction, OperationError, Receiver, RecvError, RecvTimeoutError, SendError,
    SendTimeoutError, Sender, TryRecvError, TrySendError, receiver, sender,
};
use crate::platform::Pod;
use crate::sync::{PairSlots, RobustTurn, Side, Timeout};
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::time::Duration;

/// A place of a [`RobustBoundedBuffer`] to fill where it is. [`send`](Self::send) makes it an item; dropping it
/// gives it back unsent.
///
/// It holds what was last in it: zeros, an item, or half of one, if a sender died. It counts among the robust
/// locks of its thread, and stays there.
///
/// # Process death
/// As dropping it: the place is free again.
///
/// # Example
/// ```
/// use interlatch::channel::TurnSlot;
/// use interlatch::{Channel, RobustBoundedBuffer};
///
/// static BUFFER: RobustBoundedBuffer<[u8; 4096], [TurnSlot<[u8; 4096]>; 2]> =
///     RobustBoundedBuffer::from_slots([const { TurnSlot::empty() }; 2]);
///
/// let (sender, receiver) = (BUFFER.sender()?, BUFFER.receiver()?);
/// let mut page = sender.loan()?;
/// page.fill(7);
/// page.send()?;
/// let page = receiver.borrow()?;
/// assert!(page.iter().all(|byte| *byte == 7), "read where it is");
/// drop(page);
/// assert!(receiver.try_recv().is_err(), "it was received");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping this gives the place back unsent"]
pub struct Loan<'a, T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> {
    turn: RobustTurn<'a, S>,
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Loan<'_, T, S> {
    /// Makes what is in the place an item: the newest.
    ///
    /// # Errors
    /// As of [`RobustTurn::finish`]: the place is free again.
    pub fn send(self) -> Result<(), ChannelError> {
        let sent = self.turn.finish();
        sent.map_err(|error| match OperationError::from(error) {
            OperationError::Failed(cause) => cause,
            // An infinite timeout never expires.
            _ => ChannelError::Corrupted,
        })
    }

    /// Whether the last one that had the place as a loan, or for an item of more than 1024 bytes, died or panicked:
    /// what is in it may be half-done.
    pub fn is_owner_died(&self) -> bool {
        self.turn.is_owner_died()
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Deref for Loan<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the turn is this one's, so nobody else accesses the place.
        unsafe { self.turn.slot().payload().filled() }
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> DerefMut for Loan<'_, T, S> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` lends it to one.
        unsafe { self.turn.slot().payload().filled_mut() }
    }
}

/// An item of a [`RobustBoundedBuffer`], read where it is. Dropping it receives it: its place is free.
///
/// Unlike [`recv`](Receiver::recv), which copies under the lock, this may be overtaken by another receiver. It
/// counts among the robust locks of its thread, and stays there.
///
/// # Process death
/// The item is there again, for the next receiver: it may have been read, but was not received. So it is if a
/// panic drops it.
///
/// # Example
/// See [`Loan`].
#[must_use = "dropping this receives the item"]
pub struct Borrowed<'a, T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> {
    /// There until it is dropped.
    turn: Option<RobustTurn<'a, S>>,
    place: &'a Slot<T>,
    wake: &'a crate::sync::Condvar,
    /// Whether a panic was on its way already when it was borrowed.
    panicked_before: bool,
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Borrowed<'_, T, S> {
    /// Leaves the item to the next receiver.
    pub fn leave(mut self) {
        // Dropping a turn gives it back to the same side.
        self.turn = None;
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Deref for Borrowed<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the turn is this one's, so nobody else writes into the place.
        unsafe { self.place.filled() }
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Drop for Borrowed<'_, T, S> {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        if std::thread::panicking() && !self.panicked_before {
            return;
        }
        // What cannot be finished goes back, and says so to the next one.
        let _ = turn.finish();
        // If that was the last item of a stream that has ended, all who wait for one have to hear so.
        self.wake.notify_all();
    }
}

impl<T: Pod, S, const ENDS: usize> RobustBoundedBuffer<T, S, ENDS>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// A place to fill, as long as timeout lasts; for who has a [`Sender`] see [`Sender::loan`].
    ///
    /// # Errors
    /// In time there was none, or all receivers are gone.
    pub fn loan_with(&self, timeout: Timeout) -> Result<Loan<'_, T, S>, SendTimeoutError<()>> {
        let has_closed = || self.ends().has_closed(Direction::Receiving);
        let turn = self.turns().take_unless(Side::Writers, timeout, has_closed);
        let turn = turn.map_err(OperationError::from)?;
        Ok(Loan { turn })
    }

    /// An item to read, as long as timeout lasts; for who has a [`Receiver`] see [`Receiver::borrow`].
    ///
    /// # Errors
    /// In time there was none, or there is none and all senders are gone.
    pub fn borrow_with(&self, timeout: Timeout) -> Result<Borrowed<'_, T, S>, RecvTimeoutError> {
        let turns = self.turns();
        let has_ended = || turns.is_empty() && self.ends().has_closed(Direction::Sending);
        let turn = turns.take_unless(Side::Readers, timeout, has_ended);
        let turn = turn.map_err(OperationError::from)?;
        Ok(Borrowed {
            place: turn.slot().payload(),
            turn: Some(turn),
            wake: turns.condition(Side::Readers),
            panicked_before: std::thread::panicking(),
        })
    }
}

impl<T: Pod, S, const ENDS: usize> Sender<'_, RobustBoundedBuffer<T, S, ENDS>>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// A place to fill, waiting for one.
    ///
    /// # Errors
    /// If all receivers are gone.
    pub fn loan(&self) -> Result<Loan<'_, T, S>, SendError<()>> {
        sender::until_done(|| self.loan_with(Timeout::Infinite))
    }

    /// A place to fill, if one is free.
    ///
    /// # Errors
    /// `Timeout`, if none is; and as [`loan`](Self::loan).
    pub fn try_loan(&self) -> Result<Loan<'_, T, S>, TrySendError<()>> {
        Ok(self.loan_with(Timeout::NonBlocking)?)
    }

    /// A place to fill, unless that time is over first.
    ///
    /// # Errors
    /// As [`try_loan`](Self::try_loan).
    pub fn loan_timeout(&self, timeout: Duration) -> Result<Loan<'_, T, S>, SendTimeoutError<()>> {
        self.loan_with(Timeout::after(timeout))
    }

    /// A place to fill, as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_loan`](Self::try_loan).
    pub fn loan_with(&self, timeout: Timeout) -> Result<Loan<'_, T, S>, SendTimeoutError<()>> {
        match self.owned_endpoint() {
            Ok(_) => self.channel().loan_with(timeout),
            Err(cause) => Err(SendTimeoutError::Failed((), cause)),
        }
    }
}

impl<T: Pod, S, const ENDS: usize> Receiver<'_, RobustBoundedBuffer<T, S, ENDS>>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// The oldest item that nobody has, to read where it is; waiting for one.
    ///
    /// # Errors
    /// If there is none and all senders are gone.
    pub fn borrow(&self) -> Result<Borrowed<'_, T, S>, RecvError> {
        receiver::until_done(|| self.borrow_with(Timeout::Infinite))
    }

    /// The oldest item, if there is one.
    ///
    /// # Errors
    /// `Timeout`, if there is none; and as [`borrow`](Self::borrow).
    pub fn try_borrow(&self) -> Result<Borrowed<'_, T, S>, TryRecvError> {
        Ok(self.borrow_with(Timeout::NonBlocking)?)
    }

    /// The oldest item, unless that time is over first.
    ///
    /// # Errors
    /// As [`try_borrow`](Self::try_borrow).
    pub fn borrow_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Borrowed<'_, T, S>, RecvTimeoutError> {
        self.borrow_with(Timeout::after(timeout))
    }

    /// The oldest item, as long as timeout lasts.
    ///
    /// # Errors
    /// As [`try_borrow`](Self::try_borrow).
    pub fn borrow_with(&self, timeout: Timeout) -> Result<Borrowed<'_, T, S>, RecvTimeoutError> {
        match self.owned_endpoint() {
            Ok(_) => self.channel().borrow_with(timeout),
            Err(cause) => Err(RecvTimeoutError::Failed(cause)),
        }
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> fmt::Debug for Loan<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loan { .. }")
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> fmt::Debug for Borrowed<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Borrowed { .. }")
    }
}
