//! What has to be done even if this program is killed.

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe, read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A process that does something once this is dropped, or this program has gone.
pub struct Afterwards {
    child: Pid,
    /// Ends when all who have it are gone: this program, and the workers forked since.
    alive: Option<OwnedFd>,
}

impl Afterwards {
    pub fn run(work: impl FnOnce()) -> Result<Self> {
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
                    // SAFETY: it is ignored: no handler runs.
                    let _ = unsafe { signal(number, SigHandler::SigIgn) };
                }
                // Nobody ever writes: it returns at the end, or for an error that will not go away.
                let _ = read(&watch, &mut [0]);
                work();
                // SAFETY: it ends this process, and runs nothing of the parent's.
                unsafe { libc::_exit(0) }
            }
        }
    }
}

/// It must not keep alive what another one of these watches.
fn close_all_but(descriptor: RawFd) {
    let others = [(3, descriptor - 1), (descriptor + 1, RawFd::MAX)];
    for (first, last) in others.into_iter().filter(|(first, last)| first <= last) {
        // SAFETY: this process uses no other descriptor until it ends, and drops none.
        unsafe { libc::close_range(first as u32, last as u32, 0) };
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Err(error) = waitpid(self.child, None) {
            eprintln!("waiting for who cleans up: {error}");
        }
    }
}
