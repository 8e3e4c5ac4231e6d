//! Child processes that depend on each other: if one child is killed, the others are killed too,
//! because waiting for them might never end.

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// A set of children. Dropping it kills and reaps the running ones.
#[derive(Default)]
pub struct Children(Vec<Member>);

struct Member {
    name: String,
    child: Child,
    /// A pidfd of the child. The pidfd is readable once the child has ended.
    alive: OwnedFd,
}

impl Children {
    /// Adds a child with its name for messages.
    pub fn add(&mut self, name: impl Into<String>, mut child: Child) -> Result<()> {
        let alive = match pidfd_of(&child) {
            Ok(alive) => alive,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let name = name.into();
        self.0.push(Member { name, child, alive });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until at most `left` children remain, and returns the statuses in the order in which
    /// the children ended.
    ///
    /// # Errors
    /// Returns an error if a child ended without success.
    pub fn wait_until_left(
        &mut self,
        left: usize,
        is_success: impl Fn(ExitStatus) -> bool,
    ) -> Result<Vec<ExitStatus>> {
        let mut ended = Vec::new();
        while self.0.len() > left {
            ended.extend(self.wait_any(PollTimeout::NONE, &is_success)?);
        }
        Ok(ended)
    }

    /// Waits until a child has ended or the timeout expires, and returns the statuses.
    ///
    /// # Errors
    /// Returns an error if a child ended without success.
    pub fn wait_any(
        &mut self,
        timeout: PollTimeout,
        is_success: impl Fn(ExitStatus) -> bool,
    ) -> Result<Vec<ExitStatus>> {
        self.wait_any_or_readable(None, timeout, is_success)
    }

    /// Waits until a child has ended, another descriptor is readable, or the timeout expires.
    ///
    /// # Errors
    /// See [`wait_any`](Self::wait_any).
    pub fn wait_any_or_readable(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        timeout: PollTimeout,
        is_success: impl Fn(ExitStatus) -> bool,
    ) -> Result<Vec<ExitStatus>> {
        let other = other.map(|other| PollFd::new(other, PollFlags::POLLIN));
        let mut polled: Vec<_> = self.0.iter().map(Member::poll_fd).chain(other).collect();
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("waiting for a child"),
        }
        let ended: Vec<bool> = polled
            .iter()
            .map(|polled| polled.any() == Some(true))
            .collect();
        let mut ended = ended.into_iter();
        let (gone, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|_| ended.next() == Some(true));
        self.0 = left;
        let mut statuses = Vec::new();
        // All children that have ended are reaped before an error is returned.
        for Member {
            name, mut child, ..
        } in gone
        {
            statuses.push((name, child.wait().context("waiting for a child")?));
        }
        check_statuses(statuses.iter().filter(|(_, status)| !is_success(*status)))?;
        Ok(statuses.into_iter().map(|(_, status)| status).collect())
    }
}

/// Returns an error for failed children. Killed children are reported first, because their death
/// may have caused the other failures.
fn check_statuses<'a>(ended: impl Iterator<Item = &'a (String, ExitStatus)>) -> Result<()> {
    let mut ended: Vec<_> = ended.collect();
    ended.sort_by_key(|(_, status)| status.signal().is_none());
    let tell = |(name, status): &&(String, ExitStatus)| format!("{name} ended with {status}");
    let sentences: Vec<String> = ended.iter().map(tell).collect();
    ensure!(sentences.is_empty(), sentences.join(", and "));
    Ok(())
}

impl Member {
    fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.alive.as_fd(), PollFlags::POLLIN)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for member in &mut self.0 {
            let _ = member.child.kill();
        }
        for member in &mut self.0 {
            let _ = member.child.wait();
        }
    }
}

/// Opens a pidfd, for which std has no stable function.
fn pidfd_of(child: &Child) -> Result<OwnedFd> {
    // SAFETY: the call takes two integers. The child is not reaped, so its process ID is valid.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id() as i32, 0) };
    Errno::result(number).context("pidfd_open")?;
    // SAFETY: the descriptor is open, and no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}
