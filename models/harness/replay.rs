//! One execution again: a failure leaves a file, and the file runs just that execution.

use super::failure;
use super::report::{Failed, Report};
use super::run::{Result, run_child};
use interlatch::check::Model;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where a failure of this model leaves its file.
fn file_of(model: &str) -> PathBuf {
    let name = model.replace(|letter: char| !letter.is_alphanumeric(), "-");
    Path::new("target/interlatch").join(format!("{name}.json"))
}

/// Explores once more up to the failure, leaves the file, and returns the command that runs it.
pub fn record(result: &Result, seconds: u64) -> Option<String> {
    let failed = result
        .failed
        .as_ref()
        .filter(|failed| failed.executions > 0 && failed.kind != "bad model")?;
    let file = file_of(&result.name);
    // A file that is there already would be continued.
    let _ = std::fs::remove_file(&file);
    std::fs::create_dir_all(file.parent()?).ok()?;
    let mut arguments = vec![
        format!("--exec={}", result.name),
        format!("--record={}", file.display()),
        format!("--execution={}", failed.executions),
    ];
    if let Some(preemptions) = failed.preemptions {
        arguments.push(format!("--bound={preemptions}"));
    }
    run_child(&arguments, seconds, |_| {});
    let command = format!(
        "RUSTFLAGS=\"--cfg loom\" cargo test --release --test models -- --replay {} --exact {:?}",
        file.display(),
        result.name
    );
    file.exists().then_some(command)
}

/// Runs the execution that the file holds.
pub fn main(models: &[&Model], file: &Path, seconds: u64) -> ExitCode {
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
    let arguments = [
        format!("--exec={}", model.name),
        format!("--replay={}", file.display()),
    ];
    let mut failure: Option<Failed> = None;
    let problem = run_child(&arguments, seconds, |report| {
        if let Report::Failed(failed) = report {
            failure = Some(failed);
        }
    });
    match failure {
        Some(failed) => failure::print(&model.name, &failed.kind, &failed, None),
        None => println!("{}: the execution does not fail", model.name),
    }
    match problem {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}
