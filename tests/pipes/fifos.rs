//! Named pipes between processes that share a path only.

use super::actor::wait_for_the_driver;
use super::ends::{said, until_it_waits};
use super::flow::numbers;
use super::harness::Test;
use super::item::numbered;
use super::process::{Actor, TIMEOUT};
use super::shared::{Gets, Shared};
use interlatch::platform::pipe::Reader;
use interlatch::sync::Timeout;
use interlatch::{Channel, PipeBuffer};
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
            format!("a_reader_waits_{timeout}_for_a_writer"),
            move || {
                reader_first(timeout);
            },
        ));
        tests.push(Test::new(
            format!("a_writer_waits_{timeout}_for_a_reader"),
            move || {
                writer_first(timeout);
            },
        ));
        tests.push(Test::new(
            format!("a_writer_that_waits_{timeout}_meets_a_reader_that_hangs_in_open"),
            move || foreign_reader(timeout),
        ));
    }
    tests.extend([
        Test::new("nobody_there_is_an_error_at_once_or_in_time", nobody),
        Test::new(
            "a_writer_that_has_written_nothing_is_somebody",
            silent_writer,
        ),
        Test::new("a_writer_that_has_gone_again_was_somebody", quick_writer),
        Test::new("a_later_writer_can_be_waited_for_again", later_writer),
        Test::new(
            "a_writer_that_is_killed_ends_the_stream_of_a_fifo",
            killed_writer,
        ),
        Test::new("what_passes_a_fifo_keeps_its_order", order),
        Test::new("what_is_no_fifo_is_refused_by_its_kind", no_fifo),
        Test::new("what_is_not_permitted_is_refused", denied),
        Test::new("a_fifo_has_its_mode_and_goes_when_it_is_removed", mode),
    ]);
    tests
}

/// A folder of its own, which goes with the test.
struct Place {
    folder: tempfile::TempDir,
    shared: Shared,
}

impl Place {
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
        Fifo::create(self.path(), 0o600).expect("nothing is there")
    }

    fn start(&self, part: &[&str]) -> Actor {
        let path = self.path();
        let path = path.to_str().expect("a readable path");
        self.shared
            .start(Gets::Both, &[&["fifo", path], part].concat())
    }
}

/// In an actor: one user of the named pipe.
pub fn play(path: &str, part: &[&str]) {
    match part {
        ["write", timeout, producer, count] => write(path, timeout, producer, count),
        ["read", timeout, times] => read(path, timeout, times),
        ["alone"] => open_alone(path),
        ["cat"] => cat(path),
        ["denied"] => try_without_privileges(path),
        other => panic!("no actor plays {other:?}"),
    }
}

fn patience_of(word: &str) -> Timeout {
    match word {
        "never" => Timeout::NonBlocking,
        "forever" => Timeout::Infinite,
        _ => Timeout::after(TIMEOUT),
    }
}

fn write(path: &str, timeout: &str, producer: &str, count: &str) {
    let fifo = Fifo::at(path).expect("it is there");
    let writer = fifo.writer(patience_of(timeout)).expect("somebody reads");
    let buffer = PipeBuffer::from_ends(None, Some(writer), None);
    let sender = buffer.sender().expect("it is open");
    let [producer, count] = [producer, count].map(|word| word.parse().expect("a number"));
    for sequence in 0..count {
        let sent = sender.send(numbered(producer, sequence));
        sent.expect("somebody reads");
    }
    println!("sent");
    wait_for_the_driver();
}

/// Reads to the end of so many streams.
fn read(path: &str, timeout: &str, times: &str) {
    let fifo = Fifo::at(path).expect("it is there");
    for _ in 0..times.parse().expect("a number") {
        let reader = fifo.reader(patience_of(timeout)).expect("somebody writes");
        println!("{}", line_of(reader));
    }
}

fn line_of(reader: Reader) -> String {
    let buffer = PipeBuffer::<u64>::from_ends(Some(reader), None, None);
    let receiver = buffer.receiver().expect("it is open");
    let items: Vec<String> = receiver
        .iter()
        .map(|item| item.expect("a whole item").to_string())
        .collect();
    items.join(",")
}

/// As a program does that knows nothing of this crate.
fn cat(path: &str) {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).expect("it is there");
    file.read_to_end(&mut bytes).expect("it can be read");
    println!("{}", bytes.len());
}

fn try_without_privileges(path: &str) {
    if geteuid().is_root() {
        setuid(Uid::from_raw(65_534)).expect("root may");
    }
    let word = |is_denied: bool| if is_denied { "denied" } else { "not denied" };
    let created = Fifo::create(PathBuf::from(path).with_extension("other"), 0o600);
    println!("{}", word(matches!(created, Err(FifoError::Denied(_)))));
    let found = Fifo::at(path).and_then(|fifo| fifo.reader(Timeout::NonBlocking));
    println!("{}", word(matches!(found, Err(FifoError::Denied(_)))));
}

/// Lets a writer end.
fn dismiss(mut writer: Actor) {
    assert_eq!(said(&mut writer), "sent");
    writer.tell("go");
    assert_eq!(writer.end(Instant::now() + TIMEOUT), Ok(()));
}

fn reader_first(timeout: &str) {
    let place = Place::new();
    place.fifo();
    let mut reader = place.start(&["read", timeout, "1"]);
    until_it_waits(&reader);
    dismiss(place.start(&["write", "never", "0", "3"]));
    assert_eq!(said(&mut reader), "0,1,2");
}

fn writer_first(timeout: &str) {
    let place = Place::new();
    place.fifo();
    let writer = place.start(&["write", timeout, "0", "3"]);
    until_it_waits(&writer);
    let mut reader = place.start(&["read", "forever", "1"]);
    dismiss(writer);
    assert_eq!(said(&mut reader), "0,1,2");
}

fn foreign_reader(timeout: &str) {
    let place = Place::new();
    place.fifo();
    let writer = place.start(&["write", timeout, "0", "3"]);
    until_it_waits(&writer);
    let mut reader = place.start(&["cat"]);
    dismiss(writer);
    assert_eq!(said(&mut reader), "24", "bytes");
}

fn nobody() {
    let place = Place::new();
    place.fifo();
    let mut actor = place.start(&["alone"]);
    assert_eq!(said(&mut actor), "nobody came");
}

/// In an actor, since who waits for ever has to be killed.
fn open_alone(path: &str) {
    let fifo = Fifo::at(path).expect("it is there");
    let soon = || Timeout::after(Duration::from_millis(20));
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO), soon()] {
        let alone = fifo.reader(timeout).map(drop);
        assert!(matches!(alone, Err(FifoError::NoWriter(_))), "{alone:?}");
    }
    for timeout in [Timeout::NonBlocking, Timeout::after(Duration::ZERO), soon()] {
        let alone = fifo.writer(timeout).map(drop);
        assert!(matches!(alone, Err(FifoError::NoReader(_))), "{alone:?}");
    }
    println!("nobody came");
}

fn silent_writer() {
    let place = Place::new();
    let fifo = place.fifo();
    let mut writer = place.start(&["write", "long", "0", "0"]);
    let first = fifo.reader(Timeout::after(TIMEOUT));
    assert_eq!(said(&mut writer), "sent");
    let second = fifo.reader(Timeout::NonBlocking);
    assert!(first.is_ok() && second.is_ok(), "{first:?}, {second:?}");
}

/// As `: > fifo` in a shell. A reader that missed it would wait for another one.
fn quick_writer() {
    for _ in 0..30 {
        let place = Place::new();
        let fifo = place.fifo();
        let mut reader = place.start(&["read", "forever", "1"]);
        until_it_waits(&reader);
        drop(std::fs::File::options().write(true).open(fifo.path()));
        assert_eq!(said(&mut reader), "", "nothing was written");
    }
}

fn later_writer() {
    let place = Place::new();
    place.fifo();
    let mut reader = place.start(&["read", "long", "3"]);
    for (producer, expected) in [("0", "0,1"), ("1", "4294967296,4294967297"), ("0", "0,1")] {
        until_it_waits(&reader);
        dismiss(place.start(&["write", "long", producer, "2"]));
        assert_eq!(said(&mut reader), expected);
    }
}

fn killed_writer() {
    let place = Place::new();
    place.fifo();
    let mut reader = place.start(&["read", "long", "1"]);
    let mut writer = place.start(&["write", "long", "0", "2"]);
    assert_eq!(said(&mut writer), "sent");
    writer.signal(Signal::SIGKILL);
    assert_eq!(said(&mut reader), "0,1");
}

/// The driver holds a writing end until all have come, so that the stream has one end only.
fn order() {
    let place = Place::new();
    let fifo = place.fifo();
    let mut reader = place.start(&["read", "long", "1"]);
    let keeper = fifo
        .writer(Timeout::after(TIMEOUT))
        .expect("the reader comes");
    let write = |producer| place.start(&["write", "long", producer, "5000"]);
    let writers = ["0", "1", "2"].map(write);
    writers.into_iter().for_each(dismiss);
    drop(keeper);
    let items = numbers(&said(&mut reader));
    for producer in 0..3 {
        let its = items.iter().copied().filter(|item| item >> 32 == producer);
        assert!(
            its.eq((0..5000).map(|item| numbered(producer, item))),
            "of {producer}"
        );
    }
    assert_eq!(items.len(), 15_000);
}

fn no_fifo() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "text").expect("room");
    std::fs::create_dir(path("folder")).expect("room");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("room");
    for (name, kind) in [
        ("file", "a regular file"),
        ("folder", "a directory"),
        ("socket", "a socket"),
    ] {
        let is_refused = |error: FifoError| {
            assert!(
                error.to_string().contains("expected a named pipe"),
                "{error}"
            );
            matches!(error, FifoError::NotAFifo { found, .. } if found == kind)
        };
        assert!(
            is_refused(Fifo::create(path(name), 0o600).expect_err("taken")),
            "{name}"
        );
        assert!(
            is_refused(Fifo::at(path(name)).expect_err("taken")),
            "{name}"
        );
        let fifo = Fifo::create(path("other"), 0o600).expect("free");
        fifo.remove().expect("it is there");
        std::fs::rename(path(name), fifo.path()).expect("it takes the place");
        assert!(
            is_refused(fifo.reader(Timeout::NonBlocking).expect_err("no pipe")),
            "{name}"
        );
        assert!(
            is_refused(fifo.writer(Timeout::NonBlocking).expect_err("no pipe")),
            "{name}"
        );
        assert!(is_refused(fifo.remove().expect_err("no pipe")), "{name}");
        std::fs::rename(fifo.path(), path(name)).expect("and back");
    }
    for name in ["nothing", "no/such/folder", "file/name"] {
        let missing = Fifo::at(path(name));
        assert!(
            matches!(missing, Err(FifoError::Missing(_))),
            "{name}: {missing:?}"
        );
    }
    let missing = Fifo::create(path("no/such/folder"), 0o600);
    assert!(matches!(missing, Err(FifoError::Missing(_))), "{missing:?}");
}

fn denied() {
    let place = Place::new();
    place.fifo();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.folder.path(), open).expect("its own");
    if !geteuid().is_root() {
        // What one owns oneself is denied by its mode only.
        for (path, mode) in [(place.path(), 0), (place.folder.path().to_owned(), 0o555)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("its own");
        }
    }
    let mut actor = place.start(&["denied"]);
    assert_eq!(said(&mut actor), "denied", "to create another one");
    assert_eq!(said(&mut actor), "denied", "to open that of another user");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.folder.path(), open).expect("its own");
}

fn mode() {
    let place = Place::new();
    let fifo = place.fifo();
    let found = std::fs::metadata(fifo.path()).expect("it is there");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let twice = Fifo::create(place.path(), 0o600);
    assert!(matches!(twice, Err(FifoError::Exists(_))), "{twice:?}");
    assert_eq!(Fifo::at(place.path()).ok(), Some(fifo.clone()));
    fifo.remove().expect("it is there");
    assert!(!place.path().exists());
    assert!(matches!(fifo.remove(), Err(FifoError::Missing(_))), "twice");
    let gone = fifo.writer(Timeout::Infinite).map(drop);
    assert!(matches!(gone, Err(FifoError::Missing(_))), "{gone:?}");
}
