//! Models: a scenario, the bound of its exploration, and the expected result.

use crate::engine;
use crate::scenario::ErasedScenario;
use crate::{FailureKind, Scenario, Verdict};
use interlatch::platform::ShmSafe;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A scenario to explore, with a bound and the expected result.
///
/// [`new`](Self::new) makes a model that must hold in every execution. [`broken`](Self::broken)
/// makes a model of a known bug. The checker must find the bug, which shows that the scenario can
/// fail. [`Runner`](crate::runner::Runner) runs a list of models from a command line.
///
/// # Example
/// ```
/// use interlatch::sync::RawMutex;
/// use interlatch_check::{Limits, Model, explore};
/// use interlatch_contract::mutex;
/// use std::time::Duration;
///
/// let model = Model::new("mutex", || mutex::excludes::<RawMutex>(2));
/// let explored = explore(&model, Limits { preemptions: None, time: Duration::from_millis(50) });
/// println!("{}: {}", model.name, explored.verdict);
/// ```
#[derive(Clone)]
pub struct Model {
    /// The name of the model: `primitive/scenario/processes`, or `broken/bug`.
    pub name: String,
    /// The number of processes.
    pub processes: usize,
    /// The bound up to which the model is explored.
    pub bound: Bound,
    /// The expected result.
    pub expectation: Expectation,
    /// The indices of the processes that die. The exploration covers every choice of a step before
    /// which each of them dies.
    pub victims: Vec<usize>,
    /// The types whose contracts stand in for their code: see [`over`](Self::over).
    pub contracts: &'static [&'static str],
    build: Arc<dyn Fn() -> ErasedScenario + Send + Sync>,
}

/// The bound of an exploration: none, or increasing numbers of preemptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The exploration runs every execution.
    None,
    /// The model is explored with at most 0, then 1, then 2 preemptions, and so on. The bound rises
    /// at least to `at_least`. It rises further until the time limit.
    Sweep {
        /// The preemption bound whose exploration must finish.
        at_least: usize,
    },
    /// The model is explored with at most 0, then 1, then 2 preemptions, and so on, up to this
    /// bound.
    UpTo(usize),
}

/// The expected result of exploring a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Every execution passes.
    Holds,
    /// At least one execution fails with this kind of failure.
    Fails(FailureKind),
}

/// The limits of one exploration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of preemptions in an execution, or `None` for no bound.
    pub preemptions: Option<usize>,
    /// The maximum duration of the exploration.
    pub time: Duration,
}

/// The result of an exploration that found no failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exploration {
    /// The number of executions that were explored.
    pub executions: u64,
    /// The number of steps before which a process died. For two victims, this is the number of
    /// pairs of steps.
    pub crash_points: u64,
    /// The duration of the exploration.
    pub elapsed: Duration,
    /// The verdict, which says what the exploration proves.
    pub verdict: Verdict,
    /// The remarks: imprecisions of the engine that affect the model but do not change the verdict.
    pub remarks: Vec<String>,
}

impl Model {
    /// Creates a model that must hold in every execution.
    ///
    /// If `build` panics, `new` still returns a model. That model fails when it runs.
    pub fn new<S: ShmSafe + 'static>(
        primitive: &str,
        build: impl Fn() -> Scenario<S> + Send + Sync + 'static,
    ) -> Self {
        Self::from_erased(primitive, Arc::new(move || ErasedScenario::new(build())))
    }

    /// The part of [`new`](Self::new) that does not depend on the state's type. Programs have
    /// hundreds of models, so the generic code for each model is kept small.
    fn from_erased(primitive: &str, build: Arc<dyn Fn() -> ErasedScenario + Send + Sync>) -> Self {
        let scenario = catch_silently(&*build).unwrap_or_else(ErasedScenario::failed);
        let (property, processes) = (scenario.name, scenario.participants);
        let mut variants = String::new();
        let counted = [
            (scenario.interruptions, "interruption"),
            (scenario.spurious_failures, "spurious failure"),
            (scenario.spins, "spin"),
        ];
        for (count, event) in counted {
            match count {
                0 => {}
                1 => variants.push_str(&format!(", 1 {event}")),
                _ => variants.push_str(&format!(", {count} {event}s")),
            }
        }
        if scenario.may_lack_barrier {
            variants.push_str(", membarrier refused");
        }
        if !scenario.rechecks {
            variants.push_str(", no rechecks");
        }
        for victim in &scenario.victims {
            variants.push_str(&format!(", {victim} dies"));
        }
        if scenario.has_successor {
            variants.push_str(", replaced");
        }
        Self {
            name: format!("{primitive}/{property}/{processes}{variants}"),
            processes,
            bound: Bound::None,
            expectation: Expectation::Holds,
            victims: scenario.victims,
            contracts: &[],
            build,
        }
    }

    /// Declares that parts of the model do what the contracts of these types say, in place of their
    /// code. `interlatch-engine` explores every execution of such a model in every run, because
    /// loom has no such parts.
    ///
    /// For `RawRobustMutex` and `Condvar`, the contract then stands in for the code. A model over
    /// the contract of another type is built on the types of `interlatch_contract::specified`.
    #[must_use]
    pub fn over(self, contracts: &'static [&'static str]) -> Self {
        let bound = match self.expectation {
            Expectation::Holds => Bound::None,
            Expectation::Fails(_) => self.bound,
        };
        Self {
            bound,
            contracts,
            ..self
        }
    }

    /// Explores the model with increasing preemption bounds, at least up to `at_least`.
    ///
    /// Use this method for models that have too many executions to explore all of them.
    #[must_use]
    pub fn bounded(self, at_least: usize) -> Self {
        Self {
            bound: Bound::Sweep { at_least },
            ..self
        }
    }

    /// Explores the model with increasing preemption bounds, up to `at_most`.
    ///
    /// Use this method for a model that differs little from another model, which is explored
    /// further.
    #[must_use]
    pub fn up_to(self, at_most: usize) -> Self {
        Self {
            bound: Bound::UpTo(at_most),
            ..self
        }
    }

    /// Creates a model of a known bug, which must fail with the given kind of failure.
    ///
    /// The exploration starts with 0 preemptions and then raises the bound. The reported failure
    /// therefore has as few preemptions as possible.
    pub fn broken<S: ShmSafe + 'static>(
        bug: &str,
        kind: FailureKind,
        build: impl Fn() -> Scenario<S> + Send + Sync + 'static,
    ) -> Self {
        let build = Arc::new(move || ErasedScenario::new(build()));
        Self {
            name: format!("broken/{bug}"),
            bound: Bound::Sweep { at_least: 3 },
            expectation: Expectation::Fails(kind),
            ..Self::from_erased("broken", build)
        }
    }

    /// Changes the name of the model.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// Runs one execution of the model.
    pub fn execute(&self) {
        engine::run((self.build)(), self.contracts);
    }
}

/// Calls a function without printing a panic message. Returns `None` if the function panics.
fn catch_silently<R>(function: impl Fn() -> R) -> Option<R> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = catch_unwind(AssertUnwindSafe(function));
    std::panic::set_hook(hook);
    result.ok()
}
