//! What a child tells its parent: a line of JSON for each step of its exploration.

use super::output::say;
use crate::{Exploration, Failure};
use serde::{Deserialize, Serialize};

/// One step: a finished exploration, a failure, or the sites that were met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    /// An exploration found nothing.
    Explored(Exploration),
    /// An execution failed.
    Failed(Failed),
    /// A litmus test found what is pinned, or in what it differs.
    Observed(Result<String, String>),
    /// The sites that could be weakened.
    Sites(Vec<Site>),
}

/// An execution that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// How it failed.
    #[serde(flatten)]
    pub failure: Failure,
    /// The bound under which it was found.
    pub preemptions: Option<usize>,
}

impl Failed {
    /// How it was found, in a sentence.
    pub fn found(&self) -> String {
        let execution = self.failure.executions;
        let preemptions = match self.preemptions {
            Some(1) => "at most 1 preemption".to_owned(),
            Some(most) => format!("at most {most} preemptions"),
            None => "any number of preemptions".to_owned(),
        };
        format!("Found with {preemptions}, in execution {execution}")
    }
}

/// A site that could be weakened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The source file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// What can be done to it.
    pub change: String,
}

/// Prints one step, at the beginning of a line.
pub fn send(report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => say(format_args!("{MARK}{line}")),
        Err(error) => eprintln!("a report that cannot be printed: {error}"),
    }
}

/// The step in this line, if it is one.
pub fn receive(line: &str) -> Option<Report> {
    serde_json::from_str(line.strip_prefix(MARK)?).ok()
}

const MARK: &str = "#interlatch ";
