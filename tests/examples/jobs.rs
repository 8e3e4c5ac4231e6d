//! The jobserver: alone, as a client of another instance of itself, and with make as client or
//! server.

use super::support::{example, text};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `jobs` with these arguments and these lines as input.
fn jobs(arguments: &[&str], lines: &str) -> Output {
    run_with_input(jobs_command().args(arguments), lines.as_bytes())
}

/// Returns a command that runs `jobs` without the MAKEFLAGS of the process that runs the tests.
fn jobs_command() -> Command {
    let mut command = example("jobs");
    command.env_remove("MAKEFLAGS");
    command
}

/// Runs a command with this input.
fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A write error is ignored, because a program that ends early does not read its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the example ends")
}

/// Returns the maximum number of concurrent jobs, each of which runs from its `start` to its `end`.
fn max_concurrent(log: &str) -> usize {
    let depths = log.lines().scan(0_usize, |depth, line| {
        match line.starts_with("start") {
            true => *depth += 1,
            false => *depth -= 1,
        }
        Some(*depth)
    });
    depths.max().unwrap_or(0)
}

const JOB: &str = "echo start >> $0; cat /dev/null; echo end >> $0";

#[test]
fn at_most_the_allowed_number_of_jobs_run_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let log_name = log.to_str().expect("a readable path");
    for (limit, max) in [("1", 1), ("3", 3)] {
        fs::write(&log, "").expect("the file system has space");
        let output = jobs(
            &["-j", limit, "sh", "-c", JOB, log_name],
            &"line\n".repeat(30),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        let written = fs::read_to_string(&log).expect("the log is readable");
        assert_eq!(written.lines().count(), 60, "each line ran once");
        assert!(max_concurrent(&written) <= max, "{written}");
    }
}

#[test]
fn nested_jobs_share_one_jobserver() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    fs::write(&log, "").expect("the file system has space");
    let inner = format!(
        "yes line | head -10 | {} -j 8 sh -c '{JOB}' {}",
        example("jobs")
            .get_program()
            .to_str()
            .expect("a readable path"),
        log.to_str().expect("a readable path"),
    );
    let output = jobs(&["-j", "2", "sh", "-c", &inner], &"line\n".repeat(4));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = fs::read_to_string(&log).expect("the log is readable");
    assert_eq!(written.lines().count(), 80, "each line ran once");
    assert!(max_concurrent(&written) <= 2, "{written}");
}

#[test]
fn failed_or_missing_command_is_reported() {
    let failed = jobs(&["false"], "one\n");
    assert_eq!(failed.status.code(), Some(1));
    let missing = jobs(&["/nonexistent"], "one\n");
    let stderr = text(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/nonexistent"), "{stderr}");
    assert_eq!(jobs(&[], "").status.code(), Some(2), "no command");
    assert_eq!(jobs(&["-j", "0", "true"], "").status.code(), Some(2));
}

#[test]
fn option_of_job_count_is_that_of_make() {
    for arguments in [
        &["-j2", "echo", "-n"][..],
        &["-j=2", "echo", "-n"],
        &["--jobs=2", "echo", "-n"],
        &["-j", "2", "--", "echo", "-n"],
    ] {
        let output = jobs(arguments, "x\nx\n");
        let stderr = (text(&output.stdout), text(&output.stderr));
        assert_eq!(stderr, ("xx".to_owned(), String::new()), "{arguments:?}");
    }
}

/// The first command waits for the third command, which can begin only after the second has ended.
#[test]
fn next_job_begins_when_any_job_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = "case $0 in first) read word < fifo;; third) echo > fifo;; esac";
    let mut command = jobs_command();
    command.args(["-j2", "timeout", "30", "sh", "-c", script]);
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let output = run_with_input(
        command.current_dir(folder.path()),
        b"first\nsecond\nthird\n",
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn line_may_have_any_bytes() {
    let output = run_with_input(jobs_command().args(["-j1", "printf", "%s."]), b"a\xff\nb\n");
    assert_eq!(output.stdout, b"a\xff.b.");
}

#[test]
fn flags_of_make_are_passed_on() {
    for (flags, expected) in [
        ("k", "k -j3 --jobserver-auth="),
        ("ks -- A=b -- C=d", "ks -j3 --jobserver-auth="),
        ("", " -j3 --jobserver-auth="),
    ] {
        let mut command = jobs_command();
        let command = command.args(["-j3", "sh", "-c", "printf %s \"$MAKEFLAGS\""]);
        let stderr = text(&run_with_input(command.env("MAKEFLAGS", flags), b"x\n").stdout);
        assert!(stderr.starts_with(expected), "{flags:?}: {stderr:?}");
        let definitions = flags.find(" -- ").map_or("", |at| &flags[at..]);
        assert!(stderr.ends_with(definitions), "{flags:?}: {stderr:?}");
    }
}

#[test]
fn named_pipe_can_be_the_jobserver() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let mut server = fs::File::options();
    let mut server = server
        .read(true)
        .write(true)
        .open(&path)
        .expect("the fifo can be opened");
    server.write_all(b"+").expect("the file system has space");
    let log = Log::new(folder.path());
    let mut command = jobs_command();
    command.args(["-j8", "sh", "-c", JOB, log.name()]);
    let flags = format!(" -j2 --jobserver-auth=fifo:{}", path.display());
    let output = run_with_input(
        command.env("MAKEFLAGS", flags),
        "line\n".repeat(20).as_bytes(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    log.assert(20, 2);
    let mut left = 0;
    // SAFETY: the call writes one integer into `left`.
    unsafe { libc::ioctl(server.as_raw_fd(), libc::FIONREAD, &mut left) };
    assert_eq!(left, 1, "the permit is returned");
}

#[test]
fn missing_jobserver_is_reported() {
    for name in [
        "-2,-2",
        "1000,1001",
        "fifo:/nonexistent",
        "fifo:/dev/null",
        "x",
    ] {
        let flags = format!(" -j2 --jobserver-auth={name}");
        let mut command = jobs_command();
        let output = run_with_input(command.arg("echo").env("MAKEFLAGS", flags), b"x\n");
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "{name}: {stderr}");
        assert!(
            stderr.contains("the jobserver in MAKEFLAGS is not accessible"),
            "{name}: {stderr}"
        );
    }
}

/// A file in which each job records its start and its end.
struct Log(std::path::PathBuf);

impl Log {
    fn new(folder: &Path) -> Self {
        let path = folder.join("log");
        fs::write(&path, "").expect("the file system has space");
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("a readable path")
    }

    /// Checks that `count` jobs have run, and that at most `max` of them ran at the same time.
    fn assert(&self, count: usize, max: usize) {
        let written = fs::read_to_string(&self.0).expect("the log is readable");
        assert_eq!(written.lines().count(), 2 * count, "{written}");
        assert!(max_concurrent(&written) <= max, "{written}");
    }
}

/// Returns whether make is installed.
fn has_make() -> bool {
    let version = Command::new("make").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

#[test]
fn jobs_and_make_share_permits() {
    if !has_make() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = Log::new(folder.path());
    let program = example("jobs");
    let program = program.get_program().to_str().expect("a readable path");
    let makefile = format!(
        "all: a b c d\na b c d:\n\t@echo start >> log; echo end >> log\n\
         under:\n\t+@yes line | head -20 | {program} -j8 sh -c 'echo start >> log; echo end >> log'\n"
    );
    fs::write(folder.path().join("Makefile"), makefile).expect("the file system has space");
    let mut make = Command::new("make");
    make.args(["-s", "-j2", "under"]).env_remove("MAKEFLAGS");
    let output = run_with_input(make.current_dir(folder.path()), b"");
    let stderr = text(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    log.assert(20, 2);
    let log = Log::new(folder.path());
    let mut command = jobs_command();
    let command = command
        .args(["-j2", "make", "-s"])
        .current_dir(folder.path());
    let output = run_with_input(command, &b"all\n".repeat(3));
    let stderr = text(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    log.assert(12, 2);
}
