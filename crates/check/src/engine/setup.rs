//! What the runner asks of the engine besides exploring.

use serde::{Deserialize, Serialize};

/// Settings of a process that explores one model.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// The site to weaken, `FILE:LINE:CHANGE`.
    pub weaken_site: Option<&'a str>,
    /// Records the sites that the model passes.
    pub collect_sites: bool,
    /// Runs loom as published, without this crate's optimizations.
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
