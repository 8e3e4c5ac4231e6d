//! Runs cleanup functions even if this program is killed.

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe, read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A process that runs a cleanup function when this handle is dropped or when the program dies.
pub struct CleanupProcess {
    child: Pid,
    /// The write end of a pipe. This program and all workers forked later hold a copy of the write
    /// end. The cleanup starts when all copies are closed.
    alive: Option<OwnedFd>,
}

impl CleanupProcess {
    pub fn start(work: impl FnOnce()) -> Result<Self> {
        let (watch, alive) = pipe()?;
        // SAFETY: this program has one thread.
        match unsafe { fork() }.context("forking")? {
            ForkResult::Parent { child } => Ok(Self {
                child,
                alive: Some(alive),
            }),
            ForkResult::Child => {
                drop(alive);
                close_all_but(watch.as_raw_fd());
                for number in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
                    // SAFETY: ignoring a signal installs no handler, so no code runs when the
                    // signal arrives.
                    let _ = unsafe { signal(number, SigHandler::SigIgn) };
                }
                // No process writes to the pipe. The read therefore returns only when all write
                // ends are closed, or with an error.
                let _ = read(&watch, &mut [0]);
                work();
                // SAFETY: the call ends this process and runs no code of the parent.
                unsafe { libc::_exit(0) }
            }
        }
    }
}

/// Closes the inherited descriptors. Otherwise they would keep the pipes of other cleanup processes
/// open.
fn close_all_but(descriptor: RawFd) {
    let others = [(3, descriptor - 1), (descriptor + 1, RawFd::MAX)];
    for (first, last) in others.into_iter().filter(|(first, last)| first <= last) {
        // SAFETY: this process uses no other descriptor until it ends. It also drops no value that
        // owns one of the closed descriptors.
        unsafe { libc::close_range(first as u32, last as u32, 0) };
    }
}

impl Drop for CleanupProcess {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Err(error) = waitpid(self.child, None) {
            eprintln!("waiting for the cleanup process: {error}");
        }
    }
}
