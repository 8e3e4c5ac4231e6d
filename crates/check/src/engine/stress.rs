//! The engine without loom, which runs the same models on real threads as a short stress test.

use super::{Setup, Site};
use crate::scenario::{ErasedScenario, Instance};
use crate::{Death, Exploration, Failure, FailureKind, Limits, Model, Scenario, Verdict};
use interlatch::platform::ShmSafe;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Instant;

/// `true` if this build explores every execution (`--cfg loom`). `false` if this build only runs a
/// stress test on threads.
pub const IS_EXHAUSTIVE: bool = false;

/// The maximum number of runs of one model.
const MAX_RUNS: u64 = 2_000;

/// Runs a scenario once, with one thread per participant.
///
/// # Panics
/// Panics if a participant panics or if the scenario's verification panics.
pub fn run_once<S: ShmSafe + 'static>(scenario: Scenario<S>) {
    run(ErasedScenario::new(scenario), &[]);
}

/// Runs a type-erased scenario once.
pub(crate) fn run(scenario: ErasedScenario, _contracts: &[&str]) {
    // The instance is leaked, because a thread may have leaked a robust lock in its state. The
    // kernel accesses such a lock when the thread ends, which may be after the scope has ended.
    let instance: &dyn Instance = Box::leak((scenario.start)());
    std::thread::scope(|scope| {
        let spawn = |index| scope.spawn(move || instance.participate(index));
        let threads: Vec<_> = (0..scenario.participants).map(spawn).collect();
        // ThreadSanitizer sees the order that a join creates, but not the order that the end of the
        // scope creates in an uninstrumented std.
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    instance.verify();
}

/// Runs a model repeatedly, up to a maximum time and a maximum number of runs.
///
/// # Panics
/// Panics at the first failure.
pub fn explore(model: &Model, limits: Limits) -> Exploration {
    let begin = Instant::now();
    let mut executions = 0;
    while executions < MAX_RUNS && begin.elapsed() < limits.time {
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

/// Converts a panic message to a failure. Real threads leave no record of their steps.
pub(crate) fn describe_failure(message: &str) -> Failure {
    Failure::without_record(FailureKind::from_message(message), message.to_owned())
}

/// Returns an error if the settings need loom.
pub(crate) fn prepare(setup: &Setup<'_>) -> Result<(), String> {
    match setup.weaken_site.is_some() || setup.collect_sites {
        true => Err("sites can be weakened only under --cfg loom".into()),
        false => Ok(()),
    }
}

/// Returns an empty list, because an execution on real threads records no sites.
pub(crate) fn sites() -> Vec<Site> {
    Vec::new()
}

/// Does nothing, because an execution on real threads cannot be recorded for a replay.
pub(crate) fn record(_: &Model, _: Option<usize>, _: &[Death], _: u64, _: &Path) {}

/// Does nothing, because an execution on real threads cannot be replayed.
pub(crate) fn replay(_: &Model, _: &[Death], _: &Path) {}
