//! The command line, after the `--` of `cargo test`.

use crate::{Bound, Death, Expectation, Model};
use clap::Parser;
use std::path::PathBuf;

/// Runs the models, and the litmus tests of the engine, whose names contain one of the filters;
/// without a filter, all.
#[derive(Debug, Parser)]
pub struct Options {
    /// Parts of the names of the models and litmus tests to run.
    pub filters: Vec<String>,

    /// Print the names of the models, and run none.
    #[arg(long)]
    pub list: bool,

    /// Print the results as JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Seconds for each model. A model that is not finished by then has failed, unless it is
    /// swept over preemption bounds and the bound that it has to finish is done.
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,

    /// Seconds for each model that is swept over preemption bounds.
    #[arg(long, default_value_t = 5)]
    pub sweep_seconds: u64,

    /// Explore every model without a bound on preemptions, also those that are swept as a rule.
    #[arg(long)]
    pub unbounded: bool,

    /// How many models run at the same time.
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,

    /// After the first failure begin no other model.
    #[arg(long)]
    pub fail_fast: bool,

    /// Weaken every site of the primitives, one at a time (an ordering one step down, a wake dropped
    /// or made of one), and show which model notices.
    #[arg(long)]
    pub weaken: bool,

    /// With `--weaken`: only sites in files whose paths begin so. By itself, all files of this
    /// package.
    #[arg(long, requires = "weaken")]
    pub sites_in: Vec<String>,

    /// Compare the speed on one model with that of stock loom.
    #[arg(long)]
    pub speed: bool,

    /// Show the failing execution also of the known bugs that are caught.
    #[arg(long)]
    pub explain: bool,

    /// Run the one execution of the model that this file holds; a failure leaves such a file and
    /// prints the command.
    #[arg(long)]
    pub replay: Option<PathBuf>,

    /// With `--replay`: who is killed, and before which of its steps, as the failure names it.
    #[arg(long, value_name = "VICTIM:STEP", value_delimiter = ',')]
    pub deaths: Vec<Death>,

    /// With `--exec`: leave in this file how to get to the execution.
    #[arg(long, hide = true, requires = "execution")]
    pub record: Option<PathBuf>,

    /// With `--record`: the number of the execution.
    #[arg(long, hide = true, default_value_t = 0)]
    pub execution: u64,

    /// With `--record`: the preemptions under which it has that number.
    #[arg(long, hide = true)]
    pub bound: Option<usize>,

    /// Run one model in this process: what the others are started with.
    #[arg(long, hide = true)]
    pub exec: Option<String>,

    /// Run one litmus test in this process.
    #[arg(long, hide = true)]
    pub litmus: Option<String>,

    /// With `--exec`: weaken this site, FILE:LINE:CHANGE.
    #[arg(long, hide = true)]
    pub weaken_site: Option<String>,

    /// Explore every model up to this many preemptions and no further, but for the known bugs.
    #[arg(long)]
    pub preemptions: Option<usize>,

    /// With `--exec`: map each stack anew, as stock loom does.
    #[arg(long, hide = true)]
    pub stock: bool,

    /// With `--exec`: tell which sites could be weakened.
    #[arg(long, hide = true)]
    pub sites: bool,

    /// Accepted for libtest's sake; output is never captured.
    #[arg(long, hide = true)]
    pub nocapture: bool,

    /// Match names whole.
    #[arg(long)]
    pub exact: bool,
}

impl Options {
    /// How far a model is explored in this run.
    pub fn bound_of(&self, model: &Model) -> Bound {
        match (model.expectation, self.preemptions) {
            (Expectation::Holds, Some(at_least)) => Bound::Sweep { at_least },
            (Expectation::Holds, None) if self.unbounded => Bound::None,
            _ => model.bound,
        }
    }

    /// The option that makes sense only where executions are explored, if one is given.
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

    /// Whether a model of this name is to run.
    pub fn chooses(&self, name: &str) -> bool {
        let matches = |filter: &String| match self.exact {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}
