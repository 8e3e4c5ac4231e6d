//! Exploring a model under loom.

use super::{Exploration, Failure, FailureKind, Limits, Model, Verdict};
use crate::contract::Scenario;
use crate::platform::InPlace;
use crate::platform::model::process::{self, Body, Nature};
use crate::platform::model::world;
use std::rc::Rc;
use std::time::Instant;

/// One execution of a scenario, inside loom.
pub fn run_once<S: InPlace + 'static>(scenario: &Scenario<S>) {
    world::begin();
    let state = Rc::new(S::initial());
    let bodies = scenario.participants.iter().map(|participant| {
        let (state, participant) = (state.clone(), *participant);
        Box::new(move || participant(&state)) as Body
    });
    let bodies = bodies.collect();
    let verify = scenario.verify;
    let nature = Nature {
        choices: scenario.choices,
        interruptions: scenario.interruptions,
        spurious_failures: scenario.spurious_failures,
    };
    process::run(bodies, nature, Box::new(move || verify(&state)));
}

/// Runs a model through its executions. A failure panics: see [`describe_failure`].
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = MOST_BRANCHES;
    builder.preemption_bound = limits.preemptions;
    builder.max_duration = Some(limits.time);
    // loom looks at the clock only so often.
    builder.checkpoint_interval = 64;
    world::begin_exploration();
    let begin = Instant::now();
    let model = model.clone();
    builder.check(move || model.execute());
    let elapsed = begin.elapsed();
    let findings = world::findings();
    let verdict = if let Some((load, write)) = findings.blind {
        Verdict::Blind(format!(
            "the load at {load} may be hidden from the write at {write}"
        ))
    } else if elapsed >= limits.time {
        // loom returns without a word when its time is over.
        Verdict::Truncated
    } else {
        limits
            .preemptions
            .map_or(Verdict::Exhaustive, Verdict::Bounded)
    };
    let remarks = remarks(&findings);
    Exploration {
        executions: world::executions(),
        elapsed,
        verdict,
        remarks,
    }
}

/// loom keeps room for this many scheduling points and loads of an execution.
const MOST_BRANCHES: usize = 5_000;

fn remarks(findings: &world::Findings) -> Vec<String> {
    let mut remarks = Vec::new();
    if findings.fence {
        remarks.push("has fences, which loom makes stronger than they are".into());
    }
    if findings.sequentially_consistent {
        remarks.push("has SeqCst accesses, which loom treats as acquire and release".into());
    }
    if let Some(site) = findings.forgotten_stores {
        remarks.push(format!(
            "a load after more than 7 stores, at {site}: loom forgets the oldest"
        ));
    }
    remarks
}

/// The failure that this panic message tells of, with the execution that led to it.
pub fn describe_failure(message: &str) -> Failure {
    let mut trace: Vec<String> = world::events()
        .iter()
        .map(|event| {
            let process = match event.process {
                world::KERNEL => "setup".to_owned(),
                number => format!("process {number}"),
            };
            format!(
                "{process}  {}  {}:{}",
                event.action,
                event.site.file(),
                event.site.line()
            )
        })
        .collect();
    trace.push(world::where_each_stands());
    Failure {
        kind: FailureKind::of_message(message),
        message: message.to_owned(),
        executions: world::executions(),
        trace,
    }
}
