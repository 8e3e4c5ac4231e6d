//! What a shell does for `a | b | c`: `pipeline ps aux -- grep x -- sort`.
//!
//! Exit status: that of the last command, or 128 and the number of the signal that has ended it; 127 if one is not
//! found, 126 if one cannot be run, 2 for a wrong command line.

use clap::Parser;
use interlatch::ipc::{Pipeline, PipelineError};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

/// Runs commands, each reading what the one before it writes.
#[derive(Debug, Parser)]
struct Options {
    /// Exit with the status of the last command that has failed, if one has.
    #[arg(long)]
    pipefail: bool,
    /// The commands, with `--` between them.
    #[arg(
        required = true,
        trailing_var_arg = true,
        value_name = "COMMAND [-- COMMAND]"
    )]
    words: Vec<OsString>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(commands) = commands(&options.words) else {
        eprintln!("pipeline: expected a command before, between and after `--`");
        return ExitCode::from(2);
    };
    let pipeline = commands
        .into_iter()
        .fold(Pipeline::new(), Pipeline::command);
    match pipeline.run() {
        Ok(finished) => ExitCode::from(status(&finished.statuses, options.pipefail)),
        Err(error) => {
            eprintln!("pipeline: {error}");
            match error {
                PipelineError::Command { .. } if error.is_not_found() => ExitCode::from(127),
                PipelineError::Command { .. } => ExitCode::from(126),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// The commands, or nothing if one of them is empty.
fn commands(words: &[OsString]) -> Option<Vec<Command>> {
    let commands = words.split(|word| word == "--").map(|words| {
        let (program, arguments) = words.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments);
        Some(command)
    });
    commands.collect()
}

fn status(statuses: &[ExitStatus], pipefail: bool) -> u8 {
    let mut from_the_last = statuses.iter().rev().map(status_of_one);
    let chosen = match pipefail {
        true => from_the_last.find(|&status| status != 0),
        false => from_the_last.next(),
    };
    chosen.unwrap_or(0)
}

/// As a shell counts.
fn status_of_one(status: &ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(1) as u8
}
