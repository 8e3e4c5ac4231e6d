//! What a shell does for `a | b | c`: `pipeline ps aux -- grep x -- sort`.
//!
//! Ctrl+C, and whoever sends `SIGTERM` or `SIGHUP`, ends the commands; and if this program is killed, the kernel kills
//! them.
//!
//! Exit status: that of the last command, or 128 and the number of the signal that has ended it; 127 if one is not
//! found, 126 if one cannot be run, 2 for a wrong command line.

use anyhow::{Error, Result};
use clap::Parser;
use interlatch_ipc::{Pipeline, PipelineError, ReceivedSignal, Signal, SignalFd};
use nix::sys::signal::{SigHandler, signal};
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
    match run(pipeline) {
        Ok(statuses) => ExitCode::from(status(&statuses, options.pipefail)),
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::from(status_without_end(&error))
        }
    }
}

/// As a shell counts.
fn status_without_end(error: &Error) -> u8 {
    match error.downcast_ref() {
        Some(error @ PipelineError::Command { .. }) if error.is_not_found() => 127,
        Some(PipelineError::Command { .. }) => 126,
        _ => 1,
    }
}

/// Runs it to its end, and hands on the signals that would end this process: else nobody would end the commands.
fn run(pipeline: Pipeline) -> Result<Vec<ExitStatus>> {
    // Of a process that ignores it, as whoever has started this one may have made it, nobody is told of the ends.
    // SAFETY: the default is no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    // Before a command can end.
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
        // What the terminal has sent to the group of this process, the commands have got if they are in it.
        let have_got = process.is_none() && running.group_id().is_none();
        if signal != Signal::SIGCHLD && !have_got {
            running.signal_group(signal)?;
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
