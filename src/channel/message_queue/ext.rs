//! The operations of a message queue: send and receive, with timeouts and with typed values.

use super::{LengthPolicy, Message, MessageType, Received, Select};
use crate::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, receiver,
    sender,
};
use crate::platform::{Deadline, Pod};
use crate::sync::Timeout;
use std::time::Duration;

/// The operations of a message queue, which keeps the boundaries and types of its messages.
///
/// Any number of senders and receivers may use a queue. Messages of one type are received in the
/// order in which they were sent. Each operation has the forms `x` (blocks), `try_x` (never
/// blocks), `x_timeout`, `x_deadline`, and `x_with`, which takes a [`Timeout`].
///
/// # Fixed and variable size
/// [`send`](Self::send) and [`receive`](Self::receive) pass any bytes.
/// [`send_value`](Self::send_value) and [`receive_value`](Self::receive_value) pass values of one
/// [`Pod`] type.
///
/// # Replies by type
/// Many clients share one queue with a server. All requests have the same type, and each request
/// contains the client's process id. The server uses that id as the type of the reply.
/// ```
/// use interlatch::channel::message_queue::{MessageQueueExt, MessageType, QueueLimits, Select};
/// use interlatch::{MessageQueue, Region};
///
/// const REQUEST: MessageType = MessageType::HIGHEST;
/// let region = Region::memfd("server", 1 << 14)?;
/// let queue: &MessageQueue = region.create("queue", QueueLimits { messages: 4, bytes: 64 })?;
///
/// std::thread::scope(|scope| -> anyhow::Result<()> {
///     scope.spawn(|| {
///         let (_, [client, number]) = queue.receive_value::<[u64; 2]>(Select::Type(REQUEST)).unwrap();
///         let reply = MessageType::from_process_id(client as u32).unwrap();
///         queue.send_value(reply, &(number * number)).unwrap();
///     });
///     let address = MessageType::of_this_process();
///     queue.send_value(REQUEST, &[address.get() as u64, 12])?;
///     let (_, square) = queue.receive_value::<u64>(Select::Type(address))?;
///     assert_eq!(square, 144);
///     Ok(())
/// })?;
/// # Ok::<(), anyhow::Error>(())
/// ```
pub trait MessageQueueExt: Sync {
    /// Returns the length of the longest message that can be sent.
    fn max_length(&self) -> usize;

    /// Sends a message, waiting for free space until the timeout expires.
    ///
    /// # Errors
    /// `Timeout` if the queue did not have enough free space in time. `Failed` with
    /// [`MessageTooLong`](crate::channel::ChannelError::MessageTooLong) if the message is too long
    /// even for an empty queue.
    fn send_with(
        &self,
        message_type: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>>;

    /// Copies the message that `select` chooses into `buffer`, waiting until the timeout expires.
    ///
    /// # Errors
    /// `Timeout` if no message that `select` chooses arrived in time. `Failed` with
    /// [`WrongLength`](crate::channel::ChannelError::WrongLength) or
    /// [`MessageTooLong`](crate::channel::ChannelError::MessageTooLong) if `policy` does not accept
    /// the length of the message. If the length is wrong, the message stays in the queue.
    fn receive_into(
        &self,
        select: Select,
        buffer: &mut [u8],
        policy: LengthPolicy,
        timeout: Timeout,
    ) -> Result<Received, RecvTimeoutError>;

    /// Receives a message of any length, waiting until the timeout expires.
    ///
    /// # Errors
    /// `Timeout` if no message that `select` chooses arrived in time.
    fn receive_with(&self, select: Select, timeout: Timeout) -> Result<Message, RecvTimeoutError> {
        let mut bytes = vec![0; self.max_length()];
        let received = self.receive_into(select, &mut bytes, LengthPolicy::Truncate, timeout)?;
        bytes.truncate(received.length);
        Ok(Message::new(received.message_type, bytes))
    }

    /// Sends a message, waiting for free space.
    ///
    /// # Errors
    /// Returns the same errors as [`send_with`](Self::send_with), without `Timeout`.
    fn send(&self, message_type: MessageType, bytes: &[u8]) -> Result<(), SendError<()>> {
        sender::until_done(|| self.send_with(message_type, bytes, Timeout::Infinite))
    }

    /// Sends a message if the queue has enough free space.
    ///
    /// # Errors
    /// Returns the same errors as [`send_with`](Self::send_with), with `Full` instead of `Timeout`.
    fn try_send(&self, message_type: MessageType, bytes: &[u8]) -> Result<(), TrySendError<()>> {
        Ok(self.send_with(message_type, bytes, Timeout::NonBlocking)?)
    }

    /// Sends a message, waiting for free space for at most `timeout`.
    ///
    /// # Errors
    /// Returns the same errors as [`send_with`](Self::send_with).
    fn send_timeout(
        &self,
        message_type: MessageType,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<()>> {
        self.send_with(message_type, bytes, Timeout::after(timeout))
    }

    /// Sends a message, waiting for free space until `deadline` at most.
    ///
    /// # Errors
    /// Returns the same errors as [`send_with`](Self::send_with).
    fn send_deadline(
        &self,
        message_type: MessageType,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<()>> {
        self.send_with(message_type, bytes, Timeout::At(deadline))
    }

    /// Receives a message of any length, blocking until a message is available.
    ///
    /// # Errors
    /// Returns the same errors as [`receive_with`](Self::receive_with), without `Timeout`.
    fn receive(&self, select: Select) -> Result<Message, RecvError> {
        receiver::until_done(|| self.receive_with(select, Timeout::Infinite))
    }

    /// Receives a message of any length without blocking.
    ///
    /// # Errors
    /// Returns the same errors as [`receive_with`](Self::receive_with), with `Empty` instead of
    /// `Timeout`.
    fn try_receive(&self, select: Select) -> Result<Message, TryRecvError> {
        Ok(self.receive_with(select, Timeout::NonBlocking)?)
    }

    /// Receives a message of any length, waiting for at most `timeout`.
    ///
    /// # Errors
    /// Returns the same errors as [`receive_with`](Self::receive_with).
    fn receive_timeout(
        &self,
        select: Select,
        timeout: Duration,
    ) -> Result<Message, RecvTimeoutError> {
        self.receive_with(select, Timeout::after(timeout))
    }

    /// Receives a message of any length, waiting until `deadline` at most.
    ///
    /// # Errors
    /// Returns the same errors as [`receive_with`](Self::receive_with).
    fn receive_deadline(
        &self,
        select: Select,
        deadline: Deadline,
    ) -> Result<Message, RecvTimeoutError> {
        self.receive_with(select, Timeout::At(deadline))
    }

    /// Sends a value, waiting for free space.
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send).
    fn send_value<T: Pod>(
        &self,
        message_type: MessageType,
        value: &T,
    ) -> Result<(), SendError<()>> {
        self.send(message_type, value.as_bytes())
    }

    /// Receives a value, blocking until a message is available.
    ///
    /// # Errors
    /// Returns the same errors as [`receive_value_with`](Self::receive_value_with), without
    /// `Timeout`.
    fn receive_value<T: Pod>(&self, select: Select) -> Result<(MessageType, T), RecvError> {
        receiver::until_done(|| self.receive_value_with(select, Timeout::Infinite))
    }

    /// Receives a value, waiting until the timeout expires.
    ///
    /// # Errors
    /// `Failed` with [`WrongLength`](crate::channel::ChannelError::WrongLength) if the selected
    /// message does not have the size of the value. If the length is wrong, the message stays in
    /// the queue. For other errors, see [`receive_with`](Self::receive_with).
    fn receive_value_with<T: Pod>(
        &self,
        select: Select,
        timeout: Timeout,
    ) -> Result<(MessageType, T), RecvTimeoutError> {
        let mut value = T::new_zeroed();
        let buffer = value.as_mut_bytes();
        let received = self.receive_into(select, buffer, LengthPolicy::Exact, timeout)?;
        Ok((received.message_type, value))
    }
}
