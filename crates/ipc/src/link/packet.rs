//! Unix datagram, Unix seqpacket and UDP: the kernel keeps messages apart.

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

/// The limit of a Unix link that says nothing else.
const LIMIT: usize = 1 << 16;

/// The longest datagram of UDP over IPv4: of 65,535 bytes, 28 are headers.
const UDP_LIMIT: usize = 65_507;

/// What the kernel needs of a send buffer beside the message.
const OVERHEAD: usize = 32;

/// A [`Link`] over Unix datagram, Unix seqpacket or UDP.
///
/// A datagram has no end of a stream: whoever waits for one from a peer that has gone waits as long as its
/// timeout lasts. A seqpacket link has.
///
/// # Process death
/// Each message was sent or not.
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
    /// What the kernel takes.
    most: usize,
    limit: usize,
    has_end: bool,
    /// As long as the limit, from the first time on that something is received.
    place: Vec<u8>,
}

impl PacketLink {
    /// A link over a Unix datagram socket, which is connected.
    ///
    /// # Errors
    /// If it is not connected.
    pub fn unix_datagram(socket: UnixDatagram) -> io::Result<Self> {
        socket.peer_addr()?;
        Self::over_unix(socket.into(), false)
    }

    /// A link over UDP, by a socket that is connected.
    ///
    /// # Errors
    /// If it is not connected.
    pub fn udp(socket: UdpSocket) -> io::Result<Self> {
        socket.peer_addr()?;
        Ok(Self::over(socket.into(), UDP_LIMIT, UDP_LIMIT, false))
    }

    /// Two ends of a link over Unix datagrams.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn datagram_pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixDatagram::pair()?;
        Ok((Self::unix_datagram(one)?, Self::unix_datagram(other)?))
    }

    /// A link over a Unix seqpacket socket, which is connected: one that was inherited, or passed.
    ///
    /// # Errors
    /// If it is something else.
    pub fn seqpacket(socket: OwnedFd) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(Errno::PROTOTYPE.into());
        }
        getpeername(&socket)?;
        // To the kernel a message of no bytes and the end are the same. But with a message come the
        // credentials of its sender, if that is asked.
        sockopt::set_socket_passcred(&socket, true)?;
        Self::over_unix(socket, true)
    }

    fn over_unix(socket: OwnedFd, has_end: bool) -> io::Result<Self> {
        let most = sockopt::socket_send_buffer_size(&socket)?.saturating_sub(OVERHEAD);
        Ok(Self::over(socket, most, LIMIT.min(most), has_end))
    }

    fn over(socket: OwnedFd, most: usize, limit: usize, has_end: bool) -> Self {
        Self {
            socket,
            most,
            limit,
            has_end,
            place: Vec::new(),
        }
    }

    /// The same with another limit, at most what the kernel takes: 65,507 bytes of UDP, and of a Unix socket
    /// somewhat less than its send buffer. Else it is 64 KiB, or that.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self {
            limit: limit.min(self.most),
            place: Vec::new(),
            ..self
        }
    }
}

/// The length of the next message, which lies at `place`, as far as it fits. Nothing at the end, if there can
/// be one.
fn receive(
    socket: &OwnedFd,
    place: &mut [u8],
    has_end: bool,
    waits: RecvFlags,
) -> io::Result<Option<usize>> {
    if !has_end {
        return Ok(Some(recv(socket, place, waits | RecvFlags::TRUNC)?.1));
    }
    let (length, has_sender) = receive_of_somebody(socket, place, waits | RecvFlags::TRUNC)?;
    let is_end = length == 0 && !has_sender;
    Ok((!is_end).then_some(length))
}

/// The length of the next message, and whether it has credentials, as the end has not. There is no room for them:
/// that there were some is said all the same. Descriptors that nobody has asked for are closed by the kernel.
///
/// Nor is there room for an address, which the kernel would write each time: that is why this is not rustix's.
fn receive_of_somebody(
    socket: &OwnedFd,
    place: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, bool)> {
    let mut piece = libc::iovec {
        iov_base: place.as_mut_ptr().cast(),
        iov_len: place.len(),
    };
    // SAFETY: each of its fields may be zero: neither an address nor control messages.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut piece, 1);
    let (socket, flags) = (socket.as_raw_fd(), flags.bits() as libc::c_int);
    // SAFETY: the kernel writes into the header, and so many bytes into the place, which is borrowed for that.
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
        match wait::until_done(&self.socket, PollFlags::OUT, timeout, attempt) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(LinkSendError::Timeout),
            // Somebody else has made the send buffer smaller.
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                Err(too_long())
            }
            Err(error) => Err(LinkSendError::of("send")(error)),
        }
    }

    fn recv_into_with(
        &mut self,
        message: &mut Vec<u8>,
        timeout: Timeout,
    ) -> Result<Option<usize>, LinkRecvError> {
        let limit = self.limit;
        self.place.resize(limit, 0);
        let (socket, place, waits) = (&self.socket, &mut self.place, recv_flags(timeout));
        let attempt = || receive(socket, place, self.has_end, waits);
        let received = wait::until_done(socket, PollFlags::IN, timeout, attempt);
        match received.map_err(LinkRecvError::of("recvmsg"))? {
            None => Err(LinkRecvError::Timeout),
            Some(None) => Ok(None),
            Some(Some(length)) if length > limit => Err(LinkRecvError::TooLong { length, limit }),
            Some(Some(length)) => {
                hand_over(&mut self.place, length, message);
                Ok(Some(length))
            }
        }
    }
}

/// Gives away what was received. A short message is copied; a long one goes with the place that it is in, for
/// which the caller's is the next.
fn hand_over(place: &mut Vec<u8>, length: usize, message: &mut Vec<u8>) {
    if length <= place.len() / 2 {
        message.clear();
        message.extend_from_slice(&place[..length]);
    } else {
        core::mem::swap(place, message);
        message.truncate(length);
    }
}

impl AsFd for PacketLink {
    /// To be polled beside others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<PacketLink> for OwnedFd {
    /// To be inherited, or passed.
    fn from(link: PacketLink) -> Self {
        link.socket
    }
}
