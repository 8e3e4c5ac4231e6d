//! Items that are written and read in place.

use super::bounded::RobustBoundedBuffer;
use crate::channel::slot::Slot;
use crate::channel::{
    ChannelError, Direction, OperationError, Receiver, RecvError, RecvTimeoutError, SendError,
    SendTimeoutError, Sender, TryRecvError, TrySendError, receiver, sender,
};
use crate::platform::Pod;
use crate::sync::{Condvar, LockedPair, PairSide, PairSlots, RobustTurn, Timeout};
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::time::Duration;

/// A free slot of a [`RobustBoundedBuffer`] that the sender fills in place.
///
/// The method [`Sender::loan`] returns a loan. [`send`](Self::send) turns the contents of the slot
/// into an item without a copy. Dropping the loan returns the slot without sending. The loan
/// dereferences to the contents of the slot: zeros, an earlier item, or a partly written item of a
/// dead sender, which [`is_owner_died`](Self::is_owner_died) reports.
///
/// A loan holds a robust lock, of which a thread can hold at most 128. The loan cannot move to
/// another thread.
///
/// # Process death
/// If the process dies, the slot is free again, as if the loan was dropped.
///
/// # Fork
/// A copy in a forked child sends nothing: `send` fails with `Inherited`, and dropping the copy
/// does nothing.
///
/// # How it works
/// A loan is a turn of the buffer's [`RobustSemaphorePair`](crate::sync::RobustSemaphorePair). The
/// turn gives one thread exclusive access to its slot until the turn is finished in one step or the
/// thread dies.
///
/// # Example
/// ```
/// use interlatch::channel::{TryRecvError, TrySendError, TurnSlot};
/// use interlatch::{Channel, Region, RobustBoundedBuffer};
///
/// type Pages = RobustBoundedBuffer<[u8; 4096], [TurnSlot<[u8; 4096]>]>;
///
/// let region = Region::memfd("pages", 1 << 16)?;
/// region.create::<Pages>("pages", 1)?;
/// // Another process maps the region and attaches to the buffer by its name.
/// let pages: &Pages = region.attach("pages")?;
/// let (sender, receiver) = (pages.sender()?, pages.receiver()?);
/// let mut page = sender.loan()?;
/// assert_eq!(sender.try_loan().err(), Some(TrySendError::Full(())));
/// page.fill(7);
/// page.send()?;
/// let page = receiver.borrow()?;
/// assert!(page.iter().all(|byte| *byte == 7), "read in place");
/// drop(page);
/// assert_eq!(receiver.try_borrow().err(), Some(TryRecvError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the loan returns the slot unsent"]
pub struct Loan<'a, T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> {
    turn: RobustTurn<'a, S>,
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Loan<'_, T, S> {
    /// Sends the contents of the slot as the newest item.
    ///
    /// # Errors
    /// Returns the cause of the failure, and the slot is free again. See [`RobustTurn::finish`].
    pub fn send(self) -> Result<(), ChannelError> {
        let sent = self.turn.finish();
        sent.map_err(|error| match OperationError::from(error) {
            OperationError::Failed(cause) => cause,
            // This match arm is never reached, because an infinite timeout never expires and a lock
            // is never disconnected.
            _ => ChannelError::Corrupted,
        })
    }

    /// Whether the contents of the slot may be incomplete.
    ///
    /// This is true if the last holder of the slot died or panicked. A holder is a loan, or a
    /// sender of an item of more than 1024 bytes.
    pub fn is_owner_died(&self) -> bool {
        self.turn.is_owner_died()
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Deref for Loan<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `turn` excludes every other access to the slot.
        unsafe { self.turn.slot().payload().filled() }
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> DerefMut for Loan<'_, T, S> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `turn` excludes every other access to the slot, and `&mut self` lends the
        // contents to one caller.
        unsafe { self.turn.slot().payload().filled_mut() }
    }
}

/// An item of a [`RobustBoundedBuffer`] that the receiver reads in place.
///
/// [`Receiver::borrow`] returns this value. Dropping the value receives the item and frees the
/// slot. The method [`leave`](Self::leave) returns the item to the receivers.
/// [`recv`](Receiver::recv) copies under the lock, but a borrower does not hold that lock and may
/// be overtaken by another receiver.
///
/// A borrowed item holds a robust lock, of which a thread can hold at most 128. The value cannot
/// move to another thread.
///
/// # Process death
/// If the process dies, the item is available to the next receiver. The dead process may have read
/// the item but has not received it. The item also stays available if a panic drops the borrowed
/// value.
///
/// # Fork
/// Dropping the copy in a forked child receives nothing.
///
/// # How it works
/// A borrowed item works like a [`Loan`], but with a reader's turn.
///
/// # Example
/// See [`Loan`].
#[must_use = "dropping this value receives the item"]
pub struct Borrowed<'a, T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> {
    /// `Some` until the value is dropped or left.
    turn: Option<RobustTurn<'a, S>>,
    slot: &'a Slot<T>,
    /// The condition variable on which the receivers wait.
    receivers: &'a Condvar,
    /// Whether the thread was already panicking when it borrowed the item.
    was_panicking: bool,
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Borrowed<'_, T, S> {
    /// Leaves the item to the next receiver.
    pub fn leave(mut self) {
        // Dropping the turn returns the slot to the receivers, so another receiver can read the
        // item.
        self.turn = None;
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Deref for Borrowed<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `turn` excludes every write to the slot.
        unsafe { self.slot.filled() }
    }
}

impl<T: Pod, S: PairSlots<Payload = Slot<T>> + ?Sized> Drop for Borrowed<'_, T, S> {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        if std::thread::panicking() && !self.was_panicking {
            return;
        }
        // A turn that cannot finish returns its item to the receivers.
        let _ = turn.finish();
        // If this was the last item of an ended stream, all waiting receivers must learn that the
        // stream has ended.
        self.receivers.notify_all();
    }
}

impl<T: Pod, S, const MAX_ENDPOINTS: usize> RobustBoundedBuffer<T, S, MAX_ENDPOINTS>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// Borrows a free slot without a handle. If you have a handle, use [`Sender::loan`].
    ///
    /// # Errors
    /// `Timeout` if no slot became free. For other errors, see [`Sender::loan`].
    pub fn loan_with(&self, timeout: Timeout) -> Result<Loan<'_, T, S>, SendTimeoutError<()>> {
        // SAFETY: the pair calls this under its lock, which is the channel's lock.
        let has_closed =
            |_: &LockedPair<'_, S>| unsafe { self.endpoints().has_closed(Direction::Receiving) };
        let turn = self
            .turns()
            .acquire_unless(PairSide::Writers, timeout, has_closed);
        let turn = turn.map_err(OperationError::from)?;
        let turn = turn.ok_or(OperationError::Disconnected)?;
        Ok(Loan { turn })
    }

    /// Borrows the oldest item without a handle.
    ///
    /// If you have a handle, use [`Receiver::borrow`].
    ///
    /// # Errors
    /// `Timeout` if no item became available. For other errors, see [`Receiver::borrow`].
    pub fn borrow_with(&self, timeout: Timeout) -> Result<Borrowed<'_, T, S>, RecvTimeoutError> {
        let turns = self.turns();
        let has_ended = |turns: &LockedPair<'_, S>| {
            // SAFETY: the pair calls this under its lock, which is the channel's lock.
            turns.is_empty() && unsafe { self.endpoints().has_closed(Direction::Sending) }
        };
        let turn = turns.acquire_unless(PairSide::Readers, timeout, has_ended);
        let turn = turn.map_err(OperationError::from)?;
        let turn = turn.ok_or(OperationError::Disconnected)?;
        Ok(Borrowed {
            slot: turn.slot().payload(),
            turn: Some(turn),
            receivers: turns.condvar(PairSide::Readers),
            was_panicking: std::thread::panicking(),
        })
    }
}

impl<T: Pod, S, const MAX_ENDPOINTS: usize> Sender<'_, RobustBoundedBuffer<T, S, MAX_ENDPOINTS>>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// Borrows a free slot to fill in place, blocking until a slot is free.
    ///
    /// # Errors
    /// `Disconnected` if all receivers are gone, `Failed` with the cause otherwise.
    pub fn loan(&self) -> Result<Loan<'_, T, S>, SendError<()>> {
        sender::until_done(|| self.loan_with(Timeout::Infinite))
    }

    /// Borrows a slot if one is free.
    ///
    /// # Errors
    /// `Full` if no slot is free. For other errors, see [`loan`](Self::loan).
    pub fn try_loan(&self) -> Result<Loan<'_, T, S>, TrySendError<()>> {
        Ok(self.loan_with(Timeout::NonBlocking)?)
    }

    /// Borrows a free slot, blocking for at most this duration.
    ///
    /// # Errors
    /// `Timeout` if no slot became free. For other errors, see [`loan`](Self::loan).
    pub fn loan_timeout(&self, timeout: Duration) -> Result<Loan<'_, T, S>, SendTimeoutError<()>> {
        self.loan_with(Timeout::after(timeout))
    }

    /// Borrows a free slot with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`loan_timeout`](Self::loan_timeout).
    pub fn loan_with(&self, timeout: Timeout) -> Result<Loan<'_, T, S>, SendTimeoutError<()>> {
        match self.owned_endpoint() {
            Ok(_) => self.channel().loan_with(timeout),
            Err(cause) => Err(SendTimeoutError::Failed((), cause)),
        }
    }
}

impl<T: Pod, S, const MAX_ENDPOINTS: usize> Receiver<'_, RobustBoundedBuffer<T, S, MAX_ENDPOINTS>>
where
    S: PairSlots<Payload = Slot<T>> + ?Sized,
{
    /// Borrows the oldest item that is not borrowed, blocking until one is available.
    ///
    /// # Errors
    /// `Disconnected` if no item is available and all senders are gone, `Failed` with the cause
    /// otherwise.
    pub fn borrow(&self) -> Result<Borrowed<'_, T, S>, RecvError> {
        receiver::until_done(|| self.borrow_with(Timeout::Infinite))
    }

    /// Borrows the oldest item if one is available.
    ///
    /// # Errors
    /// `Empty` if no item is available. For other errors, see [`borrow`](Self::borrow).
    pub fn try_borrow(&self) -> Result<Borrowed<'_, T, S>, TryRecvError> {
        Ok(self.borrow_with(Timeout::NonBlocking)?)
    }

    /// Borrows the oldest item, blocking for at most this duration.
    ///
    /// # Errors
    /// `Timeout` if no item became available. For other errors, see [`borrow`](Self::borrow).
    pub fn borrow_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Borrowed<'_, T, S>, RecvTimeoutError> {
        self.borrow_with(Timeout::after(timeout))
    }

    /// Borrows the oldest item with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`borrow_timeout`](Self::borrow_timeout).
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
