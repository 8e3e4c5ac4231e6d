//! Unix stream and TCP: messages framed in a byte stream.
//!
//! A frame is the message's length in four bytes, least significant first, and then the message. A
//! timeout may interrupt a frame in either direction, so the link keeps the unsent part of an
//! outgoing frame and the received part of an incoming frame.
//!
//! **System calls.** One call sends a frame directly from the caller's memory. One call receives
//! all available bytes, whether they are a part of a frame or many frames. For a long message, a
//! separate call receives the rest directly into the message's final buffer.

use super::{Link, LinkRecvError, LinkSendError};
use crate::wait;
use core::mem::MaybeUninit;
use interlatch::sync::Timeout;
use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The default limit of a message.
const DEFAULT_LIMIT: usize = 1 << 20;

/// The length of a frame's header in bytes.
const HEADER: usize = 4;

/// The maximum number of bytes of a long message that one call receives, and that the link
/// allocates before they have arrived.
const CHUNK: usize = 1 << 16;

/// The size of the read-ahead buffer in bytes. The buffer holds many short messages. It holds only
/// a small part of a long message, because bytes that pass through this buffer are copied twice.
const AHEAD: usize = 1 << 13;

/// A [`Link`] over a Unix stream or TCP.
///
/// If the timeout expires within a message, `send` returns [`LinkSendError::Unfinished`]. The next
/// send, or [`finish_with`](StreamLink::finish_with), sends the rest. The peer receives only
/// complete messages, or an error if the stream ends within a message.
///
/// The link reads ahead, so the socket may be empty while the link still holds a message. Receive
/// until [`try_recv`](Link::try_recv) times out before polling the socket, or check
/// [`read_ahead`](StreamLink::read_ahead). Do not use a duplicate of the socket after the link has
/// received its first message.
///
/// # Process death
/// If a process dies while it sends, its peer gets [`LinkRecvError::Torn`]. If a process dies, the
/// messages that it has read ahead are lost.
///
/// # Fork
/// A forked child shares the socket, but has its own copy of the messages that are partly sent or
/// received. So only one of the processes may use the link. Dropping a copy closes only the
/// descriptor of the child.
///
/// # Example
/// ```
/// use interlatch_ipc::{Link, StreamLink};
/// use std::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = StreamLink::tcp(TcpStream::connect(listener.local_addr()?)?)?;
/// let mut server = StreamLink::tcp(listener.accept()?.0)?;
/// client.send(b"a question")?;
/// assert_eq!(server.recv()?.as_deref(), Some(&b"a question"[..]));
/// server.send(b"an answer")?;
/// assert_eq!(client.recv()?.as_deref(), Some(&b"an answer"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StreamLink {
    socket: OwnedFd,
    limit: usize,
    /// The unsent rest of a frame, and the number of bytes of the rest that have since been sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// The bytes read ahead (a part of a header, or one or several frames), and how many of these
    /// bytes have been consumed.
    ahead: Vec<u8>,
    used: usize,
    /// The received part of an incomplete message, and the message's length once its header has
    /// arrived.
    message: Vec<u8>,
    expected: Option<usize>,
}

impl StreamLink {
    /// Creates a link over a Unix stream.
    pub fn unix(stream: UnixStream) -> Self {
        Self::from_socket(stream.into())
    }

    /// Creates a link over TCP, and disables Nagle's algorithm (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Returns the error of `setsockopt(2)`.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::from_socket(stream.into()))
    }

    /// Creates two connected ends of a link over a Unix stream.
    ///
    /// # Errors
    /// Returns an error if the process has no free descriptor.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self::unix(one), Self::unix(other)))
    }

    fn from_socket(socket: OwnedFd) -> Self {
        Self {
            socket,
            limit: DEFAULT_LIMIT,
            outgoing: Vec::new(),
            sent: 0,
            ahead: Vec::new(),
            used: 0,
            message: Vec::new(),
            expected: None,
        }
    }

    /// Changes the limit of messages, up to 2³² − 1 bytes. The default is 1 MiB.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        Self { limit, ..self }
    }

    /// Returns the number of bytes that the link has received ahead of the next message's end.
    pub fn read_ahead(&self) -> usize {
        self.message.len() + self.ahead.len() - self.used
    }

    /// Sends the rest of an unfinished message, up to a timeout.
    ///
    /// # Errors
    /// Returns an error if the socket's buffer stays full until the timeout, or the peer has closed
    /// the connection. The link keeps the unsent rest unless the peer has closed the connection.
    pub fn finish_with(&mut self, timeout: Timeout) -> Result<(), LinkSendError> {
        while self.sent < self.outgoing.len() {
            let rest = &self.outgoing[self.sent..];
            let attempt = || Ok(send(&self.socket, rest, send_flags(timeout))?);
            let accepted = wait::retry_until_ready(&self.socket, PollFlags::OUT, timeout, attempt);
            match accepted.map_err(LinkSendError::from_call("send"))? {
                Some(length) => self.sent += length,
                None => return Err(LinkSendError::Unfinished { left: rest.len() }),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(())
    }

    /// Sends as much of a frame as fits into the socket's buffer. Returns the number of bytes, or
    /// `None` on timeout.
    fn start_frame(
        &self,
        header: &[u8],
        message: &[u8],
        timeout: Timeout,
    ) -> Result<Option<usize>, LinkSendError> {
        let frame = [IoSlice::new(header), IoSlice::new(message)];
        let flags = send_flags(timeout);
        let attempt = || {
            let mut nothing = SendAncillaryBuffer::default();
            Ok(sendmsg(&self.socket, &frame, &mut nothing, flags)?)
        };
        wait::retry_until_ready(&self.socket, PollFlags::OUT, timeout, attempt)
            .map_err(LinkSendError::from_call("sendmsg"))
    }

    /// Keeps the unsent part of a frame.
    fn keep_rest(&mut self, header: &[u8], message: &[u8], accepted: usize) {
        let of_header = accepted.min(header.len());
        self.outgoing.extend_from_slice(&header[of_header..]);
        self.outgoing
            .extend_from_slice(&message[accepted - of_header..]);
    }

    /// Returns the length of the next message if its header has arrived.
    fn next_length(&mut self) -> Result<Option<usize>, LinkRecvError> {
        if self.expected.is_none() {
            let Some((header, _)) = self.ahead[self.used..].split_first_chunk::<HEADER>() else {
                return Ok(None);
            };
            let (length, limit) = (u32::from_le_bytes(*header) as usize, self.limit);
            if length > limit {
                return Err(LinkRecvError::TooLong { length, limit });
            }
            self.used += HEADER;
            self.expected = Some(length);
        }
        Ok(self.expected)
    }

    /// Moves bytes from the read-ahead buffer to the message and returns how many are still
    /// missing.
    fn take_read_ahead(&mut self, length: usize) -> usize {
        let missing = length - self.message.len();
        let ahead = &self.ahead[self.used..];
        let piece = &ahead[..missing.min(ahead.len())];
        if self.message.is_empty() {
            self.message.reserve_exact(length.min(CHUNK));
        }
        self.message.extend_from_slice(piece);
        self.used += piece.len();
        missing - piece.len()
    }

    /// Receives the bytes that have arrived at the socket into the read-ahead buffer.
    ///
    /// Returns their number, 0 at the end of the stream, or `None` on timeout.
    fn receive_ahead(&mut self, timeout: Timeout) -> io::Result<Option<usize>> {
        self.ahead.drain(..self.used);
        self.used = 0;
        self.ahead.reserve_exact(AHEAD - self.ahead.len());
        let (socket, ahead, flags) = (&self.socket, &mut self.ahead, recv_flags(timeout));
        let attempt = || Ok(recv(socket, spare_capacity(ahead), flags)?.1);
        wait::retry_until_ready(socket, PollFlags::IN, timeout, attempt)
    }

    /// Receives missing bytes directly into the message. Returns the same values as
    /// [`receive_ahead`](Self::receive_ahead).
    fn receive_missing(&mut self, missing: usize, timeout: Timeout) -> io::Result<Option<usize>> {
        let count = missing.min(CHUNK);
        self.message.reserve(count);
        let buffer: &mut [MaybeUninit<u8>] = &mut self.message.spare_capacity_mut()[..count];
        let attempt = || Ok(recv(&self.socket, &mut *buffer, recv_flags(timeout))?.1);
        let received = wait::retry_until_ready(&self.socket, PollFlags::IN, timeout, attempt)?;
        let length = self.message.len() + received.unwrap_or(0);
        // SAFETY: the kernel has initialized `received` bytes of the spare capacity, which has
        // `count` bytes.
        unsafe { self.message.set_len(length) };
        Ok(received)
    }

    /// Returns the result at the end of the stream: `None` after a complete frame, or an error
    /// within a frame.
    fn end_of_stream(&self) -> Result<Option<usize>, LinkRecvError> {
        let (expected, found) = match self.expected {
            Some(length) => (HEADER + length, HEADER + self.message.len()),
            None => (HEADER, self.ahead.len() - self.used),
        };
        match found {
            0 => Ok(None),
            found => Err(LinkRecvError::Torn { expected, found }),
        }
    }
}

/// Returns the flags for sending. If the timeout is infinite, the send call itself blocks, which
/// saves a `ppoll(2)` call.
pub(super) fn send_flags(timeout: Timeout) -> SendFlags {
    match timeout {
        Timeout::Infinite => SendFlags::NOSIGNAL,
        _ => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    }
}

/// Returns the flags for receiving. With an infinite timeout, the receive call itself blocks, as in
/// [`send_flags`].
pub(super) fn recv_flags(timeout: Timeout) -> RecvFlags {
    match timeout {
        Timeout::Infinite => RecvFlags::empty(),
        _ => RecvFlags::DONTWAIT,
    }
}

impl Link for StreamLink {
    fn limit(&self) -> usize {
        self.limit
    }

    fn send_with(&mut self, message: &[u8], timeout: Timeout) -> Result<(), LinkSendError> {
        let (length, limit) = (message.len(), self.limit);
        if length > limit {
            return Err(LinkSendError::TooLong { length, limit });
        }
        self.finish_with(timeout).map_err(|error| match error {
            LinkSendError::Unfinished { .. } => LinkSendError::Timeout,
            error => error,
        })?;
        let header = (length as u32).to_le_bytes();
        match self.start_frame(&header, message, timeout)? {
            None => Err(LinkSendError::Timeout),
            Some(accepted) if accepted == HEADER + length => Ok(()),
            Some(accepted) => {
                self.keep_rest(&header, message, accepted);
                self.finish_with(timeout).map_err(|error| match error {
                    // A part of the message was sent, and then the kernel, for example, ran out of
                    // memory. If the caller sent the message again, the peer would receive it
                    // twice.
                    LinkSendError::System { .. } => LinkSendError::Unfinished {
                        left: self.outgoing.len() - self.sent,
                    },
                    error => error,
                })
            }
        }
    }

    fn recv_into_with(
        &mut self,
        message: &mut Vec<u8>,
        timeout: Timeout,
    ) -> Result<Option<usize>, LinkRecvError> {
        loop {
            let missing = match self.next_length()? {
                Some(length) => self.take_read_ahead(length),
                None => HEADER,
            };
            let received = match missing {
                0 => break,
                AHEAD.. => self.receive_missing(missing, timeout),
                _ => self.receive_ahead(timeout),
            };
            match received.map_err(LinkRecvError::from_call("recv"))? {
                None => return Err(LinkRecvError::Timeout),
                Some(0) => return self.end_of_stream(),
                Some(_) => {}
            }
        }
        self.expected = None;
        // After the swap, the link receives the next message into the caller's old buffer.
        core::mem::swap(message, &mut self.message);
        self.message.clear();
        Ok(Some(message.len()))
    }
}

impl AsFd for StreamLink {
    /// Returns the descriptor, to poll it when [`read_ahead`](StreamLink::read_ahead) is 0.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
