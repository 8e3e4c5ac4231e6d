//! What can go wrong with a pipeline.

use rustix::io::Errno;
use std::ffi::OsString;
use std::io;

/// Why a pipeline could not be started, signalled or waited for.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// There is nothing to run.
    #[error("a pipeline of no commands: expected at least one")]
    Empty,
    /// A command could not be started. Those before it have been killed and reaped.
    #[error("command {position} of {count}, {program:?}: {error}")]
    Command {
        /// The first is 1.
        position: usize,
        /// How many there are in all.
        count: usize,
        /// What it is called.
        program: OsString,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// All have ended and are reaped: their numbers may be those of others by now.
    #[error("the pipeline has ended: there is nobody to signal")]
    Ended,
    /// The kernel refused.
    #[error("{call}: {error}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

impl PipelineError {
    /// Whether a command could not be started because there is none of its name.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Command { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// For `map_err` of a call of std's.
    pub(super) fn io(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { call, error }
    }

    /// For `map_err` of a system call.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }
}
