//! Children that need each other: if one is killed, the others may wait for it for ever, so nobody waits for them.

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// Some children. Those that have not ended when this is dropped are killed, and all are reaped.
#[derive(Default)]
pub struct Children(Vec<One>);

struct One {
    name: String,
    child: Child,
    /// Readable when it has ended.
    alive: OwnedFd,
}

impl Children {
    /// Adds one, by the name that it has in sentences.
    pub fn add(&mut self, name: impl Into<String>, mut child: Child) -> Result<()> {
        let alive = match descriptor_of(&child) {
            Ok(alive) => alive,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let name = name.into();
        self.0.push(One { name, child, alive });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until so many are left, whoever ends first. How those have ended that have, in the order of their ends.
    ///
    /// # Errors
    /// One has ended in a way that is not well.
    pub fn wait_until_left(
        &mut self,
        left: usize,
        is_well: impl Fn(ExitStatus) -> bool,
    ) -> Result<Vec<ExitStatus>> {
        let mut ended = Vec::new();
        while self.0.len() > left {
            ended.extend(self.look(PollTimeout::NONE, &is_well)?);
        }
        Ok(ended)
    }

    /// Waits until one has ended, or it is too late: how those have ended that have.
    ///
    /// # Errors
    /// One has ended in a way that is not well.
    pub fn look(
        &mut self,
        timeout: PollTimeout,
        is_well: impl Fn(ExitStatus) -> bool,
    ) -> Result<Vec<ExitStatus>> {
        self.look_beside(None, timeout, is_well)
    }

    /// Waits until one has ended, or something else can be read, or it is too late.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn look_beside(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        timeout: PollTimeout,
        is_well: impl Fn(ExitStatus) -> bool,
    ) -> Result<Vec<ExitStatus>> {
        let other = other.map(|other| PollFd::new(other, PollFlags::POLLIN));
        let mut ends: Vec<_> = self.0.iter().map(One::end).chain(other).collect();
        match poll(&mut ends, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("waiting for a child"),
        }
        let ended: Vec<bool> = ends.iter().map(|end| end.any() == Some(true)).collect();
        let mut ended = ended.into_iter();
        let (gone, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|_| ended.next() == Some(true));
        self.0 = left;
        let mut statuses = Vec::new();
        // All are reaped before one of them is complained of.
        for One {
            name, mut child, ..
        } in gone
        {
            statuses.push((name, child.wait().context("waiting for a child")?));
        }
        complain_of(statuses.iter().filter(|(_, status)| !is_well(*status)))?;
        Ok(statuses.into_iter().map(|(_, status)| status).collect())
    }
}

/// Those that were killed first: others may have ended because of them.
fn complain_of<'a>(ended: impl Iterator<Item = &'a (String, ExitStatus)>) -> Result<()> {
    let mut ended: Vec<_> = ended.collect();
    ended.sort_by_key(|(_, status)| status.signal().is_none());
    let tell = |(name, status): &&(String, ExitStatus)| format!("{name} ended with {status}");
    let sentences: Vec<String> = ended.iter().map(tell).collect();
    ensure!(sentences.is_empty(), sentences.join(", and "));
    Ok(())
}

impl One {
    fn end(&self) -> PollFd<'_> {
        PollFd::new(self.alive.as_fd(), PollFlags::POLLIN)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for one in &mut self.0 {
            let _ = one.child.kill();
        }
        for one in &mut self.0 {
            let _ = one.child.wait();
        }
    }
}

/// A descriptor of the process, which std has no call for yet.
fn descriptor_of(child: &Child) -> Result<OwnedFd> {
    // SAFETY: the call takes two numbers and touches no memory of this process. The child is not reaped, so its number
    // is its own.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id() as i32, 0) };
    Errno::result(number).context("pidfd_open")?;
    // SAFETY: it is open, and nothing else in this process knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}
