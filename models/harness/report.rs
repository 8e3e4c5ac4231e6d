//! What a child tells its parent: a line of JSON for each step of its exploration.

use interlatch::check;
use serde::{Deserialize, Serialize};

/// One step: a finished exploration, a failure, or the sites that were met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    /// An exploration found nothing.
    Explored(Explored),
    /// An execution failed.
    Failed(Failed),
    /// A litmus test found what is pinned.
    Observed(String),
    /// The sites that could be weakened.
    Sites(Vec<Site>),
}

/// An exploration that found no failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explored {
    /// What it is worth, in the words of the table.
    pub verdict: String,
    /// How it ended.
    pub end: End,
    /// Executions of this exploration.
    pub executions: u64,
    /// Its seconds.
    pub seconds: f64,
    /// What the verdict does not say.
    pub remarks: Vec<String>,
}

/// How an exploration without a failure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// All that it was to explore was explored.
    Finished,
    /// Its time was over.
    Truncated,
    /// The engine has missed executions.
    Blind,
}

/// An execution that failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failed {
    /// The kind of failure.
    pub kind: String,
    /// What failed, in a sentence.
    pub message: String,
    /// The execution.
    pub steps: Vec<Step>,
    /// What its words and cells are.
    pub words: Vec<String>,
    /// Where each process stands.
    pub standing: Vec<String>,
    /// How many executions of that bound it took.
    pub executions: u64,
    /// The bound under which it was found.
    pub preemptions: Option<usize>,
}

/// One operation of an execution; see `check::Step`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub process: Option<usize>,
    pub action: String,
    pub site: String,
    pub sleeps: Option<bool>,
}

impl From<check::Step> for Step {
    fn from(step: check::Step) -> Self {
        Self {
            process: step.process,
            action: step.action,
            site: step.site,
            sleeps: step.sleeps,
        }
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
        Ok(line) => println!("{MARK}{line}"),
        Err(error) => eprintln!("a report that cannot be printed: {error}"),
    }
}

/// The step in this line, if it is one.
pub fn receive(line: &str) -> Option<Report> {
    serde_json::from_str(line.strip_prefix(MARK)?).ok()
}

const MARK: &str = "#interlatch ";
