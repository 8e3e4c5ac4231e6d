//! Output functions for the examples. Unlike `println!`, they do not panic when standard output is
//! closed.

use anyhow::{Context, Error, Result};
use std::fmt::{self, Display};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The error returned when the reader of standard output has closed it, as `head` does.
#[derive(Debug)]
pub struct OutputClosed;

impl Display for OutputClosed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the reader of the standard output has closed it")
    }
}

impl std::error::Error for OutputClosed {}

/// The exit status after a closed output, as in a shell: 128 plus the number of `SIGPIPE`.
pub const OUTPUT_CLOSED: u8 = 128 + 13;

/// Prints a line.
///
/// # Errors
/// Returns [`OutputClosed`], or another error of the write.
pub fn say(line: impl Display) -> Result<()> {
    let mut output = std::io::stdout().lock();
    // The line is written in one piece, so lines in a pipe are not interleaved.
    let written = output.write_all(format!("{line}\n").as_bytes());
    check_write(written.and_then(|()| output.flush()))
}

/// Returns the text that a peer sent, with escapes for characters that change a terminal, such as
/// `\u{1b}`, and for characters without a shape, such as those that change the direction of a text.
pub fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => printable.push(character),
            _ => printable.extend(character.escape_debug()),
        }
    }
    printable
}

/// Converts the result of a write to standard output.
pub fn check_write(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => written.context("writing the standard output"),
    }
}

/// Returns the exit status of an example, and prints an error unless the output is closed.
pub fn end(program: &str, done: Result<()>) -> ExitCode {
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    if error.is::<OutputClosed>() {
        return ExitCode::from(OUTPUT_CLOSED);
    }
    print_error(program, &error);
    ExitCode::FAILURE
}

/// Prints an error to standard error, which may be closed too.
pub fn print_error(program: &str, error: &Error) {
    let _ = writeln!(std::io::stderr(), "{program}: {error:#}");
}
