//! The handle that receives.

use super::{
    Buffer, Channel, ChannelError, Endpoint, IntoIter, Iter, RecvError, RecvTimeoutError, TryIter,
    TryRecvError,
};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use core::fmt;
use std::time::Duration;

/// The receiving handle of a channel.
///
/// Dropping the last receiver disconnects all senders.
///
/// Every channel creates this handle with `Channel::receiver`. This page describes the operations
/// of the handles of a [`Buffer`]. Some channels have additional operations, described on their own
/// pages.
///
/// # Errors
/// `Disconnected` means that the channel is empty and all senders are gone. Every other cause is
/// `Failed`, with a [`ChannelError`].
///
/// # Iteration
/// A receiver is iterable, by value and by reference. The iterator blocks for each item, yields
/// `Result<Item, ChannelError>`, and ends when the channel is disconnected. After a failure, the
/// iterator yields one `Err` and then ends.
///
/// # Process death
/// Whether the death of a process closes its handles depends on the channel: see
/// [`Sender`](super::Sender). A receiver that is killed in `recv` has either taken no item or taken
/// one item, which is then lost. When the last receiver dies, senders return `Disconnected`. A call
/// that starts after the death returns immediately. A call that sleeps returns within the
/// [`recheck_interval`](crate::platform::futex).
///
/// # Fork
/// The copy of a handle in a forked child belongs to the parent. Its operations fail with
/// [`ChannelError::Inherited`], and dropping it does nothing. The handles of a
/// [`PipeBuffer`](super::PipeBuffer) are an exception: their copies work.
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, TryRecvError};
/// use interlatch::{Channel, MonitorBuffer, Region};
/// # use interlatch::channel::Slot;
///
/// // One process creates the buffer in a region, another attaches to it by name.
/// let region = Region::memfd("orders", 1 << 16)?;
/// region.create::<MonitorBuffer<u64, [Slot<u64>]>>("numbers", 2)?;
/// let buffer: &MonitorBuffer<u64, [Slot<u64>]> = region.attach("numbers")?;
/// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send(1)?;
/// sender.send(2)?;
/// sender.close();
/// assert_eq!(receiver.recv(), Ok(1));
/// for item in &receiver {
///     assert_eq!(item?, 2);
/// }
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the last receiver disconnects the senders"]
pub struct Receiver<'a, C: Channel + ?Sized + 'a> {
    endpoint: C::RecvEndpoint<'a>,
    channel: &'a C,
}

impl<'a, C: Channel + ?Sized> Receiver<'a, C> {
    pub(super) fn new(channel: &'a C, endpoint: C::RecvEndpoint<'a>) -> Self {
        Self { endpoint, channel }
    }

    /// The channel of this handle.
    pub fn channel(&self) -> &'a C {
        self.channel
    }

    /// Closes this handle. Dropping the handle has the same effect.
    pub fn close(self) {}

    /// The registration of this handle, or an error if this handle is the copy in a forked child.
    #[inline(always)]
    pub(crate) fn owned_endpoint(&self) -> Result<&C::RecvEndpoint<'a>, ChannelError> {
        match self.endpoint.is_owned() {
            true => Ok(&self.endpoint),
            false => Err(ChannelError::Inherited),
        }
    }

    /// The registration of this handle, for operations that need exclusive access to it.
    pub(crate) fn endpoint_mut(&mut self) -> &mut C::RecvEndpoint<'a> {
        &mut self.endpoint
    }
}

impl<'a, C: Buffer + ?Sized> Receiver<'a, C> {
    /// Receives the oldest item, blocking while the buffer is empty.
    ///
    /// The item is returned by value: it needs space on the stack, and a debug build copies it
    /// several times. [`recv_into`](Self::recv_into) copies an item of any size once.
    ///
    /// # Errors
    /// `Disconnected` if the buffer is empty and all senders are gone, `Failed` with the cause
    /// otherwise.
    #[inline]
    pub fn recv(&self) -> Result<C::Item, RecvError> {
        until_done(|| self.recv_with(Timeout::Infinite))
    }

    /// Receives the oldest item if the buffer holds one.
    ///
    /// # Errors
    /// `Empty` if the buffer holds no item. The answer is exact unless another operation on the
    /// buffer is in progress. For other errors, see [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&self) -> Result<C::Item, TryRecvError> {
        Ok(self.recv_with(Timeout::NonBlocking)?)
    }

    /// Receives the oldest item, blocking for at most this duration.
    ///
    /// # Errors
    /// `Timeout` if the buffer stayed empty. For other errors, see [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<C::Item, RecvTimeoutError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives the oldest item, blocking until this deadline at most.
    ///
    /// # Errors
    /// Returns the same errors as [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<C::Item, RecvTimeoutError> {
        self.recv_with(Timeout::At(deadline))
    }

    /// Receives the oldest item with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`recv_timeout`](Self::recv_timeout).
    #[inline(always)]
    pub fn recv_with(&self, timeout: Timeout) -> Result<C::Item, RecvTimeoutError> {
        match self.owned_endpoint() {
            Ok(endpoint) => self.channel.recv_with(endpoint, timeout),
            Err(cause) => Err(RecvTimeoutError::Failed(cause)),
        }
    }

    /// Receives the oldest item into `destination`, blocking while the buffer is empty.
    ///
    /// Like [`send_ref`](super::Sender::send_ref), this method copies a large item only once.
    ///
    /// # Errors
    /// Returns the same errors as [`recv`](Self::recv).
    pub fn recv_into(&self, destination: &mut C::Item) -> Result<(), RecvError>
    where
        C::Item: Pod,
    {
        until_done(|| self.recv_into_with(destination, Timeout::Infinite))
    }

    /// Receives the oldest item into `destination` with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`recv_timeout`](Self::recv_timeout).
    pub fn recv_into_with(
        &self,
        destination: &mut C::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        C::Item: Pod,
    {
        match self.owned_endpoint() {
            Ok(endpoint) => self.channel.recv_into_with(endpoint, destination, timeout),
            Err(cause) => Err(RecvTimeoutError::Failed(cause)),
        }
    }

    /// Receives up to `max` items, blocking until the buffer holds one.
    ///
    /// Appends the items to `items` and returns their number, which is 0 only if `max` is 0. See
    /// [`send_many`](super::Sender::send_many) for an example.
    ///
    /// # Errors
    /// Returns the same errors as [`recv`](Self::recv).
    ///
    /// # Panics
    /// Panics if the allocation of memory for the items fails. The allocation is for `max` items,
    /// or for the capacity of the buffer if the capacity is less.
    pub fn recv_many(&self, items: &mut Vec<C::Item>, max: usize) -> Result<usize, RecvError> {
        until_done(|| self.recv_many_with(items, max, Timeout::Infinite))
    }

    /// Receives up to `max` items without blocking.
    ///
    /// # Errors
    /// Returns the same errors as [`try_recv`](Self::try_recv).
    ///
    /// # Panics
    /// Panics like [`recv_many`](Self::recv_many).
    pub fn try_recv_many(
        &self,
        items: &mut Vec<C::Item>,
        max: usize,
    ) -> Result<usize, TryRecvError> {
        Ok(self.recv_many_with(items, max, Timeout::NonBlocking)?)
    }

    /// Receives up to `max` items, waiting for the first one until the [`Timeout`] expires.
    ///
    /// # Errors
    /// Returns the same errors as [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Panics
    /// Panics like [`recv_many`](Self::recv_many).
    pub fn recv_many_with(
        &self,
        items: &mut Vec<C::Item>,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        match self.owned_endpoint() {
            Ok(endpoint) => self.channel.recv_many_with(endpoint, items, max, timeout),
            Err(cause) => Err(RecvTimeoutError::Failed(cause)),
        }
    }

    /// Iterates over the items until the stream ends, blocking for each item.
    pub fn iter(&self) -> Iter<'_, 'a, C> {
        Iter::new(self)
    }

    /// Iterates over the items in the buffer without blocking.
    pub fn try_iter(&self) -> TryIter<'_, 'a, C> {
        TryIter::new(self)
    }
}

/// Calls an operation without a deadline again while the operation returns `Timeout`.
///
/// An operation without a deadline returns `Timeout` only if a faulty process causes it.
pub(super) fn until_done<R>(
    mut operation: impl FnMut() -> Result<R, RecvTimeoutError>,
) -> Result<R, RecvError> {
    loop {
        match operation().map_err(RecvTimeoutError::without_deadline) {
            Ok(result) => return Ok(result),
            Err(Some(error)) => return Err(error),
            Err(None) => {}
        }
    }
}

impl<C: Channel + ?Sized> fmt::Debug for Receiver<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

impl<'a, C: Buffer + ?Sized> IntoIterator for Receiver<'a, C> {
    type Item = Result<C::Item, ChannelError>;
    type IntoIter = IntoIter<'a, C>;

    fn into_iter(self) -> IntoIter<'a, C> {
        IntoIter::new(self)
    }
}

impl<'r, 'a, C: Buffer + ?Sized> IntoIterator for &'r Receiver<'a, C> {
    type Item = Result<C::Item, ChannelError>;
    type IntoIter = Iter<'r, 'a, C>;

    fn into_iter(self) -> Iter<'r, 'a, C> {
        self.iter()
    }
}
