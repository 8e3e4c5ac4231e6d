//! Named pipes: a pipe that processes find by a path.
//!
//! **Promise.** Whoever opens one end meets whoever opens the other, as far as timeout lasts; what then passes is
//! that of a [`pipe`](interlatch::platform::pipe).
//!
//! **Source.** `mkfifo(3)` and `fifo(7)`.
//!
//! **Why it is correct.** Neither end is opened in the way that blocks, since nobody could end that in time:
//!
//! - for writing, the kernel refuses as long as nobody reads, and counts who hangs in a blocking open as a reader;
//! - for reading, it opens at once, and `tee(2)` tells without taking anything whether there is a writer. One that
//!   has come since and gone again has hung up, says `poll(2)`.
//!
//! Who has found nobody sleeps until the file is opened, which inotify says of every open that is done. Of a reader
//! that hangs in a blocking open it says nothing, so a sleeper looks again after the recheck interval.

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

/// A pipe with a name in the file system, for processes that share nothing but the path.
///
/// # Fairness
/// None: that of the kernel.
///
/// # Process death
/// The kernel closes what a dead process had open, so the other side hears of it. The name stays until somebody
/// [removes](Fifo::remove) it, also after a reboot; what nobody has read when the last one closes it is gone.
///
/// # Patience
/// With [`Timeout::NonBlocking`] an end opens only if somebody is at the other one. A reader that finds nobody has been
/// there for a moment all the same: to a writer that opens in this moment the pipe is broken.
///
/// # Example
/// ```
/// use interlatch_ipc::{Fifo, FifoError};
/// use interlatch::sync::Timeout;
/// use interlatch::channel::RecvError;
/// use interlatch::{Channel, PipeBuffer};
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
///     assert!(numbers.receiver()?.into_iter().eq(1..=3));
///     Ok(())
/// })?;
/// fifo.remove()?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    path: PathBuf,
}

/// Why a named pipe could not be made, found, opened or removed.
#[derive(Debug, thiserror::Error)]
pub enum FifoError {
    /// There is a named pipe already.
    #[error("there is a named pipe at {0} already: expected nothing")]
    Exists(PathBuf),
    /// There is something else.
    #[error("there is {found} at {path}: expected a named pipe")]
    NotAFifo {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// There is nothing of this name, or no directory for it.
    #[error("there is nothing at {0}, or no directory for it")]
    Missing(PathBuf),
    /// This process may not do that there.
    #[error("permission denied at {0}")]
    Denied(PathBuf),
    /// In time, nobody has come to read.
    #[error("nobody reads from {0}")]
    NoReader(PathBuf),
    /// In time, nobody has come to write.
    #[error("nobody writes to {0}")]
    NoWriter(PathBuf),
    /// The kernel refused.
    #[error("{path}: {error}")]
    Kernel {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
}

impl Fifo {
    /// Makes a named pipe, with these permissions less those that the process's umask takes away.
    ///
    /// # Errors
    /// Something is there already, there is no directory for it, or this process may not.
    pub fn create(path: impl Into<PathBuf>, mode: u32) -> Result<Self, FifoError> {
        let path = path.into();
        match mkfifoat(CWD, &path, Mode::from_bits_truncate(mode)) {
            Ok(()) => Ok(Self { path }),
            Err(Errno::EXIST) => Err(match expect_fifo(&path) {
                Ok(()) => FifoError::Exists(path),
                Err(other) => other,
            }),
            Err(errno) => Err(refused(&path, errno)),
        }
    }

    /// The named pipe that is there.
    ///
    /// # Errors
    /// There is none.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, FifoError> {
        let path = path.into();
        expect_fifo(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the end that is read, when somebody has come to write: also if that one has gone again, and the stream
    /// has ended.
    ///
    /// After the end of the stream another writer may come: opening once more waits for that one.
    ///
    /// # Errors
    /// In time nobody has come; or it is not there, is no named pipe any more, or this process may not.
    pub fn reader(&self, timeout: Timeout) -> Result<Reader, FifoError> {
        let watch = Watch::new(&self.path, timeout);
        let end = self.open(OFlags::RDONLY)?;
        let (_unread, probe) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|errno| refused(&self.path, errno))?;
        loop {
            match tee(&end, &probe, 1, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) | Err(Errno::AGAIN) => return Ok(Reader::from_owned(end)),
                Err(errno) => return Err(refused(&self.path, errno)),
            }
            if has_hung_up(&end) {
                return Ok(Reader::from_owned(end));
            }
            if !watch.waits() {
                return Err(FifoError::NoWriter(self.path.clone()));
            }
        }
    }

    /// Opens the end that is written, when somebody has come to read.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn writer(&self, timeout: Timeout) -> Result<Writer, FifoError> {
        let watch = Watch::new(&self.path, timeout);
        loop {
            match self.open(OFlags::WRONLY) {
                Err(FifoError::NoReader(_)) if watch.waits() => {}
                opened => return opened.map(Writer::from_owned),
            }
        }
    }

    /// Removes the name. Who has it open goes on.
    ///
    /// # Errors
    /// It is not there, is no named pipe any more, or this process may not. A symbolic link is no named pipe, also
    /// if it leads to one.
    pub fn remove(&self) -> Result<(), FifoError> {
        let found = lstat(&self.path).map_err(|errno| refused(&self.path, errno))?;
        expect_kind(&self.path, found.st_mode)?;
        unlink(&self.path).map_err(|errno| refused(&self.path, errno))
    }

    fn open(&self, mode: OFlags) -> Result<OwnedFd, FifoError> {
        let path = &self.path;
        // Opening something else may have effects of its own.
        expect_fifo(path)?;
        let flags = mode | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let end = loop {
            match open(path, flags, Mode::empty()) {
                Err(Errno::INTR) => {}
                Err(Errno::NXIO) => return Err(FifoError::NoReader(path.clone())),
                opened => break opened.map_err(|errno| refused(path, errno))?,
            }
        };
        let found = fstat(&end).map_err(|errno| refused(path, errno))?;
        expect_kind(path, found.st_mode)?;
        Ok(end)
    }
}

/// Whether somebody could write since this end was opened, and nobody can any more.
fn has_hung_up(end: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(end, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut polled, Some(&now)), Ok(1))
}

fn expect_fifo(path: &Path) -> Result<(), FifoError> {
    let found = stat(path).map_err(|errno| refused(path, errno))?;
    expect_kind(path, found.st_mode)
}

fn expect_kind(path: &Path, mode: u32) -> Result<(), FifoError> {
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

fn refused(path: &Path, errno: Errno) -> FifoError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::NOTDIR => FifoError::Missing(path),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => FifoError::Denied(path),
        errno => FifoError::Kernel {
            path,
            error: errno.into(),
        },
    }
}

/// Waits for somebody to open a file.
struct Watch {
    timeout: Timeout,
    /// None if the user has no more of them: then only looking again helps.
    events: Option<OwnedFd>,
}

impl Watch {
    /// From now on, as far as timeout lasts.
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

    /// Waits until it is time to look again; false if there is no more time.
    fn waits(&self) -> bool {
        let recheck = Deadline::after(futex::recheck_interval());
        let until = match self.timeout {
            Timeout::NonBlocking => return false,
            Timeout::At(deadline) if deadline.remaining().is_zero() => return false,
            Timeout::At(deadline) => deadline.min(recheck),
            Timeout::Infinite => recheck,
        };
        let event = |events| PollFd::new(events, PollFlags::IN);
        let mut polled: Vec<PollFd<'_>> = self.events.iter().map(event).collect();
        // Whatever it says, it is time to look.
        let left = Timespec::try_from(until.remaining()).ok();
        let _ = poll(&mut polled, left.as_ref());
        self.forget_events();
        true
    }

    fn forget_events(&self) {
        let mut buffer = [0; 4096];
        while let Some(events) = &self.events
            && rustix::io::read(events, &mut buffer).is_ok()
        {}
    }
}
