//! The handle that sends.

use super::{Buffer, Channel, ChannelError, Endpoint, SendError, SendTimeoutError, TrySendError};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use core::fmt;
use std::time::Duration;

/// The sending handle of a channel. Dropping the last sender ends the stream.
///
/// Every channel creates this handle with `Channel::sender`. This page describes the operations of
/// the handles of a [`Buffer`]. Some channels have additional operations, described on their own
/// pages.
///
/// # Errors
/// Every operation that fails returns its item. `Disconnected` means that all receivers are gone.
/// Every other cause is `Failed`, with a [`ChannelError`].
///
/// # Process death
/// Whether the death of a process closes its handles depends on the channel. In
/// [`BoundedBuffer`](super::BoundedBuffer) and [`MonitorBuffer`](super::MonitorBuffer) the handles
/// stay open, and receivers keep waiting. The robust channels, the rings and the pipes close the
/// handles of a dead process. A sender that is killed in `send` has either sent its item or not.
/// When the last sender dies, receivers drain the channel and then return `Disconnected`. A call
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
/// use interlatch::channel::TrySendError;
/// use interlatch::{BoundedBuffer, Channel, Region};
/// # use interlatch::channel::Slot;
///
/// // One process creates the buffer in a region, another attaches to it by name.
/// let region = Region::memfd("orders", 1 << 16)?;
/// region.create::<BoundedBuffer<u64, [Slot<u64>]>>("numbers", 1)?;
/// let buffer: &BoundedBuffer<u64, [Slot<u64>]> = region.attach("numbers")?;
/// let sender = buffer.sender()?;
/// assert_eq!(sender.try_send(1), Ok(()));
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// buffer.receiver()?.close();
/// assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the last sender ends the stream"]
pub struct Sender<'a, C: Channel + ?Sized + 'a> {
    endpoint: C::SendEndpoint<'a>,
    channel: &'a C,
}

impl<'a, C: Channel + ?Sized> Sender<'a, C> {
    pub(super) fn new(channel: &'a C, endpoint: C::SendEndpoint<'a>) -> Self {
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
    pub(crate) fn owned_endpoint(&self) -> Result<&C::SendEndpoint<'a>, ChannelError> {
        match self.endpoint.is_owned() {
            true => Ok(&self.endpoint),
            false => Err(ChannelError::Inherited),
        }
    }

    /// The registration of this handle, for operations that need exclusive access to it.
    pub(crate) fn endpoint_mut(&mut self) -> &mut C::SendEndpoint<'a> {
        &mut self.endpoint
    }
}

impl<C: Buffer + ?Sized> Sender<'_, C> {
    /// Sends an item, blocking while the buffer is full.
    ///
    /// The item is passed by value: it needs space on the stack, and a debug build copies it
    /// several times. [`send_ref`](Self::send_ref) copies an item of any size once, directly into
    /// its slot.
    ///
    /// # Errors
    /// `Disconnected` if all receivers are gone, `Failed` with the cause otherwise. Both errors
    /// contain the unsent item.
    #[inline]
    pub fn send(&self, mut item: C::Item) -> Result<(), SendError<C::Item>> {
        loop {
            match self.send_with(item, Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(error) => match error.without_deadline() {
                    Ok(error) => return Err(error),
                    Err(unsent) => item = unsent,
                },
            }
        }
    }

    /// Sends an item if the buffer has a free slot.
    ///
    /// # Errors
    /// `Full` if the buffer has no free slot. The answer is exact unless another operation on the
    /// buffer is in progress. For other errors, see [`send`](Self::send).
    #[inline]
    pub fn try_send(&self, item: C::Item) -> Result<(), TrySendError<C::Item>> {
        Ok(self.send_with(item, Timeout::NonBlocking)?)
    }

    /// Sends an item, blocking for at most this duration.
    ///
    /// # Errors
    /// `Timeout` if the buffer stayed full. For other errors, see [`send`](Self::send).
    pub fn send_timeout(
        &self,
        item: C::Item,
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<C::Item>> {
        self.send_with(item, Timeout::after(timeout))
    }

    /// Sends an item, blocking until this deadline at most.
    ///
    /// # Errors
    /// Returns the same errors as [`send_timeout`](Self::send_timeout).
    pub fn send_deadline(
        &self,
        item: C::Item,
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<C::Item>> {
        self.send_with(item, Timeout::At(deadline))
    }

    /// Sends an item with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`send_timeout`](Self::send_timeout).
    #[inline(always)]
    pub fn send_with(
        &self,
        item: C::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<C::Item>> {
        match self.owned_endpoint() {
            Ok(endpoint) => self.channel.send_with(endpoint, item, timeout),
            Err(cause) => Err(SendTimeoutError::Failed(item, cause)),
        }
    }

    /// Sends a copy of an item, blocking while the buffer is full.
    ///
    /// [`send`](Self::send) moves its item, which copies a large item a second time. This method
    /// copies the item only once.
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send), but without the item.
    ///
    /// # Example
    /// ```
    /// use interlatch::{BoundedBuffer, Channel};
    ///
    /// let buffer = BoundedBuffer::<[u8; 4096]>::with_capacity(1)?;
    /// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
    /// let page = Box::new([7; 4096]);
    /// sender.send_ref(&page)?;
    /// let mut received = Box::new([0; 4096]);
    /// receiver.recv_into(&mut received)?;
    /// assert_eq!(received, page);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_ref(&self, item: &C::Item) -> Result<(), SendError<()>>
    where
        C::Item: Pod,
    {
        until_done(|| self.send_ref_with(item, Timeout::Infinite))
    }

    /// Sends a copy of an item with any [`Timeout`].
    ///
    /// # Errors
    /// Returns the same errors as [`send_timeout`](Self::send_timeout), but without the item.
    pub fn send_ref_with(
        &self,
        item: &C::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        C::Item: Pod,
    {
        match self.owned_endpoint() {
            Ok(endpoint) => self.channel.send_ref_with(endpoint, item, timeout),
            Err(cause) => Err(SendTimeoutError::Failed((), cause)),
        }
    }

    /// Sends all items in order, blocking while the buffer is full.
    ///
    /// Sent items are removed from `items`, which keeps its allocation for the next batch. If the
    /// buffer does not have a free slot for each item, the items of other senders may come between
    /// the items of the batch. [`BoundedBuffer`](super::BoundedBuffer) and
    /// [`MonitorBuffer`](super::MonitorBuffer) send a batch for little more than the cost of one
    /// item.
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send). The items that were not sent stay in
    /// `items`.
    ///
    /// # Process death
    /// A process that dies in this method has sent a prefix of `items`. The documentation of each
    /// buffer type says how such a death affects other processes.
    ///
    /// # Example
    /// ```
    /// use interlatch::channel::TrySendError;
    /// use interlatch::{BoundedBuffer, Channel};
    ///
    /// let buffer = BoundedBuffer::with_capacity(4)?;
    /// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
    /// let mut batch = vec!['a', 'b', 'c', 'd', 'e'];
    /// assert_eq!(sender.try_send_many(&mut batch), Err(TrySendError::Full(())));
    /// assert_eq!(batch, ['e'], "the others were sent");
    /// let mut received = Vec::new();
    /// assert_eq!(receiver.recv_many(&mut received, 3), Ok(3));
    /// sender.send_many(&mut batch)?;
    /// sender.close();
    /// assert_eq!(receiver.recv_many(&mut received, 3), Ok(2));
    /// assert_eq!(received, ['a', 'b', 'c', 'd', 'e']);
    /// assert!(receiver.recv_many(&mut received, 3).is_err(), "the stream has ended");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many(&self, items: &mut Vec<C::Item>) -> Result<(), SendError<()>> {
        until_done(|| self.send_many_with(items, Timeout::Infinite))
    }

    /// Sends as many items as the buffer has free slots.
    ///
    /// Sent items are removed from `items`.
    ///
    /// # Errors
    /// `Full` unless all items were sent. For other errors, see [`send_many`](Self::send_many).
    pub fn try_send_many(&self, items: &mut Vec<C::Item>) -> Result<(), TrySendError<()>> {
        Ok(self.send_many_with(items, Timeout::NonBlocking)?)
    }

    /// Sends all items with one [`Timeout`] for the batch.
    ///
    /// # Errors
    /// `Timeout` unless all items were sent in time. For other errors, see
    /// [`send_many`](Self::send_many).
    pub fn send_many_with(
        &self,
        items: &mut Vec<C::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        match self.owned_endpoint() {
            Ok(endpoint) => self.channel.send_many_with(endpoint, items, timeout),
            Err(cause) => Err(SendTimeoutError::Failed((), cause)),
        }
    }
}

/// Calls an operation without a deadline again while the operation returns `Timeout`.
///
/// An operation without a deadline returns `Timeout` only if a faulty process causes it.
pub(super) fn until_done<R>(
    mut operation: impl FnMut() -> Result<R, SendTimeoutError<()>>,
) -> Result<R, SendError<()>> {
    loop {
        match operation().map_err(SendTimeoutError::without_deadline) {
            Ok(result) => return Ok(result),
            Err(Ok(error)) => return Err(error),
            Err(Err(())) => {}
        }
    }
}

impl<C: Channel + ?Sized> fmt::Debug for Sender<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}
