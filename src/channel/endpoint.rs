//! The two ends of a buffer: handles that send or receive, and that close it by going.

use super::store::Direction;
use super::{
    Disconnected, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use core::fmt;
use std::error::Error;
use std::time::Duration;

/// The contract of every construction: first in, first out, for many senders and many receivers.
///
/// Users work with the handles: [`sender`](Buffer::sender) and [`receiver`](Buffer::receiver).
pub trait Buffer: Sync {
    /// What is sent.
    type Item;

    /// What a handle has of its end. The end loses the handle when this is dropped; the last one that
    /// goes closes its end and wakes everyone at the other.
    type Endpoint<'a>: Endpoint
    where
        Self: 'a;

    /// Why there is no handle.
    type AttachError: Error + From<Disconnected> + Send + Sync + 'static;

    /// Sends as long as timeout lasts.
    ///
    /// # Errors
    /// The item comes back: in time there was no place, or all receivers are gone.
    fn send_with(
        &self,
        item: Self::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<Self::Item>>;

    /// Receives as long as timeout lasts.
    ///
    /// # Errors
    /// In time there was no item, or the buffer is empty and all senders are gone.
    fn recv_with(&self, timeout: Timeout) -> Result<Self::Item, RecvTimeoutError>;

    /// Sends a copy of an item as long as timeout lasts: of a large one the only copy, where there is an own
    /// implementation of this.
    ///
    /// # Errors
    /// As [`send_with`](Buffer::send_with), but that there is nothing to come back.
    fn send_ref_with(&self, item: &Self::Item, timeout: Timeout) -> Result<(), SendTimeoutError<()>>
    where
        Self::Item: Pod,
    {
        self.send_with(*item, timeout)
            .map_err(SendTimeoutError::without_value)
    }

    /// Receives into a place of the caller's as long as timeout lasts: the only copy, as above.
    ///
    /// # Errors
    /// As [`recv_with`](Buffer::recv_with). What was in the place is there still, unless the stream has ended
    /// in the middle of an item.
    fn recv_into_with(
        &self,
        place: &mut Self::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        Self::Item: Pod,
    {
        *place = self.recv_with(timeout)?;
        Ok(())
    }

    /// [`send_with`](Buffer::send_with) by a handle, which has that seat: for buffers whose seats keep
    /// open what a call needs.
    ///
    /// # Errors
    /// As there.
    fn send_seated(
        &self,
        _seat: &Self::Endpoint<'_>,
        item: Self::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<Self::Item>> {
        self.send_with(item, timeout)
    }

    /// [`recv_with`](Buffer::recv_with) by a handle.
    ///
    /// # Errors
    /// As there.
    fn recv_seated(
        &self,
        _seat: &Self::Endpoint<'_>,
        timeout: Timeout,
    ) -> Result<Self::Item, RecvTimeoutError> {
        self.recv_with(timeout)
    }

    /// [`send_ref_with`](Buffer::send_ref_with) by a handle.
    ///
    /// # Errors
    /// As there.
    fn send_ref_seated(
        &self,
        _seat: &Self::Endpoint<'_>,
        item: &Self::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        Self::Item: Pod,
    {
        self.send_ref_with(item, timeout)
    }

    /// [`recv_into_with`](Buffer::recv_into_with) by a handle.
    ///
    /// # Errors
    /// As there.
    fn recv_into_seated(
        &self,
        _seat: &Self::Endpoint<'_>,
        place: &mut Self::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        Self::Item: Pod,
    {
        self.recv_into_with(place, timeout)
    }

    /// Sends all these items, in this order, as long as timeout lasts. Those that were sent are taken out of
    /// `items`, which keeps its memory for the next batch. In the buffers in shared memory many are sent for
    /// little more than the price of one, where there is an own implementation of this.
    ///
    /// Others may send in between, when there is not room for all at once.
    ///
    /// # Errors
    /// What was not sent is in `items` still, in this order: in time there was no place for it, or all
    /// receivers are gone.
    fn send_many_with(
        &self,
        items: &mut Vec<Self::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        items.reverse();
        let mut sent = Ok(());
        while let Some(item) = items.pop() {
            if let Err(refused) = self.send_with(item, timeout) {
                sent = Err(refused.take_value(items));
                break;
            }
        }
        items.reverse();
        sent
    }

    /// Receives items that are there, at most `most` of them, to the end of `items`, and waits for the first one
    /// as long as timeout lasts. Returns how many: none only if none was asked for.
    ///
    /// # Errors
    /// As [`recv_with`](Buffer::recv_with).
    ///
    /// # Panics
    /// If there is no memory for `most` items, or for as many as fit into the buffer.
    fn recv_many_with(
        &self,
        items: &mut Vec<Self::Item>,
        most: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        let most = most.min(self.capacity().max(1));
        if most == 0 {
            return Ok(0);
        }
        items.reserve(most);
        items.push(self.recv_with(timeout)?);
        let more = (1..most).map_while(|_| self.recv_with(Timeout::NonBlocking).ok());
        let before = items.len();
        items.extend(more);
        Ok(1 + items.len() - before)
    }

    /// How many items there were a moment ago. One that is just being handed over counts.
    fn len(&self) -> usize;

    /// Whether there was no item a moment ago.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most items that fit.
    fn capacity(&self) -> usize;

    /// A seat at this end, for a handle.
    ///
    /// # Errors
    /// If that end has closed, or no seat can be had.
    fn attach(&self, end: Direction) -> Result<Self::Endpoint<'_>, Self::AttachError>;

    /// A handle for sending.
    ///
    /// Until the first one exists, receivers wait for it; after the last one is gone, they drain
    /// the buffer and then hear that it is disconnected.
    ///
    /// # Errors
    /// If the last sender has already gone: the stream has ended for good. Or as
    /// [`attach`](Buffer::attach).
    fn sender(&self) -> Result<Sender<'_, Self>, Self::AttachError> {
        Ok(Sender {
            seat: self.attach(Direction::Sending)?,
            buffer: self,
        })
    }

    /// A handle for receiving.
    ///
    /// # Errors
    /// If the last receiver has already gone: senders have been told so. Or as
    /// [`attach`](Buffer::attach).
    fn receiver(&self) -> Result<Receiver<'_, Self>, Self::AttachError> {
        Ok(Receiver {
            seat: self.attach(Direction::Receiving)?,
            buffer: self,
        })
    }
}

/// What a handle has of its end.
pub trait Endpoint {
    /// Whether the handle is at its end still: not the copy of it in the child of a fork, where that
    /// makes a difference. To one that is not, the other end has gone.
    fn is_owned(&self) -> bool {
        true
    }
}

/// A buffer that counts the handles of its ends.
pub trait CountsEndpoints: Buffer {
    /// Counts one more handle of this end.
    ///
    /// # Errors
    /// If that end has closed.
    fn join(&self, end: Direction) -> Result<(), Disconnected>;

    /// Counts one handle less; the last one closes its end and wakes everyone at the other.
    fn leave(&self, end: Direction);
}

/// The seat of a handle that is counted. A process that dies does not give it up.
#[derive(Debug)]
pub struct EndpointRef<'a, B: CountsEndpoints + ?Sized> {
    buffer: &'a B,
    end: Direction,
}

impl<'a, B: CountsEndpoints + ?Sized> EndpointRef<'a, B> {
    /// Counts one more handle of this end, until this is dropped.
    ///
    /// # Errors
    /// If that end has closed.
    pub fn new(buffer: &'a B, end: Direction) -> Result<Self, Disconnected> {
        buffer.join(end)?;
        Ok(Self { buffer, end })
    }
}

impl<B: CountsEndpoints + ?Sized> Endpoint for EndpointRef<'_, B> {}

impl<B: CountsEndpoints + ?Sized> Drop for EndpointRef<'_, B> {
    fn drop(&mut self) {
        self.buffer.leave(self.end);
    }
}

/// A sending end. The last one that goes closes the stream.
///
/// # Example
/// ```
/// use interlatch::channel::TrySendError;
/// use interlatch::{BoundedBuffer, Buffer};
///
/// let buffer = BoundedBuffer::with_capacity(1)?;
/// let sender = buffer.sender()?;
/// assert_eq!(sender.try_send('a'), Ok(()));
/// assert_eq!(sender.try_send('b'), Err(TrySendError::Full('b')));
/// buffer.receiver()?.close();
/// assert_eq!(sender.try_send('c'), Err(TrySendError::Disconnected('c')));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Process death
/// A process that dies does not close its ends, and receivers go on waiting; but those of the robust
/// buffers it does. Whoever is killed in `send` there has sent its item or not, and when the last sender
/// dies, receivers drain the buffer and then hear so: at once if they ask then, or within the
/// [`recheck_interval`](crate::platform::futex) if they sleep.
#[must_use = "dropping the last sender closes the stream"]
pub struct Sender<'a, B: Buffer + ?Sized + 'a> {
    seat: B::Endpoint<'a>,
    buffer: &'a B,
}

/// A receiving end. The last one that goes breaks the pipe.
///
/// # Example
/// ```
/// use interlatch::channel::{RecvError, TryRecvError};
/// use interlatch::{Buffer, MonitorBuffer};
///
/// let buffer = MonitorBuffer::with_capacity(1)?;
/// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send('a')?;
/// sender.close();
/// assert_eq!(receiver.recv(), Ok('a'));
/// assert_eq!(receiver.recv(), Err(RecvError));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Process death
/// A process that dies does not close its ends, and senders go on waiting; but those of the robust
/// buffers it does. Whoever is killed in `recv` there has taken an item, which is gone with it, or not;
/// and when the last receiver dies, senders hear so: at once if they ask then, or within the
/// [`recheck_interval`](crate::platform::futex) if they sleep.
#[must_use = "dropping the last receiver breaks the pipe"]
pub struct Receiver<'a, B: Buffer + ?Sized + 'a> {
    seat: B::Endpoint<'a>,
    buffer: &'a B,
}

impl<'a, B: Buffer + ?Sized> Sender<'a, B> {
    /// Sends, waiting for a free place.
    ///
    /// # Errors
    /// The item comes back if all receivers are gone.
    pub fn send(&self, mut item: B::Item) -> Result<(), SendError<B::Item>> {
        loop {
            match self.send_with(item, Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Disconnected(back)) => return Err(SendError(back)),
                // Forever does not run out; only a peer that scribbled in the memory gets here.
                Err(SendTimeoutError::Timeout(back)) => item = back,
            }
        }
    }

    /// Sends if there is a free place.
    ///
    /// # Errors
    /// The item comes back. `Full` is exact unless another operation is under way.
    pub fn try_send(&self, item: B::Item) -> Result<(), TrySendError<B::Item>> {
        self.send_with(item, Timeout::NonBlocking)
            .map_err(|refused| match refused {
                SendTimeoutError::Timeout(back) => TrySendError::Full(back),
                SendTimeoutError::Disconnected(back) => TrySendError::Disconnected(back),
            })
    }

    /// Sends, or gives up after that time.
    ///
    /// # Errors
    /// The item comes back.
    pub fn send_timeout(
        &self,
        item: B::Item,
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<B::Item>> {
        self.send_with(item, Timeout::after(timeout))
    }

    /// Sends, or gives up at that time.
    ///
    /// # Errors
    /// The item comes back.
    pub fn send_deadline(
        &self,
        item: B::Item,
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<B::Item>> {
        self.send_with(item, Timeout::At(deadline))
    }

    /// Sends as long as timeout lasts.
    ///
    /// # Errors
    /// The item comes back.
    pub fn send_with(
        &self,
        item: B::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<B::Item>> {
        if !self.seat.is_owned() {
            return Err(SendTimeoutError::Disconnected(item));
        }
        self.buffer.send_seated(&self.seat, item, timeout)
    }

    /// Sends a copy of an item, waiting for a free place. A large item by value is moved on the way, which is
    /// copied again; this copies it once.
    ///
    /// # Errors
    /// If all receivers are gone.
    ///
    /// # Example
    /// ```
    /// use interlatch::{BoundedBuffer, Buffer};
    ///
    /// let buffer = BoundedBuffer::<[u8; 4096]>::with_capacity(1)?;
    /// let (sender, receiver) = (buffer.sender()?, buffer.receiver()?);
    /// let page = Box::new([7; 4096]);
    /// sender.send_ref(&page)?;
    /// let mut place = Box::new([0; 4096]);
    /// receiver.recv_into(&mut place)?;
    /// assert_eq!(place, page);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_ref(&self, item: &B::Item) -> Result<(), SendError<()>>
    where
        B::Item: Pod,
    {
        loop {
            match self.send_ref_with(item, Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Disconnected(())) => return Err(SendError(())),
                // As in `send`.
                Err(SendTimeoutError::Timeout(())) => {}
            }
        }
    }

    /// Sends a copy of an item as long as timeout lasts.
    ///
    /// # Errors
    /// If there was no free place in time, or all receivers are gone.
    pub fn send_ref_with(
        &self,
        item: &B::Item,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>
    where
        B::Item: Pod,
    {
        if !self.seat.is_owned() {
            return Err(SendTimeoutError::Disconnected(()));
        }
        self.buffer.send_ref_seated(&self.seat, item, timeout)
    }

    /// Sends all these items, in this order, waiting for places. Those that were sent are taken out of `items`,
    /// which keeps its memory for the next batch. Many are sent for little more than the price of one by the
    /// buffers that say so: [`BoundedBuffer`](super::BoundedBuffer), [`MonitorBuffer`](super::MonitorBuffer).
    ///
    /// When there is not room for all at once, others may send in between.
    ///
    /// # Errors
    /// If all receivers are gone. What was not sent is in `items` still.
    ///
    /// # Process death
    /// A process that dies in here has sent the first so many of them, or none; what else that does to the others
    /// is said at the buffer.
    ///
    /// # Example
    /// ```
    /// use interlatch::channel::TrySendError;
    /// use interlatch::{BoundedBuffer, Buffer};
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
    /// assert!(receiver.recv_many(&mut received, 3).is_err(), "that was the end");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many(&self, items: &mut Vec<B::Item>) -> Result<(), SendError<()>> {
        loop {
            match self.send_many_with(items, Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Disconnected(())) => return Err(SendError(())),
                // As in `send`.
                Err(SendTimeoutError::Timeout(())) => {}
            }
        }
    }

    /// Sends as many of these items as there are free places, and takes them out of `items`.
    ///
    /// # Errors
    /// `Full`, unless all were sent: the others are in `items` still. Or all receivers are gone.
    pub fn try_send_many(&self, items: &mut Vec<B::Item>) -> Result<(), TrySendError<()>> {
        self.send_many_with(items, Timeout::NonBlocking)
            .map_err(|refused| match refused {
                SendTimeoutError::Timeout(()) => TrySendError::Full(()),
                SendTimeoutError::Disconnected(()) => TrySendError::Disconnected(()),
            })
    }

    /// Sends all these items as long as timeout lasts, which is one for all of them.
    ///
    /// # Errors
    /// What was not sent is in `items` still: there was no place for it in time, or all receivers are gone.
    pub fn send_many_with(
        &self,
        items: &mut Vec<B::Item>,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        if !self.seat.is_owned() {
            return Err(SendTimeoutError::Disconnected(()));
        }
        self.buffer.send_many_with(items, timeout)
    }

    /// Whether this handle is at its end still.
    pub(super) fn is_owned(&self) -> bool {
        self.seat.is_owned()
    }

    /// The buffer that this sends to.
    pub fn buffer(&self) -> &'a B {
        self.buffer
    }

    /// Closes this end, as dropping it does.
    pub fn close(self) {}
}

impl<'a, B: Buffer + ?Sized> Receiver<'a, B> {
    /// Receives the oldest item, waiting for one.
    ///
    /// # Errors
    /// If the buffer is empty and all senders are gone.
    pub fn recv(&self) -> Result<B::Item, RecvError> {
        loop {
            match self.recv_with(Timeout::Infinite) {
                Ok(item) => return Ok(item),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                // As in `send`.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Receives the oldest item if there is one.
    ///
    /// # Errors
    /// `Empty` is exact unless another operation is under way.
    pub fn try_recv(&self) -> Result<B::Item, TryRecvError> {
        self.recv_with(Timeout::NonBlocking)
            .map_err(|refused| match refused {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
    }

    /// Receives the oldest item, or gives up after that time.
    ///
    /// # Errors
    /// If there was none in time, or the buffer is empty and all senders are gone.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<B::Item, RecvTimeoutError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives the oldest item, or gives up at that time.
    ///
    /// # Errors
    /// If there was none in time, or the buffer is empty and all senders are gone.
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<B::Item, RecvTimeoutError> {
        self.recv_with(Timeout::At(deadline))
    }

    /// Receives the oldest item as long as timeout lasts.
    ///
    /// # Errors
    /// If there was none in time, or the buffer is empty and all senders are gone.
    pub fn recv_with(&self, timeout: Timeout) -> Result<B::Item, RecvTimeoutError> {
        if !self.seat.is_owned() {
            return Err(RecvTimeoutError::Disconnected);
        }
        self.buffer.recv_seated(&self.seat, timeout)
    }

    /// Receives the oldest item into a place of the caller's, waiting for one. As
    /// [`send_ref`](Sender::send_ref), for large items.
    ///
    /// # Errors
    /// If the buffer is empty and all senders are gone.
    pub fn recv_into(&self, place: &mut B::Item) -> Result<(), RecvError>
    where
        B::Item: Pod,
    {
        loop {
            match self.recv_into_with(place, Timeout::Infinite) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                // As in `send`.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Receives the oldest item into a place of the caller's as long as timeout lasts.
    ///
    /// # Errors
    /// If there was none in time, or the buffer is empty and all senders are gone.
    pub fn recv_into_with(
        &self,
        place: &mut B::Item,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError>
    where
        B::Item: Pod,
    {
        if !self.seat.is_owned() {
            return Err(RecvTimeoutError::Disconnected);
        }
        self.buffer.recv_into_seated(&self.seat, place, timeout)
    }

    /// Receives the oldest items that are there, at most `most` of them, to the end of `items`, waiting for the
    /// first one. Returns how many: none only if none was asked for. An example is at
    /// [`send_many`](Sender::send_many).
    ///
    /// # Errors
    /// If the buffer is empty and all senders are gone.
    ///
    /// # Panics
    /// If there is no memory for `most` items, or for as many as fit into the buffer.
    pub fn recv_many(&self, items: &mut Vec<B::Item>, most: usize) -> Result<usize, RecvError> {
        loop {
            match self.recv_many_with(items, most, Timeout::Infinite) {
                Ok(received) => return Ok(received),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                // As in `send`.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// As of [`try_recv`](Receiver::try_recv).
    ///
    /// # Panics
    /// As [`recv_many`](Receiver::recv_many).
    pub fn try_recv_many(
        &self,
        items: &mut Vec<B::Item>,
        most: usize,
    ) -> Result<usize, TryRecvError> {
        self.recv_many_with(items, most, Timeout::NonBlocking)
            .map_err(|refused| match refused {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
    }

    /// The same, waiting for the first item as long as timeout lasts.
    ///
    /// # Errors
    /// If there was none in time, or the buffer is empty and all senders are gone.
    ///
    /// # Panics
    /// As [`recv_many`](Receiver::recv_many).
    pub fn recv_many_with(
        &self,
        items: &mut Vec<B::Item>,
        most: usize,
        timeout: Timeout,
    ) -> Result<usize, RecvTimeoutError> {
        if !self.seat.is_owned() {
            return Err(RecvTimeoutError::Disconnected);
        }
        self.buffer.recv_many_with(items, most, timeout)
    }

    /// Every item until the stream ends, waiting for each.
    pub fn iter(&self) -> Iter<'_, 'a, B> {
        Iter { receiver: self }
    }

    /// The items that are there, without waiting.
    pub fn try_iter(&self) -> TryIter<'_, 'a, B> {
        TryIter { receiver: self }
    }

    /// Whether this handle is at its end still.
    pub(super) fn is_owned(&self) -> bool {
        self.seat.is_owned()
    }

    /// The buffer that this receives from.
    pub fn buffer(&self) -> &'a B {
        self.buffer
    }

    /// Closes this end, as dropping it does.
    pub fn close(self) {}
}

impl<B: Buffer + ?Sized> fmt::Debug for Sender<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl<B: Buffer + ?Sized> fmt::Debug for Receiver<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}

/// The items of a buffer until the stream ends: [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'r, 'a, B: Buffer + ?Sized> {
    receiver: &'r Receiver<'a, B>,
}

impl<B: Buffer + ?Sized> Iterator for Iter<'_, '_, B> {
    type Item = B::Item;

    fn next(&mut self) -> Option<B::Item> {
        self.receiver.recv().ok()
    }
}

/// The items that are there: [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'r, 'a, B: Buffer + ?Sized> {
    receiver: &'r Receiver<'a, B>,
}

impl<B: Buffer + ?Sized> Iterator for TryIter<'_, '_, B> {
    type Item = B::Item;

    fn next(&mut self) -> Option<B::Item> {
        self.receiver.try_recv().ok()
    }
}

/// The items of a buffer until the stream ends, with the receiver inside.
#[derive(Debug)]
pub struct IntoIter<'a, B: Buffer + ?Sized> {
    receiver: Receiver<'a, B>,
}

impl<B: Buffer + ?Sized> Iterator for IntoIter<'_, B> {
    type Item = B::Item;

    fn next(&mut self) -> Option<B::Item> {
        self.receiver.recv().ok()
    }
}

impl<'a, B: Buffer + ?Sized> IntoIterator for Receiver<'a, B> {
    type Item = B::Item;
    type IntoIter = IntoIter<'a, B>;

    fn into_iter(self) -> IntoIter<'a, B> {
        IntoIter { receiver: self }
    }
}

impl<'r, 'a, B: Buffer + ?Sized> IntoIterator for &'r Receiver<'a, B> {
    type Item = B::Item;
    type IntoIter = Iter<'r, 'a, B>;

    fn into_iter(self) -> Iter<'r, 'a, B> {
        self.iter()
    }
}
