//! Named pipes (FIFOs): pipes that processes find by a path.

use interlatch::platform::pipe::{Reader, Writer};
use interlatch::platform::{Deadline, futex};
use interlatch::sync::Timeout;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    CWD, FileType, Mode, OFlags, fstat, inotify, lstat, mkfifoat, open, stat, unlink,
};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A named pipe (FIFO): connects processes that know the same path and share nothing else.
///
/// [`reader`](Fifo::reader) waits for a writer, and [`writer`](Fifo::writer) waits for a reader,
/// each up to its timeout. The opened ends have the types of the ends of a
/// [`pipe`](interlatch::platform::pipe), so a [`PipeBuffer`](interlatch::channel::PipeBuffer) can
/// use them.
///
/// With [`Timeout::NonBlocking`], an end opens only if a process has the other end open. A
/// [`reader`](Fifo::reader) call opens the read end for a moment even if it finds no writer. A
/// writer that opens the pipe during this moment gets a broken pipe.
///
/// # Fairness
/// The kernel decides which waiting process opens first.
///
/// # Process death
/// The kernel closes the ends of a dead process, and the other side sees the end of the stream or a
/// broken pipe. The name exists until [`remove`](Fifo::remove) is called, even across a reboot.
/// Unread data is lost when the last process closes the pipe.
///
/// # How it works
/// A blocking open cannot be bounded by a timeout, so both ends are opened with `O_NONBLOCK`:
///
/// - The kernel opens the pipe for writing only if the pipe has a reader. A reader that is still
///   blocked in `open(2)` also counts as a reader.
/// - The kernel always opens the pipe for reading. A subsequent `tee(2)` call shows whether a
///   writer exists, without consuming data. `poll(2)` reports a writer that has opened the pipe and
///   already closed it again.
///
/// If no process has opened the other end, the waiting process sleeps until a process opens the
/// file. inotify reports every completed open, but not a reader that is still blocked in `open(2)`.
/// Therefore a sleeping writer rechecks at
/// [`recheck_interval`](interlatch::platform::futex::recheck_interval).
///
/// # Sources
/// `mkfifo(3)` and `fifo(7)`.
///
/// # Fork
/// A `Fifo` is only a path, so a copy in a forked child works like the original. Dropping a `Fifo`
/// removes nothing.
///
/// # Example
/// ```
/// use interlatch_ipc::{Fifo, FifoError};
/// use interlatch::sync::Timeout;
/// use interlatch::Channel;
/// use interlatch::channel::{PipeBuffer, RecvError};
///
/// let folder = tempfile::tempdir()?;
/// let fifo = Fifo::create(folder.path().join("numbers"), 0o600)?;
/// assert!(matches!(fifo.writer(Timeout::NonBlocking), Err(FifoError::NoReader(_))));
/// std::thread::scope(|scope| -> anyhow::Result<()> {
///     scope.spawn(|| {
///         let writer = fifo.writer(Timeout::Infinite).unwrap();
///         let numbers = PipeBuffer::from_ends(None, Some(writer), None);
///         let sender = numbers.sender().unwrap();
///         (1..=3).for_each(|number: u64| sender.send(number).unwrap());
///     });
///     let numbers = PipeBuffer::<u64>::from_ends(Some(fifo.reader(Timeout::Infinite)?), None, None);
///     let received = numbers.receiver()?.into_iter().collect::<Result<Vec<_>, _>>()?;
///     assert_eq!(received, [1, 2, 3]);
///     Ok(())
/// })?;
/// fifo.remove()?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    path: PathBuf,
}

/// The error returned when creating, finding, opening or removing a named pipe fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FifoError {
    /// The path already holds a named pipe.
    #[error("{0} already exists and is a named pipe; open it or remove it first")]
    Exists(PathBuf),
    /// The path holds another type of file.
    #[error("{path} is {found}, expected a named pipe")]
    NotAFifo {
        /// The path.
        path: PathBuf,
        /// The type of the file.
        found: &'static str,
    },
    /// The path or its directory does not exist.
    #[error("{0} or its directory does not exist; create the named pipe first")]
    Missing(PathBuf),
    /// This process lacks the required permission.
    #[error("permission denied for {0}")]
    Denied(PathBuf),
    /// No process opened the pipe for reading before the timeout.
    #[error("no process has {0} open for reading")]
    NoReader(PathBuf),
    /// No process opened the pipe for writing before the timeout.
    #[error("no process has {0} open for writing")]
    NoWriter(PathBuf),
    /// A system call failed.
    #[error("{path}: {error}")]
    System {
        /// The path.
        path: PathBuf,
        /// The error that the system call returned.
        error: std::io::Error,
    },
}

impl Fifo {
    /// Creates a named pipe with these permissions, reduced by the process's umask.
    ///
    /// # Errors
    /// Returns an error if the path exists, its directory does not exist, or permission is denied.
    pub fn create(path: impl Into<PathBuf>, mode: u32) -> Result<Self, FifoError> {
        let path = path.into();
        match mkfifoat(CWD, &path, Mode::from_bits_truncate(mode)) {
            Ok(()) => Ok(Self { path }),
            Err(Errno::EXIST) => Err(match expect_fifo(&path) {
                Ok(()) => FifoError::Exists(path),
                Err(other) => other,
            }),
            Err(errno) => Err(system_error(&path, errno)),
        }
    }

    /// Finds the named pipe at this path.
    ///
    /// # Errors
    /// Returns an error if the path does not exist or holds another type of file.
    pub fn from_path(path: impl Into<PathBuf>) -> Result<Self, FifoError> {
        let path = path.into();
        expect_fifo(&path)?;
        Ok(Self { path })
    }

    /// Returns the path of the named pipe.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the end for reading once a writer has opened the pipe.
    ///
    /// The call also succeeds if the writer has already closed the pipe again. In that case the
    /// stream has ended. To wait for another writer after the end of the stream, call `reader`
    /// again.
    ///
    /// # Errors
    /// Returns an error if no writer opens the pipe before the timeout, the path holds no named
    /// pipe, or permission is denied.
    pub fn reader(&self, timeout: Timeout) -> Result<Reader, FifoError> {
        let watch = OpenWatch::new(&self.path, timeout);
        let end = self.open(OFlags::RDONLY)?;
        let (_unread, probe) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|errno| system_error(&self.path, errno))?;
        loop {
            match tee(&end, &probe, 1, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) | Err(Errno::AGAIN) => return Ok(Reader::from_owned(end)),
                Err(errno) => return Err(system_error(&self.path, errno)),
            }
            if has_hung_up(&end) {
                return Ok(Reader::from_owned(end));
            }
            if !watch.wait() {
                return Err(FifoError::NoWriter(self.path.clone()));
            }
        }
    }

    /// Opens the end for writing once a reader has opened the pipe.
    ///
    /// # Errors
    /// Returns an error if no reader opens the pipe before the timeout, the path holds no named
    /// pipe, or permission is denied.
    pub fn writer(&self, timeout: Timeout) -> Result<Writer, FifoError> {
        let watch = OpenWatch::new(&self.path, timeout);
        loop {
            match self.open(OFlags::WRONLY) {
                Err(FifoError::NoReader(_)) if watch.wait() => {}
                opened => return opened.map(Writer::from_owned),
            }
        }
    }

    /// Removes the name. Processes that have the pipe open are not affected.
    ///
    /// # Errors
    /// Returns an error if the path holds no named pipe or permission is denied. The call also
    /// fails if the path holds a symbolic link to a named pipe.
    pub fn remove(&self) -> Result<(), FifoError> {
        let found = lstat(&self.path).map_err(|errno| system_error(&self.path, errno))?;
        expect_fifo_mode(&self.path, found.st_mode)?;
        unlink(&self.path).map_err(|errno| system_error(&self.path, errno))
    }

    fn open(&self, mode: OFlags) -> Result<OwnedFd, FifoError> {
        let path = &self.path;
        // Opening another type of file may have side effects.
        expect_fifo(path)?;
        let flags = mode | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let end = loop {
            match open(path, flags, Mode::empty()) {
                Err(Errno::INTR) => {}
                Err(Errno::NXIO) => return Err(FifoError::NoReader(path.clone())),
                opened => break opened.map_err(|errno| system_error(path, errno))?,
            }
        };
        let found = fstat(&end).map_err(|errno| system_error(path, errno))?;
        expect_fifo_mode(path, found.st_mode)?;
        Ok(end)
    }
}

/// Returns whether all writers have closed the pipe since this end was opened.
fn has_hung_up(end: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(end, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut polled, Some(&now)), Ok(1))
}

fn expect_fifo(path: &Path) -> Result<(), FifoError> {
    let found = stat(path).map_err(|errno| system_error(path, errno))?;
    expect_fifo_mode(path, found.st_mode)
}

fn expect_fifo_mode(path: &Path, mode: u32) -> Result<(), FifoError> {
    let found = match FileType::from_raw_mode(mode) {
        FileType::Fifo => return Ok(()),
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Socket => "a socket",
        FileType::Symlink => "a symbolic link",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    let path = path.to_owned();
    Err(FifoError::NotAFifo { path, found })
}

fn system_error(path: &Path, errno: Errno) -> FifoError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::NOTDIR => FifoError::Missing(path),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => FifoError::Denied(path),
        errno => FifoError::System {
            path,
            error: errno.into(),
        },
    }
}

/// Waits for another process to open a file.
struct OpenWatch {
    timeout: Timeout,
    /// The inotify instance, or `None` if the user's limit of instances is reached. Without an
    /// instance, the waiter only rechecks periodically.
    events: Option<OwnedFd>,
}

impl OpenWatch {
    /// Starts to watch the file. The timeout limits the total duration of all waits.
    fn new(path: &Path, timeout: Timeout) -> Self {
        let events = || {
            let events =
                inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            inotify::add_watch(&events, path, inotify::WatchFlags::OPEN)?;
            Ok::<_, Errno>(events)
        };
        let events = match timeout {
            Timeout::NonBlocking => None,
            _ => events().ok(),
        };
        Self { timeout, events }
    }

    /// Waits until the caller should check the file again; returns `false` on timeout.
    fn wait(&self) -> bool {
        let recheck = Deadline::after(futex::recheck_interval());
        let until = match self.timeout {
            Timeout::NonBlocking => return false,
            Timeout::At(deadline) if deadline.remaining().is_zero() => return false,
            Timeout::At(deadline) => deadline.min(recheck),
            Timeout::Infinite => recheck,
        };
        let event = |events| PollFd::new(events, PollFlags::IN);
        let mut polled: Vec<PollFd<'_>> = self.events.iter().map(event).collect();
        // The result of the poll is ignored, because the caller rechecks the pipe after every wait.
        let left = Timespec::try_from(until.remaining()).ok();
        let _ = poll(&mut polled, left.as_ref());
        self.discard_events();
        true
    }

    fn discard_events(&self) {
        let mut buffer = [0; 4096];
        while let Some(events) = &self.events
            && rustix::io::read(events, &mut buffer).is_ok()
        {}
    }
}
