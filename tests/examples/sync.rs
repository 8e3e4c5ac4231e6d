//! Runs the examples of locks, semaphores and condition variables.

use super::support::{example, maps_region, run, temporary_file, text, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::process::Stdio;

#[test]
fn user_defined_lock_passes_as_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = example("ticket_lock").current_dir(folder.path()).output();
    let output = output.expect("the example starts");
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(
        out.contains("test result: ok. 2 passed; 0 failed; 1 ignored"),
        "{out}"
    );
    let left = fs::read_dir(folder.path())
        .expect("the path exists")
        .count();
    assert_eq!(left, 0, "threads leave no file");
}

#[test]
fn next_owner_repairs_data_of_killed_process() {
    let output = run("killed", &[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("the owner died and left [70, 0]"), "{text}");
    assert!(text.contains("repaired: [70, 30]"), "{text}");
}

#[test]
fn lock_excludes_workers() {
    let output = run("race", &["--increments", "50000", "--workers", "3"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}");
    assert_eq!(
        out.lines()
            .filter(|line| line.ends_with("  correct"))
            .count(),
        2,
        "{out}"
    );
    assert_eq!(run("race", &["--workers", "0"]).status.code(), Some(2));
}

#[test]
fn philosophers_deadlock_only_if_careless() {
    let output = run("philosophers", &["--philosophers", "3", "--meals", "2000"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "3 philosophers ate 2000 times each\n");
    let careless = run("philosophers", &["--careless"]);
    let stdout = text(&careless.stderr);
    assert_eq!(careless.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("of 5 did not eat: each held one fork"),
        "{stdout}"
    );
}

#[test]
fn readers_and_writers_exclude_each_other() {
    let arguments = ["--readers", "3", "--writers", "2", "--times", "2000"];
    let output = run("readers_writers", &arguments);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(
        out.starts_with("written 4000 times, read 6000 times\n"),
        "{out}"
    );
}

#[test]
fn barber_serves_or_turns_away_each_customer() {
    let output = run(
        "barber",
        &["--chairs", "1", "--customers", "4", "--visits", "1000"],
    );
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(out.starts_with("4000 visits: "), "{out}");
}

#[test]
fn writer_and_reader_take_turns() {
    for bytes in [0, 1, 1000, 100_001] {
        let file = temporary_file(bytes);
        let input = fs::File::open(file.path()).expect("the path exists");
        let output = example("turns")
            .stdin(input)
            .output()
            .expect("the example starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let expected = fs::read(file.path()).expect("the path exists");
        assert!(output.stdout == expected, "{bytes} bytes arrive intact");
    }
}

#[test]
fn death_of_writer_ends_the_reader() {
    let mut command = example("turns");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reader_process = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let reader = Pid::from_raw(reader_process.id() as i32);
    let mut writer = None;
    wait_until("the writer has started", || {
        let children = format!("/proc/{reader}/task/{reader}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        writer = children.trim().parse().ok().map(Pid::from_raw);
        writer.is_some_and(|writer| maps_region(writer.as_raw(), "turns"))
    });
    kill(writer.expect("the writer has started"), Signal::SIGKILL).expect("the process runs");
    let status = reader_process.wait().expect("this process has the child");
    let mut stdout = String::new();
    let mut stream = reader_process.stderr.take().expect("piped");
    stream
        .read_to_string(&mut stdout)
        .expect("the output is text");
    assert_eq!(status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("the writer ended in its turn"), "{stdout}");
}
