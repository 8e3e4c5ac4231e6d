//! The settings that the runner passes to the engine, and the sites (source lines) that the engine
//! returns.

use serde::{Deserialize, Serialize};

/// The settings of a process that explores one model.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// The site (source line) to weaken, as `FILE:LINE:CHANGE`.
    pub weaken_site: Option<&'a str>,
    /// Whether the engine records the sites that the model executes.
    pub collect_sites: bool,
    /// Whether to run loom as published, without this crate's optimizations.
    #[allow(dead_code, reason = "only the engine on loom has variants")]
    pub stock: bool,
    /// Whether `interlatch-engine` runs the model, not loom.
    #[allow(dead_code, reason = "only a build for models has engines")]
    pub ours: bool,
}

/// A source line that can be weakened (a site), and one way to weaken the line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Site {
    /// The path of the source file.
    pub file: String,
    /// The line number in the source file.
    pub line: u32,
    /// The name of the weakening.
    pub change: String,
}
