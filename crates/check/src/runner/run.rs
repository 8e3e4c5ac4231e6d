//! The parent process, which starts one child process for each model.

use super::children::{in_parallel, run_child};
use super::cli::{Engine, Options};
use super::context::Context;
use super::outcome::Outcome;
use super::progress::Progress;
use super::report::{FailureReport, Report};
use super::{failure_page, replay};
use crate::{Failure, FailureKind, Model};
use indicatif::ProgressBar;
use std::sync::OnceLock;

/// Runs the models and returns their outcomes in the order of the models.
///
/// With `--fail-fast`, the result contains no outcome for models that were not started.
pub fn all(models: &[&Model], options: &Options, context: &Context) -> Vec<Outcome> {
    let progress = Progress::new(models.len(), options.json);
    let is_stopped = OnceLock::new();
    let outcomes = in_parallel(models, options.jobs, |model| {
        if is_stopped.get().is_some() {
            return None;
        }
        let spinner = progress.begin(&model.name);
        let mut outcome = one(model, options, &spinner);
        // Only loom records executions, and the pages show those of loom.
        if options.engine_of(model) == Engine::Loom {
            outcome.replay = replay::record(&outcome, options.seconds, context);
            outcome.page = failure_page::write(&outcome, context);
        }
        progress.end(&spinner, &outcome);
        if options.fail_fast && !outcome.passed() {
            is_stopped.get_or_init(|| ());
        }
        Some(outcome)
    });
    progress.finish();
    outcomes.into_iter().flatten().collect()
}

/// Runs one model in a child process.
fn one(model: &Model, options: &Options, spinner: &ProgressBar) -> Outcome {
    let mut outcome = Outcome::new(model, options.bound_of(model));
    if outcome.skipped {
        return outcome;
    }
    let seconds = options.seconds.max(options.sweep_seconds);
    let mut arguments = vec![
        format!("--exec={}", model.name),
        format!("--seconds={}", options.seconds),
        format!("--sweep-seconds={}", options.sweep_seconds),
        format!("--stress-milliseconds={}", options.stress_milliseconds),
    ];
    if options.engine == Engine::Ours {
        arguments.push("--engine=ours".into());
    }
    if options.unbounded {
        arguments.push("--unbounded".into());
    }
    if let Some(preemptions) = options.preemptions {
        arguments.push(format!("--preemptions={preemptions}"));
    }
    let problem = run_child(&arguments, seconds, |report| match report {
        Report::Explored(explored) => {
            let (executions, verdict) = (explored.executions, &explored.verdict);
            spinner.set_message(format!("{executions} executions: {verdict}"));
            outcome.explorations.push(explored);
        }
        Report::Failure(failure) => outcome.failure = Some(failure),
        Report::Sites(_) | Report::Litmus(_) => {}
    });
    if let (Some(problem), None) = (problem, &outcome.failure) {
        outcome.failure = Some(FailureReport {
            failure: Failure::without_record(FailureKind::Crash, problem),
            preemptions: None,
        });
    }
    outcome
}
