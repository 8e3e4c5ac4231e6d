//! The examples as a user runs them: output, exit status, and what is left when they are killed.

use interlatch::channel::Slot;
use interlatch::region::{ConfigError, ShmObject};
use interlatch::{
    Buffer, MessageQueue, RegionName, RegionOptions, RobustMonitorBuffer, ShmType, UnboundedBuffer,
};
#[path = "examples/chat.rs"]
mod chat;
#[path = "examples/deaths.rs"]
mod deaths;
#[path = "examples/jobs.rs"]
mod jobs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::alloc::Layout;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `cargo test` builds the examples beside the tests, but `cargo test --test examples` does not.
fn build() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the examples build"
        );
    });
}

fn example(name: &str) -> Command {
    build();
    let test = std::env::current_exe().expect("this program");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST");
    let path = folder.join("examples").join(name);
    let mut command = Command::new(path);
    // An error is a sentence, whatever runs the tests.
    command.env("RUST_BACKTRACE", "0");
    command
}

fn run(name: &str, arguments: &[&str]) -> Output {
    example(name)
        .args(arguments)
        .output()
        .expect("the example starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file_of(bytes: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let content: Vec<u8> = (0..bytes).map(|index| (index * 31 % 251) as u8).collect();
    file.write_all(&content).expect("room for it");
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("a readable path")
}

fn assert_arrives(arguments: &[&str]) {
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
fn a_lock_of_ones_own_is_run_by_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = example("ticket_lock").current_dir(folder.path()).output();
    let output = output.expect("the example starts");
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(
        out.contains("test result: ok. 2 passed; 0 failed; 1 ignored"),
        "{out}"
    );
    let left = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0, "threads leave nothing to look at");
}

#[test]
fn a_file_arrives_whole() {
    for bytes in [0, 1, 4096, 4097, 1_000_000] {
        let file = file_of(bytes);
        assert_arrives(&[path(&file)]);
        assert_arrives(&["--monitor", path(&file)]);
        assert_arrives(&["--capacity", "1", path(&file)]);
    }
}

/// A name that is removed with the test.
struct Named(String);

impl Named {
    fn new(test: &str) -> Self {
        Self(format!("interlatch-{test}-{}", std::process::id()))
    }

    /// Starts `named_send` or `named_receive`.
    fn start(&self, part: &str) -> Part {
        self.start_example(&format!("named_{part}"), &[])
    }

    /// One that has the name as its first argument.
    fn start_example(&self, program: &str, arguments: &[&str]) -> Part {
        Part::start(example(program).arg(&self.0).args(arguments))
    }

    /// Waits until the server answers: a client that comes before has none.
    fn is_up(&self) {
        until("the server answers", || {
            let output = run("mailbox", &[&self.0, "ask", "abc"]);
            text(&output.stdout) == "cba\n"
        });
    }

    /// Removes what the programs have left.
    fn remove(&self) -> Output {
        run("named_receive", &[&self.0, "--remove"])
    }
}

/// One of the programs. It is killed and reaped with the test.
struct Part(Child);

impl Part {
    fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the example starts"))
    }

    /// Waits for its end: whether it went well, and what it said.
    fn end(&mut self) -> (bool, String) {
        let mut status = None;
        until("the program ends", || {
            status = self.0.try_wait().expect("it is ours");
            status.is_some()
        });
        let output = self.0.stdout.as_mut().expect("piped");
        let said = io::read_to_string(output).expect("text");
        (status.is_some_and(|status| status.success()), said)
    }

    /// What it complained of.
    fn complaint(&mut self) -> String {
        io::read_to_string(self.0.stderr.as_mut().expect("piped")).expect("text")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Most tests have none left.
        self.remove();
    }
}

#[test]
fn two_programs_meet_at_a_name() {
    for first in ["send", "receive"] {
        let named = Named::new(first);
        let second = if first == "send" { "receive" } else { "send" };
        let both = [first, second].map(|part| (part, named.start(part)));
        for (part, mut program) in both {
            let said = match part {
                "send" => "sent 1 to 1000000\n",
                _ => "received 1000000 readings, sum 250000250000\n",
            };
            assert_eq!(program.end(), (true, said.to_owned()), "{part}");
        }
        assert_eq!(
            named.remove().status.code(),
            Some(1),
            "the receiver has removed it"
        );
    }
}

/// What the two programs say that they share: a third one, which says the same.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
struct Reading {
    number: u64,
    value: f64,
}

/// The sender fills the buffer and is killed; a receiver that comes later gets all of that, and the end.
#[test]
fn a_killed_sender_leaves_what_it_has_sent() {
    type Readings = RobustMonitorBuffer<Reading, [Slot<Reading>]>;
    let named = Named::new("killed");
    let name = RegionName::posix(&named.0).expect("a name");
    let sender = named.start("send");
    let is_full = || {
        let region = RegionOptions::attach(&name).ok()?;
        let readings: &Readings = region.attach("readings").ok()?;
        (readings.len() == readings.capacity()).then_some(())
    };
    until("the buffer is full", || is_full().is_some());
    drop(sender);
    let said = "received 256 readings, sum 16448\n".to_owned();
    let mut receiver = named.start("receive");
    let ended = receiver.end();
    assert_eq!(ended, (false, said), "the sender has gone before its end");
    let complaint = "Error: the sender has gone before its end\n";
    assert_eq!(receiver.complaint(), complaint);
}

/// Of two versions of a program one has a field more.
#[test]
fn a_program_with_another_layout_is_refused_with_both_layouts() {
    mod newer {
        use super::{FromBytes, Immutable, IntoBytes, ShmType};

        #[repr(C)]
        #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
        pub struct Reading {
            number: u64,
            value: f64,
            error: f64,
        }
    }
    type Older = RobustMonitorBuffer<Reading, [Slot<Reading>]>;
    type Newer = RobustMonitorBuffer<newer::Reading, [Slot<newer::Reading>]>;
    const CAPACITY: usize = 256;
    let named = Named::new("newer");
    let name = RegionName::posix(&named.0).expect("a name");
    let region = RegionOptions::new(1 << 16).create(&name).expect("room");
    let newer: &Newer = region.create("readings", CAPACITY).expect("room");
    let size = |layout: Result<Layout, ConfigError>| layout.expect("possible").size();
    let (found, expected) = (size(Newer::layout(CAPACITY)), size(Older::layout(CAPACITY)));
    for part in ["send", "receive"] {
        let mut older = named.start(part);
        assert_eq!(older.end(), (false, String::new()), "{part}");
        let buffer = "RobustMonitorBuffer<Reading, MAX_ENDPOINTS = 8>";
        let said = format!(
            "Error: region {name}: object \"readings\" holds {buffer} ({found} bytes), expected \
             {buffer} ({expected} bytes); the layouts differ: \
             found RobustMonitorBuffer<Reading {{ number: u64 at 0, value: f64 at 8, \
             error: f64 at 16 }}, MAX_ENDPOINTS = 8>, \
             expected RobustMonitorBuffer<Reading {{ number: u64 at 0, value: f64 at 8 }}, \
             MAX_ENDPOINTS = 8>\n"
        );
        assert_eq!(older.complaint(), said, "{part}");
    }
    assert!(newer.is_empty(), "nobody has touched it");
}

#[test]
fn named_programs_refuse_invalid_names() {
    for (name, sentence) in [
        ("named_send", "Error: the name of a region is empty"),
        ("named_receive", "Error: expected NAME, or NAME --remove"),
    ] {
        let output = run(name, &[]);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {complaint}");
        assert!(complaint.starts_with(sentence), "{name}: {complaint}");
    }
    let absent = run("named_receive", &["interlatch-absent", "--remove"]);
    let said = "Error: there is no region posix:interlatch-absent\n";
    assert_eq!(text(&absent.stderr), said);
}

#[test]
fn a_server_answers_many_clients_over_one_queue() {
    let named = Named::new("mailbox");
    let mut clients: Vec<(String, Part)> = Vec::new();
    let ask = |number: usize| {
        let words = [format!("ab{number}"), format!("{number}cde")];
        let client = named.start_example("mailbox", &["ask", &words[0], &words[1]]);
        let backwards = words.map(|word| word.chars().rev().collect::<String>() + "\n");
        (backwards.concat(), client)
    };
    let mut server = named.start_example("mailbox", &["serve"]);
    named.is_up();
    clients.extend((0..8).map(ask));
    for (expected, mut client) in clients {
        assert_eq!(client.end(), (true, expected));
    }
    assert!(
        named.start_example("mailbox", &["stop"]).end().0,
        "it is told"
    );
    assert_eq!(server.end(), (true, "answered 17\n".to_owned()));
    let again = run("mailbox", &[&named.0, "remove"]);
    assert_eq!(again.status.code(), Some(1), "the server has removed it");
}

/// A client that was killed leaves its request, and a server its requests: the next one answers them.
#[test]
fn a_killed_server_leaves_the_requests_to_the_next_one() {
    let named = Named::new("mailbox-killed");
    let mut server = named.start_example("mailbox", &["serve"]);
    named.is_up();
    server.0.kill().expect("it is ours");
    let mut client = named.start_example("mailbox", &["ask", "abc"]);
    let dead_client = named.start_example("mailbox", &["ask", "abc"]);
    let name = RegionName::posix(&named.0).expect("a name");
    let waiting = || {
        let region = RegionOptions::attach(&name).ok()?;
        Some(region.attach::<MessageQueue>("queue").ok()?.len())
    };
    until("both have asked", || waiting() == Some(2));
    drop(dead_client);
    let mut server = named.start_example("mailbox", &["serve"]);
    assert_eq!(client.end(), (true, "cba\n".to_owned()));
    until("the reply to the dead one is removed", || {
        waiting() == Some(0)
    });
    assert!(
        named.start_example("mailbox", &["stop"]).end().0,
        "it is told"
    );
    assert_eq!(server.end(), (true, "answered 2\n".to_owned()));
}

#[test]
fn a_mailbox_refuses_bad_input_with_a_sentence() {
    let named = Named::new("mailbox-refused");
    let long = "x".repeat(5000);
    let mut server = named.start_example("mailbox", &["serve"]);
    named.is_up();
    let cases: [(&[&str], &str); 7] = [
        (&[], "expected a name, and `serve`"),
        (&[&named.0], "expected a name, and `serve`"),
        (&["a/b", "serve"], "a/b"),
        (&[&named.0, "ask"], "expected a word"),
        (&[&named.0, "shout"], "found \"shout\""),
        (&[&named.0, "serve", "more"], "found \"serve\""),
        (
            &[&named.0, "ask", &long],
            "a message of 5004 bytes: the queue takes at most 4096",
        ),
    ];
    for (arguments, sentence) in cases {
        let output = run("mailbox", arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {err}");
        assert!(err.contains(sentence), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
    assert!(run("mailbox", &[&named.0, "stop"]).status.success());
    assert!(server.end().0);
}

#[test]
fn an_empty_file_has_the_well_known_sum() {
    let output = run("producer_consumer", &["/dev/null"]);
    let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(text(&output.stdout).matches(sum).count(), 2);
}

#[test]
fn bad_input_is_refused_with_a_sentence() {
    for (arguments, status, sentence) in [
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
        assert!(err.contains(sentence), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn what_a_killed_process_leaves_is_repaired() {
    let output = run("killed", &[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("found [70, 0], left by a dead process"),
        "{text}"
    );
    assert!(text.contains("repaired: [70, 30]"), "{text}");
}

#[test]
fn the_lock_keeps_workers_apart() {
    let output = run("race", &["--increments", "50000", "--workers", "3"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}");
    assert_eq!(
        out.lines().filter(|line| line.ends_with("  right")).count(),
        2,
        "{out}"
    );
    assert_eq!(run("race", &["--workers", "0"]).status.code(), Some(2));
}

#[test]
fn readme_contains_the_hello_programs() {
    let readme = include_str!("../README.md");
    for program in [
        include_str!("../examples/hello_sender.rs"),
        include_str!("../examples/hello_receiver.rs"),
    ] {
        assert!(readme.contains(program), "README.md lacks:\n{program}");
    }
}

/// The programs use a fixed name, so runs of this test on one machine exclude each other.
#[test]
fn hello_programs_meet_in_either_order() {
    let path = std::env::temp_dir().join("interlatch-hello.lock");
    let file = fs::File::create(path).expect("a lock file");
    file.lock().expect("no other run of this test");
    let name = RegionName::posix("hello").expect("a valid name");
    // A killed earlier run may have left the region.
    let _ = name.remove();
    for [first, second] in [
        ["hello_sender", "hello_receiver"],
        ["hello_receiver", "hello_sender"],
    ] {
        let programs = [first, second].map(|program| (program, Part::start(&mut example(program))));
        for (program, mut part) in programs {
            let lines = (1..=5).map(|number| format!("received {number}\n"));
            let expected = match program {
                "hello_receiver" => lines.collect(),
                _ => String::new(),
            };
            assert_eq!(part.end(), (true, expected), "{program}");
        }
        assert!(name.remove().is_err(), "the receiver removes the name");
    }
}

#[test]
fn two_processes_share_a_descriptor() {
    let output = run("two_processes", &[]);
    assert_eq!(text(&output.stdout), "received 1 to 1000, sum 500500\n");
}

/// Runs `pipeline` with these words, and waits for its end.
fn pipeline(words: &str) -> (Option<i32>, String) {
    let mut command = example("pipeline");
    command.args(words.split(' ')).stdout(Stdio::piped());
    let mut part = Part(command.stderr(Stdio::piped()).spawn().expect("it starts"));
    let (_, mut said) = part.end();
    let errors = part.0.stderr.as_mut().expect("piped");
    errors.read_to_string(&mut said).expect("text");
    (part.0.wait().expect("it is ours").code(), said)
}

#[test]
fn a_pipeline_ends_as_one_of_a_shell() {
    for (words, status, said) in [
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
        assert_eq!(pipeline(words), (Some(status), said.to_owned()), "{words}");
    }
}

#[test]
fn a_pipeline_that_cannot_run_says_why() {
    for (words, status, sentence) in [
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
        let (found, said) = pipeline(words);
        assert_eq!(found, Some(status), "{words}: {said}");
        assert!(said.contains(sentence), "{words}: {said}");
    }
}

/// A producer and a consumer in the middle of an endless file.
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
        until(
            "the producer has started a consumer that runs its own program",
            || {
                let Some(child) = fs::read_to_string(&children)
                    .ok()
                    .and_then(|list| list.trim().parse().ok())
                else {
                    return false;
                };
                running.child = Pid::from_raw(child);
                let command = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
                text(&command).contains("--as-child") && maps_the_region(child, "producer_consumer")
            },
        );
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn maps_the_region(process: i32, name: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    maps.contains(&format!("memfd:{name}"))
}

/// Looks until it holds; after a minute, fails with what was waited for.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "after a minute still not: {what}"
        );
        std::thread::yield_now();
    }
}

fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie is dead; whoever inherited it has still to reap it.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn shared_memory() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir("/dev/shm").expect("/dev/shm");
    entries.flatten().map(|entry| entry.path()).collect()
}

/// What other tests have there goes with them.
fn nothing_stays(before: &BTreeSet<PathBuf>) {
    until("nothing stays in /dev/shm", || {
        shared_memory().is_subset(before)
    });
}

#[test]
fn killing_the_producer_leaves_no_consumer_behind() {
    let before = shared_memory();
    let mut running = Running::start();
    running.parent.kill().expect("it runs");
    running.parent.wait().expect("it is our child");
    let child = running.child;
    until("the consumer has died with its producer", || {
        !is_alive(child)
    });
    nothing_stays(&before);
}

#[test]
fn killing_the_consumer_ends_the_producer_with_an_error() {
    let before = shared_memory();
    let mut running = Running::start();
    kill(running.child, Signal::SIGKILL).expect("it runs");
    let parent = Pid::from_raw(running.parent.id() as i32);
    until("the producer has noticed", || !is_alive(parent));
    let status = running.parent.wait().expect("it is our child");
    assert_eq!(status.code(), Some(1));
    let mut err = String::new();
    let mut stream = running.parent.stderr.take().expect("piped");
    std::io::Read::read_to_string(&mut stream, &mut err).expect("what it said");
    assert!(err.contains("the consumer is gone"), "{err}");
    nothing_stays(&before);
}

#[test]
fn philosophers_eat_unless_they_are_careless() {
    let output = run("philosophers", &["--philosophers", "3", "--meals", "2000"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "3 philosophers ate 2000 times each\n");
    let careless = run("philosophers", &["--careless"]);
    let said = text(&careless.stderr);
    assert_eq!(careless.status.code(), Some(1), "{said}");
    assert!(
        said.contains("of 5 did not eat: each held one fork"),
        "{said}"
    );
}

#[test]
fn readers_and_writers_share_a_page() {
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
fn the_barber_forgets_nobody() {
    let output = run(
        "barber",
        &["--chairs", "1", "--customers", "4", "--visits", "1000"],
    );
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(out.starts_with("4000 visits: "), "{out}");
}

/// A queue whose names are removed with the test.
struct Queue(String);

impl Drop for Queue {
    fn drop(&mut self) {
        // None is left if all went well.
        let name = RegionName::posix(&self.0);
        let _ = name.and_then(|name| UnboundedBuffer::<u64>::remove(&name));
    }
}

#[test]
fn a_queue_grows_while_nobody_receives_and_shrinks_when_somebody_does() {
    let queue = Queue(format!("interlatch-unbounded-{}", std::process::id()));
    let name = &queue.0;
    let mut command = example("unbounded");
    let mut part = Part::start(command.arg(name));
    let (succeeded, said) = part.end();
    assert!(succeeded, "{said}");
    let said: Vec<&str> = said.lines().collect();
    let expected = [
        "nobody receives: 25 segments of 25 that there ever were",
        "received 1 to 100000 in order",
    ];
    assert_eq!(said[..2], expected);
    // How many there ever were depends on how fast each of the two was.
    assert!(
        said[2].starts_with("all is received: 1 segments of "),
        "{said:?}"
    );
    assert_eq!(said.len(), 3);
    let left = shared_memory().into_iter();
    let left = left.filter(|path| path.to_string_lossy().contains(name));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn an_unbounded_queue_refuses_a_bad_name() {
    for arguments in [&["a/b"][..], &[], &["name", "--produce"]] {
        let output = run("unbounded", arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn one_conversation_goes_over_every_kind_of_socket() {
    let output = run("sockets", &["stressed", "drawer"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    let kinds = ["UnixStream", "UnixSeqpacket", "UnixDatagram", "Tcp", "Udp"];
    let said = kinds
        .map(|kind| format!("  stressed desserts\n  drawer reward\n{kind}: 2 words answered\n"));
    assert_eq!(out, said.concat());
    assert_eq!(run("sockets", &[""]).status.code(), Some(2));
    assert_eq!(run("sockets", &["--kind", "pigeon"]).status.code(), Some(2));
}

#[test]
fn a_program_is_told_of_each_signal_and_by_whom() {
    let mut child = example("signals");
    let mut child = child.stdout(Stdio::piped()).spawn().expect("it starts");
    let process = Pid::from_raw(child.id() as i32);
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = move || {
        let mut line = String::new();
        output.read_line(&mut line).expect("it says something");
        line
    };
    assert_eq!(line(), format!("{process} waits for signals\n"));
    let me = std::process::id();
    for _ in 0..3 {
        kill(process, Signal::SIGHUP).expect("it runs");
        assert_eq!(line(), "SIGHUP: reloaded\n");
        kill(process, Signal::SIGUSR1).expect("it runs");
        assert_eq!(line(), format!("SIGUSR1 from {me}\n"));
    }
    kill(process, Signal::SIGTERM).expect("it runs");
    assert_eq!(line(), "reloaded 3 times; goodbye after SIGTERM\n");
    assert!(child.wait().expect("it is our child").success());
}

#[test]
fn writer_and_reader_take_turns_over_a_page() {
    for bytes in [0, 1, 1000, 100_001] {
        let file = file_of(bytes);
        let input = fs::File::open(file.path()).expect("it is there");
        let output = example("turns").stdin(input).output().expect("it starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let expected = fs::read(file.path()).expect("it is there");
        assert!(output.stdout == expected, "{bytes} bytes arrive whole");
    }
}

#[test]
fn a_reader_whose_writer_is_killed_does_not_wait_for_ever() {
    let mut command = example("turns");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut part = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let reader = Pid::from_raw(part.id() as i32);
    let mut writer = None;
    until("the writer has started", || {
        let children = format!("/proc/{reader}/task/{reader}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        writer = children.trim().parse().ok().map(Pid::from_raw);
        writer.is_some_and(|writer| maps_the_region(writer.as_raw(), "turns"))
    });
    kill(writer.expect("just seen"), Signal::SIGKILL).expect("it runs");
    let status = part.wait().expect("it is our child");
    let mut said = String::new();
    let mut stream = part.stderr.take().expect("piped");
    stream.read_to_string(&mut said).expect("what it said");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the writer ended in its turn"), "{said}");
}
