//! Failures, and what is known of the execution that fails.

use crate::graph::Graph;
use crate::history::History;
use crate::replay_text;
use core::fmt;

/// What is wrong with an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// A process or the final check panicked.
    Panic {
        /// The message of the panic.
        message: String,
    },
    /// Two accesses to a [`RaceCell`](crate::RaceCell), at least one of them a write, of which
    /// neither happens before the other.
    DataRace {
        /// The source lines of the two accesses.
        sites: [String; 2],
    },
    /// At least one process waits, and no process can run. The sentence says for what each waits.
    Deadlock {
        /// The sentence.
        waiting: String,
    },
    /// A process performs more steps than the limit allows. It may never end.
    TooManySteps {
        /// The limit: see [`Limits::steps`](crate::Limits::steps).
        limit: usize,
    },
    /// A process performed another operation, or ended, when the same execution was repeated. For
    /// example, it read a clock, or iterated over a `HashMap`.
    NotDeterministic {
        /// The source line of the operation, or `None` if the process ended.
        site: Option<String>,
    },
    /// The model has no processes, or too many.
    ProcessCount {
        /// The number of processes.
        count: usize,
    },
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { message } => f.write_str(message),
            Self::DataRace {
                sites: [one, other],
            } => {
                write!(f, "data race: {one} and {other} are not ordered")
            }
            Self::Deadlock { waiting } => write!(f, "deadlock: {waiting}"),
            Self::TooManySteps { limit } => write!(
                f,
                "a process performs more than {limit} steps, so it may never end; wait with \
                 `load_until` instead of a loop, or raise the limit"
            ),
            Self::NotDeterministic { site } => {
                match site {
                    Some(site) => write!(f, "the operation at {site} differs")?,
                    None => write!(f, "a process ends earlier")?,
                }
                write!(
                    f,
                    " when the same execution is repeated; does the model read a clock or iterate \
                     over a HashMap?"
                )
            }
            Self::ProcessCount { count } => write!(
                f,
                "the model has {count} processes, expected 1 to {}",
                crate::MAX_PROCESSES
            ),
        }
    }
}

/// An execution that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong.
    pub kind: FailureKind,
    /// The operations until the failure.
    pub history: History,
    /// The text from which [`replay`](crate::replay()) runs the execution again.
    pub replay: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, graph: &Graph) -> Self {
        Self {
            kind,
            history: History::new(graph),
            replay: replay_text::print(&graph.outline(|process| graph.events[process].len())),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}replay: {}", self.kind, self.history, self.replay)
    }
}

impl core::error::Error for Failure {}
