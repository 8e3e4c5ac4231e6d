//! Actors: this program run again, with a region and a line of text in each direction.

use interlatch::Region;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The arguments of this program behind the role, if it is an actor.
pub fn part() -> Option<Vec<String>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == ROLE).then(|| arguments.collect())
}

/// The first argument of an actor; the descriptor of its region follows.
const ROLE: &str = "--actor";

/// How long anything may take before the test fails. Nothing here comes near it.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A child process that plays a part. It is killed and reaped when this is dropped.
pub struct Actor {
    child: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts this program again with these arguments and the region.
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
        // SAFETY: between fork and exec this makes system calls only.
        unsafe { command.pre_exec(move || become_actor(descriptor, parent)) };
        let mut child = command.spawn().expect("an actor starts");
        let commands = child.stdin.take().expect("piped");
        let replies = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            commands,
            replies,
        }
    }

    /// Sends one line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.commands, "{line}").expect("the actor reads its commands");
    }

    /// The next line, before the deadline.
    pub fn reply(&mut self, deadline: Instant) -> Result<String, String> {
        if self.replies.buffer().is_empty() && !readable(&[self], deadline)[0] {
            return Err(format!("no reply: {}", self.stands()));
        }
        let mut line = String::new();
        match self.replies.read_line(&mut line) {
            Ok(0) => Err(format!("the actor has gone: {:?}", self.child.wait())),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until the actor has ended, and says how if not well.
    pub fn end(mut self, deadline: Instant) -> Result<(), String> {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => return Err(format!("it does not end: {}", self.stands())),
                Err(error) => return Err(error.to_string()),
            }
            // The end of its output is the end of the actor, or close to it.
            let mut rest = String::new();
            if readable(&[&self], deadline)[0] {
                let _ = self.replies.read_line(&mut rest);
            }
        };
        status
            .success()
            .then_some(())
            .ok_or_else(|| format!("it ended with {status}"))
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the actor is not reaped yet");
    }

    /// Whether it sleeps on a futex now. `None` where the kernel does not tell.
    pub fn sleeps_on_futex(&self) -> Option<bool> {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.child.id())).ok()?;
        let number: i64 = call.split_whitespace().next()?.parse().ok().unwrap_or(-1);
        Some(number == libc::SYS_futex)
    }

    /// Waits until it sleeps on a futex.
    pub fn until_asleep(&self, deadline: Instant) {
        while self.sleeps_on_futex() != Some(true) {
            assert!(
                Instant::now() < deadline,
                "it does not wait: {}",
                self.stands()
            );
            std::thread::yield_now();
        }
    }

    /// What it does, as the kernel sees it.
    pub fn stands(&self) -> String {
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

/// Which of the actors have something to read, or have gone; waits for one until the deadline.
pub fn readable(actors: &[&Actor], deadline: Instant) -> Vec<bool> {
    let buffered: Vec<bool> = actors
        .iter()
        .map(|one| !one.replies.buffer().is_empty())
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
        .map(|one| one.any().unwrap_or(false))
        .collect()
}

fn become_actor(descriptor: RawFd, parent: Pid) -> std::io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    }
    // SAFETY: the parent's region keeps it open until after the fork.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// In an actor: the region with this descriptor.
pub fn inherited(descriptor: &str) -> Region {
    let number: RawFd = descriptor.parse().expect("a descriptor");
    // SAFETY: inherited from the parent, and nothing else in this process knows of it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    Region::from_descriptor(descriptor).expect("the parent's region")
}
