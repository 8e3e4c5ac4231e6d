//! The jobserver: alone, in one that it is started by, and with make on either side.

use super::{example, text};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `jobs` with these arguments, and these lines as its input.
fn jobs(arguments: &[&str], lines: &str) -> Output {
    fed(plain().args(arguments), lines.as_bytes())
}

/// Whatever the tests are run by, it is no part of them.
fn plain() -> Command {
    let mut command = example("jobs");
    command.env_remove("MAKEFLAGS");
    command
}

/// Runs a command with this input.
fn fed(command: &mut Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that ends early reads nothing.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// The most that were between `start` and `end` at one time.
fn most_at_once(log: &str) -> usize {
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
fn no_more_jobs_run_at_a_time_than_are_allowed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let log_name = log.to_str().expect("a readable path");
    for (allowed, most) in [("1", 1), ("3", 3)] {
        fs::write(&log, "").expect("room");
        let output = jobs(
            &["-j", allowed, "sh", "-c", JOB, log_name],
            &"line\n".repeat(30),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        let written = fs::read_to_string(&log).expect("it is there");
        assert_eq!(written.lines().count(), 60, "each line ran once");
        assert!(most_at_once(&written) <= most, "{written}");
    }
}

#[test]
fn jobs_of_jobs_take_their_permits_from_the_same_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    fs::write(&log, "").expect("room");
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
    let written = fs::read_to_string(&log).expect("it is there");
    assert_eq!(written.lines().count(), 80, "each line ran once");
    assert!(most_at_once(&written) <= 2, "{written}");
}

#[test]
fn a_job_that_fails_or_is_none_is_told_of() {
    let failed = jobs(&["false"], "one\n");
    assert_eq!(failed.status.code(), Some(1));
    let missing = jobs(&["/nonexistent"], "one\n");
    let said = text(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1), "{said}");
    assert!(said.contains("/nonexistent"), "{said}");
    assert_eq!(jobs(&[], "").status.code(), Some(2), "no command");
    assert_eq!(jobs(&["-j", "0", "true"], "").status.code(), Some(2));
}

#[test]
fn how_many_is_said_as_to_make() {
    for arguments in [
        &["-j2", "echo", "-n"][..],
        &["-j=2", "echo", "-n"],
        &["--jobs=2", "echo", "-n"],
        &["-j", "2", "--", "echo", "-n"],
    ] {
        let output = jobs(arguments, "x\nx\n");
        let said = (text(&output.stdout), text(&output.stderr));
        assert_eq!(said, ("xx".to_owned(), String::new()), "{arguments:?}");
    }
}

/// The first command waits for the third, which can only begin when the second one has ended.
#[test]
fn the_next_job_begins_when_any_has_ended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = "case $0 in first) read word < fifo;; third) echo > fifo;; esac";
    let mut command = plain();
    command.args(["-j2", "timeout", "30", "sh", "-c", script]);
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let output = fed(
        command.current_dir(folder.path()),
        b"first\nsecond\nthird\n",
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_line_may_be_any_bytes() {
    let output = fed(plain().args(["-j1", "printf", "%s."]), b"a\xff\nb\n");
    assert_eq!(output.stdout, b"a\xff.b.");
}

#[test]
fn what_make_was_told_is_handed_on() {
    for (flags, expected) in [
        ("k", "k -j3 --jobserver-auth="),
        ("ks -- A=b -- C=d", "ks -j3 --jobserver-auth="),
        ("", " -j3 --jobserver-auth="),
    ] {
        let mut command = plain();
        let command = command.args(["-j3", "sh", "-c", "printf %s \"$MAKEFLAGS\""]);
        let said = text(&fed(command.env("MAKEFLAGS", flags), b"x\n").stdout);
        assert!(said.starts_with(expected), "{flags:?}: {said:?}");
        let definitions = flags.find(" -- ").map_or("", |at| &flags[at..]);
        assert!(said.ends_with(definitions), "{flags:?}: {said:?}");
    }
}

#[test]
fn a_named_pipe_may_be_the_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let mut server = fs::File::options();
    let mut server = server.read(true).write(true).open(&path).expect("it opens");
    server.write_all(b"+").expect("room");
    let log = Log::new(folder.path());
    let mut command = plain();
    command.args(["-j8", "sh", "-c", JOB, log.name()]);
    let flags = format!(" -j2 --jobserver-auth=fifo:{}", path.display());
    let output = fed(
        command.env("MAKEFLAGS", flags),
        "line\n".repeat(20).as_bytes(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    log.assert(20, 2);
    let mut left = 0;
    // SAFETY: it writes one number, which is there.
    unsafe { libc::ioctl(server.as_raw_fd(), libc::FIONREAD, &mut left) };
    assert_eq!(left, 1, "the permit is back");
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    for name in [
        "-2,-2",
        "1000,1001",
        "fifo:/nonexistent",
        "fifo:/dev/null",
        "x",
    ] {
        let flags = format!(" -j2 --jobserver-auth={name}");
        let mut command = plain();
        let output = fed(command.arg("echo").env("MAKEFLAGS", flags), b"x\n");
        let said = text(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(
            said.contains("the jobserver in MAKEFLAGS is not accessible"),
            "{name}: {said}"
        );
    }
}

/// Where jobs say when they begin and end.
struct Log(std::path::PathBuf);

impl Log {
    fn new(folder: &Path) -> Self {
        let path = folder.join("log");
        fs::write(&path, "").expect("room");
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("a readable path")
    }

    /// So many have run, and at most so many at once.
    fn assert(&self, count: usize, most: usize) {
        let written = fs::read_to_string(&self.0).expect("it is there");
        assert_eq!(written.lines().count(), 2 * count, "{written}");
        assert!(most_at_once(&written) <= most, "{written}");
    }
}

/// Only where there is one.
fn has_make() -> bool {
    let version = Command::new("make").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

#[test]
fn jobs_takes_its_permits_from_make_and_make_from_jobs() {
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
    fs::write(folder.path().join("Makefile"), makefile).expect("room");
    let mut make = Command::new("make");
    make.args(["-s", "-j2", "under"]).env_remove("MAKEFLAGS");
    let output = fed(make.current_dir(folder.path()), b"");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    log.assert(20, 2);
    let log = Log::new(folder.path());
    let mut command = plain();
    let command = command
        .args(["-j2", "make", "-s"])
        .current_dir(folder.path());
    let output = fed(command, &b"all\n".repeat(3));
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    log.assert(12, 2);
}
