//! Runs pipelines of commands as a shell does.

use super::support::{Program, example};
use std::io::Read;
use std::process::Stdio;

/// Runs `pipeline` with these words as arguments. Returns its exit status and its output.
fn pipeline(words: &str) -> (Option<i32>, String) {
    let mut command = example("pipeline");
    command.args(words.split(' ')).stdout(Stdio::piped());
    let mut program = Program(
        command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts"),
    );
    let (_, mut stdout) = program.end();
    let errors = program.0.stderr.as_mut().expect("piped");
    errors.read_to_string(&mut stdout).expect("text");
    (
        program.0.wait().expect("this process has the child").code(),
        stdout,
    )
}

#[test]
fn pipeline_ends_as_in_a_shell() {
    for (words, status, stdout) in [
        ("seq 3 -- sort -r -- head -2", 0, "3\n2\n"),
        ("yes -- head -1", 0, "y\n"),
        ("--pipefail yes -- head -1", 128 + 13, "y\n"),
        ("false -- true", 0, ""),
        ("--pipefail false -- true", 1, ""),
        ("--pipefail true -- true", 0, ""),
        ("--pipefail sh -c exit\t3 -- sh -c exit\t4 -- true", 4, ""),
        ("true -- false", 1, ""),
        ("true -- sh -c kill\t-9\t$$", 128 + 9, ""),
        ("seq --help -- grep -c Usage", 0, "1\n"),
    ] {
        assert_eq!(
            pipeline(words),
            (Some(status), stdout.to_owned()),
            "{words}"
        );
    }
}

#[test]
fn pipeline_reports_why_it_cannot_run() {
    for (words, status, message) in [
        (
            "yes -- /nonexistent/tool",
            127,
            "command 2 of 2, \"/nonexistent/tool\": No such file",
        ),
        (
            "/dev/null -- cat",
            126,
            "command 1 of 2, \"/dev/null\": Permission denied",
        ),
        (
            "true --",
            2,
            "expected a command before, between and after `--`",
        ),
        ("true -- -- true", 2, "expected a command"),
        ("--frobnicate true", 2, "unexpected argument '--frobnicate'"),
        ("--pipefail", 2, "COMMAND"),
    ] {
        let (found, stdout) = pipeline(words);
        assert_eq!(found, Some(status), "{words}: {stdout}");
        assert!(stdout.contains(message), "{words}: {stdout}");
    }
}
