//! What an example says, and how it ends when nobody listens: `println!` panics there.

use anyhow::{Context, Error, Result};
use std::fmt::{self, Display};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Whoever read the standard output has enough, as `head` has.
#[derive(Debug)]
pub struct NobodyReads;

impl Display for NobodyReads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nobody reads the standard output")
    }
}

impl std::error::Error for NobodyReads {}

/// The status of who ends because nobody reads, as a shell counts: 128 and the number of `SIGPIPE`.
pub const NOBODY_READS: u8 = 128 + 13;

/// Prints a line.
///
/// # Errors
/// If nobody reads: [`NobodyReads`]. Or there is no room.
pub fn say(line: impl Display) -> Result<()> {
    let mut output = std::io::stdout().lock();
    // A pipe is not asked before something is written, and a line is in one piece.
    let written = output.write_all(format!("{line}\n").as_bytes());
    told(written.and_then(|()| output.flush()))
}

/// What a write to the standard output has come to.
pub fn told(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(NobodyReads.into()),
        written => written.context("writing the standard output"),
    }
}

/// The exit status of an example, which complains if it has gone wrong, but not of having no audience.
pub fn end(program: &str, done: Result<()>) -> ExitCode {
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    if error.is::<NobodyReads>() {
        return ExitCode::from(NOBODY_READS);
    }
    complain(program, &error);
    ExitCode::FAILURE
}

/// On standard error, which may be closed too.
pub fn complain(program: &str, error: &Error) {
    let _ = writeln!(std::io::stderr(), "{program}: {error:#}");
}
