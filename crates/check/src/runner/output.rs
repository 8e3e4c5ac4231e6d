//! Printing to standard output without `println!`, which panics if a write fails.

use core::fmt::Display;
use std::io::Write;

/// Prints a line. If printing fails, the program ends, because the result would be lost.
///
/// If the reader has closed the pipe, `SIGPIPE` ends the program.
pub(super) fn print_line(line: impl Display) {
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    drop(output);
    if let Err(error) = written {
        let _ = writeln!(
            std::io::stderr(),
            "cannot write the standard output: {error}"
        );
        std::process::exit(1);
    }
}
