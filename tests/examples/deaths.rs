//! What an example does when one of its processes is killed, or itself is told to end.

use super::{Part, Queue, example, is_alive, run, shared_memory, text, until};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// The children of a process that run its program already.
fn children(parent: u32) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let numbers = list.unwrap_or_default();
    let numbers = numbers.split_whitespace().filter_map(|it| it.parse().ok());
    numbers.map(Pid::from_raw).collect()
}

/// Whether one has begun: it has said who it is to the kernel, and maps what it shares.
fn shares(child: Pid) -> bool {
    let maps = fs::read_to_string(format!("/proc/{child}/maps")).unwrap_or_default();
    maps.contains("memfd:")
}

/// Starts an example, and kills its last child as soon as all share the region: what it complains of.
fn complaint_after_a_death(name: &str, arguments: &[&str], count: usize) -> String {
    let mut part = Part::start(example(name).args(arguments));
    let mut family = Vec::new();
    until("all children share the region", || {
        family = children(part.0.id());
        family.len() == count && family.iter().all(|&child| shares(child))
    });
    kill(family[count - 1], Signal::SIGKILL).expect("it runs");
    let (succeeded, said) = part.end();
    assert!(!succeeded, "{name}: {said}");
    for child in family {
        assert!(!is_alive(child), "{name}: a child is left");
    }
    part.complaint()
}

const MANY: &str = "1000000000";

#[test]
fn nobody_waits_for_those_who_wait_for_the_dead() {
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
    for (name, arguments, count, who) in cases {
        let complaint = complaint_after_a_death(name, arguments, count);
        let expected = format!("{name}: {who} ended with signal: 9 (SIGKILL)");
        // Others may have complained of the death, or ended of it, before.
        let last = complaint.lines().last().unwrap_or_default();
        assert!(last.starts_with(&expected), "{complaint}");
    }
}

/// Its commands, when they run.
fn sleepers(pipeline: &Part) -> Vec<Pid> {
    let mut found = Vec::new();
    until("the commands run", || {
        found = children(pipeline.0.id());
        let name = |child| fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        found.len() == 2 && found.iter().all(|&child| name(child) == "sleep\n")
    });
    found
}

#[test]
fn a_pipeline_that_is_told_to_end_or_is_killed_leaves_nobody() {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGKILL,
    ] {
        // Whoever runs the tests may ignore some, as `nohup` does; then the commands would as well.
        let mut command = Command::new("env");
        command.args(["--default-signal=TERM,INT,HUP"]);
        command.arg(example("pipeline").get_program());
        let mut part = Part::start(command.args(["sleep", "1000", "--", "sleep", "1000"]));
        let sleepers = sleepers(&part);
        kill(Pid::from_raw(part.0.id() as i32), signal).expect("it runs");
        until("all have ended", || {
            !sleepers.iter().any(|&it| is_alive(it))
        });
        let status = part.0.wait().expect("it is ours");
        match signal {
            Signal::SIGKILL => assert_eq!(status.signal(), Some(9)),
            // That of the last command.
            other => assert_eq!(status.code(), Some(128 + other as i32), "{other}"),
        }
    }
}

/// Its parent has made it ignore them.
#[test]
fn a_pipeline_hears_of_the_ends_of_its_commands_in_any_case() {
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD");
    command.arg(example("pipeline").get_program());
    let mut part = Part::start(command.args(["echo", "x", "--", "cat"]));
    assert_eq!(part.end(), (true, "x\n".to_owned()));
}

/// A pipe that takes nothing more, for an example that shall stop at what it says.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("it can be set");
    while writer.write(&[0]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("it can be set");
    (reader, writer)
}

fn left_of(name: &str) -> usize {
    let names = shared_memory().into_iter();
    names
        .filter(|path| path.to_string_lossy().contains(name))
        .count()
}

/// An example that has made something of that name, and stops at what it says.
fn stopped(queue: &Queue, reads: &mut Option<std::io::PipeReader>) -> Part {
    let (reader, writer) = full_pipe();
    *reads = Some(reader);
    let mut command = example("unbounded");
    let command = command.arg(&queue.0).stdout(writer).stderr(Stdio::piped());
    let part = Part(command.spawn().expect("the example starts"));
    until("it says something", || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", part.0.id()));
        let write = format!("{} 0x1 ", libc::SYS_write);
        call.unwrap_or_default().starts_with(&write)
    });
    part
}

#[test]
fn an_unbounded_queue_that_is_interrupted_leaves_no_names() {
    let queue = Queue(format!("interlatch-unbounded-int-{}", std::process::id()));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut reads = None;
        let mut part = stopped(&queue, &mut reads);
        assert!(left_of(&queue.0) > 0, "it has made them");
        kill(Pid::from_raw(part.0.id() as i32), signal).expect("it runs");
        let status = part.0.wait().expect("it is ours");
        assert_eq!(status.code(), Some(128 + signal as i32));
        assert_eq!(left_of(&queue.0), 0, "after {signal}");
    }
    let mut reads = None;
    drop(stopped(&queue, &mut reads));
    let refused = run("unbounded", &[&queue.0]);
    assert_eq!(refused.status.code(), Some(1), "what was killed is there");
    let removed = run("unbounded", &[&queue.0, "--remove"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!(left_of(&queue.0), 0);
}

#[test]
fn a_mailbox_without_a_server_is_refused_and_nothing_is_left_of_it() {
    let named = super::Named::new("mailbox-alone");
    for arguments in [&["ask", "abc"][..], &["stop"]] {
        let output = run("mailbox", &[&[named.0.as_str()], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("mailbox: no server"), "{said}");
        assert_eq!(left_of(&named.0), 0, "{arguments:?}");
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut server = named.start_example("mailbox", &["serve"]);
        named.is_up();
        let second = run("mailbox", &[&named.0, "serve"]);
        let said = text(&second.stderr);
        assert_eq!(said, "mailbox: a server is already running\n");
        kill(Pid::from_raw(server.0.id() as i32), signal).expect("it runs");
        let status = server.0.wait().expect("it is ours");
        if signal != Signal::SIGKILL {
            assert_eq!(status.code(), Some(128 + signal as i32));
            assert_eq!(left_of(&named.0), 0, "after {signal}");
        }
    }
    let stop = run("mailbox", &[&named.0, "stop"]);
    let said = text(&stop.stderr);
    assert!(
        said.starts_with("mailbox: no server: it was killed"),
        "{said}"
    );
    let mut server = named.start_example("mailbox", &["serve"]);
    named.is_up();
    assert!(
        server.0.try_wait().expect("it is ours").is_none(),
        "the next one is not stopped by that"
    );
    assert!(run("mailbox", &[&named.0, "stop"]).status.success());
    assert_eq!(server.end(), (true, "answered 1\n".to_owned()));
}

/// An example, as far as it gets where nobody reads what it says, or there is no room.
fn with_output(name: &str, arguments: &[&str], output: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command: Command = example(name);
    command
        .args(arguments)
        .stdout(output)
        .stderr(Stdio::piped());
    let file =
        fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    let child = command.stdin(file).spawn().expect("the example starts");
    drop(command);
    let mut part = Part(child);
    let mut status = None;
    until("it ends", || {
        status = part.0.try_wait().expect("it is ours");
        status.is_some()
    });
    // As a shell counts.
    let signal = |status: ExitStatus| status.signal().map(|signal| 128 + signal);
    let status = status.and_then(|status| status.code().or(signal(status)));
    (status, part.complaint())
}

#[test]
fn an_example_that_cannot_say_anything_ends_with_an_error_or_quietly() {
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
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().to_str().expect("a readable path");
    for (name, arguments) in examples {
        let in_a_folder = [here, "ada"];
        let arguments = if name == "chat" {
            &in_a_folder
        } else {
            arguments
        };
        let full = fs::File::options().write(true).open("/dev/full");
        let (status, said) = with_output(name, arguments, full.expect("it is there"));
        assert_eq!(status, Some(1), "{name}: {said}");
        assert!(!said.contains("panicked"), "{name}: {said}");
        assert!(!said.is_empty(), "{name}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (status, said) = with_output(name, arguments, writer);
        assert!(!said.contains("panicked"), "{name}: {said}");
        if ["killed", "two_processes"].contains(&name) {
            // Programs of a page, which return what has gone wrong.
            assert_eq!(status, Some(1), "{name}: {said}");
        } else {
            assert_eq!((status, said.as_str()), (Some(141), ""), "{name}");
        }
    }
    let left = fs::read_dir(here).expect("it is there").count();
    assert_eq!(left, 0, "no named pipe of the chat stays");
    assert_eq!(left_of("interlatch-no-output"), 0);
}

/// A thread of its own says that.
#[test]
fn a_program_that_cannot_tell_of_a_hangup_ends() {
    let mut part = Part::start(&mut example("signals"));
    let process = Pid::from_raw(part.0.id() as i32);
    let mut output = std::io::BufReader::new(part.0.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut output, &mut String::new()).expect("its number");
    drop(output);
    kill(process, Signal::SIGHUP).expect("it runs");
    let mut status = None;
    until("it ends", || {
        status = part.0.try_wait().expect("it is ours");
        status.is_some()
    });
    let status = status.and_then(|it| it.code());
    assert_eq!((status, part.complaint().as_str()), (Some(141), ""));
}
