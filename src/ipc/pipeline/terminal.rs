//! Who gets what is typed.
//!
//! A terminal sends Ctrl+C to one process group, the one in its foreground, and stops whoever else reads from
//! it. So a pipeline that is a group of its own has to be put there, and whoever has started it comes back
//! when it has ended.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};
use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The terminal that this process is in the foreground of, and gets back when this is dropped.
#[derive(Debug)]
pub(super) struct Foreground {
    terminal: File,
    group: Pid,
}

impl Foreground {
    /// The controlling terminal, if there is one, and nobody else is in its foreground.
    pub(super) fn of_this_process() -> Option<Self> {
        // Standard input may be a file while somebody sits at the terminal.
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let (terminal, group) = (terminal.ok()?, getpgrp());
        (tcgetpgrp(&terminal) == Ok(group)).then_some(Self { terminal, group })
    }

    /// The number of its descriptor, for a child between fork and exec.
    pub(super) fn number(&self) -> RawFd {
        self.terminal.as_raw_fd()
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
