//! The command line: the options after the `--` of `cargo test`.

use crate::{Bound, Death, Expectation, Model};
use clap::Parser;
use std::path::PathBuf;

/// Explores models and runs litmus tests of the engine.
///
/// Each filter is a part of a name. A model or test runs if its name contains a filter. Without a
/// filter, all models and tests run.
#[derive(Debug, Parser)]
pub struct Options {
    /// Parts of the names of the models and litmus tests to run.
    pub filters: Vec<String>,

    /// Print the names of the selected models and litmus tests, and run none.
    #[arg(long)]
    pub list: bool,

    /// Print the results as JSON, one object per line.
    #[arg(long)]
    pub json: bool,

    /// Time limit for each model, in seconds. A model fails at this limit, unless it is explored by
    /// preemption bounds and the required bound is finished.
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,

    /// Time for each model that is explored by preemption bounds, in seconds. The bound is raised
    /// while time is left.
    #[arg(long, default_value_t = 5)]
    pub sweep_seconds: u64,

    /// Explore every model without a preemption bound.
    #[arg(long)]
    pub unbounded: bool,

    /// Number of models that run in parallel.
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,

    /// Start no further model after the first failure.
    #[arg(long)]
    pub fail_fast: bool,

    /// Weaken each site of the primitives in turn (an ordering one step down, a wake dropped or
    /// limited to one waiter) and print which model fails.
    #[arg(long)]
    pub weaken: bool,

    /// With `--weaken`: weaken only sites in files whose paths have this prefix. Default: all files
    /// of this workspace.
    #[arg(long, requires = "weaken")]
    pub sites_in: Vec<String>,

    /// Compare the speed of exploring one model with the speed of the published loom.
    #[arg(long)]
    pub speed: bool,

    /// Also print the failing executions of known bugs.
    #[arg(long)]
    pub explain: bool,

    /// Replay the execution that is saved in this file. For each failure, the runner writes such a
    /// file and prints the command.
    #[arg(long)]
    pub replay: Option<PathBuf>,

    /// With `--replay`: the processes that die and the steps before which they die.
    #[arg(long, value_name = "VICTIM:STEP", value_delimiter = ',')]
    pub deaths: Vec<Death>,

    /// With `--exec`: write a file that replays an execution.
    #[arg(long, hide = true, requires = "execution")]
    pub record: Option<PathBuf>,

    /// With `--record`: the number of the execution.
    #[arg(long, hide = true, default_value_t = 0)]
    pub execution: u64,

    /// With `--record`: the preemption bound under which the execution has this number.
    #[arg(long, hide = true)]
    pub bound: Option<usize>,

    /// Explore one model in this process. The runner starts its child processes with this option.
    #[arg(long, hide = true)]
    pub exec: Option<String>,

    /// Run one litmus test in this process.
    #[arg(long, hide = true)]
    pub litmus: Option<String>,

    /// With `--exec`: weaken this site, FILE:LINE:CHANGE.
    #[arg(long, hide = true)]
    pub weaken_site: Option<String>,

    /// Explore every model up to this preemption bound and no further. Does not apply to known
    /// bugs.
    #[arg(long)]
    pub preemptions: Option<usize>,

    /// With `--exec`: run the published loom, without this crate's optimizations.
    #[arg(long, hide = true)]
    pub stock: bool,

    /// With `--exec`: report the sites that can be weakened.
    #[arg(long, hide = true)]
    pub sites: bool,

    /// Accepted for compatibility with libtest; output is never captured.
    #[arg(long, hide = true)]
    pub nocapture: bool,

    /// Select only names that are equal to a filter.
    #[arg(long)]
    pub exact: bool,
}

impl Options {
    /// Returns how far a model is explored in this run.
    pub fn bound_of(&self, model: &Model) -> Bound {
        match (model.expectation, self.preemptions) {
            (Expectation::Holds, Some(at_least)) => Bound::Sweep { at_least },
            (Expectation::Holds, None) if self.unbounded => Bound::None,
            _ => model.bound,
        }
    }

    /// Returns an option on the command line that needs loom, if there is one.
    pub fn needs_loom(&self) -> Option<&'static str> {
        let given = [
            (self.replay.is_some(), "--replay"),
            (self.speed, "--speed"),
            (self.weaken, "--weaken"),
        ];
        given
            .into_iter()
            .find_map(|(given, name)| given.then_some(name))
    }

    /// Returns whether the filters select a name.
    pub fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| match self.exact {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}
