//! What can be done with a message queue, wherever it is.

use super::{
    Message, MessageType, Oversize, ReceiveMessageError, Received, Select, SendMessageError,
};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use std::time::Duration;

/// A queue of messages that have boundaries and types, for any number of senders and receivers.
///
/// MessageQueueExt of one type are received in the order in which they were sent.
///
/// Every operation comes in the same forms: as long as it takes, `try_`, `_timeout`, `_until` a deadline,
/// and `_with` some [`Timeout`].
///
/// # Fixed and variable size
/// [`send`](Self::send) and [`receive`](Self::receive) pass any bytes;
/// [`send_value`](Self::send_value) and [`receive_value`](Self::receive_value) values of one
/// [`Pod`] type.
///
/// # Replies by type
/// Many clients share one queue with a server: requests have one type and the number of the client's process
/// inside, and a reply has that number as its type.
/// ```
/// use interlatch::channel::message_queue::{MessageCell, MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::MessageQueue;
///
/// const REQUEST: MessageType = MessageType::HIGHEST;
/// const LIMITS: QueueLimits = QueueLimits { messages: 4, bytes: 64 };
/// static QUEUE: MessageQueue<[MessageCell; LIMITS.cells()]> =
///     MessageQueue::from_cells([const { MessageCell::new() }; _], LIMITS);
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let (_, [client, number]) = QUEUE.receive_value::<[u64; 2]>(Select::Type(REQUEST)).unwrap();
///         let reply_to = MessageType::of_process(client as u32).unwrap();
///         QUEUE.send_value(reply_to, &(number * number)).unwrap();
///     });
///     let me = MessageType::of_this_process();
///     QUEUE.send_value(REQUEST, &[me.get() as u64, 12]).unwrap();
///     let (_, square) = QUEUE.receive_value::<u64>(Select::Type(me)).unwrap();
///     assert_eq!(square, 144);
/// });
/// ```
pub trait MessageQueueExt: Sync {
    /// Bytes of the longest message that can be sent.
    fn longest(&self) -> usize;

    /// Sends as long as timeout lasts: waits while there is no room.
    ///
    /// # Errors
    /// `TooLong`, whatever the timeout; `Full`, when that has run out; and as of the queue.
    fn send_with(
        &self,
        kind: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendMessageError>;

    /// Receives into this memory as long as timeout lasts: waits while there is none of those.
    ///
    /// # Errors
    /// `WrongLength`, as [`Oversize`] says; `NoMessage`, when timeout has run out; and as of the queue. The
    /// message is still there.
    fn receive_into(
        &self,
        select: Select,
        room: &mut [u8],
        fit: Oversize,
        timeout: Timeout,
    ) -> Result<Received, ReceiveMessageError>;

    /// Receives a message of any length as long as timeout lasts.
    ///
    /// # Errors
    /// `NoMessage`, when timeout has run out; and as of the queue.
    fn receive_with(
        &self,
        select: Select,
        timeout: Timeout,
    ) -> Result<Message, ReceiveMessageError> {
        let mut bytes = vec![0; self.longest()];
        let received = self.receive_into(select, &mut bytes, Oversize::Truncated, timeout)?;
        bytes.truncate(received.length);
        let kind = received.kind;
        Ok(Message { kind, bytes })
    }

    /// Sends, however long it takes.
    ///
    /// # Errors
    /// `TooLong`; and as of the queue.
    fn send(&self, kind: MessageType, bytes: &[u8]) -> Result<(), SendMessageError> {
        loop {
            match self.send_with(kind, bytes, Timeout::Infinite) {
                // Forever does not run out.
                Err(SendMessageError::Full) => {}
                result => return result,
            }
        }
    }

    /// Sends if there is room.
    ///
    /// # Errors
    /// As of [`send_with`](Self::send_with).
    fn try_send(&self, kind: MessageType, bytes: &[u8]) -> Result<(), SendMessageError> {
        self.send_with(kind, bytes, Timeout::NonBlocking)
    }

    /// Sends, or gives up after that time.
    ///
    /// # Errors
    /// As of [`send_with`](Self::send_with).
    fn send_timeout(
        &self,
        kind: MessageType,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), SendMessageError> {
        self.send_with(kind, bytes, Timeout::after(timeout))
    }

    /// Sends, or gives up when the deadline passes.
    ///
    /// # Errors
    /// As of [`send_with`](Self::send_with).
    fn send_deadline(
        &self,
        kind: MessageType,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendMessageError> {
        self.send_with(kind, bytes, Timeout::At(deadline))
    }

    /// Receives a message of any length, however long it takes.
    ///
    /// # Errors
    /// As of the queue.
    fn receive(&self, select: Select) -> Result<Message, ReceiveMessageError> {
        loop {
            match self.receive_with(select, Timeout::Infinite) {
                // Forever does not run out.
                Err(ReceiveMessageError::NoMessage) => {}
                result => return result,
            }
        }
    }

    /// Receives a message of any length if there is one of those.
    ///
    /// # Errors
    /// As of [`receive_with`](Self::receive_with).
    fn try_receive(&self, select: Select) -> Result<Message, ReceiveMessageError> {
        self.receive_with(select, Timeout::NonBlocking)
    }

    /// Receives a message of any length, or gives up after that time.
    ///
    /// # Errors
    /// As of [`receive_with`](Self::receive_with).
    fn receive_timeout(
        &self,
        select: Select,
        timeout: Duration,
    ) -> Result<Message, ReceiveMessageError> {
        self.receive_with(select, Timeout::after(timeout))
    }

    /// Receives a message of any length, or gives up when the deadline passes.
    ///
    /// # Errors
    /// As of [`receive_with`](Self::receive_with).
    fn receive_deadline(
        &self,
        select: Select,
        deadline: Deadline,
    ) -> Result<Message, ReceiveMessageError> {
        self.receive_with(select, Timeout::At(deadline))
    }

    /// Sends a value, however long it takes.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    fn send_value<T: Pod>(&self, kind: MessageType, value: &T) -> Result<(), SendMessageError> {
        self.send(kind, value.as_bytes())
    }

    /// Receives a value, however long it takes.
    ///
    /// # Errors
    /// As of [`receive_value_with`](Self::receive_value_with).
    fn receive_value<T: Pod>(
        &self,
        select: Select,
    ) -> Result<(MessageType, T), ReceiveMessageError> {
        loop {
            match self.receive_value_with(select, Timeout::Infinite) {
                // Forever does not run out.
                Err(ReceiveMessageError::NoMessage) => {}
                result => return result,
            }
        }
    }

    /// Receives a value as long as timeout lasts.
    ///
    /// # Errors
    /// `WrongLength`, if the next message is none of such a value: it is still there. And as of
    /// [`receive_with`](Self::receive_with).
    fn receive_value_with<T: Pod>(
        &self,
        select: Select,
        timeout: Timeout,
    ) -> Result<(MessageType, T), ReceiveMessageError> {
        let mut value = T::new_zeroed();
        let received = self.receive_into(select, value.as_mut_bytes(), Oversize::Exact, timeout)?;
        Ok((received.kind, value))
    }
}
