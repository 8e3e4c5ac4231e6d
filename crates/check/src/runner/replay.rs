//! One execution again: a failure leaves a file, and the file runs just that execution.

use super::children::run_child;
use super::cli::Options;
use super::desk::Desk;
use super::failure;
use super::outcome::Outcome;
use super::output::say;
use super::report::Report;
use crate::{Bound, Death, FailureKind, Model};
use std::path::Path;
use std::process::ExitCode;

/// Explores once more up to the failure, leaves the file, and returns the command that runs it.
pub fn record(outcome: &Outcome, seconds: u64, desk: &Desk) -> Option<String> {
    let failed = outcome.failed.as_ref()?;
    let failure = &failed.failure;
    if failure.steps.is_empty() || failure.kind == FailureKind::BadModel {
        return None;
    }
    let file = desk.file_of(&outcome.name, "json");
    // A file that is there already would be continued.
    let _ = std::fs::remove_file(&file);
    if !desk.make_folder() {
        return None;
    }
    let mut arguments = vec![
        format!("--exec={}", outcome.name),
        format!("--record={}", file.display()),
        format!("--execution={}", failure.executions),
    ];
    if let Some(preemptions) = failed.preemptions {
        arguments.push(format!("--bound={preemptions}"));
    }
    let deaths = deaths_option(&failure.deaths);
    arguments.extend(deaths.clone());
    run_child(&arguments, seconds, |_| {});
    let deaths = deaths.map_or(String::new(), |deaths| format!("{deaths} "));
    let (file, name) = (file.exists().then_some(file)?, &outcome.name);
    let (command, file) = (&desk.command, file.display());
    Some(format!(
        "{command} --replay {file} {deaths}--exact {name:?}"
    ))
}

/// The option that says who is killed.
fn deaths_option(deaths: &[Death]) -> Option<String> {
    let written: Vec<String> = deaths.iter().map(Death::to_string).collect();
    (!deaths.is_empty()).then(|| format!("--deaths={}", written.join(",")))
}

/// Runs the execution that the file holds.
pub fn main(models: &[&Model], file: &Path, options: &Options) -> ExitCode {
    let &[model] = models else {
        eprintln!(
            "--replay runs one model, and {} are chosen: name it with --exact",
            models.len()
        );
        return ExitCode::FAILURE;
    };
    if !file.is_file() {
        eprintln!(
            "{} is no file; a failure leaves one and names it",
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
        if let Report::Failed(failed) = report {
            outcome.failed = Some(failed);
        }
    });
    match &outcome.failed {
        Some(_) => failure::print(&outcome),
        None => say(format_args!("{}: the execution does not fail", model.name)),
    }
    match problem {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}
