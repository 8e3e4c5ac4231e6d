//! The trait of all links.

use super::{LinkRecvError, LinkSendError};
use interlatch::platform::Deadline;
use interlatch::sync::Timeout;
use std::time::Duration;

/// A connection to one peer that carries whole messages in both directions.
///
/// | | Unix stream, TCP | Unix seqpacket | Unix datagram | UDP |
/// | --- | --- | --- | --- | --- |
/// | type | [`StreamLink`] | [`PacketLink`] | [`PacketLink`] | [`PacketLink`] |
/// | delivers every message, in order | yes | yes | yes | only locally, if the buffer has space |
/// | the receiver sees the end of the stream | yes | yes | no | no |
/// | the sender notices a lost peer | yes; TCP: on refused data | yes | yes | on refused data |
///
/// Sending to a closed peer returns an error and never raises `SIGPIPE`. No operation changes a
/// flag of the socket, because other processes may share the socket. Instead, each system call
/// specifies whether it may block.
///
/// # Process death
/// When a process dies, the kernel delivers the data that the process has sent and then closes the
/// socket.
///
/// # Example
/// ```
/// use interlatch_ipc::{Link, LinkRecvError, PacketLink, StreamLink};
///
/// fn talk(mut one: impl Link, mut other: impl Link) -> Result<(), Box<dyn std::error::Error>> {
///     assert!(matches!(other.try_recv(), Err(LinkRecvError::Timeout)));
///     one.send(b"first")?;
///     one.send(b"")?;
///     assert_eq!(other.recv()?.as_deref(), Some(&b"first"[..]));
///     assert_eq!(other.recv()?.as_deref(), Some(&b""[..]));
///     let mut buffer = Vec::new();
///     for message in [&b"into"[..], b"one buffer"] {
///         one.send(message)?;
///         assert_eq!(other.recv_into(&mut buffer)?, Some(message.len()));
///         assert_eq!(buffer, message);
///     }
///     drop(one);
///     assert_eq!(other.recv()?, None, "the end of the stream");
///     Ok(())
/// }
///
/// let (one, other) = StreamLink::pair()?;
/// talk(one, other)?;
/// let (one, other) = PacketLink::seqpacket_pair()?;
/// talk(one, other)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`StreamLink`]: super::StreamLink
/// [`PacketLink`]: super::PacketLink
pub trait Link {
    /// Returns the length of the longest message, in bytes, in either direction.
    fn limit(&self) -> usize;

    /// Sends a message, up to a timeout.
    ///
    /// # Errors
    /// Returns an error if the message is too long, the socket's buffer stays full until the
    /// timeout, or the peer is gone. If the error is [`LinkSendError::Unfinished`], a part of the
    /// message was sent. For all other errors, nothing was sent.
    fn send_with(&mut self, message: &[u8], timeout: Timeout) -> Result<(), LinkSendError>;

    /// Receives a message, up to a timeout; returns `None` if the peer has closed the connection.
    ///
    /// # Errors
    /// Returns an error if no message arrives before the timeout, the message is too long, or the
    /// peer reset the connection. If the error is [`LinkRecvError::Timeout`], the link keeps the
    /// received part of a message.
    fn recv_with(&mut self, timeout: Timeout) -> Result<Option<Vec<u8>>, LinkRecvError> {
        let mut message = Vec::new();
        let length = self.recv_into_with(&mut message, timeout)?;
        Ok(length.map(|_| message))
    }

    /// Receives a message into a buffer, up to a timeout.
    ///
    /// Replaces the contents of `message` and returns the message's length, or `None` if the peer
    /// has closed the connection. Instead of copying the message, the link may swap the caller's
    /// buffer with its own buffer. An error leaves the contents unchanged.
    ///
    /// # Errors
    /// See [`recv_with`](Link::recv_with).
    fn recv_into_with(
        &mut self,
        message: &mut Vec<u8>,
        timeout: Timeout,
    ) -> Result<Option<usize>, LinkRecvError>;

    /// Receives a message into a buffer, blocking until one arrives.
    ///
    /// See [`recv_into_with`](Link::recv_into_with).
    ///
    /// # Errors
    /// See [`recv_with`](Link::recv_with).
    fn recv_into(&mut self, message: &mut Vec<u8>) -> Result<Option<usize>, LinkRecvError> {
        self.recv_into_with(message, Timeout::Infinite)
    }

    /// Sends a message, blocking while the socket's buffer is full.
    ///
    /// # Errors
    /// See [`send_with`](Link::send_with).
    fn send(&mut self, message: &[u8]) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::Infinite)
    }

    /// Sends a message if the socket's buffer has enough free space.
    ///
    /// # Errors
    /// See [`send_with`](Link::send_with).
    fn try_send(&mut self, message: &[u8]) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::NonBlocking)
    }

    /// Sends a message, up to a timeout.
    ///
    /// # Errors
    /// See [`send_with`](Link::send_with).
    fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::after(timeout))
    }

    /// Sends a message, up to a deadline.
    ///
    /// # Errors
    /// See [`send_with`](Link::send_with).
    fn send_deadline(&mut self, message: &[u8], deadline: Deadline) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::At(deadline))
    }

    /// Receives a message, blocking until one arrives; returns `None` at the end of the stream.
    ///
    /// # Errors
    /// See [`recv_with`](Link::recv_with).
    fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::Infinite)
    }

    /// Receives a message if a complete one has arrived.
    ///
    /// # Errors
    /// See [`recv_with`](Link::recv_with).
    fn try_recv(&mut self) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::NonBlocking)
    }

    /// Receives a message, up to a timeout.
    ///
    /// # Errors
    /// See [`recv_with`](Link::recv_with).
    fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives a message, up to a deadline.
    ///
    /// # Errors
    /// See [`recv_with`](Link::recv_with).
    fn recv_deadline(&mut self, deadline: Deadline) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::At(deadline))
    }
}
