//! Errors of pipelines.

use rustix::io::Errno;
use std::ffi::OsString;
use std::io;

/// The error returned when starting, signalling or waiting for a pipeline fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The pipeline has no commands.
    #[error("the pipeline has no commands; add at least one with `command`")]
    Empty,
    /// A command could not be started. The commands before it have been killed and reaped.
    #[error("cannot start command {position} of {count}, {program:?}: {error}")]
    Command {
        /// The position of the command; the first is 1.
        position: usize,
        /// The number of commands in the pipeline.
        count: usize,
        /// The program of the command.
        program: OsString,
        /// The error that starting the command returned.
        #[source]
        error: io::Error,
    },
    /// All processes have ended and have been reaped, so their process IDs may now belong to other
    /// processes.
    #[error("cannot signal the pipeline: all of its processes have ended")]
    Ended,
    /// The pipeline was inherited from the parent process by a fork, so the processes are not
    /// children of this process.
    #[error("the pipeline belongs to the parent process; start a pipeline in the forked child")]
    Inherited,
    /// A system call failed.
    #[error("{call}: {error}")]
    System {
        /// The name of the call.
        call: &'static str,
        /// The error that the call returned.
        #[source]
        error: io::Error,
    },
}

impl PipelineError {
    /// Returns whether a command could not be started because its program does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Command { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// Returns a function for `map_err` that converts an error of std.
    pub(super) fn io(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { call, error }
    }

    /// Returns a function for `map_err` that converts an error of a system call.
    pub(super) fn system(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::io(call)(errno.into())
    }
}
