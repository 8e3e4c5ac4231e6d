//! Why a command was not done.

use crate::target::Target;
use crate::text::clean;
use interlatch::RegionError;
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is not there, or not any more.
    #[error("there is no region {0}")]
    Gone(String),
    #[error("{0}: {1}")]
    Region(String, String),
    #[error("{0}")]
    Other(String),
    #[error("writing the output: {0}")]
    Output(std::io::Error),
    /// As in `interlatch ls | head -1`.
    #[error("nobody reads the output any more")]
    NobodyReads,
}

impl Failure {
    pub fn of(target: &Target, error: &RegionError) -> Self {
        let name = clean(&target.to_string());
        match error {
            RegionError::NotFound(_) => Self::Gone(name),
            error => Self::Region(name, clean(&error.to_string())),
        }
    }

    /// There is no name to remove.
    pub fn unnamed(target: &Target) -> Self {
        let reason = "it has no name that could be removed: it goes with its last process";
        Self::Region(target.to_string(), reason.into())
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NobodyReads => ExitCode::SUCCESS,
            Self::Gone(_) => ExitCode::from(3),
            Self::Region(..) | Self::Other(_) | Self::Output(_) => ExitCode::from(1),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Output(error),
        }
    }
}
