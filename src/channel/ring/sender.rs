//! The operations that only the sender of a ring has.

use super::RingBuffer;
use super::cursor::SendCursor;
use super::loan::RingLoan;
use crate::channel::OperationError;
use crate::channel::slot::{Slot, Slots};
use crate::channel::{SendError, SendTimeoutError, Sender, TrySendError, sender};
use crate::platform::Pod;
use crate::sync::Timeout;
use std::time::Duration;

impl<T: Pod> SendCursor<'_, T> {
    /// Sends an item.
    #[inline(always)]
    pub(super) fn send(&self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        if let Err(cause) = self.wait_for_slot(timeout) {
            return Err(cause.with(item));
        }
        // SAFETY: the slot is free and belongs to this side. An earlier item in the slot was copied
        // out and is `Pod`.
        unsafe { self.next_slot().put(item) };
        self.advance(1);
        Ok(())
    }

    /// Sends a copy of an item.
    pub(super) fn send_ref(&self, item: &T, timeout: Timeout) -> Result<(), SendTimeoutError<()>> {
        self.wait_for_slot(timeout)?;
        // SAFETY: the slot is free and belongs to this side. An earlier item in the slot was copied
        // out and is `Pod`.
        unsafe { self.next_slot().put_from(item) };
        self.advance(1);
        Ok(())
    }

    /// Sends as many items as there are free slots, waiting for the first slot. Returns the number
    /// of sent items.
    #[inline]
    fn send_available(&self, items: &[T], timeout: Timeout) -> Result<usize, OperationError> {
        let count = self.wait_for_slots(items.len(), timeout)?;
        let [first, second] = self.next_slots(count);
        let (to_first, to_second) = items[..count].split_at(first.len());
        // SAFETY: the slots are free and belong to this side.
        unsafe {
            fill(first, to_first);
            fill(second, to_second);
        }
        self.advance(count);
        Ok(count)
    }
}

/// # Safety
/// The slots are free and belong to the caller's side.
#[inline]
unsafe fn fill<T: Pod>(slots: &[Slot<T>], items: &[T]) {
    for (slot, item) in slots.iter().zip(items) {
        // SAFETY: the caller owns the slot. An earlier item in the slot is `Pod`, so it needs no
        // drop.
        unsafe { slot.put_from(item) };
    }
}

/// The operations that only a [`RingBuffer`] has.
///
/// # Example
/// ```
/// use interlatch::channel::TrySendError;
/// use interlatch::{Channel, RingBuffer};
///
/// let ring = RingBuffer::with_capacity(2)?.leak();
/// let mut sender = ring.sender()?;
/// assert_eq!(sender.try_send(1), Ok(()));
/// assert_eq!(sender.try_send_slice(&[2, 3]), Ok(1), "one slot was free");
/// assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
/// assert_eq!(sender.try_loan(1).err(), Some(TrySendError::Full(())));
/// drop(ring.receiver()?);
/// assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<'a, T: Pod, S: Slots<T> + ?Sized> Sender<'a, RingBuffer<T, S>> {
    /// Sends all items in order, waiting for free slots, and returns their number.
    ///
    /// One store publishes all items for which slots are free. The returned number is less than the
    /// length of `items` only if the receiver disconnects during the call.
    ///
    /// # Errors
    /// Fails if no item was sent because the receiver is gone, or because this handle is a copy in
    /// a forked child.
    pub fn send_slice(&self, items: &[T]) -> Result<usize, SendError<()>> {
        sender::until_done(|| self.send_slice_with(items, Timeout::Infinite))
    }

    /// Sends the first items, one for each free slot, and returns the number of sent items.
    ///
    /// # Errors
    /// `Full` if no slot is free. For other errors, see [`send_slice`](Self::send_slice).
    pub fn try_send_slice(&self, items: &[T]) -> Result<usize, TrySendError<()>> {
        Ok(self.send_slice_with(items, Timeout::NonBlocking)?)
    }

    /// Sends the items for which slots become free within this duration, and returns their number.
    ///
    /// # Errors
    /// `Timeout` if no slot became free. For other errors, see [`send_slice`](Self::send_slice).
    pub fn send_slice_timeout(
        &self,
        items: &[T],
        timeout: Duration,
    ) -> Result<usize, SendTimeoutError<()>> {
        self.send_slice_with(items, Timeout::after(timeout))
    }

    /// Sends items in order until the timeout expires, and returns the number of sent items.
    ///
    /// # Errors
    /// Returns the same errors as [`send_slice_timeout`](Self::send_slice_timeout).
    pub fn send_slice_with(
        &self,
        items: &[T],
        timeout: Timeout,
    ) -> Result<usize, SendTimeoutError<()>> {
        let cursor = self.owned_endpoint().map_err(OperationError::from)?;
        let mut sent = 0;
        while sent < items.len() {
            match cursor.send_available(&items[sent..], timeout) {
                Ok(count) => sent += count,
                Err(cause) if sent == 0 => return Err(cause.into()),
                // This call returns the number of items that were sent. The next call returns the
                // error.
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// Lends free slots, waiting until at least one is free.
    ///
    /// The loan contains the free slots up to the end of the ring. It has at least 1 and at most
    /// `max` slots.
    ///
    /// # Errors
    /// Fails if the receiver is gone, or if this handle is a copy in a forked child.
    pub fn loan(&mut self, max: usize) -> Result<RingLoan<'_, 'a, T>, SendError<()>> {
        let count = sender::until_done(|| self.wait_for_loan(max, Timeout::Infinite))?;
        Ok(RingLoan::new(self.endpoint_mut(), count))
    }

    /// Lends free slots if there are any.
    ///
    /// # Errors
    /// `Full` if no slot is free. For other errors, see [`loan`](Self::loan).
    #[inline]
    pub fn try_loan(&mut self, max: usize) -> Result<RingLoan<'_, 'a, T>, TrySendError<()>> {
        Ok(self.loan_with(max, Timeout::NonBlocking)?)
    }

    /// Lends free slots, waiting until the timeout expires.
    ///
    /// # Errors
    /// `Timeout` if no slot became free. For other errors, see [`loan`](Self::loan).
    #[inline]
    pub fn loan_with(
        &mut self,
        max: usize,
        timeout: Timeout,
    ) -> Result<RingLoan<'_, 'a, T>, SendTimeoutError<()>> {
        let count = self.wait_for_loan(max, timeout)?;
        Ok(RingLoan::new(self.endpoint_mut(), count))
    }

    #[inline]
    fn wait_for_loan(&self, max: usize, timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        let cursor = self.owned_endpoint().map_err(OperationError::from)?;
        Ok(cursor.wait_for_slots(max.max(1), timeout)?)
    }
}
