//! The kernel's pipe.
//!
//! Whether a call blocks is a flag of the open file, which everybody has in common who has inherited it. So an
//! end that comes from elsewhere is opened once more, not to block; and once more to block, when somebody
//! first does.
//!
//! What was opened once more is a named pipe to the kernel (since Linux 6.15), for which it keeps the times of the last
//! access: a short call costs about a fifth more. So a short one is tried first at the end that the pipe was made with.

use super::Deadline;
use crate::platform::{PipeStop, Wake};
use rustix::event::Timespec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::{Errno, ioctl_fionread, read, write};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// So many bytes are written in one piece or not at all: `PIPE_BUF`.
pub const ATOMIC: usize = 4096;

/// The end of a pipe that is read.
#[derive(Debug)]
pub struct Reader(Descriptors);

/// The end of a pipe that is written.
#[derive(Debug)]
pub struct Writer {
    descriptors: Descriptors,
    /// Whether a write that nobody will read would raise a signal that ends the process.
    raises: bool,
}

/// One end, opened so that it does not block, and so that it does.
#[derive(Debug)]
struct Descriptors {
    prompt: OwnedFd,
    /// Nothing where there is no `/proc`.
    blocking: OnceLock<Option<OwnedFd>>,
}

impl Descriptors {
    fn new(prompt: OwnedFd) -> Self {
        Self {
            prompt,
            blocking: OnceLock::new(),
        }
    }

    fn blocking(&self, mode: OFlags) -> Option<&OwnedFd> {
        let open = || {
            let opened = reopen(self.prompt.as_fd(), mode).ok()?;
            fcntl_setfl(&opened, OFlags::empty()).ok()?;
            Some(opened)
        };
        self.blocking.get_or_init(open).as_ref()
    }
}

/// Calls again as long as signals come.
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// A pipe that holds at least that many bytes.
///
/// # Errors
/// What the kernel said: no descriptor is left, or a pipe of this user cannot be that large.
pub fn pipe(capacity: usize) -> std::io::Result<(Reader, Writer)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let writer = Writer::new(writer);
    if writer.capacity() < capacity {
        fcntl_setpipe_size(&writer.descriptors.prompt, capacity)?;
    }
    Ok((Reader(Descriptors::new(reader)), writer))
}

/// Waits until one of them can be read or written: whatever is first.
pub fn wait_either(reader: &Reader, writer: &Writer, deadline: Option<Deadline>) -> Wake {
    poll_all(
        &mut [
            PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(writer.as_fd(), PollFlags::OUT),
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
        Ok(Self(Descriptors::new(reopen(descriptor, OFlags::RDONLY)?)))
    }

    /// An end that this process has opened for itself, as one that does not block.
    pub(crate) fn from_owned(descriptor: OwnedFd) -> Self {
        Self(Descriptors::new(descriptor))
    }

    /// Reads what there is, up to that much; nothing is the end of the stream.
    ///
    /// # Errors
    /// There is nothing now.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        retry(|| read(&self.0.prompt, &mut *bytes)).map_err(stop)
    }

    /// As [`read`](Self::read), but if there is nothing, waits.
    ///
    /// # Errors
    /// As there; there is nothing now only where the wait ended for no reason.
    pub fn read_blocking(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        if bytes.len() <= ATOMIC {
            match self.read(bytes) {
                Err(PipeStop::WouldBlock) => {}
                done => return done,
            }
        }
        match self.0.blocking(OFlags::RDONLY) {
            Some(descriptor) => retry(|| read(descriptor, &mut *bytes)).map_err(stop),
            None => {
                self.wait(None);
                self.read(bytes)
            }
        }
    }

    /// Waits until there is something to read, or the stream has ended.
    pub fn wait(&self, deadline: Option<Deadline>) -> Wake {
        wait(self.as_fd(), PollFlags::IN, deadline)
    }

    /// How many bytes there were a moment ago.
    pub fn available(&self) -> usize {
        ioctl_fionread(&self.0.prompt).map_or(0, |bytes| bytes as usize)
    }
}

impl Writer {
    fn new(descriptor: OwnedFd) -> Self {
        Self {
            descriptors: Descriptors::new(descriptor),
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
        self.write_to(&self.descriptors.prompt, bytes)
    }

    /// As [`write`](Self::write), but if there is no room, waits.
    ///
    /// # Errors
    /// As there; there is no room now only where the wait ended for no reason.
    pub fn write_blocking(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        if bytes.len() <= ATOMIC {
            match self.write(bytes) {
                Err(PipeStop::WouldBlock) => {}
                done => return done,
            }
        }
        match self.descriptors.blocking(OFlags::WRONLY) {
            Some(descriptor) => self.write_to(descriptor, bytes),
            None => {
                self.wait(None);
                self.write(bytes)
            }
        }
    }

    fn write_to(&self, descriptor: &OwnedFd, bytes: &[u8]) -> Result<usize, PipeStop> {
        let write = || retry(|| write(descriptor, bytes));
        let written = match self.raises {
            true => without_signal(write),
            false => write(),
        };
        written.map_err(stop)
    }

    /// Waits until there is room for [`ATOMIC`] bytes, or nobody reads any more.
    pub fn wait(&self, deadline: Option<Deadline>) -> Wake {
        wait(self.as_fd(), PollFlags::OUT, deadline)
    }

    /// How many bytes it holds.
    pub fn capacity(&self) -> usize {
        fcntl_getpipe_size(&self.descriptors.prompt).unwrap_or(0)
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
    // Longer than the kernel can count is as good as for ever.
    let left = deadline.and_then(|deadline| Timespec::try_from(deadline.remaining()).ok());
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
        self.0.prompt.as_fd()
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptors.prompt.as_fd()
    }
}
