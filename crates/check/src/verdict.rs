//! The verdict of an exploration.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A verdict: what an exploration without a failure proves.
///
/// The [crate page](crate#verdicts) says which verdicts count as success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Verdict {
    /// The exploration ran every execution of the model.
    Exhaustive,
    /// The exploration ran every execution of a model whose parts do what the contracts of these
    /// types say. It shows nothing about the code of these types.
    ExhaustiveOver(Vec<String>),
    /// The exploration ran every execution with at most this many preemptions.
    Bounded(usize),
    /// A time limit ended the exploration. The runner reports this verdict as a failure.
    Truncated,
    /// loom is known to miss executions of this model. The text names the two source lines that
    /// cause the problem. The runner reports this verdict as a failure.
    Blind(String),
    /// Threads ran the model for a short time without a failure, which proves little.
    Stressed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::ExhaustiveOver(contracts) => {
                let plural = if contracts.len() == 1 { "" } else { "s" };
                let contracts = contracts.join(", ");
                write!(f, "exhaustive over the contract{plural} of {contracts}")
            }
            Self::Bounded(preemptions) => write!(f, "bounded({preemptions})"),
            Self::Truncated => f.write_str("truncated"),
            Self::Blind(why) => write!(f, "blind: {why}"),
            Self::Stressed => f.write_str("stressed"),
        }
    }
}
