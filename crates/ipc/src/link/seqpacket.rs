//! Connects two processes by a seqpacket link, through an inherited pair of sockets or through a
//! path.

use super::PacketLink;
use crate::wait;
use interlatch::sync::Timeout;
use rustix::event::PollFlags;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with, socketpair, sockopt,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A listener at a path that accepts seqpacket links.
///
/// Dropping the listener does not remove the path. The Unix listeners of std behave in the same
/// way.
///
/// # Process death
/// The path of a dead listener remains, and the kernel refuses connections to the path. Remove the
/// path before binding it again.
///
/// # Fork
/// A forked child shares the socket: one of the processes accepts each connection. Dropping a copy
/// closes the descriptor of the child and removes no name.
///
/// # Example
/// ```
/// use interlatch_ipc::{Link, PacketLink, SeqpacketListener};
/// use interlatch::sync::Timeout;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("socket");
/// let listener = SeqpacketListener::bind(&path)?;
/// let mut client = PacketLink::connect_seqpacket(&path, Timeout::Infinite)?;
/// let mut server = listener.accept_with(Timeout::Infinite)?.ok_or("no connection")?;
/// client.send(b"hello")?;
/// assert_eq!(server.recv()?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SeqpacketListener {
    /// The listening socket. The socket is non-blocking, including in processes that inherit it.
    socket: OwnedFd,
}

impl SeqpacketListener {
    /// Creates a socket at that path.
    ///
    /// # Errors
    /// Returns an error if the path exists, is longer than 107 bytes, or permission is denied.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::NONBLOCK)?;
        bind(&socket, &SocketAddrUnix::new(path.as_ref())?)?;
        listen(&socket, BACKLOG)?;
        Ok(Self { socket })
    }

    /// Accepts the next connection, or returns `None` on timeout.
    ///
    /// # Errors
    /// Returns an error if the process has no free descriptor.
    pub fn accept_with(&self, timeout: Timeout) -> io::Result<Option<PacketLink>> {
        let attempt = || Ok(accept_with(&self.socket, SocketFlags::CLOEXEC)?);
        let accepted = wait::retry_until_ready(&self.socket, PollFlags::IN, timeout, attempt)?;
        accepted.map(PacketLink::seqpacket).transpose()
    }
}

impl AsFd for SeqpacketListener {
    /// Returns the descriptor, to poll it together with others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl PacketLink {
    /// Creates two connected ends of a seqpacket link.
    ///
    /// # Errors
    /// Returns an error if the process has no free descriptor.
    pub fn seqpacket_pair() -> io::Result<(Self, Self)> {
        let (family, socket_type) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (one, other) = socketpair(family, socket_type, SocketFlags::CLOEXEC, None)?;
        Ok((Self::seqpacket(one)?, Self::seqpacket(other)?))
    }

    /// Connects to the process that listens at that path.
    ///
    /// The call blocks, up to the timeout, only while the listener's queue of connections is full.
    ///
    /// # Errors
    /// Returns an error if the path holds no socket, no process listens, permission is denied, or
    /// the queue stays full until the timeout ([`io::ErrorKind::WouldBlock`]).
    pub fn connect_seqpacket(path: impl AsRef<Path>, timeout: Timeout) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::empty())?;
        let address = SocketAddrUnix::new(path.as_ref())?;
        loop {
            // `poll(2)` cannot report a free slot in the listener's queue, so `connect(2)` itself
            // blocks. The kernel limits the duration of `connect(2)` by the send timeout of the
            // socket.
            let timeout = wait::remaining(timeout).map(|left| left.max(MIN_TIMEOUT));
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, timeout)?;
            match connect(&socket, &address).map_err(io::Error::from) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)?;
        Self::seqpacket(socket)
    }
}

/// The shortest timeout. The kernel would interpret 0 as an infinite timeout.
const MIN_TIMEOUT: Duration = Duration::from_micros(1);

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    let (family, socket_type) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socket_with(
        family,
        socket_type,
        flags | SocketFlags::CLOEXEC,
        None,
    )?)
}
