//! Unix datagram, Unix seqpacket and UDP: the kernel keeps message boundaries.

use super::stream::{recv_flags, send_flags};
use super::{Link, LinkRecvError, LinkSendError};
use crate::wait;
use interlatch::sync::Timeout;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketType, getpeername, recv, send, sockopt};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// The default limit of a Unix link.
const DEFAULT_LIMIT: usize = 1 << 16;

/// The longest UDP datagram over IPv4: 65,535 bytes less 28 bytes of headers.
const UDP_LIMIT: usize = 65_507;

/// The bytes that the kernel needs in a send buffer in addition to the message.
const OVERHEAD: usize = 32;

/// A [`Link`] over Unix datagram, Unix seqpacket or UDP.
///
/// A datagram link does not report the end of the stream: if the peer has closed its socket, the
/// receiver waits until the timeout. A seqpacket link reports the end of the stream.
///
/// # Process death
/// If a process dies while it sends a message, the message is sent completely or not at all.
///
/// # Fork
/// A forked child shares the socket: one of the processes receives each message. Dropping a copy
/// closes only the descriptor of the child.
///
/// # Example
/// ```
/// use interlatch_ipc::{Link, LinkRecvError, LinkSendError, PacketLink};
///
/// let (mut one, mut other) = PacketLink::datagram_pair()?;
/// one.send(b"first")?;
/// one.send(b"second")?;
/// assert_eq!(other.recv()?.as_deref(), Some(&b"first"[..]));
/// assert_eq!(other.recv()?.as_deref(), Some(&b"second"[..]));
/// assert!(matches!(other.try_recv(), Err(LinkRecvError::Timeout)));
/// drop(other);
/// assert!(matches!(one.send(b"third"), Err(LinkSendError::Disconnected)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PacketLink {
    socket: OwnedFd,
    /// The length of the longest message that the kernel accepts on this socket.
    max_limit: usize,
    limit: usize,
    has_end: bool,
    /// The receive buffer. Its length equals the limit once a message has been received.
    buffer: Vec<u8>,
}

impl PacketLink {
    /// Creates a link over a connected Unix datagram socket.
    ///
    /// # Errors
    /// Returns an error if the socket is not connected.
    pub fn unix_datagram(socket: UnixDatagram) -> io::Result<Self> {
        socket.peer_addr()?;
        Self::from_unix(socket.into(), false)
    }

    /// Creates a link over a connected UDP socket.
    ///
    /// # Errors
    /// Returns an error if the socket is not connected.
    pub fn udp(socket: UdpSocket) -> io::Result<Self> {
        socket.peer_addr()?;
        Ok(Self::from_socket(
            socket.into(),
            UDP_LIMIT,
            UDP_LIMIT,
            false,
        ))
    }

    /// Creates two connected ends of a link over Unix datagrams.
    ///
    /// # Errors
    /// Returns an error if the process has no free descriptor.
    pub fn datagram_pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixDatagram::pair()?;
        Ok((Self::unix_datagram(one)?, Self::unix_datagram(other)?))
    }

    /// Creates a link over a connected Unix seqpacket socket, for example an inherited one.
    ///
    /// # Errors
    /// Returns an error if the descriptor is not a connected seqpacket socket.
    pub fn seqpacket(socket: OwnedFd) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(Errno::PROTOTYPE.into());
        }
        getpeername(&socket)?;
        // The kernel reports an empty message in the same way as the end of the stream. With
        // `SO_PASSCRED`, a message carries credentials, and the end of the stream does not.
        sockopt::set_socket_passcred(&socket, true)?;
        Self::from_unix(socket, true)
    }

    fn from_unix(socket: OwnedFd, has_end: bool) -> io::Result<Self> {
        let max_limit = sockopt::socket_send_buffer_size(&socket)?.saturating_sub(OVERHEAD);
        Ok(Self::from_socket(
            socket,
            max_limit,
            DEFAULT_LIMIT.min(max_limit),
            has_end,
        ))
    }

    fn from_socket(socket: OwnedFd, max_limit: usize, limit: usize, has_end: bool) -> Self {
        Self {
            socket,
            max_limit,
            limit,
            has_end,
            buffer: Vec::new(),
        }
    }

    /// Changes the limit of messages, up to the maximum of the kernel.
    ///
    /// The maximum is 65,507 bytes for UDP and slightly less than the send buffer for a Unix
    /// socket. The default is the maximum for UDP, and the smaller of 64 KiB and the maximum for a
    /// Unix socket.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self {
            limit: limit.min(self.max_limit),
            buffer: Vec::new(),
            ..self
        }
    }
}

/// Receives the next message into `buffer` and returns the message's length, which may exceed the
/// length of `buffer`.
///
/// Returns `None` at the end of the stream, if this kind of socket reports the end.
fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    has_end: bool,
    flags: RecvFlags,
) -> io::Result<Option<usize>> {
    if !has_end {
        return Ok(Some(recv(socket, buffer, flags | RecvFlags::TRUNC)?.1));
    }
    let (length, has_sender) = receive_with_credentials(socket, buffer, flags | RecvFlags::TRUNC)?;
    let is_end = length == 0 && !has_sender;
    Ok((!is_end).then_some(length))
}

/// Receives the next message and returns its length and whether it carries credentials.
///
/// The end of the stream carries no credentials. The call provides no buffer for control messages,
/// so the kernel sets `MSG_CTRUNC` if there are credentials, and closes any passed descriptors. The
/// call provides no buffer for an address either, because the kernel would then write the address
/// on every call. For this reason the function calls libc: rustix's `recvmsg` always provides an
/// address buffer.
fn receive_with_credentials(
    socket: &OwnedFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, bool)> {
    let mut piece = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all fields of `msghdr` may be 0, which means no address and no control messages.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut piece, 1);
    let (socket, flags) = (socket.as_raw_fd(), flags.bits() as libc::c_int);
    // SAFETY: `header` points to `piece`, which describes `buffer`; both are borrowed for the call.
    let received = unsafe { libc::recvmsg(socket, &raw mut header, flags) };
    let length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok((length, header.msg_flags & libc::MSG_CTRUNC != 0))
}

impl Link for PacketLink {
    fn limit(&self) -> usize {
        self.limit
    }

    fn send_with(&mut self, message: &[u8], timeout: Timeout) -> Result<(), LinkSendError> {
        let (length, limit) = (message.len(), self.limit);
        let too_long = || LinkSendError::TooLong { length, limit };
        if length > limit {
            return Err(too_long());
        }
        let flags = send_flags(timeout);
        let attempt = || Ok(send(&self.socket, message, flags)?);
        match wait::retry_until_ready(&self.socket, PollFlags::OUT, timeout, attempt) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(LinkSendError::Timeout),
            // Another process that shares this socket has reduced the send buffer.
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                Err(too_long())
            }
            Err(error) => Err(LinkSendError::from_call("send")(error)),
        }
    }

    fn recv_into_with(
        &mut self,
        message: &mut Vec<u8>,
        timeout: Timeout,
    ) -> Result<Option<usize>, LinkRecvError> {
        let limit = self.limit;
        self.buffer.resize(limit, 0);
        let (socket, buffer, flags) = (&self.socket, &mut self.buffer, recv_flags(timeout));
        let attempt = || receive(socket, buffer, self.has_end, flags);
        let received = wait::retry_until_ready(socket, PollFlags::IN, timeout, attempt);
        match received.map_err(LinkRecvError::from_call("recvmsg"))? {
            None => Err(LinkRecvError::Timeout),
            Some(None) => Ok(None),
            Some(Some(length)) if length > limit => Err(LinkRecvError::TooLong { length, limit }),
            Some(Some(length)) => {
                deliver(&mut self.buffer, length, message);
                Ok(Some(length))
            }
        }
    }
}

/// Moves the received message to the caller.
///
/// A short message is copied. For a long message, the link swaps its buffer with the caller's
/// buffer.
fn deliver(buffer: &mut Vec<u8>, length: usize, message: &mut Vec<u8>) {
    if length <= buffer.len() / 2 {
        message.clear();
        message.extend_from_slice(&buffer[..length]);
    } else {
        core::mem::swap(buffer, message);
        message.truncate(length);
    }
}

impl AsFd for PacketLink {
    /// Returns the descriptor, to poll it together with others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<PacketLink> for OwnedFd {
    /// Returns the socket, so that a child can inherit it or another process can receive it.
    fn from(link: PacketLink) -> Self {
        link.socket
    }
}
