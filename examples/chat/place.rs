//! Where two meet: a directory, with a named pipe for each who waits there.
//!
//! **One arrives at a time.** Whoever comes locks the directory, looks who is there, and either waits or joins the one
//! who does; then unlocks it. The kernel takes the locks back from who is killed, so nobody waits for the dead.
//!
//! **Who is there.** Each keeps a lock on its own named pipe. One that nobody has locked, and that nobody reads from,
//! was left by somebody who was killed: it is removed by who comes next.
//!
//! **Two talk.** Whoever joins puts another lock on the directory, of the kind that can be asked for
//! (`F_OFD_GETLK`), and keeps it to the end of the chat. So the third one hears of them although their names are gone
//! by then.

use anyhow::{Context, Result, bail};
use interlatch::sync::Timeout;
use interlatch_ipc::{Fifo, FifoError};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory.
pub struct Place {
    path: PathBuf,
    /// What the locks are on.
    folder: File,
}

/// A named pipe from which its owner reads, and which is seen to have one.
pub struct Endpoint {
    pub inbox: Fifo,
    /// The locked one. While it is open, others can open the other end.
    _locked: File,
}

/// As who one is there.
pub enum Arrival {
    /// Nobody else is there yet.
    First(Endpoint),
    /// That one waits.
    Second(Endpoint, String),
}

impl Place {
    pub fn at(path: &Path) -> Result<Self> {
        // A directory that is not there is best told of by what cannot be made in it.
        let folder = File::open(path).with_context(|| format!("no directory for it: {path:?}"))?;
        let path = path.to_owned();
        Ok(Self { path, folder })
    }

    /// Comes in, if not two are there already.
    pub fn arrive(&self, name: &str) -> Result<Arrival> {
        self.folder.lock().context("locking the directory")?;
        let arrival = self.arrive_alone(name);
        self.folder.unlock().context("unlocking the directory")?;
        arrival
    }

    fn arrive_alone(&self, name: &str) -> Result<Arrival> {
        if self.two_talk()? {
            bail!("two talk in {} already", self.path.display());
        }
        let mut others = self.who_waits()?;
        others.retain(|other| other != name);
        match others.as_slice() {
            [] => Ok(Arrival::First(self.sit(name)?)),
            [other] => {
                let seat = self.sit(name)?;
                self.talk()?;
                Ok(Arrival::Second(seat, other.clone()))
            }
            others => bail!("{} are here already: expected one", others.join(" and ")),
        }
    }

    /// The named pipe of one who is there.
    pub fn inbox_of(&self, name: &str) -> Result<Fifo> {
        Ok(Fifo::from_path(self.path.join(name))?)
    }

    fn sit(&self, name: &str) -> Result<Endpoint> {
        let inbox = Fifo::create(self.path.join(name), 0o600)?;
        let locked =
            open_to_read(inbox.path()).and_then(|file| Ok(file.try_lock().map(|()| file)?));
        match locked {
            Ok(_locked) => Ok(Endpoint { inbox, _locked }),
            Err(error) => {
                let _ = inbox.remove();
                Err(error).context("locking the named pipe")
            }
        }
    }

    /// The names of those who wait. What the dead have left is removed.
    fn who_waits(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.path.read_dir().context("reading the directory")? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            if let Ok(name) = name
                && is_name(&name)
                && entry.file_type()?.is_fifo()
                && !is_left(&entry.path())?
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn talk(&self) -> Result<()> {
        fcntl(&self.folder, FcntlArg::F_OFD_SETLK(&whole(libc::F_RDLCK)))
            .context("locking the directory")?;
        Ok(())
    }

    fn two_talk(&self) -> Result<bool> {
        let mut lock = whole(libc::F_WRLCK);
        fcntl(&self.folder, FcntlArg::F_OFD_GETLK(&mut lock)).context("looking for a lock")?;
        Ok(lock.l_type != libc::F_UNLCK as i16)
    }
}

/// Whether somebody may be called so, who is a named pipe in a directory, and is shown on a terminal.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains('/')
        && !name.contains(char::is_control)
}

/// Whether nobody is there any more: then it is removed.
fn is_left(path: &Path) -> Result<bool> {
    let locked = match open_to_read(path) {
        Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        // Its owner has removed it meanwhile, or it is not for this user.
        Err(error) => return Ok(error.kind() == std::io::ErrorKind::NotFound),
    };
    if locked {
        return Ok(false);
    }
    // Another program's, that reads from it?
    let fifo = Fifo::from_path(path)?;
    let nobody_reads = matches!(
        fifo.writer(Timeout::NonBlocking),
        Err(FifoError::NoReader(_))
    );
    if nobody_reads {
        fifo.remove()?;
    }
    Ok(nobody_reads)
}

/// Without waiting for a writer.
fn open_to_read(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NONBLOCK.bits();
    options.read(true).custom_flags(flags).open(path)
}

/// A lock of all of a file, which is that of an open file description.
fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
