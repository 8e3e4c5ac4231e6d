//! Unix stream and TCP: bytes, of which messages are made.
//!
//! A message is a frame: its length in four bytes, least significant first, and then its bytes. What has gone
//! of a frame has gone, and what has come has come; so the rest of either is kept here.

use super::{Link, LinkRecvError, LinkSendError};
use crate::ipc::wait;
use crate::sync::Patience;
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The limit of a link that says nothing else.
const LIMIT: usize = 1 << 20;

/// Bytes of the length.
const HEADER: usize = 4;

/// No more is read at once, nor allocated before it has come.
const CHUNK: usize = 1 << 16;

/// A [`Link`] over a Unix stream or TCP.
///
/// A message for which there is not room enough in time is begun, and finished by whatever is sent next or by
/// [`finish_within`](StreamLink::finish_within): [`LinkSendError::Unfinished`] says so. The peer sees whole
/// messages only, or that the stream was torn.
///
/// # Process death
/// The peer of a process that dies while it sends hears that the stream was torn.
///
/// # Example
/// ```
/// use interlatch::ipc::{Link, StreamLink};
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
    /// A frame that is being sent, and how much of it has gone.
    outgoing: Vec<u8>,
    sent: usize,
    /// What has come of a frame.
    incoming: Vec<u8>,
}

impl StreamLink {
    /// A link over a Unix stream.
    pub fn unix(stream: UnixStream) -> Self {
        Self::over(stream.into())
    }

    /// A link over TCP. Messages do not wait for others to share a packet with (`TCP_NODELAY`).
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
            incoming: Vec::new(),
        }
    }

    /// The same with another limit than a mebibyte: at most 2³² - 1.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        Self { limit, ..self }
    }

    /// Sends the rest of a message that was begun, as long as patience lasts.
    ///
    /// # Errors
    /// If there is no room for it in time, or nobody receives it.
    pub fn finish_within(&mut self, patience: Patience) -> Result<(), LinkSendError> {
        while self.sent < self.outgoing.len() {
            let rest = &self.outgoing[self.sent..];
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let attempt = || Ok(send(&self.socket, rest, flags)?);
            let gone = wait::until_done(&self.socket, PollFlags::OUT, patience, attempt);
            match gone.map_err(LinkSendError::of("send"))? {
                Some(length) => self.sent += length,
                None => return Err(LinkSendError::Unfinished { left: rest.len() }),
            }
        }
        self.forget_outgoing();
        Ok(())
    }

    fn forget_outgoing(&mut self) {
        self.outgoing.clear();
        self.sent = 0;
    }

    /// How long the incoming frame is, as far as is known: at first just its length.
    fn expected(&self) -> Result<usize, LinkRecvError> {
        let Some((header, _)) = self.incoming.split_first_chunk::<HEADER>() else {
            return Ok(HEADER);
        };
        let length = u32::from_le_bytes(*header) as usize;
        match length > self.limit {
            true => Err(LinkRecvError::TooLong {
                length,
                limit: self.limit,
            }),
            false => Ok(HEADER + length),
        }
    }

    /// Receives some of the missing bytes: how many, which is none at the end, or nothing if patience has run
    /// out.
    fn receive(&mut self, missing: usize, patience: Patience) -> io::Result<Option<usize>> {
        let begin = self.incoming.len();
        self.incoming.resize(begin + missing.min(CHUNK), 0);
        let place = &mut self.incoming[begin..];
        let attempt = || Ok(recv(&self.socket, &mut *place, RecvFlags::DONTWAIT)?.1);
        let came = wait::until_done(&self.socket, PollFlags::IN, patience, attempt);
        let length = came.as_ref().map_or(0, |came| came.unwrap_or(0));
        self.incoming.truncate(begin + length);
        came
    }
}

impl Link for StreamLink {
    fn limit(&self) -> usize {
        self.limit
    }

    fn send_within(&mut self, message: &[u8], patience: Patience) -> Result<(), LinkSendError> {
        let (length, limit) = (message.len(), self.limit);
        if length > limit {
            return Err(LinkSendError::TooLong { length, limit });
        }
        self.finish_within(patience).map_err(|error| match error {
            LinkSendError::Unfinished { .. } => LinkSendError::Timeout,
            error => error,
        })?;
        self.outgoing
            .extend_from_slice(&(length as u32).to_le_bytes());
        self.outgoing.extend_from_slice(message);
        let finished = self.finish_within(patience);
        if finished.is_err() && self.sent == 0 {
            // Nothing of it has gone, so it need not be finished.
            self.forget_outgoing();
            return finished.map_err(|error| match error {
                LinkSendError::Unfinished { .. } => LinkSendError::Timeout,
                error => error,
            });
        }
        finished
    }

    fn recv_within(&mut self, patience: Patience) -> Result<Option<Vec<u8>>, LinkRecvError> {
        loop {
            let expected = self.expected()?;
            let found = self.incoming.len();
            if found == expected {
                break;
            }
            let came = self.receive(expected - found, patience);
            match came.map_err(LinkRecvError::of("recv"))? {
                None => return Err(LinkRecvError::Timeout),
                Some(0) if found == 0 => return Ok(None),
                Some(0) => return Err(LinkRecvError::Torn { expected, found }),
                Some(_) => {}
            }
        }
        let message = self.incoming.split_off(HEADER);
        self.incoming.clear();
        Ok(Some(message))
    }
}

impl AsFd for StreamLink {
    /// To be polled beside others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
