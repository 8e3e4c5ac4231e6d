//! Who gets what is typed.
//!
//! A terminal sends Ctrl+C to one process group, the one in its foreground, and stops whoever else reads from
//! it. So a pipeline that is a group of its own has to be put there, and whoever has started it comes back
//! when it has ended.
//!
//! **But not beside others.** What a shell starts as `pipeline | less` is one group, and `less` would be stopped
//! if it was not in the foreground any more. So the terminal is taken only by who is alone: it leads its group,
//! there is nobody else in it, and it neither reads from a pipe nor writes into one, at whose other end may be
//! somebody whom the shell is just about to start. Beside others, the pipeline stays in their group, and Ctrl+C
//! reaches all of them, and Ctrl+Z, after which the shell continues all of them.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};
use rustix::fs::{FileType, fstat};
use rustix::process::{Pid, getpgrp, getpid, getppid, set_parent_process_death_signal};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::fs::{File, read_dir, read_to_string};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Which group the processes of a pipeline are.
#[derive(Debug)]
pub(super) enum Standing {
    /// One of their own, in the foreground.
    Foreground(Foreground),
    /// One of their own.
    Apart,
    /// That of this process, which is in the foreground with others.
    Beside,
}

impl Standing {
    /// What there may be in the terminal of this process, if it is in the foreground of one.
    pub(super) fn of_this_process() -> Self {
        match Foreground::of_this_process() {
            None => Self::Apart,
            Some(foreground) if is_alone() => Self::Foreground(foreground),
            Some(_) => Self::Beside,
        }
    }

    pub(super) fn is_beside(&self) -> bool {
        matches!(self, Self::Beside)
    }

    /// The number of the terminal's descriptor, for a child between fork and exec.
    pub(super) fn terminal(&self) -> Option<RawFd> {
        match self {
            Self::Foreground(foreground) => Some(foreground.terminal.as_raw_fd()),
            Self::Apart | Self::Beside => None,
        }
    }

    /// After the end of the pipeline.
    pub(super) fn give_back(&mut self) {
        if let Self::Foreground(_) = self {
            *self = Self::Apart;
        }
    }
}

/// Whether nobody else is in the group of this process, or is about to be.
fn is_alone() -> bool {
    let is_pipe = |end: BorrowedFd<'_>| {
        fstat(end).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo)
    };
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let leads = getpid() == getpgrp();
    leads && !is_pipe(input.as_fd()) && !is_pipe(output.as_fd()) && !other_runnable(getpgrp())
}

/// Whether another process of this group runs. Of who cannot be seen nothing is known.
fn other_runnable(group: Pid) -> bool {
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
        // The name of the program, in parentheses, may be anything.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let mut fields = fields.split(' ');
        let (state, its_group) = (fields.next(), fields.nth(1));
        state.is_some_and(|state| !matches!(state, "" | "Z" | "X"))
            && its_group.and_then(|it| it.parse().ok()) == Some(group.as_raw_nonzero().get())
    };
    numbers.filter(|&it| it != own).any(|it| runs_there(&it))
}

/// The terminal that this process is in the foreground of, and gets back when this is dropped.
#[derive(Debug)]
pub(super) struct Foreground {
    terminal: File,
    group: Pid,
}

impl Foreground {
    /// The controlling terminal, if there is one, and the group of this process is in its foreground.
    fn of_this_process() -> Option<Self> {
        // Standard input may be a file while somebody sits at the terminal.
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let (terminal, group) = (terminal.ok()?, getpgrp());
        (tcgetpgrp(&terminal) == Ok(group)).then_some(Self { terminal, group })
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // If it cannot be had back, it is gone.
        let _ = take(self.terminal.as_fd(), self.group);
    }
}

/// Puts a group of this session into the foreground, from the background too: the kernel sends SIGTTOU to
/// whoever does that from there, unless it is blocked.
fn take(terminal: BorrowedFd<'_>, group: Pid) -> nix::Result<()> {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTTOU);
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let taken = tcsetpgrp(terminal, group);
    before.thread_set_mask()?;
    taken.map_err(|errno| nix::errno::Errno::from_raw(errno.raw_os_error()))
}

/// In a child between fork and exec, in its group already: takes the terminal before anything can be read
/// from it, and lets no signal be blocked that this library, or the program, has blocked in the parent. Makes
/// system calls only.
///
/// Nobody would continue what Ctrl+Z has stopped, and whoever sits there would be left without a prompt: it is
/// ignored.
pub(super) fn prepare_child(terminal: Option<RawFd>) -> std::io::Result<()> {
    if let Some(number) = terminal {
        // SAFETY: open in the parent, and so here until exec.
        let terminal = unsafe { BorrowedFd::borrow_raw(number) };
        // Without a terminal it can still run.
        let _ = take(terminal, getpgrp());
        // SAFETY: ignoring is no handler that could do harm.
        unsafe { signal(Signal::SIGTSTP, SigHandler::SigIgn)? };
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// In a child between fork and exec: it is killed when the thread ends that it was started by, which is one of this
/// process. Makes system calls only.
pub(super) fn end_with(parent: Pid) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    match getppid() == Some(parent) {
        true => Ok(()),
        // It died before the line above.
        false => Err(std::io::ErrorKind::BrokenPipe.into()),
    }
}
