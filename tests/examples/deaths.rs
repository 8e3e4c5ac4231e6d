//! Runs examples while one of their processes is killed, or while they are interrupted.

use super::support::{
    Named, NamedBuffer, Program, example, is_alive, run, shared_memory, text, wait_until,
};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// Returns the children of a process.
fn children(parent: u32) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let numbers = list.unwrap_or_default();
    let numbers = numbers
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    numbers.map(Pid::from_raw).collect()
}

/// Returns whether the child maps the shared region.
fn maps_shared_region(child: Pid) -> bool {
    let maps = fs::read_to_string(format!("/proc/{child}/maps")).unwrap_or_default();
    maps.contains("memfd:")
}

/// Starts an example, and kills its last child when all children have mapped the region. Returns
/// the standard error output.
fn stderr_after_death(name: &str, arguments: &[&str], count: usize) -> String {
    let mut program = Program::start(example(name).args(arguments));
    let mut processes = Vec::new();
    wait_until("all children share the region", || {
        processes = children(program.0.id());
        processes.len() == count && processes.iter().all(|&child| maps_shared_region(child))
    });
    kill(processes[count - 1], Signal::SIGKILL).expect("the process runs");
    let (succeeded, stdout) = program.end();
    assert!(!succeeded, "{name}: {stdout}");
    for child in processes {
        assert!(!is_alive(child), "{name}: a child is left");
    }
    program.stderr()
}

const MANY: &str = "1000000000";

#[test]
fn death_of_a_child_ends_the_other_processes() {
    let cases: [(&str, &[&str], usize, &str); 4] = [
        (
            "readers_writers",
            &["--readers", "2", "--writers", "1", "--times", MANY],
            3,
            "writer 1",
        ),
        (
            "barber",
            &["--customers", "2", "--visits", MANY],
            3,
            "customer 2",
        ),
        (
            "race",
            &["--workers", "3", "--increments", MANY],
            3,
            "worker 3",
        ),
        (
            "philosophers",
            &["--philosophers", "3", "--meals", MANY],
            3,
            "philosopher 2",
        ),
    ];
    for (name, arguments, count, killed) in cases {
        let stderr = stderr_after_death(name, arguments, count);
        let expected = format!("{name}: {killed} ended with signal: 9 (SIGKILL)");
        // The death may have caused errors in other children, which are printed before this error.
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with(&expected), "{stderr}");
    }
}

/// Waits until the commands of the pipeline run, and returns their processes.
fn sleepers(pipeline: &Program) -> Vec<Pid> {
    let mut found = Vec::new();
    wait_until("the commands run", || {
        found = children(pipeline.0.id());
        let name = |child| fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        found.len() == 2 && found.iter().all(|&child| name(child) == "sleep\n")
    });
    found
}

#[test]
fn interrupted_or_killed_pipeline_leaves_no_process() {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGKILL,
    ] {
        // The process that runs the tests may ignore some signals, as `nohup` does. The test resets
        // the signals for the commands.
        let mut command = Command::new("env");
        command.args(["--default-signal=TERM,INT,HUP"]);
        command.arg(example("pipeline").get_program());
        let mut program = Program::start(command.args(["sleep", "1000", "--", "sleep", "1000"]));
        let sleepers = sleepers(&program);
        kill(Pid::from_raw(program.0.id() as i32), signal).expect("the process runs");
        wait_until("all commands have ended", || {
            !sleepers.iter().any(|&word| is_alive(word))
        });
        let status = program.0.wait().expect("this process has the child");
        match signal {
            Signal::SIGKILL => assert_eq!(status.signal(), Some(9)),
            // The status is the exit status of the last command.
            other => assert_eq!(status.code(), Some(128 + other as i32), "{other}"),
        }
    }
}

/// The parent process of the pipeline ignores SIGCHLD.
#[test]
fn pipeline_waits_for_commands_with_ignored_sigchld() {
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD");
    command.arg(example("pipeline").get_program());
    let mut program = Program::start(command.args(["echo", "x", "--", "cat"]));
    assert_eq!(program.end(), (true, "x\n".to_owned()));
}

/// Returns a full pipe, so that an example blocks when it prints to the pipe.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("the flag can be set");
    while writer.write(&[0]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("the flag can be set");
    (reader, writer)
}

fn count_files(name: &str) -> usize {
    let names = shared_memory().into_iter();
    names
        .filter(|path| path.to_string_lossy().contains(name))
        .count()
}

/// Starts `unbounded`, which creates files with this name and then blocks when it prints.
fn start_blocked(buffer: &NamedBuffer, reader_slot: &mut Option<std::io::PipeReader>) -> Program {
    let (reader, writer) = full_pipe();
    *reader_slot = Some(reader);
    let mut command = example("unbounded");
    let command = command.arg(&buffer.0).stdout(writer).stderr(Stdio::piped());
    let program = Program(command.spawn().expect("the example starts"));
    wait_until("the example prints", || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", program.0.id()));
        let write = format!("{} 0x1 ", libc::SYS_write);
        call.unwrap_or_default().starts_with(&write)
    });
    program
}

#[test]
fn interrupted_unbounded_leaves_no_files() {
    let buffer = NamedBuffer(format!("interlatch-unbounded-int-{}", std::process::id()));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut reader_slot = None;
        let mut program = start_blocked(&buffer, &mut reader_slot);
        assert!(count_files(&buffer.0) > 0, "the example has created files");
        kill(Pid::from_raw(program.0.id() as i32), signal).expect("the process runs");
        let status = program.0.wait().expect("this process has the child");
        assert_eq!(status.code(), Some(128 + signal as i32));
        assert_eq!(count_files(&buffer.0), 0, "after {signal}");
    }
    let mut reader_slot = None;
    drop(start_blocked(&buffer, &mut reader_slot));
    let second = run("unbounded", &[&buffer.0]);
    assert_eq!(
        second.status.code(),
        Some(1),
        "the files of the killed program exist"
    );
    let removed = run("unbounded", &[&buffer.0, "--remove"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!(count_files(&buffer.0), 0);
}

#[test]
fn mailbox_client_without_server_fails_and_leaves_no_files() {
    let named = Named::new("mailbox-alone");
    for arguments in [&["ask", "abc"][..], &["stop"]] {
        let output = run("mailbox", &[&[named.0.as_str()], arguments].concat());
        let stdout = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert!(stdout.starts_with("mailbox: no server"), "{stdout}");
        assert_eq!(count_files(&named.0), 0, "{arguments:?}");
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut server = named.start_example("mailbox", &["serve"]);
        named.wait_until_server_answers();
        let second = run("mailbox", &[&named.0, "serve"]);
        let stdout = text(&second.stderr);
        assert_eq!(stdout, "mailbox: a server is already running\n");
        kill(Pid::from_raw(server.0.id() as i32), signal).expect("the process runs");
        let status = server.0.wait().expect("this process has the child");
        if signal != Signal::SIGKILL {
            assert_eq!(status.code(), Some(128 + signal as i32));
            assert_eq!(count_files(&named.0), 0, "after {signal}");
        }
    }
    let stop = run("mailbox", &[&named.0, "stop"]);
    let stdout = text(&stop.stderr);
    assert!(
        stdout.starts_with("mailbox: no server: it was killed"),
        "{stdout}"
    );
    let mut server = named.start_example("mailbox", &["serve"]);
    named.wait_until_server_answers();
    assert!(
        server
            .0
            .try_wait()
            .expect("this process has the child")
            .is_none(),
        "the stop request does not reach the next server"
    );
    assert!(run("mailbox", &[&named.0, "stop"]).status.success());
    assert_eq!(server.end(), (true, "answered 1\n".to_owned()));
}

/// Runs an example with an output that fails. Returns the exit status and the standard error
/// output.
fn with_output(name: &str, arguments: &[&str], output: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command: Command = example(name);
    command
        .args(arguments)
        .stdout(output)
        .stderr(Stdio::piped());
    let file = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .expect("the path exists");
    let child = command.stdin(file).spawn().expect("the example starts");
    drop(command);
    let mut program = Program(child);
    let mut status = None;
    wait_until("the example ends", || {
        status = program.0.try_wait().expect("this process has the child");
        status.is_some()
    });
    // Like a shell, the test reports a signal as the exit status 128 plus the signal's number.
    let signal = |status: ExitStatus| status.signal().map(|signal| 128 + signal);
    let status = status.and_then(|status| status.code().or(signal(status)));
    (status, program.stderr())
}

#[test]
fn example_with_failing_output_ends_with_an_error_or_quietly() {
    let examples: [(&str, &[&str]); 14] = [
        ("barber", &["--visits", "10"]),
        ("chat", &[]),
        ("killed", &[]),
        ("philosophers", &["--meals", "10"]),
        ("pipeline", &["seq", "3", "--", "cat"]),
        ("producer_consumer", &["/dev/null"]),
        ("race", &["--increments", "10"]),
        ("readers_writers", &["--times", "10"]),
        ("signals", &[]),
        ("sockets", &[]),
        ("ticket_lock", &[]),
        ("turns", &[]),
        ("two_processes", &[]),
        ("unbounded", &["interlatch-no-output"]),
    ];
    let folder = tempfile::tempdir().expect("a directory");
    let directory = folder.path().to_str().expect("a readable path");
    for (name, arguments) in examples {
        let chat_arguments = [directory, "ada"];
        let arguments = if name == "chat" {
            &chat_arguments
        } else {
            arguments
        };
        let full = fs::File::options().write(true).open("/dev/full");
        let (status, stdout) = with_output(name, arguments, full.expect("the path exists"));
        assert_eq!(status, Some(1), "{name}: {stdout}");
        assert!(!stdout.contains("panicked"), "{name}: {stdout}");
        assert!(!stdout.is_empty(), "{name}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (status, stdout) = with_output(name, arguments, writer);
        assert!(!stdout.contains("panicked"), "{name}: {stdout}");
        if ["killed", "two_processes"].contains(&name) {
            // These short programs return the error from `main`.
            assert_eq!(status, Some(1), "{name}: {stdout}");
        } else {
            assert_eq!((status, stdout.as_str()), (Some(141), ""), "{name}");
        }
    }
    let left = fs::read_dir(directory).expect("the path exists").count();
    assert_eq!(left, 0, "no named pipe of the chat is left");
    assert_eq!(count_files("interlatch-no-output"), 0);
}

/// In this example, a separate thread prints a message when SIGHUP arrives.
#[test]
fn signals_with_closed_output_ends_at_hangup() {
    let mut program = Program::start(&mut example("signals"));
    let process = Pid::from_raw(program.0.id() as i32);
    let mut output = std::io::BufReader::new(program.0.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut output, &mut String::new()).expect("its process ID");
    drop(output);
    kill(process, Signal::SIGHUP).expect("the process runs");
    let mut status = None;
    wait_until("the example ends", || {
        status = program.0.try_wait().expect("this process has the child");
        status.is_some()
    });
    let status = status.and_then(|word| word.code());
    assert_eq!((status, program.stderr().as_str()), (Some(141), ""));
}
