//! The end of a ring that sends.

use super::cursor::SendCursor;
use super::run::RingLoan;
use crate::channel::slot::Slot;
use crate::channel::{OperationError, SendError, SendTimeoutError, TrySendError};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use core::fmt;
use std::time::Duration;

/// The one handle that sends to a [`RingBuffer`](super::RingBuffer). Dropping it ends the stream, for good.
///
/// # Process death
/// See [`RingBuffer`](super::RingBuffer).
///
/// # Example
/// ```
/// use interlatch::channel::{AttachError, TrySendError};
/// use interlatch::RingBuffer;
///
/// let ring = RingBuffer::with_capacity(2)?;
/// let mut sender = ring.sender()?;
/// assert!(matches!(ring.sender(), Err(AttachError::SlotsInUse { max: 1, .. })));
/// assert_eq!(sender.try_send(1), Ok(()));
/// assert_eq!(sender.try_send_slice(&[2, 3]), Ok(1), "as far as there is room");
/// assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
/// drop(ring.receiver()?);
/// assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the sender ends the stream"]
pub struct RingSender<'a, T: Pod> {
    hand: SendCursor<'a, T>,
}

impl<'a, T: Pod> RingSender<'a, T> {
    pub(super) fn new(hand: SendCursor<'a, T>) -> Self {
        Self { hand }
    }

    /// Sends, waiting for a free place.
    ///
    /// # Errors
    /// The item comes back if the receiver has gone.
    #[inline]
    pub fn send(&mut self, item: T) -> Result<(), SendError<T>> {
        loop {
            match self.send_as_long_as(item, &Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    if let Ok(error) = error.without_deadline() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Sends if there is a free place.
    ///
    /// # Errors
    /// The item comes back.
    #[inline]
    pub fn try_send(&mut self, item: T) -> Result<(), TrySendError<T>> {
        self.send_as_long_as(item, &Timeout::NonBlocking)
            .map_err(TrySendError::from)
    }

    /// Sends, or gives up after that time.
    ///
    /// # Errors
    /// The item comes back.
    pub fn send_timeout(&mut self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_with(item, Timeout::after(timeout))
    }

    /// Sends, or gives up at that time.
    ///
    /// # Errors
    /// The item comes back.
    pub fn send_deadline(
        &mut self,
        item: T,
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<T>> {
        self.send_with(item, Timeout::At(deadline))
    }

    /// Sends as long as timeout lasts.
    ///
    /// # Errors
    /// The item comes back.
    #[inline]
    pub fn send_with(&mut self, item: T, timeout: Timeout) -> Result<(), SendTimeoutError<T>> {
        self.send_as_long_as(item, &timeout)
    }

    /// The same. By reference, so that a timeout that is a constant is not written down for each item.
    #[inline]
    fn send_as_long_as(&mut self, item: T, timeout: &Timeout) -> Result<(), SendTimeoutError<T>> {
        if let Err(refused) = self.hand.reserve(timeout) {
            return Err(refused.with(item));
        }
        // SAFETY: the place is this one's, and empty: what was in it was copied out, and is plain.
        unsafe { self.hand.next().put(item) };
        self.hand.advance(1);
        Ok(())
    }

    /// Sends all of these in their order, waiting for places, and says how many: fewer only if the receiver goes
    /// meanwhile. The count is moved once for as many as there is room for.
    ///
    /// # Errors
    /// None was sent, as the receiver has gone.
    pub fn send_slice(&mut self, items: &[T]) -> Result<usize, SendTimeoutError<()>> {
        self.send_slice_with(items, Timeout::Infinite)
    }

    /// Sends as many of these, from the first one on, as there is room for.
    ///
    /// # Errors
    /// None was sent: there is no room, or the receiver has gone.
    pub fn try_send_slice(&mut self, items: &[T]) -> Result<usize, SendTimeoutError<()>> {
        self.send_slice_with(items, Timeout::NonBlocking)
    }

    /// Sends as many of these as there was room for in that time.
    ///
    /// # Errors
    /// None was sent: there was no room in time, or the receiver has gone.
    pub fn send_slice_timeout(
        &mut self,
        items: &[T],
        timeout: Duration,
    ) -> Result<usize, SendTimeoutError<()>> {
        self.send_slice_with(items, Timeout::after(timeout))
    }

    /// Sends these as long as timeout lasts, and says how many it has sent.
    ///
    /// # Errors
    /// None was sent: there was no room in time, or the receiver has gone.
    pub fn send_slice_with(
        &mut self,
        items: &[T],
        timeout: Timeout,
    ) -> Result<usize, SendTimeoutError<()>> {
        let mut sent = 0;
        while sent < items.len() {
            match self.send_some(&items[sent..], timeout) {
                Ok(count) => sent += count,
                Err(refused) if sent == 0 => return Err(refused.into()),
                // What was sent is news of its own; the next call hears the rest.
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    #[inline]
    fn send_some(&mut self, items: &[T], timeout: Timeout) -> Result<usize, OperationError> {
        let count = self.hand.reserve_up_to(items.len(), &timeout)?;
        let [first, second] = self.hand.places(count);
        let (of_first, of_second) = items[..count].split_at(first.len());
        // SAFETY: the places are this one's.
        unsafe {
            put(first, of_first);
            put(second, of_second);
        }
        self.hand.advance(count);
        Ok(count)
    }

    /// Free places to fill where they are, at most so many (and at least one): as many as there are, up to the end of the
    /// ring. Waits for one.
    ///
    /// # Errors
    /// If the receiver has gone.
    pub fn loan(&mut self, most: usize) -> Result<RingLoan<'_, 'a, T>, SendTimeoutError<()>> {
        let count = loop {
            match self.reserve_run(most, Timeout::Infinite) {
                // Forever does not run out.
                Err(OperationError::Timeout) => {}
                reserved => break reserved?,
            }
        };
        Ok(RingLoan::new(&mut self.hand, count))
    }

    /// Free places to fill, if there are some.
    ///
    /// # Errors
    /// There is none, or the receiver has gone.
    #[inline]
    pub fn try_loan(&mut self, most: usize) -> Result<RingLoan<'_, 'a, T>, SendTimeoutError<()>> {
        self.loan_with(most, Timeout::NonBlocking)
    }

    /// Free places to fill, as soon as there is one, as long as timeout lasts.
    ///
    /// # Errors
    /// In time there was none, or the receiver has gone.
    #[inline]
    pub fn loan_with(
        &mut self,
        most: usize,
        timeout: Timeout,
    ) -> Result<RingLoan<'_, 'a, T>, SendTimeoutError<()>> {
        let count = self.reserve_run(most, timeout)?;
        Ok(RingLoan::new(&mut self.hand, count))
    }

    #[inline]
    fn reserve_run(&mut self, most: usize, timeout: Timeout) -> Result<usize, OperationError> {
        self.hand.reserve_up_to(most.max(1), &timeout)
    }

    /// Closes this end, as dropping it does.
    pub fn close(self) {}
}

/// # Safety
/// The places are the caller's.
#[inline]
unsafe fn put<T: Pod>(places: &[Slot<T>], items: &[T]) {
    for (place, item) in places.iter().zip(items) {
        // SAFETY: the caller's promise; an item that was there is plain, and needs nothing.
        unsafe { place.put(*item) };
    }
}

impl<T: Pod> fmt::Debug for RingSender<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingSender { .. }")
    }
}
