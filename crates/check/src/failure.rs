//! A failure, and the execution that led to it.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// How an execution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What failed, in a sentence.
    pub message: String,
    /// How many executions it took, this one included; 0 if nobody counted.
    pub executions: u64,
    /// Who was killed, and where.
    pub deaths: Vec<Death>,
    /// The execution, oldest first. Threads leave none.
    pub steps: Vec<Step>,
    /// What the words and cells are that the steps name: a number, and the line that made it.
    pub words: Vec<String>,
    /// Where each process stands.
    pub standing: Vec<String>,
}

impl Failure {
    /// One of which nobody has kept a record.
    pub(crate) fn unrecorded(kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            message,
            executions: 0,
            deaths: Vec::new(),
            steps: Vec::new(),
            words: Vec::new(),
            standing: Vec::new(),
        }
    }
}

/// A process, and before which of its own steps it is killed; they are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The process.
    pub victim: usize,
    /// The step.
    pub before: usize,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.victim, self.before)
    }
}

/// A death is written `VICTIM:STEP`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected VICTIM:STEP, two numbers")]
pub struct NoDeath(String);

impl FromStr for Death {
    type Err = NoDeath;

    fn from_str(text: &str) -> Result<Self, NoDeath> {
        let numbers = || {
            let (victim, before) = text.split_once(':')?;
            Some((victim.parse().ok()?, before.parse().ok()?))
        };
        let (victim, before) = numbers().ok_or_else(|| NoDeath(text.to_owned()))?;
        Ok(Self { victim, before })
    }
}

/// One operation of an execution. Steps are numbered from 0, in the order of the execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who did it; nobody, before and after the processes run.
    pub process: Option<usize>,
    /// What was done, to which word, with which values.
    pub action: String,
    /// The line of source, `FILE:LINE`.
    pub site: String,
    /// Whether the process sleeps from here on, or is awake again.
    pub sleeps: Option<bool>,
    /// The word that it writes, and the value.
    pub writes: Option<(u32, u64)>,
    /// What it reads.
    pub reads: Option<Source>,
    /// The steps of others that happen before this one and everything after it, since it acquires
    /// what they released.
    pub after: Vec<usize>,
    /// The step that it races with.
    pub races_with: Option<usize>,
}

/// The step that has written what another one reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its number.
    pub step: usize,
    /// It is known to be this one. The engine does not tell which write was read; if there are
    /// several of this value, this is the last.
    pub is_certain: bool,
}

/// The kinds of failure that the checker tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// Everybody waits and nobody is left to wake them: a lost wake-up, or a circle.
    Deadlock,
    /// Two accesses to the same memory, one of them a write, and nothing orders them.
    DataRace,
    /// An assertion of the model, or any other panic.
    WrongResult,
    /// The model is larger than its limits: it may never end.
    LimitHit,
    /// It is no model: it has too many processes, does not do the same each time, or leaks.
    BadModel,
    /// The engine has failed at an assertion of its own, which says nothing of the model.
    Engine,
    /// The model's process came to an end that nobody had planned, and could say no more.
    Crash,
}

const ENGINE: &str = "engine failed";

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
        } else if message.starts_with(ENGINE) {
            Self::Engine
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
