//! A model: a scenario, how far it is explored, and what is expected of it.

use super::{FailureKind, Verdict, run_once};
use crate::Scenario;
use interlatch::platform::ShmSafe;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// One model.
///
/// # Example
/// ```
/// use interlatch::sync::RawMutex;
/// use interlatch_check::{Limits, Model, explore};
/// use interlatch_contract::lock;
/// use std::time::Duration;
///
/// let model = Model::new("mutex", || lock::excludes::<RawMutex>(2));
/// let explored = explore(&model, Limits { preemptions: None, time: Duration::from_millis(50) });
/// println!("{}: {}", model.name, explored.verdict);
/// ```
#[derive(Clone)]
pub struct Model {
    /// `primitive/scenario/processes`, and for broken ones `broken/bug`.
    pub name: String,
    /// How many processes take part.
    pub processes: usize,
    /// How far it is explored.
    pub bound: Bound,
    /// What is expected of it.
    pub expectation: Expectation,
    /// The processes that die, at each of their steps.
    pub victims: Vec<usize>,
    execute: Arc<dyn Fn() + Send + Sync>,
}

/// How far a model is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Every execution.
    None,
    /// Bounds of 0, 1, 2, ... preemptions, at least up to this one, and more while time allows.
    Sweep {
        /// The bound that has to be finished.
        at_least: usize,
    },
}

/// What is expected of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It passes.
    Holds,
    /// It has this bug, and the checker has to find it in this form.
    Fails(FailureKind),
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most preemptions of an execution.
    pub preemptions: Option<usize>,
    /// The most time.
    pub time: Duration,
}

/// What came of exploring a model without finding a failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exploration {
    /// How many executions there were.
    pub executions: u64,
    /// Before how many steps a process was killed, or how many pairs of steps if two were.
    pub crash_points: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What that is worth.
    pub verdict: Verdict,
    /// What the verdict does not say: imprecisions of the engine that this model meets.
    pub remarks: Vec<String>,
}

impl Model {
    /// A model of this scenario that has to hold, in every execution. If `build` panics, the model
    /// fails when it is run.
    pub fn new<S: ShmSafe + 'static>(
        primitive: &str,
        build: impl Fn() -> Scenario<S> + Send + Sync + 'static,
    ) -> Self {
        let scenario = quietly(&build)
            .unwrap_or_else(|| Scenario::new("a_scenario_that_cannot_be_made", Vec::new()));
        let (property, processes) = (scenario.name, scenario.participants.len());
        let mut how = String::new();
        if scenario.interruptions > 0 {
            how.push_str(", interrupted");
        }
        if !scenario.rechecks {
            how.push_str(", no rechecks");
        }
        for victim in &scenario.victims {
            how.push_str(&format!(", {victim} dies"));
        }
        Self {
            name: format!("{primitive}/{property}/{processes}{how}"),
            processes,
            bound: Bound::None,
            expectation: Expectation::Holds,
            victims: scenario.victims,
            execute: Arc::new(move || run_once(&build())),
        }
    }

    /// Explored by preemption bounds, at least up to this one.
    #[must_use]
    pub fn bounded(self, at_least: usize) -> Self {
        Self {
            bound: Bound::Sweep { at_least },
            ..self
        }
    }

    /// A model of a known bug, which the checker has to find in this form. It is swept from no
    /// preemption upwards, so that the failure found has the fewest.
    pub fn broken<S: ShmSafe + 'static>(
        bug: &str,
        kind: FailureKind,
        build: impl Fn() -> Scenario<S> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: format!("broken/{bug}"),
            bound: Bound::Sweep { at_least: 3 },
            expectation: Expectation::Fails(kind),
            ..Self::new("broken", build)
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// One execution.
    pub fn execute(&self) {
        (self.execute)();
    }
}

/// What the function returns, or none if it panics, and then without a word.
fn quietly<R>(function: impl Fn() -> R) -> Option<R> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = catch_unwind(AssertUnwindSafe(function));
    std::panic::set_hook(hook);
    result.ok()
}
