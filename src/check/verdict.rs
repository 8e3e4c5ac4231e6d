//! What the result of a check is worth.

use core::fmt;

/// What a green model says; see "Verdicts" in the README.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every execution of the model was explored.
    Exhaustive,
    /// Every execution with at most that many preemptions was explored.
    Bounded(usize),
    /// A limit of time ended it: a failure.
    Truncated,
    /// The engine is known to miss executions of this model: where, and why.
    Blind(String),
    /// Threads ran it for a while, and nothing happened. That proves little.
    Stressed,
    /// It failed.
    Failed(Failure),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::Bounded(preemptions) => write!(f, "bounded({preemptions})"),
            Self::Truncated => f.write_str("truncated"),
            Self::Blind(why) => write!(f, "blind: {why}"),
            Self::Stressed => f.write_str("stressed"),
            Self::Failed(failure) => write!(f, "failed: {}", failure.kind),
        }
    }
}

/// How an execution failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What failed, in a sentence.
    pub message: String,
    /// How many executions it took, this one included; 0 if nobody counted.
    pub executions: u64,
    /// The execution, oldest first. Threads leave none.
    pub steps: Vec<Step>,
    /// What the words and cells are that the steps name: a number, and the line that made it.
    pub words: Vec<String>,
    /// Where each process stands.
    pub standing: Vec<String>,
}

/// One operation of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who did it; nobody, before and after the processes run.
    pub process: Option<usize>,
    /// What was done, to which word, with which values.
    pub action: String,
    /// The line of source.
    pub site: String,
    /// Whether the process sleeps from here on, or is awake again.
    pub sleeps: Option<bool>,
}

/// The kinds of failure that the checker tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Everybody waits and nobody is left to wake them: a lost wake-up, or a circle.
    Deadlock,
    /// Two accesses to the same memory, one of them a write, and nothing orders them.
    DataRace,
    /// An assertion of the model, or any other panic.
    WrongResult,
    /// The model is larger than its limits: it may never end.
    LimitHit,
    /// It is no model: it has too many processes, or does not do the same each time.
    BadModel,
}

impl FailureKind {
    /// The kind that this panic message tells of.
    pub fn of_message(message: &str) -> Self {
        if message.starts_with("deadlock") {
            Self::Deadlock
        } else if message.contains("Causality violation") {
            Self::DataRace
        } else if message.starts_with("limit hit") || message.contains("maximum number of branches")
        {
            Self::LimitHit
        } else if message.starts_with("bad model") {
            Self::BadModel
        } else {
            Self::WrongResult
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadlock => "deadlock",
            Self::DataRace => "data race",
            Self::WrongResult => "wrong result",
            Self::LimitHit => "limit hit",
            Self::BadModel => "bad model",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
