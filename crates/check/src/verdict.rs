//! Verdicts.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What an exploration without a failure proves.
///
/// The [crate page](crate#verdicts) says which verdicts count as a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Verdict {
    /// Every execution of the model was explored.
    Exhaustive,
    /// Every execution with at most this many preemptions was explored.
    Bounded(usize),
    /// A time limit ended the exploration. The runner reports a failure.
    Truncated,
    /// loom is known to miss executions of this model. The text names the two source lines that
    /// cause it. The runner reports a failure.
    Blind(String),
    /// Threads ran the model for a short time without a failure. This proves little.
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
