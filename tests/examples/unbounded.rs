//! Runs an example with an unbounded buffer that grows and shrinks.

use super::support::{NamedBuffer, Program, example, run, shared_memory};
use std::path::PathBuf;

#[test]
fn unbounded_buffer_grows_and_shrinks() {
    let buffer = NamedBuffer(format!("interlatch-unbounded-{}", std::process::id()));
    let name = &buffer.0;
    let mut command = example("unbounded");
    let mut program = Program::start(command.arg(name));
    let (succeeded, stdout) = program.end();
    assert!(succeeded, "{stdout}");
    let stdout: Vec<&str> = stdout.lines().collect();
    let expected = [
        "without a receiver: 25 segments, 25 created in total",
        "received 1 to 100000 in order",
    ];
    assert_eq!(stdout[..2], expected);
    // The number of created segments depends on the speed of both processes.
    assert!(
        stdout[2].starts_with("after the last item: 1 segments, "),
        "{stdout:?}"
    );
    assert_eq!(stdout.len(), 3);
    let left = shared_memory().into_iter();
    let left = left.filter(|path| path.to_string_lossy().contains(name));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn unbounded_reports_invalid_arguments() {
    for arguments in [&["a/b"][..], &[], &["name", "--produce"]] {
        let output = run("unbounded", arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}
