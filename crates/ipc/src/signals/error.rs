//! Errors of signals.

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// The error returned when a signal cannot be received or cannot notify a semaphore.
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
        /// The error that the call returned.
        #[source]
        error: std::io::Error,
    },
}

impl SignalError {
    /// Returns a function for `map_err` that converts an error of nix.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }

    /// Returns a function for `map_err` that converts an error of std.
    pub(super) fn io(call: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::System { call, error }
    }
}

/// Rejects signals that cannot be caught and signals that report a fault after which a thread
/// cannot continue.
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
