//! Actors: child processes that run this binary with a region, and exchange lines of text with the
//! test.

use interlatch::Region;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Returns the arguments of an actor: the descriptor of its region and its role. Returns `None` in
/// a process that is not an actor.
pub fn role() -> Option<Vec<String>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == ROLE).then(|| arguments.collect())
}

/// The first argument of an actor. The descriptor of its region follows.
const ROLE: &str = "--actor";

/// The timeout of every wait in a test. The timeout is much longer than the expected duration.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for a forked child, and checks that it has exited with status 0.
///
/// # Panics
/// Panics with the text `expected` if the child has failed.
#[track_caller]
pub fn assert_child_succeeds(child: Pid, expected: &str) {
    let status = waitpid(child, None).expect("this process has the child");
    assert_eq!(status, WaitStatus::Exited(child, 0), "{expected}");
}

/// A child process that acts for a test. Dropping an `Actor` kills and reaps the process.
pub struct Actor {
    child: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts this binary as an actor with these arguments and the region.
    pub fn start(region: &Region, arguments: &[String]) -> Self {
        let descriptor = region
            .descriptor()
            .expect("actors share a memfd")
            .as_raw_fd();
        let parent = Pid::this();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .arg(ROLE)
            .arg(descriptor.to_string())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // SAFETY: between fork and exec, `prepare_actor` makes only system calls.
        unsafe { command.pre_exec(move || prepare_actor(descriptor, parent)) };
        let mut child = command.spawn().expect("an actor starts");
        let commands = child.stdin.take().expect("piped");
        let replies = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            commands,
            replies,
        }
    }

    /// Sends a line of text to the actor.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.commands, "{line}").expect("the actor reads its commands");
    }

    /// Receives a line from the actor, or returns the reason why no line arrived before the
    /// deadline.
    pub fn reply(&mut self, deadline: Instant) -> Result<String, String> {
        if self.replies.buffer().is_empty() && !readable(&[self], deadline)[0] {
            return Err(format!("no reply: {}", self.kernel_state()));
        }
        let mut line = String::new();
        match self.replies.read_line(&mut line) {
            Ok(0) => Err(format!("the actor has ended: {:?}", self.child.wait())),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until the actor ends, and returns an error unless it ends successfully before the
    /// deadline.
    pub fn end(mut self, deadline: Instant) -> Result<(), String> {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => return Err(format!("the actor does not end: {}", self.kernel_state())),
                Err(error) => return Err(error.to_string()),
            }
            // The actor's output ends when the actor ends or shortly before.
            let mut rest = String::new();
            if readable(&[&self], deadline)[0] {
                let _ = self.replies.read_line(&mut rest);
            }
        };
        status
            .success()
            .then_some(())
            .ok_or_else(|| format!("the actor ended with {status}"))
    }

    /// Returns the process ID.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Returns whether the actor has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to the actor.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the actor is not reaped yet");
    }

    /// Returns whether the actor sleeps on a futex, or `None` if the kernel does not report it.
    pub fn sleeps_on_futex(&self) -> Option<bool> {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.child.id())).ok()?;
        let number: i64 = call.split_whitespace().next()?.parse().ok().unwrap_or(-1);
        Some(number == libc::SYS_futex)
    }

    /// Waits until the actor sleeps on a futex.
    pub fn wait_until_asleep(&self, deadline: Instant) {
        while self.sleeps_on_futex() != Some(true) {
            assert!(
                Instant::now() < deadline,
                "the actor does not sleep: {}",
                self.kernel_state()
            );
            std::thread::yield_now();
        }
    }

    /// Describes the state of the actor, as the kernel reports it.
    pub fn kernel_state(&self) -> String {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.child.id());
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        format!(
            "pid {}, in {:?}, system call {:?}",
            self.child.id(),
            read("wchan"),
            read("syscall")
        )
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.replies.get_ref().as_fd()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until at least one actor has written output or ended. Returns, for each actor, whether
/// that actor has written output or ended.
pub fn readable(actors: &[&Actor], deadline: Instant) -> Vec<bool> {
    let buffered: Vec<bool> = actors
        .iter()
        .map(|actor| !actor.replies.buffer().is_empty())
        .collect();
    if buffered.contains(&true) {
        return buffered;
    }
    let mut polled: Vec<PollFd<'_>> = actors
        .iter()
        .map(|actor| PollFd::new(actor.output(), PollFlags::POLLIN))
        .collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => panic!("poll: {error}"),
    }
    polled
        .iter()
        .map(|polled| polled.any().unwrap_or(false))
        .collect()
}

fn prepare_actor(descriptor: RawFd, parent: Pid) -> std::io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    }
    // SAFETY: the parent's region keeps the descriptor open until after the fork.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Returns the region of this actor, given its descriptor.
pub fn inherited(descriptor: &str) -> Region {
    let number: RawFd = descriptor.parse().expect("a descriptor");
    // SAFETY: the parent passed the descriptor, and no other code in this process takes ownership
    // of it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    Region::from_descriptor(descriptor).expect("the parent's region")
}
