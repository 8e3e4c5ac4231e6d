//! The settings that the runner passes to the engine, and the sites that the engine returns.

use serde::{Deserialize, Serialize};

/// Settings of a process that explores one model.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// The site to weaken, as `FILE:LINE:CHANGE`.
    pub weaken_site: Option<&'a str>,
    /// Whether to record the sites that the model passes.
    pub collect_sites: bool,
    /// Whether to run the published loom, without this crate's optimizations.
    #[allow(dead_code, reason = "only the engine on loom has variants")]
    pub stock: bool,
}

/// A site and one way to weaken it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Site {
    /// Path of the source file.
    pub file: String,
    /// Line number.
    pub line: u32,
    /// Name of the weakening.
    pub change: String,
}
