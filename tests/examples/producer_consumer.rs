//! Passes a file through a buffer to another process.

use super::support::{
    example, is_alive, maps_region, path, run, shared_memory, temporary_file, text,
    wait_for_cleanup, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::{Child, Stdio};

fn assert_transfer(arguments: &[&str]) {
    let output = run("producer_consumer", arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let sums: Vec<&str> = out
        .lines()
        .take(2)
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    assert_eq!(sums.len(), 2, "two sums: {out}");
    assert_eq!(sums[0], sums[1]);
    assert_eq!(sums[0].len(), 64, "SHA-256: {out}");
}

#[test]
fn file_arrives_intact() {
    for bytes in [0, 1, 4096, 4097, 1_000_000] {
        let file = temporary_file(bytes);
        assert_transfer(&[path(&file)]);
        assert_transfer(&["--monitor", path(&file)]);
        assert_transfer(&["--capacity", "1", path(&file)]);
    }
}

#[test]
fn empty_file_has_the_known_hash() {
    let output = run("producer_consumer", &["/dev/null"]);
    let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(text(&output.stdout).matches(sum).count(), 2);
}

#[test]
fn invalid_input_is_reported() {
    for (arguments, status, message) in [
        (&[][..], 2, "FILE"),
        (&["/nonexistent/file"], 1, "cannot open /nonexistent/file"),
        (&["/"], 1, "/ is a directory"),
        (
            &["--capacity", "0", "/dev/null"],
            1,
            "capacity 0: expected at least 1",
        ),
        (
            &["--capacity", "4000000000", "/dev/null"],
            1,
            "expected at most 2147483646",
        ),
        (
            &["--capacity", "18446744073709551615", "/dev/null"],
            1,
            "expected at most",
        ),
        (&["--capacity", "-1", "/dev/null"], 2, "unexpected argument"),
        (&["--frobnicate", "/dev/null"], 2, "unexpected argument"),
    ] {
        let output = run("producer_consumer", arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

/// A producer and a consumer during the transfer of an endless file.
struct Running {
    parent: Child,
    child: Pid,
}

impl Running {
    fn start() -> Self {
        let parent = example("producer_consumer")
            .arg("/dev/zero")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let children = format!("/proc/{0}/task/{0}/children", parent.id());
        let mut running = Self {
            parent,
            child: Pid::from_raw(0),
        };
        wait_until("the consumer has attached the region", || {
            let Some(child) = fs::read_to_string(&children)
                .ok()
                .and_then(|list| list.trim().parse().ok())
            else {
                return false;
            };
            running.child = Pid::from_raw(child);
            let command = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            text(&command).contains("--as-child") && maps_region(child, "producer_consumer")
        });
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

#[test]
fn killed_producer_leaves_no_consumer() {
    let before = shared_memory();
    let mut running = Running::start();
    running.parent.kill().expect("the process runs");
    running.parent.wait().expect("this process has the child");
    let child = running.child;
    wait_until("the consumer has ended with its producer", || {
        !is_alive(child)
    });
    wait_for_cleanup(&before);
}

#[test]
fn killed_consumer_ends_the_producer_with_an_error() {
    let before = shared_memory();
    let mut running = Running::start();
    kill(running.child, Signal::SIGKILL).expect("the process runs");
    let parent = Pid::from_raw(running.parent.id() as i32);
    wait_until("the producer has ended", || !is_alive(parent));
    let status = running.parent.wait().expect("this process has the child");
    assert_eq!(status.code(), Some(1));
    let mut err = String::new();
    let mut stream = running.parent.stderr.take().expect("piped");
    std::io::Read::read_to_string(&mut stream, &mut err).expect("the output is text");
    assert!(err.contains("the consumer has ended"), "{err}");
    wait_for_cleanup(&before);
}
