//! How two processes get a seqpacket link: by a pair that one inherits, or by a path.

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

/// Those who wait to be accepted at most.
const BACKLOG: i32 = 128;

/// A path at which a process accepts seqpacket links from others.
///
/// The path stays when this is dropped, as with the listeners of std.
///
/// # Process death
/// The path stays, and whoever connects is refused; remove it before binding it again.
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
/// let mut server = listener.accept_with(Timeout::Infinite)?.ok_or("somebody has connected")?;
/// client.send(b"hello")?;
/// assert_eq!(server.recv()?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SeqpacketListener {
    /// Not blocking, which is so for whoever inherits it too.
    socket: OwnedFd,
}

impl SeqpacketListener {
    /// Makes a socket at that path.
    ///
    /// # Errors
    /// If there is something already, the path is longer than 107 bytes, or this process may not.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::NONBLOCK)?;
        bind(&socket, &SocketAddrUnix::new(path.as_ref())?)?;
        listen(&socket, BACKLOG)?;
        Ok(Self { socket })
    }

    /// The next one that connects, or nothing if nobody does as long as timeout lasts.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn accept_with(&self, timeout: Timeout) -> io::Result<Option<PacketLink>> {
        let attempt = || Ok(accept_with(&self.socket, SocketFlags::CLOEXEC)?);
        let accepted = wait::until_done(&self.socket, PollFlags::IN, timeout, attempt)?;
        accepted.map(PacketLink::seqpacket).transpose()
    }
}

impl AsFd for SeqpacketListener {
    /// To be polled beside others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl PacketLink {
    /// Two ends of a seqpacket link.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn seqpacket_pair() -> io::Result<(Self, Self)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (one, other) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Self::seqpacket(one)?, Self::seqpacket(other)?))
    }

    /// A seqpacket link to the process that listens at that path. It waits, as long as timeout lasts, only
    /// if so many are waiting already that the listener takes no more.
    ///
    /// # Errors
    /// If there is no socket, nobody listens, this process may not, or ([`io::ErrorKind::WouldBlock`]) the
    /// listener takes no more in time.
    pub fn connect_seqpacket(path: impl AsRef<Path>, timeout: Timeout) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::empty())?;
        let address = SocketAddrUnix::new(path.as_ref())?;
        loop {
            // There is nothing to poll for here: the kernel has a timeout of its own.
            let timeout = wait::remaining(timeout).map(|left| left.max(SHORTEST));
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

/// A timeout of zero would be none.
const SHORTEST: Duration = Duration::from_micros(1);

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socket_with(
        family,
        kind,
        flags | SocketFlags::CLOEXEC,
        None,
    )?)
}
