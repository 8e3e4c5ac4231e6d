//! Unix stream and TCP: bytes, of which messages are made.
//!
//! A message is a frame: its length in four bytes, least significant first, and then its bytes. What has gone
//! of a frame has gone, and what has come has come; so the rest of either is kept here.
//!
//! **System calls.** A frame is sent by one call, from where it is. What there is is received by one call too,
//! whether it is a part of a frame or many of them; only the rest of a long message goes straight to where it is
//! asked for, by a call of its own.

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

/// The limit of a link that says nothing else.
const LIMIT: usize = 1 << 20;

/// Bytes of the length.
const HEADER: usize = 4;

/// No more of a message is read at once, nor allocated before it has come.
const CHUNK: usize = 1 << 16;

/// So much is read ahead: many short messages, and little of a long one, as this is copied once more.
const AHEAD: usize = 1 << 13;

/// A [`Link`] over a Unix stream or TCP.
///
/// A message for which there is not room enough in time is begun, and finished by whatever is sent next or by
/// [`finish_with`](StreamLink::finish_with): [`LinkSendError::Unfinished`] says so. The peer sees whole
/// messages only, or that the stream was torn.
///
/// The link reads ahead: the socket may have nothing while the link has. So receive until there is nothing before
/// polling the socket, or ask [`read_ahead`](StreamLink::read_ahead); and pass the socket on, or use a copy of it,
/// before the first message is received.
///
/// # Process death
/// The peer of a process that dies while it sends hears that the stream was torn. What was read ahead is gone with
/// who has read it.
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
    /// What there was no room for of a frame that is being sent, and how much of that has gone.
    outgoing: Vec<u8>,
    sent: usize,
    /// What was read, and how much of it was used: of a frame's length, or of one or several frames.
    ahead: Vec<u8>,
    used: usize,
    /// What has come of a message, and how long that will be, once this is known.
    message: Vec<u8>,
    expected: Option<usize>,
}

impl StreamLink {
    /// A link over a Unix stream.
    pub fn unix(stream: UnixStream) -> Self {
        Self::over(stream.into())
    }

    /// A link over TCP. MessageQueueExt do not wait for others to share a packet with (`TCP_NODELAY`).
    ///
    /// # Errors
    /// If the kernel refuses that.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::over(stream.into()))
    }

    /// Two ends of a link over a Unix stream, one to be given to another process or thread.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self::unix(one), Self::unix(other)))
    }

    fn over(socket: OwnedFd) -> Self {
        Self {
            socket,
            limit: LIMIT,
            outgoing: Vec::new(),
            sent: 0,
            ahead: Vec::new(),
            used: 0,
            message: Vec::new(),
            expected: None,
        }
    }

    /// The same with another limit than a mebibyte: at most 2³² - 1.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        Self { limit, ..self }
    }

    /// How many bytes the link has that the socket has no more: at least the next message, or a part of it.
    pub fn read_ahead(&self) -> usize {
        self.message.len() + self.ahead.len() - self.used
    }

    /// Sends the rest of a message that was begun, as long as timeout lasts.
    ///
    /// # Errors
    /// If there is no room for it in time, or nobody receives it. Unless nobody does, the rest is kept.
    pub fn finish_with(&mut self, timeout: Timeout) -> Result<(), LinkSendError> {
        while self.sent < self.outgoing.len() {
            let rest = &self.outgoing[self.sent..];
            let attempt = || Ok(send(&self.socket, rest, send_flags(timeout))?);
            let gone = wait::until_done(&self.socket, PollFlags::OUT, timeout, attempt);
            match gone.map_err(LinkSendError::of("send"))? {
                Some(length) => self.sent += length,
                None => return Err(LinkSendError::Unfinished { left: rest.len() }),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(())
    }

    /// Sends as much of a frame as there is room for, or nothing if timeout has run out.
    fn begin(
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
        wait::until_done(&self.socket, PollFlags::OUT, timeout, attempt)
            .map_err(LinkSendError::of("sendmsg"))
    }

    /// Keeps of a frame what did not go.
    fn keep(&mut self, header: &[u8], message: &[u8], gone: usize) {
        let of_header = gone.min(header.len());
        self.outgoing.extend_from_slice(&header[of_header..]);
        self.outgoing
            .extend_from_slice(&message[gone - of_header..]);
    }

    /// How long the message is that comes, once that is known.
    fn length(&mut self) -> Result<Option<usize>, LinkRecvError> {
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

    /// Moves to the message what was read ahead of it, and says how much is missing still.
    fn take_ahead(&mut self, length: usize) -> usize {
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

    /// Receives what there is, behind what was read and not used: how much, which is none at the end, or nothing
    /// if timeout has run out.
    fn receive_ahead(&mut self, timeout: Timeout) -> io::Result<Option<usize>> {
        self.ahead.drain(..self.used);
        self.used = 0;
        self.ahead.reserve_exact(AHEAD - self.ahead.len());
        let (socket, ahead, flags) = (&self.socket, &mut self.ahead, recv_flags(timeout));
        let attempt = || Ok(recv(socket, spare_capacity(ahead), flags)?.1);
        wait::until_done(socket, PollFlags::IN, timeout, attempt)
    }

    /// Receives some of the missing bytes of the message to where they belong, as above.
    fn receive_missing(&mut self, missing: usize, timeout: Timeout) -> io::Result<Option<usize>> {
        let count = missing.min(CHUNK);
        self.message.reserve(count);
        let place: &mut [MaybeUninit<u8>] = &mut self.message.spare_capacity_mut()[..count];
        let attempt = || Ok(recv(&self.socket, &mut *place, recv_flags(timeout))?.1);
        let came = wait::until_done(&self.socket, PollFlags::IN, timeout, attempt)?;
        let length = self.message.len() + came.unwrap_or(0);
        // SAFETY: there is room for so many, and the kernel has written those that came.
        unsafe { self.message.set_len(length) };
        Ok(came)
    }

    /// What the end of the stream is now: an error in the middle of a frame.
    fn end(&self) -> Result<Option<usize>, LinkRecvError> {
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

/// A call that may wait for ever does so by itself: then there is no other one.
pub(super) fn send_flags(timeout: Timeout) -> SendFlags {
    match timeout {
        Timeout::Infinite => SendFlags::NOSIGNAL,
        _ => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    }
}

/// As above.
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
        match self.begin(&header, message, timeout)? {
            None => Err(LinkSendError::Timeout),
            Some(gone) if gone == HEADER + length => Ok(()),
            Some(gone) => {
                self.keep(&header, message, gone);
                self.finish_with(timeout).map_err(|error| match error {
                    // As of memory that the kernel has not now. Who sent the message again would double it.
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
            let missing = match self.length()? {
                Some(length) => self.take_ahead(length),
                None => HEADER,
            };
            let came = match missing {
                0 => break,
                AHEAD.. => self.receive_missing(missing, timeout),
                _ => self.receive_ahead(timeout),
            };
            match came.map_err(LinkRecvError::of("recv"))? {
                None => return Err(LinkRecvError::Timeout),
                Some(0) => return self.end(),
                Some(_) => {}
            }
        }
        self.expected = None;
        // The memory of the caller's is that of the next message.
        core::mem::swap(message, &mut self.message);
        self.message.clear();
        Ok(Some(message.len()))
    }
}

impl AsFd for StreamLink {
    /// To be polled beside others, when nothing is [`read_ahead`](StreamLink::read_ahead).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
