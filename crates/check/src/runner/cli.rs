//! The command line of the runner: the options after the `--` of `cargo test`.

use crate::{Bound, Death, Expectation, Model};
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Explores models and runs litmus tests of the engine.
///
/// A filter is a part of a name. A model or test runs if its name contains at least one filter.
/// Without filters, all models and tests run.
#[derive(Debug, Parser)]
pub struct Options {
    /// Parts of the names of the models and litmus tests to run.
    pub filters: Vec<String>,

    /// Print the names of the selected models and litmus tests, without running them.
    #[arg(long)]
    pub list: bool,

    /// Print the results as JSON, one object per line.
    #[arg(long)]
    pub json: bool,

    /// Time limit for each model, in seconds. A model that reaches this limit fails, unless it is
    /// explored by preemption bounds and the required bound is finished.
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,

    /// Time for each model that is explored with increasing preemption bounds, in seconds. The
    /// runner raises the bound while time is left.
    #[arg(long, default_value_t = 3)]
    pub sweep_seconds: u64,

    /// Time for each model in a build without `--cfg loom`, in milliseconds. Such a build only runs
    /// a stress test.
    #[arg(long, default_value_t = 20)]
    pub stress_milliseconds: u64,

    /// Explore every execution of each model, without a preemption bound.
    #[arg(long)]
    pub unbounded: bool,

    /// The engine that explores the models.
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,

    /// Number of models that run in parallel.
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,

    /// Start no more models after the first failure.
    #[arg(long)]
    pub fail_fast: bool,

    /// Weaken each site (source line) of the primitives in turn and print which model fails. A
    /// weakening lowers an ordering by one step, drops a wake, or limits a wake to one waiter.
    #[arg(long)]
    pub weaken: bool,

    /// With `--weaken`: weaken only sites in files whose paths start with this prefix. By default,
    /// the runner weakens sites in all files of this workspace.
    #[arg(long, requires = "weaken")]
    pub sites_in: Vec<String>,

    /// With `--weaken`: compare the sites with this file. The file contains a JSON object with the
    /// fields `calls`, which at least one model must run, and `exceptions`, which no model has to
    /// notice. The run fails for a call that no model runs, and for an exception that is not
    /// needed.
    #[arg(long, requires = "weaken", value_name = "FILE")]
    pub expected: Option<PathBuf>,

    /// Explore one model with this crate's loom and with the published loom, and compare the
    /// speeds.
    #[arg(long)]
    pub speed: bool,

    /// Print the failing executions of known bugs too.
    #[arg(long)]
    pub explain: bool,

    /// Replay the execution saved in this file. The runner writes such a file for each failure and
    /// prints the command that replays it.
    #[arg(long)]
    pub replay: Option<PathBuf>,

    /// With `--replay`: the processes that die, each with the step before which it dies.
    #[arg(long, value_name = "VICTIM:STEP", value_delimiter = ',')]
    pub deaths: Vec<Death>,

    /// With `--exec`: write a file from which `--replay` can run an execution again.
    #[arg(long, hide = true, requires = "execution")]
    pub record: Option<PathBuf>,

    /// With `--record`: the number of the execution to record.
    #[arg(long, hide = true, default_value_t = 0)]
    pub execution: u64,

    /// With `--record`: the preemption bound of the exploration that contains the execution to
    /// record.
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

    /// Explore every model up to this preemption bound and no further. This option does not apply
    /// to known bugs.
    #[arg(long)]
    pub preemptions: Option<usize>,

    /// With `--exec`: run loom as published, without this crate's optimizations.
    #[arg(long, hide = true)]
    pub stock: bool,

    /// With `--exec`: report the sites (source lines) that can be weakened.
    #[arg(long, hide = true)]
    pub sites: bool,

    /// Accepted for compatibility with libtest. The runner never captures output.
    #[arg(long, hide = true)]
    pub nocapture: bool,

    /// Select only models and tests whose names are equal to a filter.
    #[arg(long)]
    pub exact: bool,
}

/// An engine that explores models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The crate loom.
    #[default]
    Loom,
    /// The crate `interlatch-engine`, which explores execution graphs of RC11.
    Ours,
}

impl Options {
    /// Returns the engine that explores a model in this run. loom has no parts that do what a
    /// contract says.
    pub fn engine_of(&self, model: &Model) -> Engine {
        match model.contracts.is_empty() {
            true => self.engine,
            false => Engine::Ours,
        }
    }

    /// Returns the bound up to which this run explores a model.
    pub fn bound_of(&self, model: &Model) -> Bound {
        if self.engine_of(model) == Engine::Ours {
            return Bound::None;
        }
        match (model.expectation, self.preemptions) {
            (Expectation::Holds, Some(at_most)) => Bound::UpTo(at_most),
            (Expectation::Holds, None) if self.unbounded => Bound::None,
            _ => model.bound,
        }
    }

    /// Returns an option that was given and needs loom, or `None` if there is no such option.
    pub fn needs_loom(&self) -> Option<&'static str> {
        let given = [
            (self.replay.is_some(), "--replay"),
            (self.speed, "--speed"),
            (self.weaken, "--weaken"),
            (self.engine == Engine::Ours, "--engine ours"),
        ];
        given
            .into_iter()
            .find_map(|(given, name)| given.then_some(name))
    }

    /// Returns whether the filters select a model or test with this name.
    pub fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| match self.exact {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}
