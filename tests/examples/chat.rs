//! The chat: two processes that know a directory, from outside.

use super::example;
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(30);

/// One who chats.
struct Talker {
    child: Reaped,
    keyboard: Option<File>,
    /// What it shows, piece by piece.
    shows: Receiver<String>,
    /// What it has shown and nobody has asked for.
    seen: String,
    /// All that it has shown.
    all: String,
}

impl Talker {
    fn start(mut command: Command, keyboard: OwnedFd, screen: impl Read + Send + 'static) -> Self {
        let child = command
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the example starts");
        let (sender, shows) = channel();
        std::thread::spawn(move || {
            let mut screen = BufReader::new(screen);
            loop {
                let piece = screen.fill_buf().unwrap_or_default().to_vec();
                screen.consume(piece.len());
                let text = String::from_utf8_lossy(&piece).into_owned();
                if piece.is_empty() || sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self {
            child: Reaped(child),
            keyboard: Some(keyboard.into()),
            shows,
            seen: String::new(),
            all: String::new(),
        }
    }

    /// With lines from a pipe.
    fn plain(folder: &Path, name: &str) -> Self {
        let (input, keyboard) = std::io::pipe().expect("descriptors");
        let (screen, output) = std::io::pipe().expect("descriptors");
        let mut command = example("chat");
        command.arg(folder).arg(name).stdin(input).stdout(output);
        Self::start(command, keyboard.into(), screen)
    }

    /// At a terminal.
    fn at_a_terminal(folder: &Path, name: &str) -> Self {
        let terminal = openpty(None, None).expect("terminals");
        let copy = || terminal.slave.try_clone().expect("descriptors");
        let mut command = example("chat");
        command.arg(folder).arg(name).env("TERM", "xterm");
        command.stdin(copy()).stdout(copy());
        let screen = File::from(terminal.master.try_clone().expect("descriptors"));
        Self::start(command, terminal.master, screen)
    }

    fn types(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("it has one");
        keyboard.write_all(text.as_bytes()).expect("it reads");
    }

    /// Waits until it shows that, behind what was waited for before.
    fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shows.recv_timeout(left) {
                Ok(more) => {
                    self.seen.push_str(&more);
                    self.all.push_str(&more);
                }
                Err(_) => panic!("{text:?} is not shown, but {:?}", self.seen),
            }
        }
    }

    /// Waits until it has ended well.
    fn ends(self) {
        self.ends_with(0);
    }

    /// Waits until it has ended with this status.
    fn ends_with(mut self, expected: i32) {
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end, after {:?}",
                self.seen
            );
            std::thread::yield_now();
        };
        assert_eq!(status.code(), Some(expected), "{status}");
    }

    /// How it has ended, if it has.
    fn status(&mut self) -> Option<ExitStatus> {
        self.child.0.try_wait().expect("it is our child")
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.0.id() as i32), signal).expect("it is not reaped yet");
    }
}

/// What it says when it refuses to chat.
fn refusal(arguments: &[&str]) -> String {
    let (mut said, stderr) = std::io::pipe().expect("descriptors");
    let mut command = example("chat");
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let mut child = Reaped(command.spawn().expect("the example starts"));
    drop(command);
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.0.try_wait().expect("it is our child") {
            break status;
        }
        assert!(Instant::now() < deadline, "{arguments:?} are not refused");
        std::thread::yield_now();
    };
    let mut text = String::new();
    said.read_to_string(&mut text).expect("what it said");
    assert_eq!(status.code(), Some(1), "{text}");
    text
}

/// Killed and reaped with the test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn assert_empty(folder: &tempfile::TempDir) {
    let left = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0, "no named pipe stays");
}

/// Two who have met.
fn pair(folder: &tempfile::TempDir) -> [Talker; 2] {
    let mut pair = ["ada", "bo"].map(|name| Talker::plain(folder.path(), name));
    pair[0].shows("bo is here\n");
    pair[1].shows("ada is here\n");
    pair
}

#[test]
fn two_who_chat_hear_each_other_in_order() {
    let folder = folder();
    let [mut ada, mut bo] = pair(&folder);
    assert_empty(&folder);
    for round in 0..50 {
        ada.types(&format!("question {round}\n"));
        bo.types(&format!("answer {round}\n"));
        bo.shows(&format!("ada: question {round}\n"));
        ada.shows(&format!("bo: answer {round}\n"));
    }
    let long = "ä".repeat(1500);
    ada.types(&format!("{long}\n\u{1b}[2Jend\n"));
    bo.shows(&"ä".repeat(509));
    bo.shows("ada: \u{fffd}[2Jend\n");
    ada.keyboard = None;
    bo.shows("ada has left\n");
    ada.shows("goodbye\n");
    ada.ends();
    bo.ends();
}

#[test]
fn who_chats_with_somebody_who_is_killed_says_so_and_ends() {
    let folder = folder();
    let [mut ada, bo] = pair(&folder);
    bo.signal(Signal::SIGKILL);
    ada.shows("bo has left\n");
    ada.ends();
    assert_empty(&folder);
}

#[test]
fn a_signal_ends_the_chat_cleanly_also_of_one_who_waits() {
    let folder = folder();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut alone = Talker::plain(folder.path(), "ada");
        alone.shows("waiting for a partner");
        alone.signal(signal);
        alone.shows("goodbye\n");
        alone.ends();
        assert_empty(&folder);
        let [ada, mut bo] = pair(&folder);
        ada.signal(signal);
        bo.shows("ada has left\n");
        ada.ends();
        bo.ends();
    }
}

#[test]
fn at_a_terminal_messages_appear_while_somebody_types() {
    for leave in ["\u{3}", "\u{4}"] {
        let folder = folder();
        let mut ada = Talker::at_a_terminal(folder.path(), "ada");
        let mut bo = Talker::plain(folder.path(), "bo");
        bo.shows("ada is here\n");
        ada.shows("ada: ");
        ada.types("helo\u{1b}[Dl\r");
        bo.shows("ada: hello\n");
        ada.types("not yet");
        ada.shows("not yet");
        bo.types("who is there?\n");
        ada.shows("bo: who is there?");
        ada.shows("not yet");
        ada.types(" now\r");
        bo.shows("ada: not yet now\n");
        // The terminal hands on what is typed from when the prompt is there.
        ada.shows(" now");
        ada.shows("ada: ");
        ada.types(leave);
        ada.shows("goodbye");
        let asked = ada.all.contains("\u{1b}[?2004h");
        assert!(!asked, "what is asked of the terminal would stay");
        bo.shows("ada has left\n");
        bo.ends();
        ada.ends();
    }
}

#[test]
fn a_chat_that_cannot_be_says_why() {
    let folder = folder();
    fs::write(folder.path().join("file"), "text").expect("room");
    let here = folder.path().to_str().expect("a readable path");
    let missing = format!("{here}/missing");
    for (arguments, sentence) in [
        (&[here][..], "expected DIRECTORY NAME"),
        (&[here, ""], "expected one without a slash"),
        (&[here, "a/b"], "expected one without a slash"),
        (&[&missing, "ada"], "no directory for it"),
        (&[here, "file"], "is a regular file, expected"),
    ] {
        let said = refusal(arguments);
        assert!(said.contains(sentence), "{said}");
    }
    let text = fs::read_to_string(folder.path().join("file"));
    assert_eq!(text.expect("it is there still"), "text");
}

#[test]
fn a_name_that_is_taken_and_a_third_one_are_refused() {
    let folder = folder();
    let mut ada = Talker::plain(folder.path(), "ada");
    ada.shows("waiting");
    let here = folder.path().to_str().expect("a readable path");
    let said = refusal(&[here, "ada"]);
    assert!(
        said.contains("already exists and is a named pipe"),
        "{said}"
    );
    // Others that are no chats, and have a reader each.
    let fifos = ["bo", "di"]
        .map(|name| interlatch_ipc::Fifo::create(folder.path().join(name), 0o600).expect("free"));
    let readers = fifos.map(|fifo| {
        let mut both = File::options();
        both.read(true)
            .write(true)
            .open(fifo.path())
            .expect("it opens")
    });
    let said = refusal(&[here, "cy"]);
    assert!(said.contains("are here already: expected one"), "{said}");
    assert_eq!(
        fs::read_dir(here).expect("it is there").count(),
        3,
        "not cy's"
    );
    drop(readers);
}

#[test]
fn nobody_waits_for_who_was_killed_while_waiting() {
    let folder = folder();
    let mut ada = Talker::plain(folder.path(), "ada");
    ada.shows("waiting");
    ada.signal(Signal::SIGKILL);
    drop(ada);
    let mut bo = Talker::plain(folder.path(), "bo");
    bo.shows("waiting for a partner");
    let mut ada = Talker::plain(folder.path(), "ada");
    ada.shows("bo is here\n");
    bo.shows("ada is here\n");
    assert_empty(&folder);
    bo.signal(Signal::SIGKILL);
    ada.ends();
    // Under the same name too.
    let mut ada = Talker::plain(folder.path(), "ada");
    ada.shows("waiting");
    ada.signal(Signal::SIGKILL);
    drop(ada);
    let mut ada = Talker::plain(folder.path(), "ada");
    ada.shows("waiting for a partner");
    ada.signal(Signal::SIGTERM);
    ada.ends();
    assert_empty(&folder);
}

#[test]
fn of_three_who_come_at_once_two_meet_and_the_third_is_refused() {
    for _ in 0..10 {
        let folder = folder();
        let mut three = ["ada", "bo", "cy"].map(|name| Talker::plain(folder.path(), name));
        let deadline = Instant::now() + TIMEOUT;
        let refused = loop {
            if let Some(index) = three.iter_mut().position(|one| one.status().is_some()) {
                break index;
            }
            assert!(Instant::now() < deadline, "nobody is refused");
            std::thread::yield_now();
        };
        let mut two: Vec<Talker> = three.into_iter().collect();
        two.remove(refused).ends_with(1);
        for one in &mut two {
            one.shows(" is here\n");
        }
        two[0].types("hello\n");
        two[1].shows(": hello\n");
        assert_empty(&folder);
    }
}

#[test]
fn what_is_no_message_ends_the_chat() {
    let folder = folder();
    let mut ada = Talker::plain(folder.path(), "ada");
    ada.shows("waiting");
    let inbox = File::options().write(true).open(folder.path().join("ada"));
    let mut inbox = inbox.expect("she reads there");
    inbox.write_all(b"abc").expect("room");
    let mut bo = Talker::plain(folder.path(), "bo");
    bo.shows("waiting for ada");
    ada.ends_with(1);
    drop(inbox);
    bo.ends_with(1);
    assert_empty(&folder);
}

#[test]
fn who_cannot_show_anything_leaves_and_leaves_nothing() {
    let folder = folder();
    let (input, _keyboard) = std::io::pipe().expect("descriptors");
    let (screen, output) = std::io::pipe().expect("descriptors");
    let mut command = example("chat");
    command.arg(folder.path()).arg("ada");
    command.stdin(input).stdout(output);
    let mut ada = Reaped(command.spawn().expect("the example starts"));
    drop(command);
    let mut screen = BufReader::new(screen);
    let mut lines = || {
        let mut line = String::new();
        screen.read_line(&mut line).expect("it says something");
        line
    };
    assert!(lines().starts_with("waiting"));
    let mut bo = Talker::plain(folder.path(), "bo");
    assert_eq!(lines(), "bo is here\n");
    bo.shows("ada is here\n");
    drop(screen);
    bo.types("hello?\n");
    bo.shows("ada has left\n");
    bo.ends();
    assert_eq!(ada.0.wait().expect("ours").code(), Some(141));
    assert_empty(&folder);
}
