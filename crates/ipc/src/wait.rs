//! Waiting for a descriptor: `ppoll(2)`, within a [`Timeout`].
//!
//! A signal ends no wait: after `EINTR` it goes on, up to the same point of the monotonic clock.
//!
//! That a descriptor was ready says nothing of the next moment, since others may have it too and be faster. So
//! whatever follows must not block, unless timeout is for ever: sockets are asked so call by call (`MSG_DONTWAIT`).
//! For the rest there is `O_NONBLOCK` only, which belongs to the open file description, and so to everybody who has
//! inherited or been passed it. It is set on what this crate has opened itself and gives to nobody.

use interlatch::sync::Timeout;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Waits until there is something to read, or the end of it: whether that came in time.
///
/// # Errors
/// If the kernel has no memory for it.
///
/// # Example
/// ```
/// use interlatch_ipc::wait::until_readable;
/// use interlatch::sync::Timeout;
/// use std::io::Write;
///
/// let (reader, mut writer) = std::io::pipe()?;
/// assert!(!until_readable(&reader, Timeout::NonBlocking)?);
/// writer.write_all(b"x")?;
/// assert!(until_readable(&reader, Timeout::Infinite)?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn until_readable(descriptor: impl AsFd, timeout: Timeout) -> io::Result<bool> {
    until(descriptor.as_fd(), PollFlags::IN, timeout)
}

/// Waits until something can be written, or nobody is left who reads: whether that came in time.
///
/// # Errors
/// If the kernel has no memory for it.
pub fn until_writable(descriptor: impl AsFd, timeout: Timeout) -> io::Result<bool> {
    until(descriptor.as_fd(), PollFlags::OUT, timeout)
}

fn until(descriptor: BorrowedFd<'_>, event: PollFlags, timeout: Timeout) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, event)];
    any(&mut polled, timeout)
}

/// Waits until one of them is ready, or has failed: whether one is.
pub(super) fn any(polled: &mut [PollFd<'_>], timeout: Timeout) -> io::Result<bool> {
    loop {
        let left = remaining(timeout).map(timespec);
        match poll(polled, left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tries something that does not block, or only where timeout is for ever, until it is done or timeout runs out: then there is nothing.
///
/// Somebody else may have been faster after each wait, so each one is followed by another try.
pub(super) fn until_done<T>(
    descriptor: impl AsFd,
    event: PollFlags,
    timeout: Timeout,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<Option<T>> {
    let mut is_last = false;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done.map(Some),
        }
        if is_last || !until(descriptor.as_fd(), event, timeout)? {
            return Ok(None);
        }
        is_last = is_over(timeout);
    }
}

/// Whether one that has waited already should not do so once more.
pub(super) fn is_over(timeout: Timeout) -> bool {
    remaining(timeout) == Some(Duration::ZERO)
}

/// How long that is from now; nothing says for ever.
pub(super) fn remaining(timeout: Timeout) -> Option<Duration> {
    match timeout {
        Timeout::NonBlocking => Some(Duration::ZERO),
        Timeout::At(deadline) => Some(deadline.remaining()),
        Timeout::Infinite => None,
    }
}

/// The kernel takes any number of seconds, and adds it to its clock without overflow.
fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}
