//! The kernel's pipe: a byte stream with blocking and non-blocking calls.
//!
//! Whether a call blocks depends on a flag of the open file description. All processes that
//! inherited the descriptor share this flag. So this crate reopens an end that another process
//! created, and makes the new descriptor non-blocking. When a caller first blocks, this crate
//! reopens the end once more, with blocking calls.
//!
//! The kernel treats a reopened end as a named pipe and, since Linux 6.15, updates its access
//! times, which makes a short call about a fifth slower. So a short call first tries the descriptor
//! that was not reopened.
//!
//! A write to a pipe without readers raises SIGPIPE, and the disposition of that signal may change
//! at any time. So every write passes `RWF_NOSIGNAL` (since Linux 6.18). An older kernel rejects
//! the flag. On such a kernel, each write first blocks SIGPIPE in its thread, which costs two more
//! system calls.
//!
//! **Pages.** The kernel counts pages, not bytes. The kernel puts a write of less than a page into
//! the last used page if the whole write fits there, and into a new page otherwise. A page is free
//! again when all its bytes have been read. [`capacity_for`] and [`items_in`] implement this
//! arithmetic.

use super::{AtomicU32, Deadline, futex};
use crate::platform::{PipeStop, Wake};
use rustix::event::Timespec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, ReadWriteFlags, ioctl_fionread, pwritev2, read, write};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::fs::OpenOptions;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The descriptor of one end of a pipe, for passing to another process.
pub use std::os::fd::BorrowedFd as Descriptor;
use std::os::fd::BorrowedFd;

/// The size of the largest atomic write, which writes all its bytes contiguously or none.
pub const PIPE_BUF: usize = 4096;

/// The size of a page. The kernel counts the capacity of a pipe in pages.
const PAGE: usize = 4096;

/// Returns the capacity in bytes that holds `count` items of `size` bytes in an empty pipe.
///
/// Returns `None` if the capacity exceeds the address space.
pub fn capacity_for(count: usize, size: usize) -> Option<usize> {
    let pages = match PAGE / size {
        0 => count.checked_mul(size.div_ceil(PAGE))?,
        per_page => count.div_ceil(per_page),
    };
    pages.checked_mul(PAGE)
}

/// Returns the number of items of `size` bytes that an empty pipe of this capacity always holds.
pub fn items_in(capacity: usize, size: usize) -> usize {
    let pages = capacity / PAGE;
    match PAGE / size {
        0 => pages / size.div_ceil(PAGE),
        per_page => pages * per_page,
    }
}

/// The read end of a pipe.
#[derive(Debug)]
pub struct Reader(Descriptors);

/// The write end of a pipe.
#[derive(Debug)]
pub struct Writer(Descriptors);

/// The operation for which an end of a pipe is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The descriptors of one end. The blocking descriptor is opened when a caller first needs it.
#[derive(Debug)]
struct Descriptors {
    nonblocking: OwnedFd,
    /// `None` if the end cannot be reopened, for example without `/proc`.
    blocking: LateDescriptor,
}

/// A descriptor that is opened when it is first needed.
///
/// This is a word and not a `OnceLock`, because a forked child would inherit a `OnceLock` in the
/// middle of its initialization, and wait for a thread that it does not have.
#[derive(Debug)]
struct LateDescriptor(AtomicU32);

impl LateDescriptor {
    const UNOPENED: u32 = 0;
    const UNAVAILABLE: u32 = 1;
    /// The value for descriptor 0.
    const OPENED: u32 = 2;

    const fn new() -> Self {
        Self(AtomicU32::new(Self::UNOPENED))
    }

    /// Returns the descriptor, or `None` if `open` has returned `None`.
    fn get_or_open(&self, open: impl FnOnce() -> Option<OwnedFd>) -> Option<BorrowedFd<'_>> {
        // Relaxed: the word stands for itself. The kernel orders the uses of the descriptor.
        if self.0.load(Relaxed) == Self::UNOPENED {
            let opened = open();
            let number = opened.as_ref().map_or(Self::UNAVAILABLE, |descriptor| {
                descriptor.as_raw_fd().cast_unsigned() + Self::OPENED
            });
            let exchange = self
                .0
                .compare_exchange(Self::UNOPENED, number, Relaxed, Relaxed);
            if exchange.is_ok() {
                // The word owns the descriptor from now on. Otherwise another thread was faster,
                // and dropping `opened` closes the superfluous descriptor.
                let _ = opened.map(IntoRawFd::into_raw_fd);
            }
        }
        let number = self.0.load(Relaxed).checked_sub(Self::OPENED)?;
        // SAFETY: the word owns this descriptor, which stays open while `self` exists.
        Some(unsafe { BorrowedFd::borrow_raw(number.cast_signed()) })
    }
}

impl Drop for LateDescriptor {
    fn drop(&mut self) {
        // Relaxed: `&mut self` excludes other threads.
        if let Some(number) = self.0.load(Relaxed).checked_sub(Self::OPENED) {
            // SAFETY: the word owns this descriptor, and no other code uses it any more.
            drop(unsafe { OwnedFd::from_raw_fd(number.cast_signed()) });
        }
    }
}

impl Descriptors {
    fn new(nonblocking: OwnedFd) -> Self {
        Self {
            nonblocking,
            blocking: LateDescriptor::new(),
        }
    }

    fn blocking(&self, access: Access) -> Option<BorrowedFd<'_>> {
        let open = || {
            let opened = reopen(self.nonblocking.as_fd(), access).ok()?;
            fcntl_setfl(&opened, OFlags::empty()).ok()?;
            Some(opened)
        };
        self.blocking.get_or_open(open)
    }

    /// Returns the blocking descriptor, because other programs expect blocking calls. If the end
    /// cannot be reopened, returns the non-blocking descriptor.
    fn descriptor(&self, access: Access) -> Descriptor<'_> {
        self.blocking(access)
            .unwrap_or_else(|| self.nonblocking.as_fd())
    }

    fn capacity(&self) -> usize {
        fcntl_getpipe_size(&self.nonblocking).unwrap_or(0)
    }

    fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        if self.capacity() < capacity {
            fcntl_setpipe_size(&self.nonblocking, capacity)?;
        }
        Ok(())
    }

    fn available(&self) -> usize {
        ioctl_fionread(&self.nonblocking).map_or(0, |bytes| bytes as usize)
    }
}

/// Repeats the call while a signal interrupts it.
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Creates a pipe that holds at least this number of bytes.
///
/// # Errors
/// Returns the kernel's error if no descriptor is left or the capacity exceeds the limit of this
/// user.
pub fn pipe(capacity: usize) -> std::io::Result<(Reader, Writer)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (reader, writer) = (Descriptors::new(reader), Descriptors::new(writer));
    writer.enlarge(capacity)?;
    Ok((Reader(reader), Writer(writer)))
}

/// Waits until the reader has bytes or the writer has free space.
///
/// # Errors
/// Returns `Failed` if the kernel has no memory.
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
    /// Opens a non-blocking descriptor, which only this process uses, for an end that another
    /// process created.
    ///
    /// Setting the non-blocking flag on the given descriptor would change the flag for every
    /// process that shares the descriptor. Reopening needs `/proc` and the permissions of the
    /// pipe's creator.
    ///
    /// # Errors
    /// Returns the kernel's error, for example if the descriptor is not a pipe or belongs to
    /// another user's pipe.
    pub fn reopen(descriptor: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self(Descriptors::new(reopen(descriptor, Access::Read)?)))
    }

    /// Wraps a non-blocking descriptor that this process opened for itself.
    pub fn from_owned(descriptor: OwnedFd) -> Self {
        Self(Descriptors::new(descriptor))
    }

    /// Reads the available bytes, up to the length of the buffer; 0 is the end of the stream.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the pipe is empty.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        retry(|| read(&self.0.nonblocking, &mut *bytes)).map_err(stop)
    }

    /// Reads, blocking while the pipe is empty.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the wait ended spuriously, and otherwise the same errors as
    /// [`read`](Self::read).
    pub fn read_blocking(&self, bytes: &mut [u8]) -> Result<usize, PipeStop> {
        if bytes.len() <= PIPE_BUF {
            match self.read(bytes) {
                Err(PipeStop::WouldBlock) => {}
                done => return done,
            }
        }
        match self.0.blocking(Access::Read) {
            Some(descriptor) => retry(|| read(descriptor, &mut *bytes)).map_err(stop),
            None => {
                self.wait(None)?;
                self.read(bytes)
            }
        }
    }

    /// Waits until the pipe has bytes, or the stream has ended.
    ///
    /// # Errors
    /// Returns `Failed` if the kernel has no memory.
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait(self.as_fd(), PollFlags::IN, deadline)
    }

    /// Whether this number of bytes is available, or the stream has ended.
    pub fn has_bytes(&self, bytes: usize) -> bool {
        self.available() >= bytes || has_hung_up(self.as_fd())
    }

    /// Waits until this number of bytes is available, or the stream has ended.
    ///
    /// # Errors
    /// Returns the same errors as [`wait`](Self::wait).
    pub fn wait_for(&self, bytes: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait_until(deadline, || self.has_bytes(bytes), |end| self.wait(end))
    }

    /// Returns the number of bytes in the pipe. Other processes may change this number at any time.
    pub fn available(&self) -> usize {
        self.0.available()
    }

    /// Returns the capacity in bytes, which is a whole number of pages.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Raises the capacity to at least this number of bytes.
    ///
    /// # Errors
    /// Returns the kernel's error if the capacity exceeds the limit of this user.
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.enlarge(capacity)
    }

    /// Returns the descriptor to pass to another process.
    ///
    /// Calls on the descriptor block, because programs that do not use this crate expect blocking
    /// calls.
    pub fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor(Access::Read)
    }
}

impl Writer {
    /// Reopens an end that another process created, as [`Reader::reopen`] does.
    ///
    /// # Errors
    /// Returns the same errors as [`Reader::reopen`].
    pub fn reopen(descriptor: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self(Descriptors::new(reopen(descriptor, Access::Write)?)))
    }

    /// Wraps a non-blocking descriptor that this process opened for itself.
    pub fn from_owned(descriptor: OwnedFd) -> Self {
        Self(Descriptors::new(descriptor))
    }

    /// Writes as many bytes as fit. A write of at most [`PIPE_BUF`] bytes writes all of them or
    /// none.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the pipe has no free space, and `Broken` if every reader is closed.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        write_to(self.as_fd(), bytes)
    }

    /// Writes, blocking while the pipe has no free space.
    ///
    /// # Errors
    /// Returns the same errors as [`write`](Self::write): `WouldBlock` if the pipe has no free
    /// space after the wait.
    pub fn write_blocking(&self, bytes: &[u8]) -> Result<usize, PipeStop> {
        if bytes.len() <= PIPE_BUF {
            match self.write(bytes) {
                Err(PipeStop::WouldBlock) => {}
                done => return done,
            }
        }
        match self.0.blocking(Access::Write) {
            Some(descriptor) => write_to(descriptor, bytes),
            None => {
                self.wait(None)?;
                self.write(bytes)
            }
        }
    }

    /// Waits until the pipe has free space for [`PIPE_BUF`] bytes, every reader is closed, or the
    /// deadline passes.
    ///
    /// # Errors
    /// Returns `Failed` if the kernel has no memory.
    pub fn wait(&self, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait(self.as_fd(), PollFlags::OUT, deadline)
    }

    /// Whether an item of this size can be written in one call, or every reader is closed.
    ///
    /// The answer is correct only if every write to the pipe writes one item of this size.
    pub fn has_room(&self, size: usize) -> bool {
        let used = self.0.available().div_ceil(size);
        used < items_in(self.capacity(), size) || has_hung_up(self.as_fd())
    }

    /// Waits until the pipe [has room](Self::has_room) for an item of this size.
    ///
    /// # Errors
    /// Returns the same errors as [`wait`](Self::wait).
    pub fn wait_for(&self, size: usize, deadline: Option<Deadline>) -> Result<Wake, PipeStop> {
        wait_until(deadline, || self.has_room(size), |end| self.wait(end))
    }

    /// Returns the capacity in bytes, which is a whole number of pages.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Raises the capacity to at least this number of bytes.
    ///
    /// # Errors
    /// Returns the same errors as [`Reader::enlarge`].
    pub fn enlarge(&self, capacity: usize) -> std::io::Result<()> {
        self.0.enlarge(capacity)
    }

    /// Returns the descriptor to pass to another process, as [`Reader::descriptor`] does.
    pub fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor(Access::Write)
    }
}

fn reopen(descriptor: BorrowedFd<'_>, access: Access) -> std::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let opened = OpenOptions::new()
        .read(access == Access::Read)
        .write(access == Access::Write)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    // This call fails for every file that is not a pipe.
    fcntl_getpipe_size(&opened)?;
    Ok(opened.into())
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
    // A time that does not fit into a timespec is treated as infinite.
    let timeout = deadline.and_then(|deadline| Timespec::try_from(deadline.remaining()).ok());
    match poll(descriptors, timeout.as_ref()) {
        Ok(0) => Ok(Wake::TimedOut),
        Ok(_) => Ok(Wake::Woken),
        Err(Errno::INTR) => Ok(Wake::Interrupted),
        Err(errno) => Err(stop(errno)),
    }
}

/// Whether every descriptor of the other end is closed.
fn has_hung_up(end: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(end, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut polled, Some(&now)), Ok(1))
}

/// The first pause of a wait that repeatedly checks the pipe, because `poll` cannot wait for its
/// condition.
const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// Waits until the condition holds.
///
/// `poll` can wait only for the first byte or the first free page. A wait for more bytes or more
/// free space therefore checks the pipe repeatedly, and pauses between the checks. Each pause is
/// longer than the one before, up to the recheck interval.
fn wait_until(
    deadline: Option<Deadline>,
    condition: impl Fn() -> bool,
    wait: impl Fn(Option<Deadline>) -> Result<Wake, PipeStop>,
) -> Result<Wake, PipeStop> {
    let mut pause = FIRST_PAUSE;
    while !condition() {
        if wait(deadline)? == Wake::TimedOut {
            return Ok(Wake::TimedOut);
        }
        if condition() {
            break;
        }
        let pause_end = Deadline::after(pause);
        let until = deadline.map_or(pause_end, |deadline| deadline.min(pause_end));
        poll_all(&mut [], Some(until))?;
        if deadline.is_some_and(|deadline| deadline.remaining().is_zero()) {
            return Ok(Wake::TimedOut);
        }
        pause = (2 * pause).min(futex::recheck_interval());
    }
    Ok(Wake::Woken)
}

/// Writes without raising SIGPIPE.
fn write_to(descriptor: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, PipeStop> {
    // Relaxed: the flag orders no other memory. A thread that reads the older value tries
    // `RWF_NOSIGNAL` once more, which is harmless.
    if LACKS_NOSIGNAL.load(Relaxed) == 0 {
        match retry(|| write_nosignal(descriptor, bytes)) {
            // These are the errors with which a kernel or a seccomp filter rejects an unknown flag
            // or call. A write to a pipe never returns these errors for another reason.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {}
            written => return written.map_err(stop),
        }
        LACKS_NOSIGNAL.store(1, Relaxed);
    }
    without_signal(|| retry(|| write(descriptor, bytes))).map_err(stop)
}

/// 1 if the kernel has rejected the flag `RWF_NOSIGNAL`, and 0 otherwise.
static LACKS_NOSIGNAL: AtomicU32 = AtomicU32::new(0);

fn write_nosignal(descriptor: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    /// `RWF_NOSIGNAL`, which rustix does not define yet.
    const NO_SIGNAL: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x100);
    const NO_OFFSET: u64 = u64::MAX;
    pwritev2(descriptor, &[IoSlice::new(bytes)], NO_OFFSET, NO_SIGNAL)
}

/// Calls `write` with SIGPIPE blocked in this thread, and discards the signal that the write
/// raises.
fn without_signal<R>(write: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    // SAFETY: zero is a valid `sigset_t`, and the calls fill each set before it is read. The signal
    // mask belongs to this thread, and this function restores the mask. The discarded signal comes
    // from this write: no other SIGPIPE was pending before, because the kernel would have delivered
    // an unblocked one.
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
            discard(&signal);
        }
        if !was_blocked {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
        }
        written
    }
}

/// Removes one pending signal of this set, if there is one.
fn discard(signals: &libc::sigset_t) {
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call only reads the set and the time, and accepts a null `siginfo_t`.
    let take = || unsafe { libc::sigtimedwait(signals, core::ptr::null_mut(), &raw const now) };
    while take() == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {}
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.nonblocking.as_fd()
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.nonblocking.as_fd()
    }
}
