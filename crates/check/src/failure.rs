//! A failure of a model, with the execution that led to the failure.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A failure, with a record of the failing execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The kind of the failure.
    pub kind: FailureKind,
    /// A description of the failure in one sentence.
    pub message: String,
    /// The number of executions up to and including the failing one, or 0 if the number is unknown.
    pub executions: u64,
    /// The processes that died, each with the step before which it died.
    pub deaths: Vec<Death>,
    /// The steps of the execution, oldest first. The list is empty for an execution on real
    /// threads.
    pub steps: Vec<Step>,
    /// The words and cells that appear in the steps. Each entry has a number and the source line
    /// that created the word or cell.
    pub words: Vec<String>,
    /// The state of each process at the end of the execution.
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

/// A planned death: the process that dies, and the step before which it dies.
///
/// The text form is `VICTIM:STEP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The index of the process that dies.
    pub victim: usize,
    /// The number of the step before which the process dies. Only this process's own steps are
    /// counted, starting at 0.
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

/// One operation (step) of an execution.
///
/// The steps are numbered from 0, in the order in which they ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The index of the process that ran the step. `None` for steps of the setup and of the
    /// verification.
    pub process: Option<usize>,
    /// The operation as text, with its word and values.
    pub action: String,
    /// The source line of the operation, as `FILE:LINE`.
    pub site: String,
    /// `Some(true)` if the process falls asleep at this step. `Some(false)` if the process wakes up
    /// at this step.
    pub sleeps: Option<bool>,
    /// The number of the word that the step writes, and the value that the step writes.
    pub writes: Option<(u32, u64)>,
    /// The step that wrote the value that this step reads.
    pub reads_from: Option<ReadsFrom>,
    /// The steps of other processes with which this step synchronizes. Those steps happen before
    /// this step and before all later steps of this step's process.
    pub synchronizes_with: Vec<usize>,
    /// The step that has a data race with this step.
    pub races_with: Option<usize>,
}

/// The write whose value a step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadsFrom {
    /// The number of the step that wrote the value.
    pub step: usize,
    /// Whether `step` is certainly the write that was read. loom does not report which write a load
    /// reads. If several writes have the same value, `step` is the last of them and this field is
    /// `false`.
    pub is_certain: bool,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// Every process waits, so no process can wake another one. The cause is a lost wake-up or a
    /// circular wait.
    Deadlock,
    /// Two accesses to the same memory are unordered, and at least one of them is a write.
    DataRace,
    /// An assertion of the model failed, or the model panicked in another way.
    WrongResult,
    /// The model exceeds a limit on its size. The cause may be an execution that never ends.
    LimitHit,
    /// The model cannot be explored, because it has too many processes, is not deterministic, or
    /// leaks memory.
    BadModel,
    /// An assertion inside the engine failed. This failure says nothing about the model.
    Engine,
    /// The process that ran the model ended unexpectedly, without reporting a cause.
    Crash,
}

const ENGINE: &str = "engine failed";

impl FailureKind {
    /// Returns the kind of failure that a panic message describes.
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

    /// Returns the name of this kind in reports.
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
