//! The operations that only the receiver of a ring has.

use super::RingBuffer;
use super::cursor::RecvCursor;
use super::loan::RingBorrow;
use crate::channel::OperationError;
use crate::channel::slot::{Slot, Slots};
use crate::channel::{Receiver, RecvError, RecvTimeoutError, TryRecvError, receiver};
use crate::platform::Pod;
use crate::sync::Timeout;
use std::time::Duration;

impl<T: Pod> RecvCursor<'_, T> {
    /// Receives an item.
    #[inline(always)]
    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        self.wait_for_slot(timeout)?;
        // SAFETY: the slot is filled and belongs to this side. Even if a faulty peer wrote to the
        // slot, the bytes are a valid `T`, because every bit pattern is a valid `T`. If this
        // process dies before `advance`, a successor copies the item again, which is sound because
        // `T` is `Pod`.
        let item = unsafe { self.next_slot().take() };
        self.advance(1);
        Ok(item)
    }

    /// Receives an item into `destination`.
    pub(super) fn recv_into(
        &self,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        self.wait_for_slot(timeout)?;
        // SAFETY: the slot is filled and belongs to this side. Copying the item is sound for the
        // same reasons as in `recv`.
        unsafe { self.next_slot().take_into(destination) };
        self.advance(1);
        Ok(())
    }

    /// Receives the available items that fit into `items`, waiting for the first item.
    fn recv_available(&self, items: &mut [T], timeout: Timeout) -> Result<usize, OperationError> {
        let count = self.wait_for_slots(items.len(), timeout)?;
        let [first, second] = self.next_slots(count);
        let (from_first, from_second) = items[..count].split_at_mut(first.len());
        // SAFETY: the slots are filled and belong to this side. Copying these items is sound for
        // the same reasons as in `recv`.
        unsafe {
            copy_out(first, from_first);
            copy_out(second, from_second);
        }
        self.advance(count);
        Ok(count)
    }
}

/// # Safety
/// The slots are filled and belong to the caller's side.
#[inline]
unsafe fn copy_out<T: Pod>(slots: &[Slot<T>], items: &mut [T]) {
    for (slot, item) in slots.iter().zip(items) {
        // SAFETY: the caller owns the filled slot.
        unsafe { slot.take_into(item) };
    }
}

/// The operations that only a [`RingBuffer`] has.
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, TryRecvError};
/// use interlatch::{Channel, RingBuffer};
///
/// let ring = RingBuffer::with_capacity(4)?.leak();
/// let (sender, receiver) = (ring.sender()?, ring.receiver()?);
/// let mut items = [0; 8];
/// assert_eq!(receiver.try_recv_slice(&mut items), Err(TryRecvError::Empty));
/// sender.send_slice(&[1, 2, 3])?;
/// drop(sender);
/// assert_eq!(receiver.recv(), Ok(1));
/// assert_eq!(receiver.recv_slice(&mut items), Ok(2), "all available items");
/// assert_eq!(items[..2], [2, 3]);
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected), "the end of the stream");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<'a, T: Pod, S: Slots<T> + ?Sized> Receiver<'a, RingBuffer<T, S>> {
    /// Receives the available items that fit into `items`, waiting for the first item.
    ///
    /// Returns the number of items. One store frees the slots of all these items. If `items` is
    /// empty, this returns 0 immediately.
    ///
    /// # Errors
    /// Fails if the ring is empty and the sender is gone, or if this handle is a copy in a forked
    /// child.
    pub fn recv_slice(&self, items: &mut [T]) -> Result<usize, RecvError> {
        receiver::until_done(|| self.recv_slice_with(items, Timeout::Infinite))
    }

    /// Receives the available items that fit into `items`, and returns their number.
    ///
    /// # Errors
    /// `Empty` if there is no item. For other errors, see [`recv_slice`](Self::recv_slice).
    pub fn try_recv_slice(&self, items: &mut [T]) -> Result<usize, TryRecvError> {
        Ok(self.recv_slice_with(items, Timeout::NonBlocking)?)
    }

    /// Receives the available items that fit into `items`, waiting at most this long for the first
    /// item.
    ///
    /// # Errors
    /// `Timeout` if there was no item. For other errors, see [`recv_slice`](Self::recv_slice).
    pub fn recv_slice_timeout(
        &self,
        items: &mut [T],
        timeout: Duration,
    ) -> Result<usize, RecvTimeoutError> {
        self.recv_slice_with(items, Timeout::after(timeout))
    }

    /// Receives the available items that fit into `items`, waiting until the timeout expires.
    ///
    /// # Errors
    /// Returns the same errors as [`recv_slice_timeout`](Self::recv_slice_timeout).
    pub fn recv_slice_with(
        &self,
        items: &mut [T],
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        if items.is_empty() {
            return Ok(0);
        }
        let cursor = self.owned_endpoint().map_err(OperationError::from)?;
        Ok(cursor.recv_available(items, timeout)?)
    }

    /// Borrows items in place, waiting until there is at least one.
    ///
    /// The borrow contains the available items up to the end of the ring. It has at least 1 and at
    /// most `max` items.
    ///
    /// # Errors
    /// Fails if the ring is empty and the sender is gone, or if this handle is a copy in a forked
    /// child.
    pub fn borrow(&mut self, max: usize) -> Result<RingBorrow<'_, 'a, T>, RecvError> {
        let count = receiver::until_done(|| self.wait_for_borrow(max, Timeout::Infinite))?;
        Ok(RingBorrow::new(self.endpoint_mut(), count))
    }

    /// Borrows items in place without blocking.
    ///
    /// # Errors
    /// `Empty` if there is no item. For other errors, see [`borrow`](Self::borrow).
    #[inline]
    pub fn try_borrow(&mut self, max: usize) -> Result<RingBorrow<'_, 'a, T>, TryRecvError> {
        Ok(self.borrow_with(max, Timeout::NonBlocking)?)
    }

    /// Borrows items in place, waiting until the timeout expires.
    ///
    /// # Errors
    /// `Timeout` if there was no item. For other errors, see [`borrow`](Self::borrow).
    #[inline]
    pub fn borrow_with(
        &mut self,
        max: usize,
        timeout: Timeout,
    ) -> Result<RingBorrow<'_, 'a, T>, RecvTimeoutError> {
        let count = self.wait_for_borrow(max, timeout)?;
        Ok(RingBorrow::new(self.endpoint_mut(), count))
    }

    #[inline]
    fn wait_for_borrow(&self, max: usize, timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        let cursor = self.owned_endpoint().map_err(OperationError::from)?;
        Ok(cursor.wait_for_slots(max.max(1), timeout)?)
    }
}
