//! Runs commands like a shell's `a | b | c`: `pipeline ps aux -- grep x -- sort`.
//!
//! Ctrl+C, `SIGTERM` and `SIGHUP` terminate the commands. If this program is killed, the kernel
//! kills the commands.
//!
//! Exit status: that of the last command, or 128 plus the number of the signal that terminated it;
//! 127 if a command is not found, 126 if it cannot be executed, 2 for an invalid command line.

use anyhow::{Error, Result};
use clap::Parser;
use interlatch_ipc::{Pipeline, PipelineError, ReceivedSignal, Signal, SignalFd};
use nix::sys::signal::{SigHandler, signal};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

/// Runs commands, each of which reads the output of the previous one.
#[derive(Debug, Parser)]
struct Options {
    /// Exit with the status of the last command that failed, if any.
    #[arg(long)]
    pipefail: bool,
    /// The commands, separated by `--`.
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
    match run(pipeline) {
        Ok(statuses) => ExitCode::from(status(&statuses, options.pipefail)),
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::from(status_of_error(&error))
        }
    }
}

/// Returns the exit status for a command that could not be started, as in a shell.
fn status_of_error(error: &Error) -> u8 {
    match error.downcast_ref() {
        Some(error @ PipelineError::Command { .. }) if error.is_not_found() => 127,
        Some(PipelineError::Command { .. }) => 126,
        _ => 1,
    }
}

/// Runs the pipeline to its end and forwards the signals that would terminate this process.
fn run(pipeline: Pipeline) -> Result<Vec<ExitStatus>> {
    // The parent of this process may have ignored SIGCHLD, in which case the statuses would be
    // lost.
    // SAFETY: the default action runs no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    // The signals are blocked before a command can end.
    let signals = SignalFd::new([
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ])?;
    let mut running = pipeline.kill_on_parent_death(true).spawn()?;
    loop {
        if let Some(statuses) = running.try_wait()? {
            return Ok(statuses);
        }
        let ReceivedSignal { signal, process } = signals.recv()?;
        // The terminal has already sent its signals to commands in the group of this process.
        let was_sent_to_group = process.is_none() && running.group_id().is_none();
        if signal != Signal::SIGCHLD && !was_sent_to_group {
            running.signal_group(signal)?;
        }
    }
}

/// Returns the commands, or `None` if one of them is empty.
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
    let mut from_last = statuses.iter().rev().map(status_of);
    let chosen = match pipefail {
        true => from_last.find(|&status| status != 0),
        false => from_last.next(),
    };
    chosen.unwrap_or(0)
}

/// Returns the exit status of a command, as in a shell.
fn status_of(status: &ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(1) as u8
}
