//! Passing a region: its descriptor is sent over a Unix stream with one byte (`SCM_RIGHTS`).
//!
//! The peer is not trusted. The receiver accepts only that byte with exactly one descriptor. The
//! descriptor must refer to a memfd that is sealed against shrinking and holds a region. The
//! receiver closes any other descriptor.

use crate::wait;
use core::mem::MaybeUninit;
use interlatch::region::{Region, RegionError, RegionOptions};
use interlatch::sync::Timeout;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use rustix::cmsg_space;
use rustix::event::PollFlags;
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The byte that is sent with the descriptor. The kernel passes a descriptor only together with
/// data.
const TAG: u8 = b'R';

/// The error returned when passing a region to another process fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionTransferError {
    /// The socket's buffer stayed full until the timeout, or no region arrived before the timeout.
    #[error("timed out while passing a region")]
    Timeout,
    /// The peer has closed the connection.
    #[error("cannot pass a region: the peer has closed the connection")]
    Disconnected,
    /// The region has no descriptor, for example because it is System V memory.
    #[error("the region has no descriptor; only a region in a memfd can be passed")]
    NoDescriptor,
    /// The next byte of the stream belongs to no region. The byte and its descriptors have been
    /// consumed.
    #[error(
        "expected a region (byte {TAG}), found byte {found}; the peer sends something else first"
    )]
    OtherByte {
        /// The byte that arrived.
        found: u8,
    },
    /// The message carries no descriptor or more than one. All descriptors that arrived have been
    /// closed.
    #[error("expected a region with 1 descriptor, found {found}{more}", more = if *truncated { " and more" } else { "" })]
    Descriptors {
        /// The number of descriptors that arrived.
        found: usize,
        /// Whether the kernel dropped further descriptors.
        truncated: bool,
    },
    /// This process has no free descriptor for the region. The region stays in the stream, so a
    /// later call receives it.
    #[error(
        "this process has no free descriptor for the region; close a descriptor or raise \
         RLIMIT_NOFILE, and receive again: the region is still in the stream"
    )]
    DescriptorLimit,
    /// The socket has `SO_PASSCRED` set and therefore also passes credentials.
    #[error("the socket passes credentials; clear SO_PASSCRED before receiving a region")]
    Credentials,
    /// The memory holds no valid region, or the region cannot be shared safely.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A system call failed.
    #[error("{call}: {error}")]
    System {
        /// The name of the call.
        call: &'static str,
        /// The error that the call returned.
        #[source]
        error: io::Error,
    },
}

impl RegionTransferError {
    /// Returns a function for `map_err` that converts an error of this system call.
    fn from_call(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Disconnected,
            _ => Self::System { call, error },
        }
    }
}

/// Passes a region to the process at the other end, blocking while the socket's buffer is full.
///
/// # Errors
/// See [`send_region_with`].
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
pub fn send_region(stream: &UnixStream, region: &Region) -> Result<(), RegionTransferError> {
    send_region_with(stream, region, Timeout::Infinite)
}

/// Passes a region, up to a timeout. This process keeps its mapping.
///
/// The stream delivers the region and other data in the order of sending, so the peer must call
/// [`recv_region`] at the matching point of the stream.
///
/// # Errors
/// Returns an error if the region is not a sealed memfd, the socket's buffer stays full until the
/// timeout, or the peer has closed the connection. In each of these cases nothing was sent.
///
/// # Process death
/// If the sender dies during the call, the region has been sent completely or not at all. A sent
/// region exists until it is received or until all processes have closed the other end of the
/// socket.
pub fn send_region_with(
    stream: &UnixStream,
    region: &Region,
    timeout: Timeout,
) -> Result<(), RegionTransferError> {
    let descriptors = [region
        .descriptor()
        .ok_or(RegionTransferError::NoDescriptor)?];
    // The receiver rejects a file that can be truncated.
    let seals = fcntl(descriptors[0], FcntlArg::F_GET_SEALS).unwrap_or(0);
    if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
        return Err(RegionError::NotSealed.into());
    }
    let attempt = || send(stream, &descriptors);
    match wait::retry_until_ready(stream, PollFlags::OUT, timeout, attempt) {
        Ok(Some(())) => Ok(()),
        Ok(None) => Err(RegionTransferError::Timeout),
        Err(error) => Err(RegionTransferError::from_call("sendmsg")(error)),
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

/// Receives a region, blocking until one arrives; returns `None` at the end of the stream.
///
/// # Errors
/// See [`recv_region_with`].
pub fn recv_region(stream: &UnixStream) -> Result<Option<Region>, RegionTransferError> {
    recv_region_with(stream, Timeout::Infinite)
}

/// Receives a region, up to a timeout; returns `None` at the end of the stream.
///
/// The region's descriptor is close-on-exec.
///
/// # Errors
/// Returns an error if nothing arrives before the timeout, or if the message is not a region. A
/// message is not a region if it has no descriptor or several, if the descriptor is not a memfd or
/// is not sealed against shrinking, or if the memory holds no region. The memory must belong to the
/// user of this process or to root: see [`recv_region_with_options`].
///
/// If this process has no free descriptor, the call returns
/// [`DescriptorLimit`](RegionTransferError::DescriptorLimit) and consumes nothing. All other
/// messages that are not a region are consumed.
///
/// # Process death
/// If the receiver dies, the kernel frees a received region that no other process uses.
pub fn recv_region_with(
    stream: &UnixStream,
    timeout: Timeout,
) -> Result<Option<Region>, RegionTransferError> {
    recv_region_with_options(stream, timeout, &RegionOptions::new(0))
}

/// Receives a region, up to a timeout, and accepts the owners that the options allow; returns
/// `None` at the end of the stream.
///
/// Use this function to receive a region from a process of another user. See
/// [`RegionOptions::allow_owner`]; the other options have no effect.
///
/// # Errors
/// See [`recv_region_with`].
///
/// # Process death
/// See [`recv_region_with`].
///
/// # How it works
/// The message is read twice. The first time it stays in the stream (`MSG_PEEK`), and this function
/// attaches to the region, which needs up to two descriptors. Then the message is consumed.
pub fn recv_region_with_options(
    stream: &UnixStream,
    timeout: Timeout,
    options: &RegionOptions,
) -> Result<Option<Region>, RegionTransferError> {
    if sockopt::socket_passcred(stream)
        .map_err(|errno| RegionTransferError::from_call("getsockopt")(errno.into()))?
    {
        return Err(RegionTransferError::Credentials);
    }
    loop {
        let peeked = match receive_with(stream, RecvFlags::PEEK, timeout)? {
            None => return Err(RegionTransferError::Timeout),
            Some(ReceivedRights { byte: None, .. }) => return Ok(None),
            Some(peeked) => peeked.attach(options),
        };
        if matches!(peeked, Err(RegionTransferError::DescriptorLimit)) {
            return Err(RegionTransferError::DescriptorLimit);
        }
        let Some(received) = receive_with(stream, RecvFlags::empty(), Timeout::NonBlocking)? else {
            // Another thread or process has received the message.
            continue;
        };
        if received.byte.is_none() {
            return Ok(None);
        }
        return match peeked {
            Ok(region) if received.is_same(&region) => Ok(Some(region)),
            _ => received.attach(options).map(Some),
        };
    }
}

/// Receives a byte and its descriptors. Returns `None` if nothing arrives before the timeout.
fn receive_with(
    stream: &UnixStream,
    flags: RecvFlags,
    timeout: Timeout,
) -> Result<Option<ReceivedRights>, RegionTransferError> {
    let attempt = || receive(stream, flags);
    wait::retry_until_ready(stream, PollFlags::IN, timeout, attempt)
        .map_err(RegionTransferError::from_call("recvmsg"))
}

/// A byte, or `None` at the end of the stream, and the descriptors that arrived with the byte.
struct ReceivedRights {
    byte: Option<u8>,
    descriptors: Vec<OwnedFd>,
    truncated: bool,
}

fn receive(stream: &UnixStream, flags: RecvFlags) -> io::Result<ReceivedRights> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        flags,
    )?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        // This process owns the descriptors from here on, so dropping the vector closes unwanted
        // descriptors.
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    Ok(ReceivedRights {
        byte: (received.bytes > 0).then_some(byte[0]),
        descriptors,
        truncated: received.flags.contains(ReturnFlags::CTRUNC),
    })
}

impl ReceivedRights {
    /// Attaches to the region.
    fn attach(self, options: &RegionOptions) -> Result<Region, RegionTransferError> {
        let attached = options.attach_descriptor(self.descriptor()?);
        attached.map_err(|error| match &error {
            RegionError::System { error, .. } if is_descriptor_limit(error) => {
                RegionTransferError::DescriptorLimit
            }
            _ => error.into(),
        })
    }

    /// Returns whether the kernel had no free descriptor for a region. The buffer has room for one
    /// descriptor, so the kernel only drops all of them if the process has no free one.
    fn lacks_descriptor(&self) -> bool {
        self.byte == Some(TAG) && self.truncated && self.descriptors.is_empty()
    }

    /// Returns whether this is the message of the region that was attached before. The message of
    /// another region may be next if several threads or processes receive from the stream. If its
    /// descriptor is lost, this function assumes that there is only one receiver.
    fn is_same(&self, region: &Region) -> bool {
        let identity = |descriptor: BorrowedFd<'_>| {
            let status = fstat(descriptor).ok()?;
            Some((status.st_dev, status.st_ino))
        };
        let expected = region.descriptor().and_then(identity);
        let is_expected = |descriptor: &OwnedFd| identity(descriptor.as_fd()) == expected;
        self.lacks_descriptor() || matches!(&self.descriptors[..], [one] if is_expected(one))
    }

    /// Returns the descriptor of the region.
    fn descriptor(self) -> Result<OwnedFd, RegionTransferError> {
        let found = self.descriptors.len();
        let (byte, truncated) = (self.byte.unwrap_or_default(), self.truncated);
        if byte != TAG {
            return Err(RegionTransferError::OtherByte { found: byte });
        }
        if self.lacks_descriptor() {
            return Err(RegionTransferError::DescriptorLimit);
        }
        match <[OwnedFd; 1]>::try_from(self.descriptors) {
            Ok([descriptor]) if !truncated => Ok(descriptor),
            _ => Err(RegionTransferError::Descriptors { found, truncated }),
        }
    }
}

/// Returns whether the process or the machine has no free descriptor.
fn is_descriptor_limit(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}
