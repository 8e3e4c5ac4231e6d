//! Exploration of a program and collection of its outcomes.

pub use interlatch::platform::model::process::ScenarioConfig;
use interlatch::region::{ShmSafe, ShmType, TypeInfo};
use interlatch_check::Scenario;
use interlatch_check::{Exploration, Limits, Model, explore};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The observations of each process in one execution.
pub type Outcome = Vec<Vec<u64>>;

/// All outcomes of a program.
pub type Outcomes = BTreeSet<Outcome>;

/// The code of one process, which returns the observations of the process.
pub type Body<S> = fn(&S) -> Vec<u64>;

/// Returns the outcomes that loom reaches without the model platform.
pub fn loom_outcomes<S: 'static>(build: fn() -> S, bodies: &[Body<S>]) -> Outcomes {
    let reached = Arc::new(Mutex::new(Outcomes::new()));
    let (collect, bodies) = (reached.clone(), bodies.to_vec());
    loom::model::Builder::new().check(move || {
        let shared = Rc::new(build());
        let seen = Rc::new(RefCell::new(vec![None; bodies.len()]));
        for (index, body) in bodies.iter().copied().enumerate().skip(1) {
            let (shared, seen, collect) = (shared.clone(), seen.clone(), collect.clone());
            loom::thread::spawn(move || record_outcome(&collect, &seen, index, body(&shared)));
        }
        record_outcome(&collect, &seen, 0, bodies[0](&shared));
    });
    let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut reached)
}

fn record_outcome(
    collect: &Mutex<Outcomes>,
    seen: &RefCell<Vec<Option<Vec<u64>>>>,
    index: usize,
    observations: Vec<u64>,
) {
    seen.borrow_mut()[index] = Some(observations);
    if let Some(outcome) = seen.borrow().iter().cloned().collect::<Option<Outcome>>() {
        collect
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(outcome);
    }
}

/// A model configuration in which executions differ only in their interleaving.
pub const INTERLEAVINGS_ONLY: ScenarioConfig = ScenarioConfig {
    choices: 0,
    interruptions: 0,
    spurious_failures: 0,
    spins: 0,
    may_lack_barrier: false,
    rechecks: true,
};

/// Returns the outcomes that the model platform reaches, and the exploration.
pub fn model_outcomes<S: Default + 'static>(
    bodies: &[Body<S>],
    config: ScenarioConfig,
) -> (Outcomes, Exploration) {
    REACHED.take();
    let bodies: Vec<Body<S>> = bodies.to_vec();
    let model = Model::new("litmus", move || {
        let participants = vec![
            run_body::<S, 0> as fn(&SharedState<S>),
            run_body::<S, 1>,
            run_body::<S, 2>,
            run_body::<S, 3>,
        ];
        BODIES.set(Box::new(bodies.clone()));
        COUNT.set(bodies.len());
        let scenario = Scenario::new(
            "litmus",
            participants.into_iter().take(bodies.len()).collect(),
        )
        .verify(|state| {
            REACHED.with_borrow_mut(|reached| reached.insert(state.seen.borrow().clone()));
        })
        .choices(config.choices)
        .interruptions(config.interruptions)
        .spurious_failures(config.spurious_failures);
        match config.may_lack_barrier {
            true => scenario.may_lack_barrier(),
            false => scenario,
        }
    });
    let time = Duration::from_secs(600);
    let exploration = explore(
        &model,
        Limits {
            preemptions: None,
            time,
        },
    );
    (REACHED.take(), exploration)
}

thread_local! {
    static REACHED: RefCell<Outcomes> = const { RefCell::new(Outcomes::new()) };
    /// The bodies of the current program, as a `Vec<Body<S>>` for its state `S`.
    static BODIES: RefCell<Box<dyn Any>> = RefCell::new(Box::new(()));
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Runs one body. A participant is a function pointer, so it finds its body by an index.
fn run_body<S: 'static, const INDEX: usize>(state: &SharedState<S>) {
    let body = BODIES.with_borrow(|bodies| {
        let bodies = bodies.downcast_ref::<Vec<Body<S>>>();
        bodies.expect("`model_outcomes` sets the bodies")[INDEX]
    });
    let seen = body(&state.shared);
    state.seen.borrow_mut()[INDEX] = seen;
}

struct SharedState<S> {
    shared: S,
    seen: RefCell<Outcome>,
}

// SAFETY: simulated processes are coroutines of one thread, so accesses are never parallel.
unsafe impl<S> Sync for SharedState<S> {}

// SAFETY: a model runs in one address space, and no other process maps the state.
unsafe impl<S: Default + 'static> ShmSafe for SharedState<S> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe {
            at.write(Self {
                shared: S::default(),
                seen: RefCell::new(vec![Vec::new(); COUNT.get()]),
            });
        }
    }
}

impl<S: 'static> ShmType for SharedState<S> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("SharedState");
}

/// Returns the observation if it equals the pinned value, and otherwise an error that shows both.
pub fn check_pinned<T: PartialEq + Debug>(
    found: &T,
    pinned: &T,
    observation: &str,
) -> Result<String, String> {
    if found == pinned {
        return Ok(observation.to_owned());
    }
    Err(format!(
        "{observation}: pinned as {pinned:?}, found {found:?}"
    ))
}

/// Returns the observations of one process in all outcomes.
pub fn seen_by(outcomes: &Outcomes, process: usize) -> BTreeSet<Vec<u64>> {
    outcomes
        .iter()
        .map(|outcome| outcome[process].clone())
        .collect()
}
