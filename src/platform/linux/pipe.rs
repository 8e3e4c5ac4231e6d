//! The kernel's pipe.
//!
//! Whether a call blocks is a flag of the open file, which everybody has in common who has inherited it. So an
//! end that comes from elsewhere is opened once more, not to block; and once more to block, when somebody
//! first does.
//!
//! What was opened once more is a named pipe to the kernel (since Linux 6.15), for which it keeps the times of the last
//! access: a short call costs about a fifth more. So a short one is tried first at the end that the pipe was made with.
//!
//! A write that nobody will read raises SIGPIPE, and whether this ends the process may change at any time. So
//! every write says that it wants no signal (`RWF_NOSIGNAL`, since Linux 6.18); an older kernel does not know that, and
//! the signal is blocked around each write, which costs two system calls more.
//!
//! **Pages.** The kernel counts pages, not bytes. A write of less than a page goes behind the last one if it fits there
//! as a whole, and begins a page of its own if not; and a page is free again when all of it was read. [`room`] and
//! [`items`] are this arithmetic.

use super::{AtomicU32, Deadline, futex};
use crate::platform::{PipeStop, Wake};
use rustix::event::Timespec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::{Errno, ReadWriteFlags, ioctl_fionread, pwritev2, read, write};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An end as a number of the process, to pass on.
pub use std::os::fd::BorrowedFd as Descriptor;
use std::os::fd::BorrowedFd;

/// So many bytes are written in one piece or not at all: `PIPE_BUF`.
pub const ATOMIC: usize = 4096;

/// What the kernel counts.
const PAGE: usize = 4096;

/// How many bytes a pipe must have so that so many items of that size fit into it when it is empty. Nothing, if no
/// machine has so many.
pub fn room(count: usize, size: usize) -> Option<usize> {
    let pages = match PAGE / size {
        0 => count.checked_mul(size.div_ceil(PAGE))?,
        in_a_page => count.div_ceil(in_a_page),
    };
    pages.checked_mul(PAGE)
}

/// How many items of that size fit for sure into an empty pipe of so many bytes.
pub fn items(bytes: usize, size: usize) -> usize {
    let pages = bytes / PAGE;
    match PAGE / size {
        0 => pages / size.div_ceil(PAGE),
        in_a_page => pages * in_a_page,
    }
}

/// The end of a pipe that is read.
#[derive(Debug)]
pub struct Reader(Descriptors);

/// The end of a pipe that is written.
#[derive(Debug)]
pub struct Writer(Descriptors);

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

    /// Every write and read blocks at the end that is passed on, as programs expect that know nothing of this
    /// crate; unless it cannot be opened once more.
    fn to_pass_on(&self, mode: OFlags) -> Descriptor<'_> {
        self.blocking(mode).unwrap_or(&self.prompt).as_fd()
    }

    fn capacity(&self) -> usize {
        fcntl_getpipe_size(&self.prompt).unwrap_or(0)
    }

    fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        if self.capacity() < capacity {
            fcntl_setpipe_size(&self.prompt, capacity)?;
        }
        Ok(())
    }

    fn available(&self) -> usize {
        ioctl_fionread(&self.prompt).map_or(0, |bytes| bytes as usize)
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
    let (reader, writer) = (Descriptors::new(reader), Descriptors::new(writer));
    writer.enlarge(capacity)?;
    Ok((Reader(reader), Writer(writer)))
}

/// Waits until one of them can be read or written: whatever is first.
///
/// # Errors
/// What the kernel said: it has no memory.
pub fn wait_either(
    reader: &Reader,
    writer: &Writer,
    deadline: Option<Deadline>,
) -> Result<Wake, PipeStop> {
    poll_all(
        &mut [
            PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(writer.as_fd(), PollFlags::OUT),
        ],
        deadline,
    )
}

impl Reader {
    /// An end that comes from elsewhere, opened once more for this process alone: a flag that says whether calls
    /// block would be changed for everybody else, too.
    ///
    /// This needs `/proc`, and the permissions of the pipe, which are those of the user who has made it.
    ///
    /// # Errors
    /// What the kernel said: for example, that it is no pipe, or that of another user.
    pub fn reopen(descriptor: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self(Descriptors::new(reopen(descriptor, OFlags::RDONLY)?)))
    }

    /// An end that this process has opened for itself, as one that does not block.
    pub fn from_owned(descriptor: OwnedFd) -> Self {
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
                self.wait(None)?;
                self.read(bytes)
            }
        }
    }

    /// Waits until there is something to read, or the stream has ended.
    ///
    /// # Errors
    /// What the kernel said: it has no memory.
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait(self.as_fd(), PollFlags::IN, deadline)
    }

    /// Whether so much can be read at once, or the stream has ended, so that no more will come.
    pub fn has(&self, bytes: usize) -> bool {
        self.available() >= bytes || has_hung_up(self.as_fd())
    }

    /// Waits until it [has](Self::has) so much.
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    pub fn wait_for(&self, bytes: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait_until(deadline, || self.has(bytes), |end| self.wait(end))
    }

    /// How many bytes there were a moment ago.
    pub fn available(&self) -> usize {
        self.0.available()
    }

    /// How many bytes the pipe holds, of which the kernel counts the pages.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Makes it hold so many at least.
    ///
    /// # Errors
    /// As of [`pipe`].
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.enlarge(capacity)
    }

    /// The end, for another process. Calls block there, also in programs that know nothing of this crate.
    pub fn to_pass_on(&self) -> Descriptor<'_> {
        self.0.to_pass_on(OFlags::RDONLY)
    }
}

impl Writer {
    /// As [`Reader::reopen`].
    ///
    /// # Errors
    /// As there.
    pub fn reopen(descriptor: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self(Descriptors::new(reopen(descriptor, OFlags::WRONLY)?)))
    }

    /// As [`Reader::from_owned`].
    pub fn from_owned(descriptor: OwnedFd) -> Self {
        Self(Descriptors::new(descriptor))
    }

    /// Writes as much as there is room for; [`ATOMIC`] bytes or less all or not at all.
    ///
    /// # Errors
    /// There is no room now, or nobody reads any more.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        write_to(&self.0.prompt, bytes)
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
        match self.0.blocking(OFlags::WRONLY) {
            Some(descriptor) => write_to(descriptor, bytes),
            None => {
                self.wait(None)?;
                self.write(bytes)
            }
        }
    }

    /// Waits until there is room for [`ATOMIC`] bytes, or nobody reads any more.
    ///
    /// # Errors
    /// What the kernel said: it has no memory.
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait(self.as_fd(), PollFlags::OUT, deadline)
    }

    /// Whether an item of that size can be written in one call, or nobody reads any more; if all that is written
    /// are such items, one at a time.
    pub fn has_room(&self, size: usize) -> bool {
        let begun = self.0.available().div_ceil(size);
        begun < items(self.capacity(), size) || has_hung_up(self.as_fd())
    }

    /// Waits until it [has room](Self::has_room).
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    pub fn wait_for(&self, size: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait_until(deadline, || self.has_room(size), |end| self.wait(end))
    }

    /// How many bytes it holds, of which the kernel counts the pages.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// As [`Reader::enlarge`].
    ///
    /// # Errors
    /// As there.
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.enlarge(capacity)
    }

    /// As [`Reader::to_pass_on`].
    pub fn to_pass_on(&self) -> Descriptor<'_> {
        self.0.to_pass_on(OFlags::WRONLY)
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

fn wait(
    descriptor: BorrowedFd<'_>,
    event: PollFlags,
    deadline: Option<Deadline>,
) -> Result<Wake, PipeStop> {
    poll_all(&mut [PollFd::from_borrowed_fd(descriptor, event)], deadline)
}

fn poll_all(descriptors: &mut [PollFd<'_>], deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
    // Longer than the kernel can count is as good as for ever.
    let left = deadline.and_then(|deadline| Timespec::try_from(deadline.remaining()).ok());
    match poll(descriptors, left.as_ref()) {
        Ok(0) => Ok(Wake::TimedOut),
        Ok(_) => Ok(Wake::Woken),
        Err(Errno::INTR) => Ok(Wake::Interrupted),
        Err(errno) => Err(stop(errno)),
    }
}

/// Whether nobody has the other end any more.
fn has_hung_up(end: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(end, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut polled, Some(&now)), Ok(1))
}

/// The first nap of one who waits for more than a pipe can tell of.
const NAP: Duration = Duration::from_micros(50);

/// Waits until it is so. A pipe tells of the first byte, and of the first free page; of more it does not, so who
/// waits for more naps between looks, each time longer, up to the recheck interval.
fn wait_until(
    deadline: Option<Deadline>,
    is_so: impl Fn() -> bool,
    wait: impl Fn(Option<Deadline>) -> Result<Wake, PipeStop>,
) -> Result<Wake, PipeStop> {
    let mut nap = NAP;
    while !is_so() {
        if wait(deadline)? == Wake::TimedOut {
            return Ok(Wake::TimedOut);
        }
        if is_so() {
            break;
        }
        let awake = Deadline::after(nap);
        let until = deadline.map_or(awake, |deadline| deadline.min(awake));
        poll_all(&mut [], Some(until))?;
        if deadline.is_some_and(|deadline| deadline.remaining().is_zero()) {
            return Ok(Wake::TimedOut);
        }
        nap = (2 * nap).min(futex::recheck_interval());
    }
    Ok(Wake::Woken)
}

/// Writes, and raises no signal if nobody reads.
fn write_to(descriptor: &OwnedFd, bytes: &[u8]) -> Result<usize, PipeStop> {
    // Relaxed: it is a hint, which orders nothing; who has the older one asks the kernel once more.
    if LACKS_NOSIGNAL.load(Ordering::Relaxed) == 0 {
        match retry(|| write_by_flag(descriptor, bytes)) {
            // As kernels and filters of calls say of what they do not know; none of these is of a pipe.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {}
            written => return written.map_err(stop),
        }
        LACKS_NOSIGNAL.store(1, Ordering::Relaxed);
    }
    without_signal(|| retry(|| write(descriptor, bytes))).map_err(stop)
}

/// Whether the kernel has refused to write without a signal.
static LACKS_NOSIGNAL: AtomicU32 = AtomicU32::new(0);

fn write_by_flag(descriptor: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    /// `RWF_NOSIGNAL`.
    const NO_SIGNAL: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x100);
    const NO_OFFSET: u64 = u64::MAX;
    pwritev2(descriptor, &[IoSlice::new(bytes)], NO_OFFSET, NO_SIGNAL)
}

/// Writes while this thread cannot be told by SIGPIPE that nobody reads, and forgets the signal.
fn without_signal<R>(write: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    // SAFETY: zero is valid for these sets of bits, which are filled before they are read; a mask is
    // this thread's own, and put back; what is taken off the queue is the signal of this write, as none
    // was pending before: one that was not blocked would have been delivered.
    unsafe {
        let mut signal: libc::sigset_t = core::mem::zeroed();
        let (mut before, mut pending) = (signal, signal);
        libc::sigemptyset(&raw mut signal);
        libc::sigaddset(&raw mut signal, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signal, &raw mut before);
        let was_blocked = libc::sigismember(&raw const before, libc::SIGPIPE) == 1;
        if was_blocked {
            libc::sigpending(&raw mut pending);
        }
        let was_pending = was_blocked && libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
        let written = write();
        if matches!(written, Err(Errno::PIPE)) && !was_pending {
            forget(&signal);
        }
        if !was_blocked {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        }
        written
    }
}

/// Takes a signal of this set off the queue, if one is there.
fn forget(signals: &libc::sigset_t) {
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both are read only, and there is no place for what is known of the signal.
    let take = || unsafe { libc::sigtimedwait(signals, core::ptr::null_mut(), &raw const now) };
    while take() == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {}
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.prompt.as_fd()
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.prompt.as_fd()
    }
}
