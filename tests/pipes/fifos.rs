//! Named pipes between processes that share only a path.

use super::actor::wait_for_driver;
use super::ends::{reply, wait_until_blocked};
use super::flow::numbers;
use super::harness::Test;
use super::item::numbered_item;
use super::process::{Actor, TIMEOUT};
use super::shared::{PassedEnds, Shared};
use interlatch::Channel;
use interlatch::channel::PipeBuffer;
use interlatch::platform::pipe::Reader;
use interlatch::sync::Timeout;
use interlatch_ipc::{Fifo, FifoError};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, geteuid, setuid};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for timeout in ["forever", "long"] {
        tests.push(Test::new(
            format!("reader_waits_{timeout}_for_writer"),
            move || {
                reader_waits_for_writer(timeout);
            },
        ));
        tests.push(Test::new(
            format!("writer_waits_{timeout}_for_reader"),
            move || {
                writer_waits_for_reader(timeout);
            },
        ));
        tests.push(Test::new(
            format!("writer_waiting_{timeout}_meets_reader_blocked_in_open"),
            move || writer_meets_reader_blocked_in_open(timeout),
        ));
    }
    tests.extend([
        Test::new(
            "missing_peer_is_an_error_before_the_deadline",
            missing_peer_is_an_error,
        ),
        Test::new(
            "silent_writer_counts_as_writer",
            silent_writer_counts_as_writer,
        ),
        Test::new(
            "closed_writer_counts_as_writer",
            closed_writer_counts_as_writer,
        ),
        Test::new(
            "reader_can_wait_for_a_later_writer",
            reader_can_wait_for_a_later_writer,
        ),
        Test::new(
            "death_of_writer_ends_the_stream",
            death_of_writer_ends_the_stream,
        ),
        Test::new(
            "items_of_each_writer_keep_their_order",
            items_of_each_writer_keep_their_order,
        ),
        Test::new(
            "path_of_other_file_is_an_error_with_its_type",
            path_of_other_file_is_an_error_with_its_type,
        ),
        Test::new(
            "missing_permission_is_an_error",
            missing_permission_is_an_error,
        ),
        Test::new(
            "fifo_has_its_mode_and_can_be_removed",
            fifo_has_its_mode_and_can_be_removed,
        ),
    ]);
    tests
}

/// A temporary directory that is removed when the test ends.
struct TestDir {
    folder: tempfile::TempDir,
    shared: Shared,
}

impl TestDir {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            shared: Shared::new(4096),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("fifo")
    }

    fn fifo(&self) -> Fifo {
        Fifo::create(self.path(), 0o600).expect("the path is free")
    }

    fn start(&self, role: &[&str]) -> Actor {
        let path = self.path();
        let path = path.to_str().expect("a readable path");
        self.shared
            .start(PassedEnds::Both, &[&["fifo", path], role].concat())
    }
}

/// Uses the named pipe in an actor.
pub fn run(path: &str, role: &[&str]) {
    match role {
        ["write", timeout, producer, count] => write(path, timeout, producer, count),
        ["read", timeout, times] => read(path, timeout, times),
        ["alone"] => open_alone(path),
        ["cat"] => cat(path),
        ["denied"] => try_without_privileges(path),
        other => panic!("unknown role {other:?}"),
    }
}

fn parse_timeout(describe: &str) -> Timeout {
    match describe {
        "never" => Timeout::NonBlocking,
        "forever" => Timeout::Infinite,
        _ => Timeout::after(TIMEOUT),
    }
}

fn write(path: &str, timeout: &str, producer: &str, count: &str) {
    let fifo = Fifo::from_path(path).expect("the fifo exists");
    let writer = fifo
        .writer(parse_timeout(timeout))
        .expect("a reader exists");
    let buffer = PipeBuffer::from_ends(None, Some(writer), None);
    let sender = buffer.sender().expect("the pipe is open");
    let [producer, count] = [producer, count].map(|describe| describe.parse().expect("a number"));
    for sequence in 0..count {
        let sent = sender.send(numbered_item(producer, sequence));
        sent.expect("a reader exists");
    }
    println!("sent");
    wait_for_driver();
}

/// Reads the given number of streams, each until its end.
fn read(path: &str, timeout: &str, times: &str) {
    let fifo = Fifo::from_path(path).expect("the fifo exists");
    for _ in 0..times.parse().expect("a number") {
        let reader = fifo
            .reader(parse_timeout(timeout))
            .expect("a writer exists");
        println!("{}", drain_to_line(reader));
    }
}

fn drain_to_line(reader: Reader) -> String {
    let buffer = PipeBuffer::<u64>::from_ends(Some(reader), None, None);
    let receiver = buffer.receiver().expect("the pipe is open");
    let items: Vec<String> = receiver
        .iter()
        .map(|item| item.expect("an intact item").to_string())
        .collect();
    items.join(",")
}

/// Reads the fifo like a program that does not use this crate.
fn cat(path: &str) {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).expect("the fifo exists");
    file.read_to_end(&mut bytes).expect("the fifo is readable");
    println!("{}", bytes.len());
}

fn try_without_privileges(path: &str) {
    if geteuid().is_root() {
        setuid(Uid::from_raw(65_534)).expect("root can change its user");
    }
    let describe = |is_denied: bool| if is_denied { "denied" } else { "not denied" };
    let created = Fifo::create(PathBuf::from(path).with_extension("other"), 0o600);
    println!("{}", describe(matches!(created, Err(FifoError::Denied(_)))));
    let found = Fifo::from_path(path).and_then(|fifo| fifo.reader(Timeout::NonBlocking));
    println!("{}", describe(matches!(found, Err(FifoError::Denied(_)))));
}

/// Tells a writer to end, and waits until it has ended.
fn end_writer(mut writer: Actor) {
    assert_eq!(reply(&mut writer), "sent");
    writer.tell("go");
    assert_eq!(writer.end(Instant::now() + TIMEOUT), Ok(()));
}

fn reader_waits_for_writer(timeout: &str) {
    let dir = TestDir::new();
    dir.fifo();
    let mut reader = dir.start(&["read", timeout, "1"]);
    wait_until_blocked(&reader);
    end_writer(dir.start(&["write", "never", "0", "3"]));
    assert_eq!(reply(&mut reader), "0,1,2");
}

fn writer_waits_for_reader(timeout: &str) {
    let dir = TestDir::new();
    dir.fifo();
    let writer = dir.start(&["write", timeout, "0", "3"]);
    wait_until_blocked(&writer);
    let mut reader = dir.start(&["read", "forever", "1"]);
    end_writer(writer);
    assert_eq!(reply(&mut reader), "0,1,2");
}

fn writer_meets_reader_blocked_in_open(timeout: &str) {
    let dir = TestDir::new();
    dir.fifo();
    let writer = dir.start(&["write", timeout, "0", "3"]);
    wait_until_blocked(&writer);
    let mut reader = dir.start(&["cat"]);
    end_writer(writer);
    assert_eq!(reply(&mut reader), "24", "bytes");
}

fn missing_peer_is_an_error() {
    let dir = TestDir::new();
    dir.fifo();
    let mut actor = dir.start(&["alone"]);
    assert_eq!(reply(&mut actor), "no peer");
}

/// Opens the fifo in an actor, because a process that hangs must be killed.
fn open_alone(path: &str) {
    let fifo = Fifo::from_path(path).expect("the fifo exists");
    let soon = || Timeout::after(Duration::from_millis(20));
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO), soon()] {
        let alone = fifo.reader(timeout).map(drop);
        assert!(matches!(alone, Err(FifoError::NoWriter(_))), "{alone:?}");
    }
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO), soon()] {
        let alone = fifo.writer(timeout).map(drop);
        assert!(matches!(alone, Err(FifoError::NoReader(_))), "{alone:?}");
    }
    println!("no peer");
}

fn silent_writer_counts_as_writer() {
    let dir = TestDir::new();
    let fifo = dir.fifo();
    let mut writer = dir.start(&["write", "long", "0", "0"]);
    let first = fifo.reader(Timeout::after(TIMEOUT));
    assert_eq!(reply(&mut writer), "sent");
    let second = fifo.reader(Timeout::NonBlocking);
    assert!(first.is_ok() && second.is_ok(), "{first:?}, {second:?}");
}

/// Opens and closes the fifo like `: > fifo` in a shell. A reader that missed this writer would
/// wait for another writer.
fn closed_writer_counts_as_writer() {
    for _ in 0..30 {
        let dir = TestDir::new();
        let fifo = dir.fifo();
        let mut reader = dir.start(&["read", "forever", "1"]);
        wait_until_blocked(&reader);
        drop(std::fs::File::options().write(true).open(fifo.path()));
        assert_eq!(reply(&mut reader), "", "the writer wrote nothing");
    }
}

fn reader_can_wait_for_a_later_writer() {
    let dir = TestDir::new();
    dir.fifo();
    let mut reader = dir.start(&["read", "long", "3"]);
    for (producer, expected) in [("0", "0,1"), ("1", "4294967296,4294967297"), ("0", "0,1")] {
        wait_until_blocked(&reader);
        end_writer(dir.start(&["write", "long", producer, "2"]));
        assert_eq!(reply(&mut reader), expected);
    }
}

fn death_of_writer_ends_the_stream() {
    let dir = TestDir::new();
    dir.fifo();
    let mut reader = dir.start(&["read", "long", "1"]);
    let mut writer = dir.start(&["write", "long", "0", "2"]);
    assert_eq!(reply(&mut writer), "sent");
    writer.signal(Signal::SIGKILL);
    assert_eq!(reply(&mut reader), "0,1");
}

/// The driver keeps a writing end open until all writers have ended, so that the stream ends once.
fn items_of_each_writer_keep_their_order() {
    let dir = TestDir::new();
    let fifo = dir.fifo();
    let mut reader = dir.start(&["read", "long", "1"]);
    let keeper = fifo
        .writer(Timeout::after(TIMEOUT))
        .expect("the reader opens the fifo");
    let write = |producer| dir.start(&["write", "long", producer, "5000"]);
    let writers = ["0", "1", "2"].map(write);
    writers.into_iter().for_each(end_writer);
    drop(keeper);
    let items = numbers(&reply(&mut reader));
    for producer in 0..3 {
        let items_of_producer = items.iter().copied().filter(|item| item >> 32 == producer);
        assert!(
            items_of_producer.eq((0..5000).map(|item| numbered_item(producer, item))),
            "items of producer {producer}"
        );
    }
    assert_eq!(items.len(), 15_000);
}

fn path_of_other_file_is_an_error_with_its_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "text").expect("the file system has space");
    std::fs::create_dir(path("folder")).expect("the file system has space");
    let _socket =
        std::os::unix::net::UnixListener::bind(path("socket")).expect("the file system has space");
    for (name, kind) in [
        ("file", "a regular file"),
        ("folder", "a directory"),
        ("socket", "a socket"),
    ] {
        let has_type = |error: FifoError| {
            assert!(
                error.to_string().contains("expected a named pipe"),
                "{error}"
            );
            matches!(error, FifoError::NotAFifo { found, .. } if found == kind)
        };
        assert!(
            has_type(Fifo::create(path(name), 0o600).expect_err("the path has another type")),
            "{name}"
        );
        assert!(
            has_type(Fifo::from_path(path(name)).expect_err("the path has another type")),
            "{name}"
        );
        let fifo = Fifo::create(path("other"), 0o600).expect("the path is free");
        fifo.remove().expect("the fifo exists");
        std::fs::rename(path(name), fifo.path()).expect("the file can be renamed");
        assert!(
            has_type(
                fifo.reader(Timeout::NonBlocking)
                    .expect_err("the path has another type")
            ),
            "{name}"
        );
        assert!(
            has_type(
                fifo.writer(Timeout::NonBlocking)
                    .expect_err("the path has another type")
            ),
            "{name}"
        );
        assert!(
            has_type(fifo.remove().expect_err("the path has another type")),
            "{name}"
        );
        std::fs::rename(fifo.path(), path(name)).expect("the file can be renamed back");
    }
    for name in ["nothing", "no/such/folder", "file/name"] {
        let missing = Fifo::from_path(path(name));
        assert!(
            matches!(missing, Err(FifoError::Missing(_))),
            "{name}: {missing:?}"
        );
    }
    let missing = Fifo::create(path("no/such/folder"), 0o600);
    assert!(matches!(missing, Err(FifoError::Missing(_))), "{missing:?}");
}

fn missing_permission_is_an_error() {
    let dir = TestDir::new();
    dir.fifo();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.folder.path(), open).expect("the test owns the file");
    if !geteuid().is_root() {
        // The test denies access by the file mode, because the same user owns the file.
        for (path, mode) in [(dir.path(), 0), (dir.folder.path().to_owned(), 0o555)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("the test owns the file");
        }
    }
    let mut actor = dir.start(&["denied"]);
    assert_eq!(
        reply(&mut actor),
        "denied",
        "creating a fifo in a directory of another user"
    );
    assert_eq!(
        reply(&mut actor),
        "denied",
        "opening a fifo of another user"
    );
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.folder.path(), open).expect("the test owns the file");
}

fn fifo_has_its_mode_and_can_be_removed() {
    let dir = TestDir::new();
    let fifo = dir.fifo();
    let found = std::fs::metadata(fifo.path()).expect("the fifo exists");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let twice = Fifo::create(dir.path(), 0o600);
    assert!(matches!(twice, Err(FifoError::Exists(_))), "{twice:?}");
    assert_eq!(Fifo::from_path(dir.path()).ok(), Some(fifo.clone()));
    fifo.remove().expect("the fifo exists");
    assert!(!dir.path().exists());
    assert!(
        matches!(fifo.remove(), Err(FifoError::Missing(_))),
        "a second removal"
    );
    let removed = fifo.writer(Timeout::Infinite).map(drop);
    assert!(matches!(removed, Err(FifoError::Missing(_))), "{removed:?}");
}
