//! Errors of the commands and their exit statuses.

use crate::format::escape;
use crate::target::Target;
use interlatch::RegionError;
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The region does not exist, or no longer exists.
    #[error("there is no region {0}")]
    NotFound(String),
    #[error("{0}: {1}")]
    Region(String, String),
    #[error("{0}")]
    Other(String),
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    /// The process that reads this program's output has closed the pipe, as in `interlatch ls |
    /// head -1`.
    #[error("the reader has closed the output")]
    OutputClosed,
}

impl CliError {
    pub fn from_region(target: &Target, error: &RegionError) -> Self {
        let name = escape(&target.to_string());
        match error {
            RegionError::NotFound(_) => Self::NotFound(name),
            error => Self::Region(name, escape(&error.to_string())),
        }
    }

    /// The region has no name to remove.
    pub fn unnamed(target: &Target) -> Self {
        let reason =
            "the region has no name to remove; its memory is freed when the last process detaches";
        Self::Region(target.to_string(), reason.into())
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::NotFound(_) => ExitCode::from(3),
            Self::Region(..) | Self::Other(_) | Self::Output(_) => ExitCode::from(1),
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }
}
