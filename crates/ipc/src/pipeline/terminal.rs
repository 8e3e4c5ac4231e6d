//! Job control: the process group of a pipeline, and the foreground of the terminal.
//!
//! A terminal sends Ctrl+C to its foreground process group, and the kernel stops a process of any
//! other group that reads from the terminal. A pipeline with a process group of its own therefore
//! becomes the foreground group, and the group of this process returns to the foreground when the
//! pipeline ends.
//!
//! **Exception: jobs with several processes.** A shell starts `program | less` as one group. `less`
//! would be stopped if that group left the foreground. So a pipeline takes the terminal only if
//! this process is alone: this process leads its group, the group has no other member, and neither
//! standard input nor standard output is a pipe. A pipe matters because the shell may be about to
//! start the process at the other end of the pipe. If this process is not alone, the pipeline joins
//! the group of this process. Ctrl+C and Ctrl+Z then reach all members, and after Ctrl+Z the shell
//! continues all of them.

use interlatch::platform::identity::Generation;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};
use rustix::fs::{FileType, fstat};
use rustix::process::{Pid, getpgrp, getpid, getppid, set_parent_process_death_signal};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::fs::{File, read_dir, read_to_string};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The process group of a pipeline and its relation to the terminal.
#[derive(Debug)]
pub(super) enum JobControl {
    /// A new process group in the foreground of the terminal.
    Foreground(Foreground),
    /// A new process group that is not in the foreground of the terminal.
    OwnGroup,
    /// The group of this process, which is in the foreground with other members.
    SharedGroup,
}

impl JobControl {
    /// Chooses the group for a pipeline of this process that may use the terminal.
    pub(super) fn detect() -> Self {
        match Foreground::of_this_process() {
            None => Self::OwnGroup,
            Some(foreground) if is_alone_in_group() => Self::Foreground(foreground),
            Some(_) => Self::SharedGroup,
        }
    }

    pub(super) fn shares_group(&self) -> bool {
        matches!(self, Self::SharedGroup)
    }

    /// Returns the terminal's descriptor, for a child between fork and exec.
    pub(super) fn terminal(&self) -> Option<RawFd> {
        match self {
            Self::Foreground(foreground) => Some(foreground.terminal.as_raw_fd()),
            Self::OwnGroup | Self::SharedGroup => None,
        }
    }

    /// Returns the terminal to this process, after the end of the pipeline.
    pub(super) fn release_terminal(&mut self) {
        if let Self::Foreground(_) = self {
            *self = Self::OwnGroup;
        }
    }
}

/// Returns whether this process is the only member of its job, as far as visible in `/proc`.
fn is_alone_in_group() -> bool {
    let is_pipe = |end: BorrowedFd<'_>| {
        fstat(end).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo)
    };
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let leads = getpid() == getpgrp();
    leads && !is_pipe(input.as_fd()) && !is_pipe(output.as_fd()) && !has_other_members(getpgrp())
}

/// Returns whether the group has another running member that this process can see.
fn has_other_members(group: Pid) -> bool {
    let Ok(entries) = read_dir("/proc") else {
        return true;
    };
    let own = getpid().as_raw_nonzero().get();
    let numbers = entries.flatten().filter_map(|entry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        Some(number)
    });
    let runs_there = |number: &i32| {
        let stat = read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // The program's name, in parentheses, may contain any characters.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let mut fields = fields.split(' ');
        let (state, its_group) = (fields.next(), fields.nth(1));
        state.is_some_and(|state| !matches!(state, "" | "Z" | "X"))
            && its_group.and_then(|it| it.parse().ok()) == Some(group.as_raw_nonzero().get())
    };
    numbers.filter(|&it| it != own).any(|it| runs_there(&it))
}

/// A terminal whose foreground group is the group of this process. Dropping the value returns the
/// terminal to this process.
#[derive(Debug)]
pub(super) struct Foreground {
    terminal: File,
    group: Pid,
    /// The process that gets the terminal back.
    owner: Generation,
}

impl Foreground {
    /// Returns the controlling terminal if the group of this process is the foreground group.
    fn of_this_process() -> Option<Self> {
        // Standard input may be a file although the process has a terminal.
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let (terminal, group) = (terminal.ok()?, getpgrp());
        let owner = Generation::current();
        (tcgetpgrp(&terminal) == Ok(group)).then_some(Self {
            terminal,
            group,
            owner,
        })
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if self.owner.is_inherited() {
            return;
        }
        // The error is ignored, because it means that the terminal no longer exists or has hung up.
        let _ = set_foreground(self.terminal.as_fd(), self.group);
    }
}

/// Moves a group of this session into the foreground.
///
/// The kernel sends SIGTTOU to a background process that changes the foreground group, unless the
/// process blocks SIGTTOU.
fn set_foreground(terminal: BorrowedFd<'_>, group: Pid) -> nix::Result<()> {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTTOU);
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let taken = tcsetpgrp(terminal, group);
    before.thread_set_mask()?;
    taken.map_err(|errno| nix::errno::Errno::from_raw(errno.raw_os_error()))
}

/// Prepares a child between fork and exec, after it has joined its group.
///
/// Moves the group into the foreground before the child can read from the terminal, and unblocks
/// all signals that this crate or the program blocked in the parent. Makes only system calls.
///
/// A child in the foreground ignores SIGTSTP: after Ctrl+Z no shell would continue it, and the user
/// would have no prompt.
pub(super) fn prepare_child(terminal: Option<RawFd>) -> std::io::Result<()> {
    if let Some(number) = terminal {
        // SAFETY: the parent has the descriptor open, so it is also open in this process until
        // exec.
        let terminal = unsafe { BorrowedFd::borrow_raw(number) };
        // The error is ignored, because the command can run without the terminal.
        let _ = set_foreground(terminal, getpgrp());
        // SAFETY: `SigIgn` installs no handler that could run.
        unsafe { signal(Signal::SIGTSTP, SigHandler::SigIgn)? };
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// In a child between fork and exec, makes the kernel kill the child when the parent thread ends.
///
/// Makes only system calls.
pub(super) fn kill_with_parent(parent: Pid) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    match getppid() == Some(parent) {
        true => Ok(()),
        // The parent died before the call above.
        false => Err(std::io::ErrorKind::BrokenPipe.into()),
    }
}
