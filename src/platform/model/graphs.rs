//! Runs models in `interlatch-engine`.

use super::config::ScenarioConfig;
use super::process::{Body, Successor};
use super::world::{self, KERNEL, Process};
use super::{death, robust};
use core::cell::RefCell;
use interlatch_engine::{Ended, FailureKind, Limits, Report, Setup, explore_with};
use std::ops::ControlFlow;

/// The processes of one execution, and what is checked after them.
struct Model {
    bodies: Vec<Body>,
    successor: Option<Successor>,
    config: ScenarioConfig,
    verify: Body,
}

thread_local! {
    static MODEL: RefCell<Option<Model>> = const { RefCell::new(None) };
}

/// Stores the processes of the execution that is set up.
pub(super) fn set_up(
    bodies: Vec<Body>,
    successor: Option<Successor>,
    config: ScenarioConfig,
    verify: Body,
) {
    MODEL.set(Some(Model {
        bodies,
        successor,
        config,
        verify,
    }));
}

/// Explores a model, which calls [`run`](super::process::run) once for each execution. Calls
/// `complete` at the end of each execution in which every process has ended.
///
/// # Panics
/// Panics at the first failure.
pub fn explore(
    limits: Limits,
    victims: &[usize],
    model: impl Fn(),
    mut complete: impl FnMut(),
) -> Report {
    death::set_victims(!victims.is_empty());
    explore_with(
        limits,
        |setup| {
            world::enter(KERNEL);
            model();
            let model = MODEL.take().expect("the model calls `process::run`");
            build(setup, model, victims);
        },
        |ended| match ended {
            Ended::Complete(_) => {
                complete();
                ControlFlow::Continue(())
            }
            Ended::Failed(failure) => panic!("{}", message(&failure.kind)),
        },
    )
}

fn build(setup: &mut Setup, model: Model, victims: &[usize]) {
    let (count, config) = (model.bodies.len(), model.config);
    let processes = (0..count).map(|_| Process::new(config, None));
    world::populate(processes.collect(), None, config);
    if config.rechecks {
        setup.recheck_after_deaths();
    }
    for (number, body) in model.bodies.into_iter().enumerate() {
        let run = move || {
            world::enter(number);
            body();
            world::finish();
        };
        if !victims.contains(&number) {
            setup.process(run);
            continue;
        }
        let successor = model.successor.clone();
        setup.mortal_process(run, move || {
            world::enter(number);
            world::die();
            robust::exit();
            if let Some(successor) = successor {
                world::replace_dead_process();
                successor();
            }
            world::finish();
        });
    }
    setup.verify(move || {
        world::enter(KERNEL);
        (model.verify)();
    });
}

/// Returns the message that a failure of the same kind has in loom.
fn message(kind: &FailureKind) -> String {
    match kind {
        FailureKind::Deadlock { .. } => format!("deadlock: {}", world::process_states().join(", ")),
        FailureKind::DataRace { .. } => format!("Causality violation: {kind}"),
        FailureKind::TooManySteps { .. } => format!("limit hit: {kind}"),
        FailureKind::NotDeterministic { .. } | FailureKind::ProcessCount { .. } => {
            format!("bad model: {kind}")
        }
        _ => kind.to_string(),
    }
}
