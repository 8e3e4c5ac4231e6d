//! What a link does, whatever is below it.

use super::{LinkRecvError, LinkSendError};
use interlatch::platform::Deadline;
use interlatch::sync::Timeout;
use std::time::Duration;

/// A connection to one peer that messages go through, each as a whole, in both directions.
///
/// | | Unix stream, TCP | Unix seqpacket | Unix datagram | UDP |
/// | --- | --- | --- | --- | --- |
/// | type | [`StreamLink`](super::StreamLink) | [`PacketLink`](super::PacketLink) | `PacketLink` | `PacketLink` |
/// | every message arrives, in order | yes | yes | yes | no promise; on one machine, as long as there is room |
/// | the end of the stream is heard | yes | yes | no | no |
/// | a sender hears that nobody receives | yes; over TCP once the peer has refused something | yes | yes | once the peer has refused something |
///
/// What is sent to a peer that has gone is an error, and never `SIGPIPE`. No operation changes a flag of the
/// socket, which others may have too: each system call says by itself whether it may block.
///
/// # Process death
/// The kernel closes the socket of a process that dies, after what it has sent.
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
///     let mut place = Vec::new();
///     for message in [&b"into"[..], b"one place"] {
///         one.send(message)?;
///         assert_eq!(other.recv_into(&mut place)?, Some(message.len()));
///         assert_eq!(place, message);
///     }
///     drop(one);
///     assert_eq!(other.recv()?, None, "the end");
///     Ok(())
/// }
///
/// let (one, other) = StreamLink::pair()?;
/// talk(one, other)?;
/// let (one, other) = PacketLink::seqpacket_pair()?;
/// talk(one, other)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Link {
    /// The longest message, in bytes, in either direction.
    fn limit(&self) -> usize;

    /// Sends a message as long as timeout lasts.
    ///
    /// # Errors
    /// If it is too long, there is no room in time, or nobody receives it. Nothing was sent then, except where
    /// [`LinkSendError::Unfinished`] says so.
    fn send_with(&mut self, message: &[u8], timeout: Timeout) -> Result<(), LinkSendError>;

    /// Receives a message as long as timeout lasts, or nothing if the peer has closed its end after its last
    /// one.
    ///
    /// # Errors
    /// If none comes in time, it is too long, or the peer has gone without a proper end. After
    /// [`LinkRecvError::Timeout`] nothing is lost: what has come of a message is kept.
    fn recv_with(&mut self, timeout: Timeout) -> Result<Option<Vec<u8>>, LinkRecvError> {
        let mut message = Vec::new();
        let length = self.recv_into_with(&mut message, timeout)?;
        Ok(length.map(|_| message))
    }

    /// As [`recv_with`](Link::recv_with), but into memory that is used again: returns the length of the message,
    /// which replaces what was in `message`, or nothing at the end. After an error there is what was there before.
    ///
    /// The memory may be exchanged for some of the link's own, instead of copying the message.
    ///
    /// # Errors
    /// As there.
    fn recv_into_with(
        &mut self,
        message: &mut Vec<u8>,
        timeout: Timeout,
    ) -> Result<Option<usize>, LinkRecvError>;

    /// Receives a message into memory that is used again, however long it takes: see
    /// [`recv_into_with`](Link::recv_into_with).
    ///
    /// # Errors
    /// As of [`recv_with`](Link::recv_with), but for timeout.
    fn recv_into(&mut self, message: &mut Vec<u8>) -> Result<Option<usize>, LinkRecvError> {
        self.recv_into_with(message, Timeout::Infinite)
    }

    /// Sends a message, however long it takes.
    ///
    /// # Errors
    /// As of [`send_with`](Link::send_with), but for timeout.
    fn send(&mut self, message: &[u8]) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::Infinite)
    }

    /// Sends a message if there is room for it.
    ///
    /// # Errors
    /// As of [`send_with`](Link::send_with).
    fn try_send(&mut self, message: &[u8]) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::NonBlocking)
    }

    /// Sends a message, or gives up after that time.
    ///
    /// # Errors
    /// As of [`send_with`](Link::send_with).
    fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::after(timeout))
    }

    /// Sends a message, or gives up at that time.
    ///
    /// # Errors
    /// As of [`send_with`](Link::send_with).
    fn send_deadline(&mut self, message: &[u8], deadline: Deadline) -> Result<(), LinkSendError> {
        self.send_with(message, Timeout::At(deadline))
    }

    /// Receives a message, however long it takes, or nothing at the end of the stream.
    ///
    /// # Errors
    /// As of [`recv_with`](Link::recv_with), but for timeout.
    fn recv(&mut self) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::Infinite)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// As of [`recv_with`](Link::recv_with).
    fn try_recv(&mut self) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::NonBlocking)
    }

    /// Receives a message, or gives up after that time.
    ///
    /// # Errors
    /// As of [`recv_with`](Link::recv_with).
    fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::after(timeout))
    }

    /// Receives a message, or gives up at that time.
    ///
    /// # Errors
    /// As of [`recv_with`](Link::recv_with).
    fn recv_deadline(&mut self, deadline: Deadline) -> Result<Option<Vec<u8>>, LinkRecvError> {
        self.recv_with(Timeout::At(deadline))
    }
}
