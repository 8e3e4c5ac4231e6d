//! Printing to standard output without `println!`, which panics if a write fails.

use core::fmt::Display;
use std::io::Write;

/// Prints a line. Ends the program if printing fails, because a result that is not printed is lost.
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
