//! Without loom: the same models with real threads, as a short stress test.

use super::{Death, Exploration, Failure, FailureKind, Limits, Model, Verdict};
use crate::Scenario;
use interlatch::platform::ShmSafe;
use std::path::Path;
use std::time::Instant;

/// One run of a scenario with threads.
pub fn run_once<S: ShmSafe + 'static>(scenario: &Scenario<S>) {
    let state = S::initial();
    std::thread::scope(|scope| {
        for participant in &scenario.participants {
            scope.spawn(|| participant(&state));
        }
    });
    (scenario.verify)(&state);
}

/// Runs a model again and again. A failure panics: see [`describe_failure`].
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    let begin = Instant::now();
    let mut executions = 0;
    while executions < MOST_RUNS && begin.elapsed() < limits.time {
        model.execute();
        executions += 1;
    }
    Exploration {
        executions,
        crash_points: 0,
        elapsed: begin.elapsed(),
        verdict: Verdict::Stressed,
        remarks: Vec::new(),
    }
}

const MOST_RUNS: u64 = 2_000;

/// The failure that this panic message tells of. Threads leave no record of what they did.
pub fn describe_failure(message: &str) -> Failure {
    Failure::unrecorded(FailureKind::of_message(message), message.to_owned())
}

/// Threads cannot be told to repeat themselves.
pub fn record(_: &Model, _: Option<usize>, _: &[Death], _: u64, _: &Path) {}

/// As [`record`].
pub fn replay(_: &Model, _: &[Death], _: &Path) {}
