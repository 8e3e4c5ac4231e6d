//! The running processes of a pipeline: statuses, signals to all of them, termination.
//!
//! No process is reaped before all processes have ended, so the process group ID stays valid until
//! then.

use super::terminal::JobControl;
use super::{PipelineError, PipelineOutput};
use crate::wait;
use interlatch::platform::Deadline;
use interlatch::platform::identity::Generation;
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

/// A pipeline whose processes have started.
///
/// Dropping a `RunningPipeline` kills and reaps the processes that have not ended. If a process
/// runs as another user and cannot be killed, the drop waits until that process ends.
///
/// # Errors
/// The waiting methods fail if the program consumes the statuses, that is, if the program ignores
/// `SIGCHLD` or itself waits for any child.
///
/// # Process death
/// See [`Pipeline`](super::Pipeline).
///
/// # Fork
/// The processes belong to the process that started them. In a forked child, `signal_group` and the
/// waiting methods of the copy fail with [`PipelineError::Inherited`] and read no captured output.
/// Dropping the copy kills no process and does not change the terminal.
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
pub struct RunningPipeline {
    members: Vec<Member>,
    captured: Option<CapturedOutput>,
    /// Whether the processes have been reaped. After that, the kernel may reuse the process group
    /// ID.
    is_reaped: bool,
    /// The statuses of the processes. The vector is empty until all processes have been reaped.
    statuses: Vec<ExitStatus>,
    job_control: JobControl,
    /// The process that started the pipeline.
    starter: Generation,
}

/// One process of the pipeline.
#[derive(Debug)]
struct Member {
    child: Child,
    /// A pidfd, which is readable once the process has ended. The value is `None` once the end of
    /// the process has been observed.
    alive: Option<OwnedFd>,
}

/// The captured output of the last command.
#[derive(Debug, Default)]
struct CapturedOutput {
    bytes: Vec<u8>,
    /// The pipe from which the output is read; `None` after the end of the output.
    pipe: Option<ChildStdout>,
}

impl RunningPipeline {
    pub(super) fn new(job_control: JobControl) -> Self {
        Self {
            members: Vec::new(),
            captured: None,
            is_reaped: false,
            statuses: Vec::new(),
            job_control,
            starter: Generation::current(),
        }
    }

    /// Adds a process that belongs to the group of the first one.
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

    /// Starts to capture the output of the last process.
    pub(super) fn capture(&mut self) -> Result<(), PipelineError> {
        let pipe = self.take_output();
        if let Some(pipe) = &pipe {
            // No other process has this end of the pipe open, so the flag affects only this
            // process.
            ioctl_fionbio(pipe, true).map_err(PipelineError::system("ioctl(FIONBIO)"))?;
        }
        let bytes = Vec::new();
        self.captured = Some(CapturedOutput { bytes, pipe });
        Ok(())
    }

    pub(super) fn job_control(&self) -> &JobControl {
        &self.job_control
    }

    /// Returns the process group ID, which is the process ID of the first process.
    ///
    /// Returns `None` if the processes share the group of this process; see
    /// [`Pipeline`](super::Pipeline).
    pub fn group_id(&self) -> Option<i32> {
        if self.job_control.shares_group() {
            return None;
        }
        self.members.first().map(|leader| leader.child.id() as i32)
    }

    /// Returns the process ID of each process, in the order of the commands.
    pub fn process_ids(&self) -> Vec<u32> {
        self.members
            .iter()
            .map(|member| member.child.id())
            .collect()
    }

    /// Takes the write end of the pipe to the first process; drop it to end the stream.
    ///
    /// Returns `None` unless the pipeline's input is `Stdio::piped()`.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.members.first_mut()?.child.stdin.take()
    }

    /// Takes the read end of the pipe from the last process.
    ///
    /// Returns `None` unless the pipeline's output is `Stdio::piped()` and not captured.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.members.last_mut()?.child.stdout.take()
    }

    /// Sends a signal to every process of the pipeline.
    ///
    /// If the pipeline has a process group of its own, the children of the commands in that group
    /// get the signal too.
    ///
    /// # Errors
    /// Returns an error if all processes have been reaped, all of them run as another user, or the
    /// pipeline is inherited from the parent process.
    pub fn signal_group(&self, signal: Signal) -> Result<(), PipelineError> {
        self.check_starter()?;
        match self.group_id() {
            _ if self.is_reaped || self.members.is_empty() => Err(PipelineError::Ended),
            Some(group) => killpg(Pid::from_raw(group), signal)
                .map_err(|errno| PipelineError::io("killpg")(errno.into())),
            None => self.signal_each(signal),
        }
    }

    /// Returns an error if another process started the pipeline. In a copy of that process, the
    /// process IDs may be reused, and the captured output belongs to the original.
    fn check_starter(&self) -> Result<(), PipelineError> {
        match self.starter.is_inherited() {
            true => Err(PipelineError::Inherited),
            false => Ok(()),
        }
    }

    /// Signals each process. Succeeds, like `killpg`, if at least one process gets the signal.
    fn signal_each(&self, signal: Signal) -> Result<(), PipelineError> {
        // No process has been reaped, so all process IDs are valid.
        let sent = self.members.iter().map(|member| {
            let process = Pid::from_raw(member.child.id() as i32);
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

    /// Waits until all processes have ended and the captured output is complete.
    ///
    /// Returns the status of each process, in the order of the commands.
    ///
    /// # Errors
    /// Returns an error if other code of this program consumed the status of a process, or if the
    /// pipeline is inherited from the parent process.
    pub fn wait(&mut self) -> Result<Vec<ExitStatus>, PipelineError> {
        loop {
            if let Some(statuses) = self.wait_with(Timeout::Infinite)? {
                return Ok(statuses);
            }
        }
    }

    /// Returns the statuses if all processes have ended.
    ///
    /// Each call reads one piece of the captured output, so further calls may be necessary after
    /// the processes have ended.
    ///
    /// # Errors
    /// See [`wait`](RunningPipeline::wait).
    pub fn try_wait(&mut self) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.wait_with(Timeout::NonBlocking)
    }

    /// Waits like [`wait`](RunningPipeline::wait), up to a timeout.
    ///
    /// # Errors
    /// See [`wait`](RunningPipeline::wait).
    pub fn wait_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.wait_with(Timeout::after(timeout))
    }

    /// Waits like [`wait`](RunningPipeline::wait), up to a deadline.
    ///
    /// # Errors
    /// See [`wait`](RunningPipeline::wait).
    pub fn wait_deadline(
        &mut self,
        deadline: Deadline,
    ) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.wait_with(Timeout::At(deadline))
    }

    /// Waits like [`wait`](RunningPipeline::wait), and returns `None` on timeout.
    ///
    /// Output captured before a timeout is kept. Pipe ends that were not taken are closed before
    /// the wait, because no code can use them during the wait.
    ///
    /// # Errors
    /// See [`wait`](RunningPipeline::wait).
    pub fn wait_with(
        &mut self,
        timeout: Timeout,
    ) -> Result<Option<Vec<ExitStatus>>, PipelineError> {
        self.check_starter()?;
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
                // A command that writes endlessly must not extend the wait.
                is_over = !self.poll_events(timeout)? || wait::has_expired(timeout);
            }
        }
    }

    /// Waits until all processes have ended and returns their statuses and the captured output.
    ///
    /// # Errors
    /// See [`wait`](RunningPipeline::wait).
    pub fn finish(mut self) -> Result<PipelineOutput, PipelineError> {
        let statuses = self.wait()?;
        let captured = self.captured.take().unwrap_or_default();
        Ok(PipelineOutput {
            statuses,
            output: captured.bytes,
        })
    }

    /// Detaches the processes, which continue to run, and returns their process IDs.
    ///
    /// The processes stay children of this process and are reaped only after this process ends.
    pub fn detach(mut self) -> Vec<u32> {
        let processes = self.process_ids();
        self.members.clear();
        processes
    }

    /// Returns whether all processes are known to have ended and the captured output is complete.
    fn has_ended(&self) -> bool {
        let writes = self.captured.as_ref().is_some_and(|it| it.pipe.is_some());
        !writes && self.members.iter().all(|member| member.alive.is_none())
    }

    /// Waits until a process of the pipeline ends or output arrives, and records the event. Returns
    /// `false` on timeout.
    fn poll_events(&mut self, timeout: Timeout) -> Result<bool, PipelineError> {
        let pipe = self.captured.as_ref().and_then(|it| it.pipe.as_ref());
        let alive = self
            .members
            .iter()
            .filter_map(|member| member.alive.as_ref());
        let mut polled: Vec<PollFd<'_>> = alive
            .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
            .chain(pipe.map(|pipe| PollFd::new(pipe, PollFlags::IN)))
            .collect();
        let ready = wait::poll_any(&mut polled, timeout).map_err(PipelineError::io("ppoll"))?;
        let ended: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let alive = self
            .members
            .iter_mut()
            .filter(|member| member.alive.is_some());
        for (member, has_ended) in alive.zip(ended) {
            member.alive.take_if(|_| has_ended);
        }
        let captured = self.captured.as_mut();
        let read = captured.map_or(Ok(()), CapturedOutput::read);
        read.map_err(PipelineError::io("read"))?;
        Ok(ready)
    }

    /// Reaps all processes, which have already ended, and gives the terminal back to this process.
    fn reap(&mut self) {
        let waited = self.members.iter_mut().map(|member| member.child.wait());
        self.statuses = waited.filter_map(Result::ok).collect();
        self.is_reaped = true;
        self.job_control.release_terminal();
    }

    /// Returns the statuses, or an error if other code consumed one of them.
    fn statuses(&self) -> Result<Vec<ExitStatus>, PipelineError> {
        if self.statuses.len() < self.members.len() {
            return Err(PipelineError::system("waitpid")(Errno::CHILD));
        }
        Ok(self.statuses.clone())
    }

    /// Kills and reaps all processes, including processes that left the group.
    fn kill(&mut self) {
        let _ = self.signal_group(Signal::SIGKILL);
        for descriptor in self
            .members
            .iter()
            .filter_map(|member| member.alive.as_ref())
        {
            // The call fails if the process has already ended. The error is ignored, because the
            // process does not need the signal then.
            let _ = pidfd_send_signal(descriptor, rustix::process::Signal::KILL);
        }
        self.reap();
    }
}

impl CapturedOutput {
    /// Reads one chunk of limited size, so that the other descriptors are served too.
    fn read(&mut self) -> std::io::Result<()> {
        const MAX: usize = 1 << 14;
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut chunk = [0; MAX];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.bytes.extend_from_slice(&chunk[..length]),
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_transient(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error();
    [Errno::AGAIN, Errno::INTR]
        .map(|transient| Some(transient.raw_os_error()))
        .contains(&errno)
}

impl Drop for RunningPipeline {
    fn drop(&mut self) {
        if !self.is_reaped && !self.starter.is_inherited() {
            self.kill();
        }
    }
}
