//! The parent: a child for each model.

use super::children::{in_parallel, run_child};
use super::cli::Options;
use super::desk::Desk;
use super::outcome::Outcome;
use super::progress::Progress;
use super::report::{Failed, Report};
use super::{page, replay};
use crate::{Failure, FailureKind, Model};
use indicatif::ProgressBar;
use std::sync::OnceLock;

/// Runs the models and returns what came of them in the same order; with `--fail-fast` only of
/// those that were begun.
pub fn all(models: &[&Model], options: &Options, desk: &Desk) -> Vec<Outcome> {
    let progress = Progress::new(models.len(), options.json);
    let is_over = OnceLock::new();
    let outcomes = in_parallel(models, options.jobs, |model| {
        if is_over.get().is_some() {
            return None;
        }
        let spinner = progress.begin(&model.name);
        let mut outcome = one(model, options, &spinner);
        outcome.replay = replay::record(&outcome, options.seconds, desk);
        outcome.page = page::leave_for(&outcome, desk);
        progress.end(&spinner, &outcome);
        if options.fail_fast && !outcome.is_good() {
            is_over.get_or_init(|| ());
        }
        Some(outcome)
    });
    progress.finish();
    outcomes.into_iter().flatten().collect()
}

/// Runs one model in a child.
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
    ];
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
            outcome.explored.push(explored);
        }
        Report::Failed(failed) => outcome.failed = Some(failed),
        Report::Sites(_) | Report::Observed(_) => {}
    });
    if let (Some(problem), None) = (problem, &outcome.failed) {
        outcome.failed = Some(Failed {
            failure: Failure::unrecorded(FailureKind::Crash, problem),
            preemptions: None,
        });
    }
    outcome
}
