//! The end of a ring that receives.

use super::cursor::RecvCursor;
use super::run::RingBorrow;
use crate::channel::slot::Slot;
use crate::channel::{OperationError, RecvError, RecvTimeoutError, TryRecvError};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use core::fmt;
use std::time::Duration;

/// The one handle that receives from a [`RingBuffer`](super::RingBuffer). Dropping it breaks the pipe, for good.
///
/// # Process death
/// See [`RingBuffer`](super::RingBuffer).
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, TryRecvError};
/// use interlatch::RingBuffer;
///
/// let ring = RingBuffer::with_capacity(4)?;
/// let (mut sender, mut receiver) = (ring.sender()?, ring.receiver()?);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send_slice(&[1, 2, 3])?;
/// drop(sender);
/// let mut items = [0; 8];
/// assert_eq!(receiver.recv(), Ok(1));
/// assert_eq!(receiver.recv_into(&mut items), Ok(2), "what there is");
/// assert_eq!(items[..2], [2, 3]);
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected), "and then the end");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the receiver breaks the pipe"]
pub struct RingReceiver<'a, T: Pod> {
    hand: RecvCursor<'a, T>,
}

impl<'a, T: Pod> RingReceiver<'a, T> {
    pub(super) fn new(hand: RecvCursor<'a, T>) -> Self {
        Self { hand }
    }

    /// Receives the oldest item, waiting for one.
    ///
    /// # Errors
    /// If the ring is empty and the sender has gone.
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        loop {
            match self.recv_as_long_as(&Timeout::Infinite) {
                Ok(item) => return Ok(item),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError::Disconnected),
                Err(RecvTimeoutError::Failed(cause)) => return Err(RecvError::Failed(cause)),
                // Forever does not run out.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Receives the oldest item if there is one.
    ///
    /// # Errors
    /// There is none; if the sender has gone, none will come.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.recv_as_long_as(&Timeout::NonBlocking).map_err(of_try)
    }

    /// Receives the oldest item, or gives up after that time.
    ///
    /// # Errors
    /// If there was none in time, or the ring is empty and the sender has gone.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives the oldest item, or gives up at that time.
    ///
    /// # Errors
    /// If there was none in time, or the ring is empty and the sender has gone.
    pub fn recv_deadline(&mut self, deadline: Deadline) -> Result<T, RecvTimeoutError> {
        self.recv_with(Timeout::At(deadline))
    }

    /// Receives the oldest item as long as timeout lasts.
    ///
    /// # Errors
    /// If there was none in time, or the ring is empty and the sender has gone.
    #[inline]
    pub fn recv_with(&mut self, timeout: Timeout) -> Result<T, RecvTimeoutError> {
        self.recv_as_long_as(&timeout)
    }

    /// The same. By reference, so that a timeout that is a constant is not written down for each item.
    #[inline]
    fn recv_as_long_as(&mut self, timeout: &Timeout) -> Result<T, RecvTimeoutError> {
        self.hand.reserve(timeout)?;
        // SAFETY: the place is this one's. It has an item, or whatever a faulty peer has made one; it is plain,
        // so it may be copied out again if this process dies before the place is given back.
        let item = unsafe { self.hand.next().take() };
        self.hand.advance(1);
        Ok(item)
    }

    /// Receives as many as there are, up to the length of the slice, and says how many; waiting for the first one.
    /// The count is moved once. Into a slice of none, none at once.
    ///
    /// # Errors
    /// If the ring is empty and the sender has gone.
    pub fn recv_into(&mut self, items: &mut [T]) -> Result<usize, RecvError> {
        loop {
            match self.recv_into_with(items, Timeout::Infinite) {
                Ok(count) => return Ok(count),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError::Disconnected),
                Err(RecvTimeoutError::Failed(cause)) => return Err(RecvError::Failed(cause)),
                // Forever does not run out.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Receives as many as there are, up to the length of the slice.
    ///
    /// # Errors
    /// There is none; if the sender has gone, none will come.
    pub fn try_recv_into(&mut self, items: &mut [T]) -> Result<usize, TryRecvError> {
        self.recv_into_with(items, Timeout::NonBlocking)
            .map_err(of_try)
    }

    /// Receives as many as there are, as soon as there is one, as long as timeout lasts.
    ///
    /// # Errors
    /// If there was none in time, or the ring is empty and the sender has gone.
    pub fn recv_into_with(
        &mut self,
        items: &mut [T],
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        if items.is_empty() {
            return Ok(0);
        }
        let count = self.hand.reserve_up_to(items.len(), &timeout)?;
        let [first, second] = self.hand.places(count);
        let (to_first, to_second) = items[..count].split_at_mut(first.len());
        // SAFETY: the places are this one's, and have items; as in `recv_with`.
        unsafe {
            take(first, to_first);
            take(second, to_second);
        }
        self.hand.advance(count);
        Ok(count)
    }

    /// Items to read where they are, at most so many (and at least one): as many as there are, up to the end of the ring.
    /// Waits for one.
    ///
    /// # Errors
    /// If the ring is empty and the sender has gone.
    pub fn borrow(&mut self, most: usize) -> Result<RingBorrow<'_, 'a, T>, RecvError> {
        let count = loop {
            match self.reserve_run(most, Timeout::Infinite) {
                Ok(count) => break count,
                Err(OperationError::Disconnected) => return Err(RecvError::Disconnected),
                Err(OperationError::Failed(cause)) => return Err(RecvError::Failed(cause)),
                // Forever does not run out.
                Err(OperationError::Timeout) => {}
            }
        };
        Ok(RingBorrow::new(&mut self.hand, count))
    }

    /// Items to read where they are, if there are some.
    ///
    /// # Errors
    /// There is none; if the sender has gone, none will come.
    #[inline]
    pub fn try_borrow(&mut self, most: usize) -> Result<RingBorrow<'_, 'a, T>, TryRecvError> {
        self.borrow_with(most, Timeout::NonBlocking).map_err(of_try)
    }

    /// Items to read where they are, as soon as there is one, as long as timeout lasts.
    ///
    /// # Errors
    /// If there was none in time, or the ring is empty and the sender has gone.
    #[inline]
    pub fn borrow_with(
        &mut self,
        most: usize,
        timeout: Timeout,
    ) -> Result<RingBorrow<'_, 'a, T>, RecvTimeoutError> {
        let count = self.reserve_run(most, timeout)?;
        Ok(RingBorrow::new(&mut self.hand, count))
    }

    #[inline]
    fn reserve_run(&mut self, most: usize, timeout: Timeout) -> Result<usize, OperationError> {
        self.hand.reserve_up_to(most.max(1), &timeout)
    }

    /// Every item until the stream ends, waiting for each.
    pub fn iter(&mut self) -> RingIter<'_, 'a, T> {
        RingIter { receiver: self }
    }

    /// The items that are there, without waiting.
    pub fn try_iter(&mut self) -> RingTryIter<'_, 'a, T> {
        RingTryIter { receiver: self }
    }

    /// Closes this end, as dropping it does.
    pub fn close(self) {}
}

fn of_try(refused: RecvTimeoutError) -> TryRecvError {
    refused.into()
}

/// # Safety
/// The places are the caller's, and were filled.
#[inline]
unsafe fn take<T: Pod>(places: &[Slot<T>], items: &mut [T]) {
    for (place, item) in places.iter().zip(items) {
        // SAFETY: the caller's promise.
        *item = unsafe { place.take() };
    }
}

/// The items of a ring until the stream ends: [`RingReceiver::iter`].
#[derive(Debug)]
pub struct RingIter<'r, 'a, T: Pod> {
    receiver: &'r mut RingReceiver<'a, T>,
}

impl<T: Pod> Iterator for RingIter<'_, '_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

/// The items that are there: [`RingReceiver::try_iter`].
#[derive(Debug)]
pub struct RingTryIter<'r, 'a, T: Pod> {
    receiver: &'r mut RingReceiver<'a, T>,
}

impl<T: Pod> Iterator for RingTryIter<'_, '_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

/// The items of a ring until the stream ends, with the receiver inside.
#[derive(Debug)]
pub struct RingIntoIter<'a, T: Pod> {
    receiver: RingReceiver<'a, T>,
}

impl<T: Pod> Iterator for RingIntoIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<'a, T: Pod> IntoIterator for RingReceiver<'a, T> {
    type Item = T;
    type IntoIter = RingIntoIter<'a, T>;

    fn into_iter(self) -> RingIntoIter<'a, T> {
        RingIntoIter { receiver: self }
    }
}

impl<'r, 'a, T: Pod> IntoIterator for &'r mut RingReceiver<'a, T> {
    type Item = T;
    type IntoIter = RingIter<'r, 'a, T>;

    fn into_iter(self) -> RingIter<'r, 'a, T> {
        self.iter()
    }
}

impl<T: Pod> fmt::Debug for RingReceiver<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingReceiver { .. }")
    }
}
