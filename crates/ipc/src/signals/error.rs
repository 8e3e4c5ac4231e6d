//! What can go wrong with a signal.

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// Why a signal is no notification.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// It cannot be caught (`SIGKILL`, `SIGSTOP`), or says that this thread has done what it cannot go on from
    /// (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGTRAP`, `SIGSYS`, `SIGABRT`).
    #[error("{0} notifies of nothing: it ends the process, or stops it")]
    NoNotification(Signal),
    /// It adds permits to a semaphore already.
    #[error("{0} is taken: it notifies a semaphore already")]
    Taken(Signal),
    /// The kernel refused.
    #[error("{call}: {error}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        error: std::io::Error,
    },
}

impl SignalError {
    /// For `map_err` of a system call.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }

    /// For `map_err` of a call of std's kind.
    pub(super) fn io(call: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::System { call, error }
    }
}

/// Refuses what cannot be caught, and what a program cannot go on from.
pub(super) fn check(signal: Signal) -> Result<(), SignalError> {
    use Signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP};
    let none = [
        SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP,
    ];
    match none.contains(&signal) {
        true => Err(SignalError::NoNotification(signal)),
        false => Ok(()),
    }
}
