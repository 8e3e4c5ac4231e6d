//! The kernel's pipe.
//!
//! Both ends never block by themselves: who waits does so in [`Reader::wait`] and [`Writer::wait`]. The
//! flag that says so is one for everybody who has the same open file, so an end that comes from
//! elsewhere is opened once more.

use super::Deadline;
use crate::platform::{PipeStop, Wake};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, ioctl_fionread, read, write};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// So many bytes are written in one piece or not at all: `PIPE_BUF`.
pub const ATOMIC: usize = 4096;

/// The end of a pipe that is read.
#[derive(Debug)]
pub struct Reader(OwnedFd);

/// The end of a pipe that is written.
#[derive(Debug)]
pub struct Writer {
    descriptor: OwnedFd,
    /// Whether a write that nobody will read would raise a signal that ends the process.
    raises: bool,
}

/// A pipe that holds at least that many bytes.
///
/// # Errors
/// What the kernel said: no descriptor is left, or a pipe of this user cannot be that large.
pub fn pipe(capacity: usize) -> std::io::Result<(Reader, Writer)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let writer = Writer::new(writer);
    if writer.capacity() < capacity {
        fcntl_setpipe_size(&writer.descriptor, capacity)?;
    }
    Ok((Reader(reader), writer))
}

/// Waits until one of them can be read or written: whatever is first.
pub fn wait_either(reader: &Reader, writer: &Writer, deadline: Option<Deadline>) -> Wake {
    poll_all(
        &mut [
            PollFd::from_borrowed_fd(reader.0.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(writer.descriptor.as_fd(), PollFlags::OUT),
        ],
        deadline,
    )
}

impl Reader {
    /// An end that comes from elsewhere, opened once more for this process alone.
    ///
    /// # Errors
    /// What the kernel said: for example, that it is no pipe.
    pub fn reopen(descriptor: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self(reopen(descriptor, OFlags::RDONLY)?))
    }

    /// An end that this process has opened for itself, as one that does not block.
    pub(crate) fn from_owned(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Reads what there is, up to that much; nothing is the end of the stream.
    ///
    /// # Errors
    /// There is nothing now.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        loop {
            match read(&self.0, &mut *bytes) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(stop(errno)),
            }
        }
    }

    /// Waits until there is something to read, or the stream has ended.
    pub fn wait(&self, deadline: Option<Deadline>) -> Wake {
        wait(self.0.as_fd(), PollFlags::IN, deadline)
    }

    /// How many bytes there were a moment ago.
    pub fn available(&self) -> usize {
        ioctl_fionread(&self.0).map_or(0, |bytes| bytes as usize)
    }
}

impl Writer {
    fn new(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
            raises: raises(),
        }
    }

    /// As [`Reader::reopen`].
    ///
    /// # Errors
    /// As there.
    pub fn reopen(descriptor: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self::new(reopen(descriptor, OFlags::WRONLY)?))
    }

    /// As [`Reader::from_owned`].
    pub(crate) fn from_owned(descriptor: OwnedFd) -> Self {
        Self::new(descriptor)
    }

    /// Writes as much as there is room for; [`ATOMIC`] bytes or less all or not at all.
    ///
    /// # Errors
    /// There is no room now, or nobody reads any more.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        let write = || loop {
            match write(&self.descriptor, bytes) {
                Err(Errno::INTR) => {}
                written => return written,
            }
        };
        let written = if self.raises {
            without_signal(write)
        } else {
            write()
        };
        written.map_err(stop)
    }

    /// Waits until there is room for [`ATOMIC`] bytes, or nobody reads any more.
    pub fn wait(&self, deadline: Option<Deadline>) -> Wake {
        wait(self.descriptor.as_fd(), PollFlags::OUT, deadline)
    }

    /// How many bytes it holds.
    pub fn capacity(&self) -> usize {
        fcntl_getpipe_size(&self.descriptor).unwrap_or(0)
    }
}

fn reopen(descriptor: BorrowedFd<'_>, mode: OFlags) -> std::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let flags = mode | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let reopened = open(path, flags, Mode::empty())?;
    // Of anything else this would be the size of nothing.
    fcntl_getpipe_size(&reopened)?;
    Ok(reopened)
}

fn stop(errno: Errno) -> PipeStop {
    match errno {
        Errno::AGAIN => PipeStop::WouldBlock,
        Errno::PIPE => PipeStop::Broken,
        errno => PipeStop::Failed(errno.raw_os_error()),
    }
}

fn wait(descriptor: BorrowedFd<'_>, event: PollFlags, deadline: Option<Deadline>) -> Wake {
    poll_all(&mut [PollFd::from_borrowed_fd(descriptor, event)], deadline)
}

fn poll_all(descriptors: &mut [PollFd<'_>], deadline: Option<Deadline>) -> Wake {
    let left = deadline.map(Deadline::left);
    match poll(descriptors, left.as_ref()) {
        Ok(0) => Wake::TimedOut,
        Ok(_) => Wake::Woken,
        Err(_) => Wake::Interrupted,
    }
}

/// Whether SIGPIPE is neither ignored, as the runtime of Rust has it, nor handled.
fn raises() -> bool {
    // SAFETY: zero is valid for this structure, which the kernel fills.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: it only asks.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, core::ptr::null(), &raw mut action) };
    asked != 0 || action.sa_sigaction != libc::SIG_IGN
}

/// Writes while this thread cannot be told by SIGPIPE that nobody reads, and forgets the signal.
fn without_signal<R>(write: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    // SAFETY: zero is valid for these sets of bits, which are filled before they are read; a mask is
    // this thread's own, and put back; what is taken off the queue is the signal of this write, as none
    // was pending before.
    unsafe {
        let mut signal: libc::sigset_t = core::mem::zeroed();
        let (mut before, mut pending) = (signal, signal);
        libc::sigemptyset(&raw mut signal);
        libc::sigaddset(&raw mut signal, libc::SIGPIPE);
        libc::sigpending(&raw mut pending);
        let was_pending = libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signal, &raw mut before);
        let written = write();
        if matches!(written, Err(Errno::PIPE)) && !was_pending {
            let now = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            while libc::sigtimedwait(&raw const signal, core::ptr::null_mut(), &raw const now) == -1
                && *libc::__errno_location() == libc::EINTR
            {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        written
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
