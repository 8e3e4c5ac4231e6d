//! What is said on the standard output. `println!` would panic if there is no room for it.

use core::fmt::Display;
use std::io::Write;

/// Prints a line, or ends the program, which is the runner's: what is not said has not been checked for anybody.
/// If nobody reads, `SIGPIPE` ends it.
pub(super) fn say(line: impl Display) {
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    drop(output);
    if let Err(error) = written {
        let _ = writeln!(std::io::stderr(), "writing the standard output: {error}");
        std::process::exit(1);
    }
}
