//! Finding a partner: a directory with a named pipe for each waiting process.
//!
//! **One process joins at a time.** The joining process locks the directory, looks for waiting
//! processes, and then either waits or joins the waiting process. The kernel releases the locks of
//! a killed process.
//!
//! **Liveness.** Each process keeps a lock on its own named pipe. A pipe without a lock and without
//! a reader belonged to a process that was killed; the next process removes it.
//!
//! **Two processes at most.** The second process sets another lock on the directory and keeps this
//! lock until the end of the chat. The lock is of a kind that other processes can test
//! (`F_OFD_GETLK`). So a third process detects the chat even though the pipes' names have been
//! removed.

use crate::output::escaped;
use anyhow::{Context, Result, bail};
use interlatch::sync::Timeout;
use interlatch_ipc::{Fifo, FifoError};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory in which processes meet.
pub struct Meeting {
    path: PathBuf,
    /// The open directory that carries the locks.
    folder: File,
}

/// The named pipe of a process, locked by its owner.
pub struct Inbox {
    pub fifo: Fifo,
    /// The locked file. While it is open, other processes can open the pipe for writing.
    _locked: File,
}

/// The role of a process that has joined.
pub enum Arrival {
    /// No other process is waiting.
    First(Inbox),
    /// The process with this name is waiting.
    Second(Inbox, String),
}

impl Meeting {
    pub fn open(path: &Path) -> Result<Self> {
        // If the directory is missing, the error contains the path.
        let folder = File::open(path).with_context(|| format!("no directory for it: {path:?}"))?;
        let path = path.to_owned();
        Ok(Self { path, folder })
    }

    /// Joins the chat unless it has two participants.
    pub fn join(&self, name: &str) -> Result<Arrival> {
        self.folder.lock().context("locking the directory")?;
        let arrival = self.join_locked(name);
        self.folder.unlock().context("unlocking the directory")?;
        arrival
    }

    fn join_locked(&self, name: &str) -> Result<Arrival> {
        if self.is_full()? {
            bail!("two talk in {} already", self.path.display());
        }
        let mut others = self.waiting_names()?;
        others.retain(|other| other != name);
        match others.as_slice() {
            [] => Ok(Arrival::First(self.create_inbox(name)?)),
            [other] => {
                let inbox = self.create_inbox(name)?;
                self.mark_full()?;
                Ok(Arrival::Second(inbox, other.clone()))
            }
            others => bail!("{} are here already: expected one", others.join(" and ")),
        }
    }

    /// Finds the named pipe of a waiting process.
    pub fn fifo_of(&self, name: &str) -> Result<Fifo> {
        Ok(Fifo::from_path(self.path.join(name))?)
    }

    fn create_inbox(&self, name: &str) -> Result<Inbox> {
        let fifo = Fifo::create(self.path.join(name), 0o600)?;
        let locked =
            open_to_read(fifo.path()).and_then(|file| Ok(file.try_lock().map(|()| file)?));
        match locked {
            Ok(_locked) => Ok(Inbox { fifo, _locked }),
            Err(error) => {
                let _ = fifo.remove();
                Err(error).context("locking the named pipe")
            }
        }
    }

    /// Returns the names of the waiting processes, and removes the pipes of killed ones.
    fn waiting_names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.path.read_dir().context("reading the directory")? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            if let Ok(name) = name
                && is_valid_name(&name)
                && entry.file_type()?.is_fifo()
                && !remove_if_abandoned(&entry.path())?
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn mark_full(&self) -> Result<()> {
        fcntl(
            &self.folder,
            FcntlArg::F_OFD_SETLK(&whole_file_lock(libc::F_RDLCK)),
        )
        .context("locking the directory")?;
        Ok(())
    }

    fn is_full(&self) -> Result<bool> {
        let mut lock = whole_file_lock(libc::F_WRLCK);
        fcntl(&self.folder, FcntlArg::F_OFD_GETLK(&mut lock)).context("looking for a lock")?;
        Ok(lock.l_type != libc::F_UNLCK as i16)
    }
}

/// Returns whether a name is valid as a file name and safe to print.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains('/')
        && escaped(name.as_bytes()) == name
}

/// Removes the named pipe if no process uses it; returns whether the pipe was unused.
fn remove_if_abandoned(path: &Path) -> Result<bool> {
    let locked = match open_to_read(path) {
        Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        // The owner has already removed the pipe, or the pipe belongs to another user.
        Err(error) => return Ok(error.kind() == std::io::ErrorKind::NotFound),
    };
    if locked {
        return Ok(false);
    }
    // Another program may read from the pipe.
    let fifo = Fifo::from_path(path)?;
    let is_abandoned = matches!(
        fifo.writer(Timeout::NonBlocking),
        Err(FifoError::NoReader(_))
    );
    if is_abandoned {
        fifo.remove()?;
    }
    Ok(is_abandoned)
}

/// Opens a pipe for reading without waiting for a writer.
fn open_to_read(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NONBLOCK.bits();
    options.read(true).custom_flags(flags).open(path)
}

/// Returns the argument of `fcntl` for an open file description lock on the whole file.
fn whole_file_lock(lock_type: i32) -> libc::flock {
    libc::flock {
        l_type: lock_type as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
