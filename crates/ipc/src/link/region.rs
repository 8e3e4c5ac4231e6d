//! Passing a region: its descriptor goes over a Unix stream, beside one byte (`SCM_RIGHTS`).
//!
//! The peer may be anybody, so what comes is looked at: there has to be the byte, one descriptor and no more,
//! and behind it a memfd that nobody can cut short, with a region in it. Whatever else was passed is closed.

use crate::wait;
use core::mem::MaybeUninit;
use interlatch::region::{Region, RegionError};
use interlatch::sync::Timeout;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use rustix::cmsg_space;
use rustix::event::PollFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// What goes with the descriptor: the kernel passes none without a byte.
const TAG: u8 = b'R';

/// Why a region was not passed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// There was no room, or nothing came, in time.
    #[error("timed out waiting to pass a region")]
    Timeout,
    /// The peer has gone: nobody will receive it.
    #[error("passing a region to a peer that has gone")]
    Disconnected,
    /// System V memory has no descriptor.
    #[error("the region has no descriptor to pass: expected a memfd")]
    NoDescriptor,
    /// Something else came. The byte is gone, and so are descriptors that came with it.
    #[error("expected a region (the byte {TAG}), found the byte {found}")]
    OtherByte {
        /// What came.
        found: u8,
    },
    /// With a region comes one descriptor. All of them are closed.
    #[error("expected a region with 1 descriptor, found {found}{more}", more = if *is_cut { " and more" } else { "" })]
    Descriptors {
        /// How many came.
        found: usize,
        /// Whether there were more, for which this process had no room.
        is_cut: bool,
    },
    /// The socket was told to pass credentials too (`SO_PASSCRED`).
    #[error("the socket passes credentials: expected one that passes descriptors only")]
    Credentials,
    /// What came is no region that this process can use; or the region is none that another process could.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The kernel refused.
    #[error("{call}: {error}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

impl PassError {
    /// For `map_err` of a system call.
    fn of(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Disconnected,
            _ => Self::System { call, error },
        }
    }
}

/// Passes a region to the process at the other end, however long it takes.
///
/// # Errors
/// As of [`send_region_with`], but for timeout.
///
/// # Example
/// ```
/// use interlatch_ipc::{recv_region, send_region};
/// use interlatch::{Region, Semaphore};
/// use std::os::unix::net::UnixStream;
///
/// let (here, there) = UnixStream::pair()?;
/// let region = Region::memfd("passed", 4096)?;
/// let semaphore: &Semaphore = region.create("ready", ())?;
/// send_region(&here, &region)?;
///
/// // In another process:
/// let same = recv_region(&there)?.ok_or("the stream has ended")?;
/// same.attach::<Semaphore>("ready")?.release(1)?;
/// semaphore.acquire().forget();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn send_region(stream: &UnixStream, region: &Region) -> Result<(), PassError> {
    send_region_with(stream, region, Timeout::Infinite)
}

/// Passes a region as long as timeout lasts. It is this process's too, as before.
///
/// It goes between what else is sent over the stream, and the peer has to expect it there.
///
/// # Errors
/// If the region is no memfd, there is no room in time, or nobody receives it. Nothing was sent then.
///
/// # Process death
/// The region is on its way or not, and lives until it is received, or nobody has the other end any more.
pub fn send_region_with(
    stream: &UnixStream,
    region: &Region,
    timeout: Timeout,
) -> Result<(), PassError> {
    let descriptors = [region.descriptor().ok_or(PassError::NoDescriptor)?];
    // Whoever received a file that can be cut short would refuse it.
    let seals = fcntl(descriptors[0], FcntlArg::F_GET_SEALS).unwrap_or(0);
    if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
        return Err(RegionError::NotSealed.into());
    }
    let attempt = || send(stream, &descriptors);
    match wait::until_done(stream, PollFlags::OUT, timeout, attempt) {
        Ok(Some(())) => Ok(()),
        Ok(None) => Err(PassError::Timeout),
        Err(error) => Err(PassError::of("sendmsg")(error)),
    }
}

fn send(stream: &UnixStream, descriptors: &[BorrowedFd<'_>; 1]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(stream, &[IoSlice::new(&[TAG])], &mut control, flags)?;
    Ok(())
}

/// Receives a region, however long it takes, or nothing at the end of the stream.
///
/// # Errors
/// As of [`recv_region_with`], but for timeout.
pub fn recv_region(stream: &UnixStream) -> Result<Option<Region>, PassError> {
    recv_region_with(stream, Timeout::Infinite)
}

/// Receives a region as long as timeout lasts, or nothing at the end of the stream. Its descriptor is closed
/// by `exec`.
///
/// # Errors
/// If nothing comes in time, or something else than a region: no descriptor, several, one of something that
/// is no memfd or that the peer could cut short, or memory that is none of this crate's regions.
///
/// # Process death
/// A region that was received and not used goes with the process.
pub fn recv_region_with(
    stream: &UnixStream,
    timeout: Timeout,
) -> Result<Option<Region>, PassError> {
    if sockopt::socket_passcred(stream)
        .map_err(|errno| PassError::of("getsockopt")(errno.into()))?
    {
        return Err(PassError::Credentials);
    }
    let attempt = || receive(stream);
    let came = wait::until_done(stream, PollFlags::IN, timeout, attempt);
    match came.map_err(PassError::of("recvmsg"))? {
        None => Err(PassError::Timeout),
        Some(Came { byte: None, .. }) => Ok(None),
        Some(came) => Ok(Some(Region::from_descriptor(came.descriptor()?)?)),
    }
}

/// A byte, or the end, and the descriptors that came with it.
struct Came {
    byte: Option<u8>,
    descriptors: Vec<OwnedFd>,
    is_cut: bool,
}

fn receive(stream: &UnixStream) -> io::Result<Came> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        flags,
    )?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        // Owned from here on, and so closed if they are not wanted.
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    Ok(Came {
        byte: (received.bytes > 0).then_some(byte[0]),
        descriptors,
        is_cut: received.flags.contains(ReturnFlags::CTRUNC),
    })
}

impl Came {
    /// The one descriptor of a region.
    fn descriptor(self) -> Result<OwnedFd, PassError> {
        let found = self.descriptors.len();
        let (byte, is_cut) = (self.byte.unwrap_or_default(), self.is_cut);
        if byte != TAG {
            return Err(PassError::OtherByte { found: byte });
        }
        match <[OwnedFd; 1]>::try_from(self.descriptors) {
            Ok([descriptor]) if !is_cut => Ok(descriptor),
            _ => Err(PassError::Descriptors { found, is_cut }),
        }
    }
}
