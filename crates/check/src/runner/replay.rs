//! Replays one execution from a file that the runner wrote for a failure.

use super::children::run_child;
use super::cli::Options;
use super::context::Context;
use super::failure_text;
use super::outcome::Outcome;
use super::output::print_line;
use super::report::Report;
use crate::{Bound, Death, FailureKind, Model};
use std::path::Path;
use std::process::ExitCode;

/// Repeats the exploration up to the failure and writes the replay file. Returns the command that
/// replays the failing execution.
pub fn record(outcome: &Outcome, seconds: u64, context: &Context) -> Option<String> {
    let report = outcome.failure.as_ref()?;
    let failure = &report.failure;
    if failure.steps.is_empty() || failure.kind == FailureKind::BadModel {
        return None;
    }
    let file = context.path_for(&outcome.name, "json");
    // An old replay file is removed, because loom would continue from the state in that file.
    let _ = std::fs::remove_file(&file);
    if !context.create_folder() {
        return None;
    }
    let mut arguments = vec![
        format!("--exec={}", outcome.name),
        format!("--record={}", file.display()),
        format!("--execution={}", failure.executions),
    ];
    if let Some(preemptions) = report.preemptions {
        arguments.push(format!("--bound={preemptions}"));
    }
    let deaths = deaths_option(&failure.deaths);
    arguments.extend(deaths.clone());
    run_child(&arguments, seconds, |_| {});
    let deaths = deaths.map_or(String::new(), |deaths| format!("{deaths} "));
    let (file, name) = (file.exists().then_some(file)?, &outcome.name);
    let (command, file) = (&context.command, file.display());
    Some(format!(
        "{command} --replay {file} {deaths}--exact {name:?}"
    ))
}

/// Returns the `--deaths` option, or `None` if no process dies.
fn deaths_option(deaths: &[Death]) -> Option<String> {
    let written: Vec<String> = deaths.iter().map(Death::to_string).collect();
    (!deaths.is_empty()).then(|| format!("--deaths={}", written.join(",")))
}

/// Replays the execution that is saved in the file.
pub fn main(models: &[&Model], file: &Path, options: &Options) -> ExitCode {
    let &[model] = models else {
        eprintln!(
            "--replay runs one model, but {} are selected; select one with --exact",
            models.len()
        );
        return ExitCode::FAILURE;
    };
    if !file.is_file() {
        eprintln!(
            "{} is not a file; a failure writes one and prints its path",
            file.display()
        );
        return ExitCode::FAILURE;
    }
    let mut arguments = vec![
        format!("--exec={}", model.name),
        format!("--replay={}", file.display()),
    ];
    arguments.extend(deaths_option(&options.deaths));
    let mut outcome = Outcome::new(model, Bound::None);
    let problem = run_child(&arguments, options.seconds, |report| {
        if let Report::Failure(failure) = report {
            outcome.failure = Some(failure);
        }
    });
    match &outcome.failure {
        Some(_) => failure_text::print(&outcome),
        None => print_line(format_args!("{}: the execution does not fail", model.name)),
    }
    match problem {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}
