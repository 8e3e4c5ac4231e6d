//! What the result of a check is worth.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What a green model says; see "Verdicts" in the README.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::Bounded(preemptions) => write!(f, "bounded({preemptions})"),
            Self::Truncated => f.write_str("truncated"),
            Self::Blind(why) => write!(f, "blind: {why}"),
            Self::Stressed => f.write_str("stressed"),
        }
    }
}
