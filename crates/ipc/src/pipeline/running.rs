//! The processes of a pipeline: their statuses, signals to all of them, and their end.
//!
//! None is reaped before all have ended: until then the number of the group can be nobody else's.

use super::terminal::Standing;
use super::{Finished, PipelineError};
use crate::wait;
use interlatch::platform::Deadline;
use interlatch::sync::Timeout;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::time::Duration;

/// The processes of a pipeline. If they have not ended when this is dropped, they are killed and reaped; one that
/// has become another user's, and may not be killed, is waited for.
///
/// # Errors
/// A program that ignores `SIGCHLD`, or waits for any child, takes the statuses away from this: then there
/// are errors.
///
/// # Process death
/// See [`Pipeline`](super::Pipeline).
///
/// # Example
/// ```
/// use interlatch_ipc::{Pipeline, Signal};
/// use std::os::unix::process::ExitStatusExt;
/// use std::process::{Command, Stdio};
///
/// let mut sleepers = Command::new("sleep");
/// sleepers.arg("1000");
/// let mut running = Pipeline::new()
///     .command(sleepers)
///     .command(Command::new("cat"))
///     .input(Stdio::null())
///     .spawn()?;
/// assert!(running.try_wait()?.is_none());
/// running.signal_group(Signal::SIGTERM)?;
/// let statuses = running.wait()?;
/// assert_eq!(statuses[0].signal(), Some(Signal::SIGTERM as i32));
/// # Ok::<(), interlatch_ipc::PipelineError>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping this kills the processes"]
pub struct Running {
    members: Vec<Member>,
    captured: Option<Captured>,
    /// Then the number of the group may be somebody else's.
    is_reaped: bool,
    /// Once all are reaped.
    statuses: Vec<ExitStatus>,
    standing: Standing,
}

/// One process.
#[derive(Debug)]
struct Member {
    child: Child,
    /// Readable once it has ended; not there any more once that was seen.
    alive: Option<OwnedFd>,
}

/// What the last command has written.
#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    /// Not there any more after its end.
    pipe: Option<ChildStdout>,
}

impl Running {
    pub(super) fn nothing_yet(standing: Standing) -> Self {
        Self {
            members: Vec::new(),
            captured: None,
            is_reaped: false,
            statuses: Vec::new(),
            standing,
        }
    }

    /// Adds a process, which is in the group of the first.
    pub(super) fn add(&mut self, child: Child) -> Result<(), PipelineError> {
        let process = rustix::process::Pid::from_child(&child);
        self.members.push(Member { child, alive: None });
        let alive = pidfd_open(process, PidfdFlags::empty())
            .map_err(PipelineError::system("pidfd_open"))?;
        if let Some(member) = self.members.last_mut() {
            member.alive = Some(alive);
        }
        Ok(())
    }

    /// Begins to keep what the last process writes to its pipe.
    pub(super) fn capture(&mut self) -> Result<(), PipelineError> {
        let pipe = self.take_output();
        if let Some(pipe) = &pipe {
            // This end is nobody else's, so the flag disturbs nobody.
            ioctl_fionbio(pipe, true).map_err(PipelineError::system("ioctl(FIONBIO)"))?;
        }
        let bytes = Vec::new();
        self.captured = Some(Captured { bytes, pipe });
        Ok(())
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The number of the process group: that of the first process. None if they are in the group of this process,
    /// beside others: see [`Pipeline`](super::Pipeline).
    pub fn group(&self) -> Option<i32> {
        if self.standing.is_beside() {
            return None;
        }
        self.members.first().map(|leader| leader.child.id() as i32)
    }

    /// The number of each process, in the order of the commands.
    pub fn processes(&self) -> Vec<u32> {
        self.members.iter().map(|one| one.child.id()).collect()
    }

    /// The end that the first process reads from, if its input is `Stdio::piped()`: drop it to end its stream.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.members.first_mut()?.child.stdin.take()
    }

    /// The end that the last process writes to, if its output is `Stdio::piped()` and not captured.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.members.last_mut()?.child.stdout.take()
    }

    /// Sends a signal to every process; if they are a group of their own, also to the children that these have in it.
    ///
    /// # Errors
    /// If all have ended and were waited for, or have become those of another user.
    pub fn signal_group(&self, signal: Signal) -> Result<(), PipelineError> {
        match self.group() {
            _ if self.is_reaped || self.members.is_empty() => Err(PipelineError::Ended),
            Some(group) => killpg(Pid::from_raw(group), signal)
                .map_err(|errno| PipelineError::io("killpg")(errno.into())),
            None => self.signal_each(signal),
        }
    }

    /// As to a group, it is well if one has got it, or has ended and is not reaped.
    fn signal_each(&self, signal: Signal) -> Result<(), PipelineError> {
        // None is reaped, so their numbers are theirs.
        let sent = self.members.iter().map(|one| {
            let process = Pid::from_raw(one.child.id() as i32);
            kill(process, signal)
        });
        let sent: Vec<_> = sent.collect();
        match sent.iter().any(Result::is_ok) {
            true => Ok(()),
            false => sent
                .into_iter()
                .collect::<nix::Result<()>>()
                .map_err(|errno| PipelineError::io("kill")(errno.into())),
        }
    }

    /// Waits until all have ended, and what is captured has: the status of each, in the order of the commands.
    ///
    /// # Errors
    /// If somebody else has taken a status.
    pub fn wait(&mut self) -> Result<Vec<ExitStatus>, PipelineError> {
        loop {
            if let Some(statuses) = self.wait_with(Timeout::Infinite)? {
                return Ok(statuses);
            }
        }
    }

    /// The statuses, if all have ended. Takes a piece of what is captured, and so may have to be called again
    /// after the end.
    ///
    /// # Errors
    /// As of [`wait`](Running::wait).
    pub fn try_wait(&mut self) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.wait_with(Timeout::NonBlocking)
    }

    /// Waits, or gives up after that time.
    ///
    /// # Errors
    /// As of [`wait`](Running::wait).
    pub fn wait_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.wait_with(Timeout::after(timeout))
    }

    /// Waits, or gives up at that time.
    ///
    /// # Errors
    /// As of [`wait`](Running::wait).
    pub fn wait_until(
        &mut self,
        deadline: Deadline,
    ) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.wait_with(Timeout::At(deadline))
    }

    /// Waits as long as timeout lasts. What is captured meanwhile is kept. An end of a pipe that was not
    /// taken is closed first, since nobody will use it.
    ///
    /// # Errors
    /// As of [`wait`](Running::wait).
    pub fn wait_with(
        &mut self,
        timeout: Timeout,
    ) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        drop((self.take_input(), self.take_output()));
        let mut is_over = false;
        loop {
            if self.is_reaped {
                return self.statuses().map(Some);
            }
            if self.has_ended() {
                self.reap();
            } else if is_over {
                return Ok(None);
            } else {
                // A command that writes without end must not make a wait without end of this.
                is_over = !self.look(timeout)? || wait::is_over(timeout);
            }
        }
    }

    /// Waits for the end: the statuses, and what was captured.
    ///
    /// # Errors
    /// As of [`wait`](Running::wait).
    pub fn finish(mut self) -> Result<Finished, PipelineError> {
        let statuses = self.wait()?;
        let captured = self.captured.take().unwrap_or_default();
        Ok(Finished {
            statuses,
            output: captured.bytes,
        })
    }

    /// Leaves them to themselves: their numbers. They are children of this process still, and nobody reaps
    /// them before its end.
    pub fn detach(mut self) -> Vec<u32> {
        let processes = self.processes();
        self.members.clear();
        processes
    }

    /// Whether all have been seen to end, and the end of what is captured.
    fn has_ended(&self) -> bool {
        let writes = self.captured.as_ref().is_some_and(|it| it.pipe.is_some());
        !writes && self.members.iter().all(|one| one.alive.is_none())
    }

    /// Waits until one has ended, or there is something to capture, and takes note: whether that came in time.
    fn look(&mut self, timeout: Timeout) -> Result<bool, PipelineError> {
        let pipe = self.captured.as_ref().and_then(|it| it.pipe.as_ref());
        let alive = self.members.iter().filter_map(|one| one.alive.as_ref());
        let mut polled: Vec<PollFd<'_>> = alive
            .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
            .chain(pipe.map(|pipe| PollFd::new(pipe, PollFlags::IN)))
            .collect();
        let ready = wait::any(&mut polled, timeout).map_err(PipelineError::io("ppoll"))?;
        let ended: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        let alive = self.members.iter_mut().filter(|one| one.alive.is_some());
        for (member, has_ended) in alive.zip(ended) {
            member.alive.take_if(|_| has_ended);
        }
        let captured = self.captured.as_mut();
        let read = captured.map_or(Ok(()), Captured::read);
        read.map_err(PipelineError::io("read"))?;
        Ok(ready)
    }

    /// Reaps all, which have ended, and gives the terminal back.
    fn reap(&mut self) {
        let waited = self.members.iter_mut().map(|one| one.child.wait());
        self.statuses = waited.filter_map(Result::ok).collect();
        self.is_reaped = true;
        self.standing.give_back();
    }

    /// The status of each, if somebody else has not taken one.
    fn statuses(&self) -> Result<Vec<ExitStatus>, PipelineError> {
        if self.statuses.len() < self.members.len() {
            return Err(PipelineError::system("waitpid")(Errno::CHILD));
        }
        Ok(self.statuses.clone())
    }

    /// Kills all, also one that has left the group, and reaps them.
    fn kill(&mut self) {
        let _ = self.signal_group(Signal::SIGKILL);
        for descriptor in self.members.iter().filter_map(|one| one.alive.as_ref()) {
            // One that has ended needs it no more.
            let _ = pidfd_send_signal(descriptor, rustix::process::Signal::KILL);
        }
        self.reap();
    }
}

impl Captured {
    /// Takes what is there, at most so much that others get their turn.
    fn read(&mut self) -> std::io::Result<()> {
        const MAX: usize = 1 << 14;
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut chunk = [0; MAX];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.bytes.extend_from_slice(&chunk[..length]),
            Err(error) if is_for_now(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_for_now(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error();
    [Errno::AGAIN, Errno::INTR]
        .map(|one| Some(one.raw_os_error()))
        .contains(&errno)
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
        }
    }
}
