//! A failure and the execution that led to it.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A failing execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Kind of the failure.
    pub kind: FailureKind,
    /// Description of the failure in one sentence.
    pub message: String,
    /// The number of executions up to and including this execution, or 0 if unknown.
    pub executions: u64,
    /// The processes that died, with the step of each death.
    pub deaths: Vec<Death>,
    /// Steps of the execution, oldest first. Empty for an execution on real threads.
    pub steps: Vec<Step>,
    /// The words and cells that the steps name. Each entry has a number and the source line that
    /// created the word or cell.
    pub words: Vec<String>,
    /// State of each process at the end of the execution.
    pub process_states: Vec<String>,
}

impl Failure {
    /// Creates a failure without a record of its execution.
    pub(crate) fn without_record(kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            message,
            executions: 0,
            deaths: Vec::new(),
            steps: Vec::new(),
            words: Vec::new(),
            process_states: Vec::new(),
        }
    }
}

/// The death of a process at a step.
///
/// The text form is `VICTIM:STEP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Index of the process.
    pub victim: usize,
    /// The process dies before this step. Only the steps of this process are counted, from 0.
    pub before: usize,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.victim, self.before)
    }
}

/// The error returned when parsing a [`Death`] fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected VICTIM:STEP, two numbers")]
pub struct ParseDeathError(String);

impl FromStr for Death {
    type Err = ParseDeathError;

    fn from_str(text: &str) -> Result<Self, ParseDeathError> {
        let numbers = || {
            let (victim, before) = text.split_once(':')?;
            Some((victim.parse().ok()?, before.parse().ok()?))
        };
        let (victim, before) = numbers().ok_or_else(|| ParseDeathError(text.to_owned()))?;
        Ok(Self { victim, before })
    }
}

/// One operation of an execution.
///
/// Steps are numbered from 0 in the order of the execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The index of the process. `None` for steps of the setup and of the verification.
    pub process: Option<usize>,
    /// The operation with its word and values.
    pub action: String,
    /// The source line, as `FILE:LINE`.
    pub site: String,
    /// `Some(true)` if the process falls asleep at this step, `Some(false)` if the process wakes
    /// up.
    pub sleeps: Option<bool>,
    /// The number of the word that the step writes, and the written value.
    pub writes: Option<(u32, u64)>,
    /// The step that wrote the value that this step reads.
    pub reads_from: Option<ReadsFrom>,
    /// Steps of other processes that this step synchronizes with. Those steps happen before this
    /// step and before all later steps of its process.
    pub synchronizes_with: Vec<usize>,
    /// The step that races with this step.
    pub races_with: Option<usize>,
}

/// The write that a step reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadsFrom {
    /// Number of the writing step.
    pub step: usize,
    /// Whether the write is known. loom does not report which write a load reads from. If several
    /// writes have the same value, `step` is the last of them and this field is `false`.
    pub is_certain: bool,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// Every process waits, and no process is left that could wake another one. The cause is a lost
    /// wake-up or a circular wait.
    Deadlock,
    /// Two unordered accesses to the same memory, at least one of them a write.
    DataRace,
    /// A failed assertion of the model, or any other panic.
    WrongResult,
    /// The model exceeds a limit on its size. An execution of the model may never end.
    LimitHit,
    /// The model cannot be explored: it has too many processes, is not deterministic, or leaks
    /// memory.
    BadModel,
    /// An assertion inside the engine failed. The failure says nothing about the model.
    Engine,
    /// The process that ran the model ended unexpectedly and reported no cause.
    Crash,
}

const ENGINE: &str = "engine failed";

impl FailureKind {
    /// Classifies a panic message.
    pub fn from_message(message: &str) -> Self {
        if message.starts_with("deadlock") {
            Self::Deadlock
        } else if message.contains("Causality violation") {
            Self::DataRace
        } else if message.starts_with("limit hit") || message.contains("maximum number of branches")
        {
            Self::LimitHit
        } else if message.starts_with("bad model") {
            Self::BadModel
        } else if message.starts_with(ENGINE) {
            Self::Engine
        } else {
            Self::WrongResult
        }
    }

    /// Returns the name that reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadlock => "deadlock",
            Self::DataRace => "data race",
            Self::WrongResult => "wrong result",
            Self::LimitHit => "limit hit",
            Self::BadModel => "bad model",
            Self::Engine => ENGINE,
            Self::Crash => "crash",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
