//! Messages from a child process to its parent, each as one line of JSON.

use super::output::print_line;
use crate::engine::Site;
use crate::{Exploration, Failure};
use serde::{Deserialize, Serialize};

/// A message from a child process to its parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    /// An exploration ended without a failure.
    Explored(Exploration),
    /// An execution failed.
    Failure(FailureReport),
    /// A litmus test ended. The value describes the observed result, or the difference from the
    /// pinned (expected) result.
    Litmus(Result<String, String>),
    /// The sites (source lines) that can be weakened.
    Sites(Vec<Site>),
}

/// A failing execution, with the preemption bound under which it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureReport {
    /// The failure.
    #[serde(flatten)]
    pub failure: Failure,
    /// The preemption bound of the exploration that found the failure, or `None` for no bound.
    pub preemptions: Option<usize>,
}

impl FailureReport {
    /// Returns a sentence without its period, which says how the failure was found.
    pub fn found(&self) -> String {
        let execution = self.failure.executions;
        let preemptions = match self.preemptions {
            Some(1) => "at most 1 preemption".to_owned(),
            Some(max) => format!("at most {max} preemptions"),
            None => "any number of preemptions".to_owned(),
        };
        format!("Found with {preemptions}, in execution {execution}")
    }
}

/// Prints a message as one line of JSON.
pub fn send(report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => print_line(format_args!("{PREFIX}{line}")),
        Err(error) => eprintln!("cannot serialize a report: {error}"),
    }
}

/// Parses a line of a child's output. Returns `None` if the line is not a message.
pub fn receive(line: &str) -> Option<Report> {
    serde_json::from_str(line.strip_prefix(PREFIX)?).ok()
}

const PREFIX: &str = "#interlatch ";
