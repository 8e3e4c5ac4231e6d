//! Running a program through all its executions and collecting the outcomes.

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

/// What the processes of one execution have seen, process by process.
pub type Outcome = Vec<Vec<u64>>;

/// All outcomes of a program.
pub type Outcomes = BTreeSet<Outcome>;

/// What one process does: it returns what it has seen.
pub type Body<S> = fn(&S) -> Vec<u64>;

/// The outcomes that stock loom reaches.
pub fn stock<S: 'static>(build: fn() -> S, bodies: &[Body<S>]) -> Outcomes {
    let reached = Arc::new(Mutex::new(Outcomes::new()));
    let (collect, bodies) = (reached.clone(), bodies.to_vec());
    loom::model::Builder::new().check(move || {
        let shared = Rc::new(build());
        let seen = Rc::new(RefCell::new(vec![None; bodies.len()]));
        for (index, body) in bodies.iter().copied().enumerate().skip(1) {
            let (shared, seen, collect) = (shared.clone(), seen.clone(), collect.clone());
            loom::thread::spawn(move || note(&collect, &seen, index, body(&shared)));
        }
        note(&collect, &seen, 0, bodies[0](&shared));
    });
    let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut reached)
}

fn note(
    collect: &Mutex<Outcomes>,
    seen: &RefCell<Vec<Option<Vec<u64>>>>,
    index: usize,
    what: Vec<u64>,
) {
    seen.borrow_mut()[index] = Some(what);
    if let Some(outcome) = seen.borrow().iter().cloned().collect::<Option<Outcome>>() {
        collect
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(outcome);
    }
}

/// Nothing but the order of the processes varies.
pub const ORDER_ALONE: ScenarioConfig = ScenarioConfig {
    choices: 0,
    interruptions: 0,
    spurious_failures: 0,
    rechecks: true,
};

/// The outcomes that our model world reaches, and its verdict.
pub fn ours<S: Default + 'static>(
    bodies: &[Body<S>],
    nature: ScenarioConfig,
) -> (Outcomes, Exploration) {
    REACHED.take();
    let bodies: Vec<Body<S>> = bodies.to_vec();
    let model = Model::new("litmus", move || {
        let participants = vec![
            play::<S, 0> as fn(&State<S>),
            play::<S, 1>,
            play::<S, 2>,
            play::<S, 3>,
        ];
        BODIES.set(Box::new(bodies.clone()));
        COUNT.set(bodies.len());
        Scenario::new(
            "litmus",
            participants.into_iter().take(bodies.len()).collect(),
        )
        .verify(|state| {
            REACHED.with_borrow_mut(|reached| reached.insert(state.seen.borrow().clone()));
        })
        .choices(nature.choices)
        .interruptions(nature.interruptions)
        .spurious_failures(nature.spurious_failures)
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
    /// A `Vec<Body<S>>`, for the `S` of the program that runs.
    static BODIES: RefCell<Box<dyn Any>> = RefCell::new(Box::new(()));
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// A scenario's participants are plain functions of the state, so they find their body by number.
fn play<S: 'static, const ME: usize>(state: &State<S>) {
    let body = BODIES.with_borrow(|bodies| {
        let bodies = bodies.downcast_ref::<Vec<Body<S>>>();
        bodies.expect("`ours` has stored them")[ME]
    });
    let seen = body(&state.shared);
    state.seen.borrow_mut()[ME] = seen;
}

struct State<S> {
    shared: S,
    seen: RefCell<Outcome>,
}

// SAFETY: simulated processes are coroutines of one thread.
unsafe impl<S> Sync for State<S> {}

// SAFETY: a model has one address space.
unsafe impl<S: Default + 'static> ShmSafe for State<S> {
    fn initial() -> Self {
        Self {
            shared: S::default(),
            seen: RefCell::new(vec![Vec::new(); COUNT.get()]),
        }
    }
}

impl<S: 'static> ShmType for State<S> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("State");
}

/// Says what was observed if it is as pinned.
pub fn pinned<T: PartialEq + Debug>(
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

/// What one process has seen, over all outcomes.
pub fn seen_by(outcomes: &Outcomes, process: usize) -> BTreeSet<Vec<u64>> {
    outcomes
        .iter()
        .map(|outcome| outcome[process].clone())
        .collect()
}
