//! The traits of channels: two sides with handles, and the items that pass from side to side.

use super::{AttachError, Endpoint, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use crate::platform::Pod;
use crate::sync::Timeout;
use core::fmt;

/// A side of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The senders' side.
    Sending,
    /// The receivers' side.
    Receiving,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sending => "sender",
            Self::Receiving => "receiver",
        })
    }
}

/// A channel with two sides, each of which has handles.
///
/// Import this trait to call [`sender`](Channel::sender) and [`receiver`](Channel::receiver). What
/// a handle does depends on the channel: the handles of a [`Buffer`] pass items, and those of a
/// [`BytePipe`](super::BytePipe) pass bytes.
///
/// # Example
/// ```
/// use interlatch::{BoundedBuffer, Channel};
///
/// let buffer = BoundedBuffer::with_capacity(1)?;
/// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
/// sender.send(7)?;
/// assert_eq!(receiver.recv()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Channel {
    /// The registration of a sender. Dropping this value removes the registration.
    type SendEndpoint<'a>: Endpoint
    where
        Self: 'a;

    /// The registration of a receiver. Dropping this value removes the registration.
    type RecvEndpoint<'a>: Endpoint
    where
        Self: 'a;

    /// Registers a sender.
    ///
    /// # Errors
    /// Returns the same errors as [`sender`](Channel::sender).
    fn attach_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError>;

    /// Registers a receiver.
    ///
    /// # Errors
    /// Returns the same errors as [`receiver`](Channel::receiver).
    fn attach_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError>;

    /// Creates a handle that sends.
    ///
    /// Receivers wait for the first sender. When the last sender is dropped, receivers receive the
    /// remaining items and then get `Disconnected`.
    ///
    /// # Errors
    /// `Closed` if the last sender was dropped, because the stream has then ended permanently.
    /// `SlotsInUse` if the channel limits its senders and has no free slot. `Failed` if this thread
    /// cannot hold a handle.
    fn sender(&self) -> Result<Sender<'_, Self>, AttachError> {
        Ok(Sender::new(self, self.attach_sender()?))
    }

    /// Creates a handle that receives.
    ///
    /// # Errors
    /// `Closed` if the last receiver was dropped, because senders are then disconnected
    /// permanently. For other errors, see [`sender`](Channel::sender).
    fn receiver(&self) -> Result<Receiver<'_, Self>, AttachError> {
        Ok(Receiver::new(self, self.attach_receiver()?))
    }
}

/// A channel that passes items, first in, first out.
///
/// Programs call the methods of [`Sender`] and [`Receiver`]. Implementors provide the operations of
/// this trait, which take the registration of the calling handle.
pub trait Buffer: Channel {
    /// The type of the items.
    type Item;

    /// Sends an item.
    ///
    /// # Errors
    /// Returns the item if the buffer was full until the timeout, if all receivers are gone, or if
    /// the operation failed.
    fn send_with(
        &self,
        endpoint: &Self::SendEndpoint<'_>,
        item: Self::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<Self::Item>>;

    /// Receives the oldest item.
    ///
    /// # Errors
    /// Fails if the buffer was empty until the timeout, if the buffer is empty and all senders are
    /// gone, or if the operation failed for another reason.
    fn recv_with(
        &self,
        endpoint: &Self::RecvEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<Self::Item, RecvTimeoutError>;

    /// Sends a copy of an item. Buffers that override this method copy the item only once.
    ///
    /// # Errors
    /// Returns the same errors as [`send_with`](Buffer::send_with), but without the item.
    fn send_ref_with(
        &self,
        endpoint: &Self::SendEndpoint<'_>,
        item: &Self::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        Self::Item: Pod,
    {
        self.send_with(endpoint, *item, timeout)
            .map_err(|error| error.map(drop))
    }

    /// Receives the oldest item into `destination`.
    ///
    /// Buffers that override this method copy the item only once.
    ///
    /// # Errors
    /// Returns the same errors as [`recv_with`](Buffer::recv_with). `destination` is unchanged,
    /// unless the stream ended within an item.
    fn recv_into_with(
        &self,
        endpoint: &Self::RecvEndpoint<'_>,
        destination: &mut Self::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        Self::Item: Pod,
    {
        *destination = self.recv_with(endpoint, timeout)?;
        Ok(())
    }

    /// Sends all items in order and removes the sent items from `items`.
    ///
    /// If the buffer does not have a free slot for each item, the items of other senders may come
    /// between the items of the batch. Buffers that override this method send a batch for little
    /// more than the cost of one item.
    ///
    /// # Errors
    /// Fails if the buffer was full until the timeout, if all receivers are gone, or if the
    /// operation failed for another reason. The items that were not sent stay in `items`.
    fn send_many_with(
        &self,
        endpoint: &Self::SendEndpoint<'_>,
        items: &mut Vec<Self::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        items.reverse();
        let mut sent = Ok(());
        while let Some(item) = items.pop() {
            if let Err(error) = self.send_with(endpoint, item, timeout) {
                sent = Err(error.map(|item| items.push(item)));
                break;
            }
        }
        items.reverse();
        sent
    }

    /// Receives up to `max` items, and waits for the first one.
    ///
    /// The items are appended to `items`.
    ///
    /// Returns the number of items, which is 0 only if `max` is 0.
    ///
    /// # Errors
    /// Returns the same errors as [`recv_with`](Buffer::recv_with).
    ///
    /// # Panics
    /// Panics if the allocation of memory for the items fails. The allocation is for `max` items,
    /// or for the capacity of the buffer if the capacity is less.
    fn recv_many_with(
        &self,
        endpoint: &Self::RecvEndpoint<'_>,
        items: &mut Vec<Self::Item>,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        let max = max.min(self.capacity().max(1));
        if max == 0 {
            return Ok(0);
        }
        items.reserve(max);
        items.push(self.recv_with(endpoint, timeout)?);
        let more = (1..max).map_while(|_| self.recv_with(endpoint, Timeout::NonBlocking).ok());
        let before = items.len();
        items.extend(more);
        Ok(1 + items.len() - before)
    }

    /// The number of items, which other threads may change at any time. The number includes items
    /// that are being sent or received. The result is 0 if the internal lock is unusable or a
    /// stopped process holds it.
    fn len(&self) -> usize;

    /// Whether the buffer has no items. Other threads may change the result at any time.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The maximum number of items.
    fn capacity(&self) -> usize;
}

/// Operations without a handle, for tests and models.
///
/// The other side neither waits for an unregistered endpoint nor learns when that endpoint is
/// dropped. So the scenario of a model contains no steps for registration.
#[doc(hidden)]
pub trait Unregistered: Buffer {
    /// A sender that is not registered. Fails if this process cannot send at all.
    fn unregistered_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError>;

    /// A receiver that is not registered. Fails if this process cannot receive at all.
    fn unregistered_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError>;

    fn send_unregistered(
        &self,
        item: Self::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<Self::Item>> {
        match self.unregistered_sender() {
            Ok(endpoint) => self.send_with(&endpoint, item, timeout),
            Err(_) => Err(SendTimeoutError::Disconnected(item)),
        }
    }

    fn recv_unregistered(&self, timeout: Timeout) -> Result<Self::Item, RecvTimeoutError> {
        match self.unregistered_receiver() {
            Ok(endpoint) => self.recv_with(&endpoint, timeout),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        }
    }

    fn send_many_unregistered(
        &self,
        items: &mut Vec<Self::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        match self.unregistered_sender() {
            Ok(endpoint) => self.send_many_with(&endpoint, items, timeout),
            Err(_) => Err(SendTimeoutError::Disconnected(())),
        }
    }

    fn recv_many_unregistered(
        &self,
        items: &mut Vec<Self::Item>,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        match self.unregistered_receiver() {
            Ok(endpoint) => self.recv_many_with(&endpoint, items, max, timeout),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        }
    }
}
