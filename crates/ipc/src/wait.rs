//! Waits for readiness of a descriptor, bounded by a [`Timeout`] (`ppoll(2)`).
//!
//! Signals do not end a wait: after `EINTR`, the wait resumes with the same deadline on the
//! monotonic clock.
//!
//! Readiness is a hint. Another process or thread with the same descriptor may consume the data
//! first, so the call after a wait must not block unless the timeout is infinite. For a socket,
//! each call can disable blocking with `MSG_DONTWAIT`. Other descriptors have only the flag
//! `O_NONBLOCK`. This flag belongs to the open file description, which is shared by all processes
//! that inherited or received the descriptor. Therefore this crate sets the flag only on
//! descriptors that it opened itself and does not share.

use interlatch::sync::Timeout;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Waits until data or end-of-file can be read; returns `false` on timeout.
///
/// # Errors
/// Returns the error of `ppoll(2)`, which fails if the kernel is out of memory.
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
    wait_for(descriptor.as_fd(), PollFlags::IN, timeout)
}

/// Waits until a write would not block; returns `false` on timeout.
///
/// A pipe or socket also counts as writable if all of its readers have closed their end. A write
/// then fails immediately.
///
/// # Errors
/// Returns the error of `ppoll(2)`, which fails if the kernel is out of memory.
pub fn until_writable(descriptor: impl AsFd, timeout: Timeout) -> io::Result<bool> {
    wait_for(descriptor.as_fd(), PollFlags::OUT, timeout)
}

fn wait_for(descriptor: BorrowedFd<'_>, event: PollFlags, timeout: Timeout) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, event)];
    poll_any(&mut polled, timeout)
}

/// Waits until at least one descriptor is ready or has failed; returns `false` on timeout.
pub(super) fn poll_any(polled: &mut [PollFd<'_>], timeout: Timeout) -> io::Result<bool> {
    loop {
        let left = remaining(timeout).map(timespec);
        match poll(polled, left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Retries a non-blocking operation until it succeeds, fails or times out (`None`).
///
/// `attempt` may block only if the timeout is infinite. Another process may consume the data
/// between the wait and the attempt, so each wait is followed by another attempt.
pub(super) fn retry_until_ready<T>(
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
        if is_last || !wait_for(descriptor.as_fd(), event, timeout)? {
            return Ok(None);
        }
        is_last = has_expired(timeout);
    }
}

/// Returns whether no time remains. A non-blocking timeout has always expired.
pub(super) fn has_expired(timeout: Timeout) -> bool {
    remaining(timeout) == Some(Duration::ZERO)
}

/// Returns the remaining time, or `None` for an infinite timeout.
pub(super) fn remaining(timeout: Timeout) -> Option<Duration> {
    match timeout {
        Timeout::NonBlocking => Some(Duration::ZERO),
        Timeout::At(deadline) => Some(deadline.remaining()),
        Timeout::Infinite => None,
    }
}

/// Converts a duration to the kernel's type. The kernel accepts any number of seconds and reduces
/// it to the longest time that it supports.
fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}
