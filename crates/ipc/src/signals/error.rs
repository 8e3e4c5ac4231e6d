//! Errors of signals.

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// Error of receiving a signal or of notifying a semaphore by one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The signal cannot be caught (`SIGKILL`, `SIGSTOP`), or reports a fault after which this
    /// thread cannot continue (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGTRAP`, `SIGSYS`,
    /// `SIGABRT`).
    #[error(
        "{0} cannot serve as a notification: it stops or terminates the process; use another signal"
    )]
    Unsupported(Signal),
    /// The signal already notifies a semaphore.
    #[error(
        "{0} already notifies a semaphore; drop its `SignalNotification` first or use another signal"
    )]
    InUse(Signal),
    /// A system call failed.
    #[error("{call}: {error}")]
    System {
        /// The name of the call.
        call: &'static str,
        /// The error of the call.
        #[source]
        error: std::io::Error,
    },
}

impl SignalError {
    /// Returns a conversion for `map_err`, from an error of nix.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }

    /// Returns a conversion for `map_err`, from an error of std.
    pub(super) fn io(call: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::System { call, error }
    }
}

/// Rejects signals that cannot be caught and faults after which a thread cannot continue.
pub(super) fn check_supported(signal: Signal) -> Result<(), SignalError> {
    use Signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP};
    let unsupported = [
        SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP,
    ];
    match unsupported.contains(&signal) {
        true => Err(SignalError::Unsupported(signal)),
        false => Ok(()),
    }
}
