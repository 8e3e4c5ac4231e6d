//! The chat of two processes that share a directory.

use super::support::example;
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

/// A running chat program.
struct Chat {
    child: Reaped,
    keyboard: Option<File>,
    /// The output of the program, in chunks.
    expect_output: Receiver<String>,
    /// The part of the output that the test has not yet searched.
    unmatched: String,
    /// The complete output so far.
    all: String,
}

impl Chat {
    fn start(mut command: Command, keyboard: OwnedFd, screen: impl Read + Send + 'static) -> Self {
        let child = command
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the example starts");
        let (sender, expect_output) = channel();
        std::thread::spawn(move || {
            let mut screen = BufReader::new(screen);
            loop {
                let chunk = screen.fill_buf().unwrap_or_default().to_vec();
                screen.consume(chunk.len());
                let text = String::from_utf8_lossy(&chunk).into_owned();
                if chunk.is_empty() || sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self {
            child: Reaped(child),
            keyboard: Some(keyboard.into()),
            expect_output,
            unmatched: String::new(),
            all: String::new(),
        }
    }

    /// Starts a chat that is connected to pipes.
    fn with_pipes(folder: &Path, name: &str) -> Self {
        let (input, keyboard) = std::io::pipe().expect("descriptors");
        let (screen, output) = std::io::pipe().expect("descriptors");
        let mut command = example("chat");
        command.arg(folder).arg(name).stdin(input).stdout(output);
        Self::start(command, keyboard.into(), screen)
    }

    /// Starts a chat that is connected to a pseudoterminal.
    fn with_terminal(folder: &Path, name: &str) -> Self {
        let terminal = openpty(None, None).expect("terminals");
        let copy = || terminal.slave.try_clone().expect("descriptors");
        let mut command = example("chat");
        command.arg(folder).arg(name).env("TERM", "xterm");
        command.stdin(copy()).stdout(copy());
        let screen = File::from(terminal.master.try_clone().expect("descriptors"));
        Self::start(command, terminal.master, screen)
    }

    fn type_text(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("the keyboard is connected");
        keyboard
            .write_all(text.as_bytes())
            .expect("the chat reads its input");
    }

    /// Waits until the program prints a text. The search begins after the text that the previous
    /// call found.
    fn expect_output(&mut self, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(at) = self.unmatched.find(text) {
                self.unmatched.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.expect_output.recv_timeout(left) {
                Ok(more) => {
                    self.unmatched.push_str(&more);
                    self.all.push_str(&more);
                }
                Err(_) => panic!("expected {text:?}, the chat printed {:?}", self.unmatched),
            }
        }
    }

    /// Waits until the program ends successfully.
    fn wait_for_success(self) {
        self.wait_for_status(0);
    }

    /// Waits until the program ends with this status.
    fn wait_for_status(mut self, expected: i32) {
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "the chat does not end, after {:?}",
                self.unmatched
            );
            std::thread::yield_now();
        };
        assert_eq!(status.code(), Some(expected), "{status}");
    }

    /// Returns the exit status, if the program has ended.
    fn status(&mut self) -> Option<ExitStatus> {
        self.child.0.try_wait().expect("this process has the child")
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.0.id() as i32), signal).expect("the child is not reaped");
    }
}

/// Runs the chat with arguments that make it fail, and returns its standard error output.
fn stderr_of_failure(arguments: &[&str]) -> String {
    let (mut stderr_text, stderr) = std::io::pipe().expect("descriptors");
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
        if let Some(status) = child.0.try_wait().expect("this process has the child") {
            break status;
        }
        assert!(
            Instant::now() < deadline,
            "the chat does not end with {arguments:?}"
        );
        std::thread::yield_now();
    };
    let mut text = String::new();
    stderr_text
        .read_to_string(&mut text)
        .expect("the output is text");
    assert_eq!(status.code(), Some(1), "{text}");
    text
}

/// A child process that is killed and reaped when this value is dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn assert_empty(folder: &tempfile::TempDir) {
    let left = fs::read_dir(folder.path())
        .expect("the directory is readable")
        .count();
    assert_eq!(left, 0, "no named pipe is left");
}

/// Starts two chats and waits until they are connected.
fn pair(folder: &tempfile::TempDir) -> [Chat; 2] {
    let mut pair = ["ada", "bo"].map(|name| Chat::with_pipes(folder.path(), name));
    pair[0].expect_output("bo is here\n");
    pair[1].expect_output("ada is here\n");
    pair
}

#[test]
fn messages_arrive_in_order() {
    let folder = folder();
    let [mut ada, mut bo] = pair(&folder);
    assert_empty(&folder);
    for round in 0..50 {
        ada.type_text(&format!("question {round}\n"));
        bo.type_text(&format!("answer {round}\n"));
        bo.expect_output(&format!("ada: question {round}\n"));
        ada.expect_output(&format!("bo: answer {round}\n"));
    }
    let long = "ä".repeat(1500);
    ada.type_text(&format!("{long}\n\u{1b}[2J\u{202e}it's the end\n"));
    bo.expect_output(&"ä".repeat(509));
    bo.expect_output("ada: \\u{1b}[2J\\u{202e}it's the end\n");
    ada.keyboard = None;
    bo.expect_output("ada has left\n");
    ada.expect_output("goodbye\n");
    ada.wait_for_success();
    bo.wait_for_success();
}

#[test]
fn death_of_partner_ends_the_chat() {
    let folder = folder();
    let [mut ada, bo] = pair(&folder);
    bo.signal(Signal::SIGKILL);
    ada.expect_output("bo has left\n");
    ada.wait_for_success();
    assert_empty(&folder);
}

#[test]
fn signal_ends_connected_and_waiting_chats_cleanly() {
    let folder = folder();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut alone = Chat::with_pipes(folder.path(), "ada");
        alone.expect_output("waiting for a partner");
        alone.signal(signal);
        alone.expect_output("goodbye\n");
        alone.wait_for_success();
        assert_empty(&folder);
        let [ada, mut bo] = pair(&folder);
        ada.signal(signal);
        bo.expect_output("ada has left\n");
        ada.wait_for_success();
        bo.wait_for_success();
    }
}

#[test]
fn messages_appear_while_the_user_types() {
    for leave in ["\u{3}", "\u{4}"] {
        let folder = folder();
        let mut ada = Chat::with_terminal(folder.path(), "ada");
        let mut bo = Chat::with_pipes(folder.path(), "bo");
        bo.expect_output("ada is here\n");
        ada.expect_output("ada: ");
        ada.type_text("helo\u{1b}[Dl\r");
        bo.expect_output("ada: hello\n");
        ada.type_text("not yet");
        ada.expect_output("not yet");
        bo.type_text("who is there?\n");
        ada.expect_output("bo: who is there?");
        ada.expect_output("not yet");
        ada.type_text(" now\r");
        bo.expect_output("ada: not yet now\n");
        // The chat prints the prompt first, and then the terminal passes the input to the chat.
        ada.expect_output(" now");
        ada.expect_output("ada: ");
        ada.type_text(leave);
        ada.expect_output("goodbye");
        let enables_bracketed_paste = ada.all.contains("\u{1b}[?2004h");
        assert!(
            !enables_bracketed_paste,
            "the terminal mode would stay enabled"
        );
        bo.expect_output("ada has left\n");
        bo.wait_for_success();
        ada.wait_for_success();
    }
}

#[test]
fn invalid_arguments_are_reported() {
    let folder = folder();
    fs::write(folder.path().join("file"), "text").expect("the file system has space");
    let directory = folder.path().to_str().expect("a readable path");
    let missing = format!("{directory}/missing");
    for (arguments, message) in [
        (&[directory][..], "expected DIRECTORY NAME"),
        (&[directory, ""], "expected one without a slash"),
        (&[directory, "a/b"], "expected one without a slash"),
        (&[&missing, "ada"], "no directory for it"),
        (&[directory, "file"], "is a regular file, expected"),
    ] {
        let stderr_text = stderr_of_failure(arguments);
        assert!(stderr_text.contains(message), "{stderr_text}");
    }
    let text = fs::read_to_string(folder.path().join("file"));
    assert_eq!(text.expect("the file exists"), "text");
}

#[test]
fn used_name_and_third_participant_are_rejected() {
    let folder = folder();
    let mut ada = Chat::with_pipes(folder.path(), "ada");
    ada.expect_output("waiting");
    let directory = folder.path().to_str().expect("a readable path");
    let stderr_text = stderr_of_failure(&[directory, "ada"]);
    assert!(
        stderr_text.contains("already exists and is a named pipe"),
        "{stderr_text}"
    );
    // These named pipes belong to other programs, and each has a reader.
    let fifos = ["bo", "di"].map(|name| {
        interlatch_ipc::Fifo::create(folder.path().join(name), 0o600).expect("the path is free")
    });
    let readers = fifos.map(|fifo| {
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .open(fifo.path())
            .expect("the fifo can be opened")
    });
    let stderr_text = stderr_of_failure(&[directory, "cy"]);
    assert!(
        stderr_text.contains("are here already: expected one"),
        "{stderr_text}"
    );
    assert_eq!(
        fs::read_dir(directory)
            .expect("the directory is readable")
            .count(),
        3,
        "cy has left no named pipe"
    );
    drop(readers);
}

#[test]
fn partner_killed_while_waiting_is_ignored() {
    let folder = folder();
    let mut ada = Chat::with_pipes(folder.path(), "ada");
    ada.expect_output("waiting");
    ada.signal(Signal::SIGKILL);
    drop(ada);
    let mut bo = Chat::with_pipes(folder.path(), "bo");
    bo.expect_output("waiting for a partner");
    let mut ada = Chat::with_pipes(folder.path(), "ada");
    ada.expect_output("bo is here\n");
    bo.expect_output("ada is here\n");
    assert_empty(&folder);
    bo.signal(Signal::SIGKILL);
    ada.wait_for_success();
    // A chat also ignores an earlier chat with its own name that was killed while it waited.
    let mut ada = Chat::with_pipes(folder.path(), "ada");
    ada.expect_output("waiting");
    ada.signal(Signal::SIGKILL);
    drop(ada);
    let mut ada = Chat::with_pipes(folder.path(), "ada");
    ada.expect_output("waiting for a partner");
    ada.signal(Signal::SIGTERM);
    ada.wait_for_success();
    assert_empty(&folder);
}

#[test]
fn two_of_three_concurrent_chats_connect() {
    for _ in 0..10 {
        let folder = folder();
        let mut chats = ["ada", "bo", "cy"].map(|name| Chat::with_pipes(folder.path(), name));
        let deadline = Instant::now() + TIMEOUT;
        let rejected = loop {
            if let Some(index) = chats.iter_mut().position(|chat| chat.status().is_some()) {
                break index;
            }
            assert!(Instant::now() < deadline, "no chat is rejected");
            std::thread::yield_now();
        };
        let mut connected: Vec<Chat> = chats.into_iter().collect();
        connected.remove(rejected).wait_for_status(1);
        for chat in &mut connected {
            chat.expect_output(" is here\n");
        }
        connected[0].type_text("hello\n");
        connected[1].expect_output(": hello\n");
        assert_empty(&folder);
    }
}

#[test]
fn invalid_message_ends_the_chat() {
    let folder = folder();
    let mut ada = Chat::with_pipes(folder.path(), "ada");
    ada.expect_output("waiting");
    let inbox = File::options().write(true).open(folder.path().join("ada"));
    let mut inbox = inbox.expect("the chat reads its fifo");
    inbox.write_all(b"abc").expect("the file system has space");
    let mut bo = Chat::with_pipes(folder.path(), "bo");
    bo.expect_output("waiting for ada");
    ada.wait_for_status(1);
    drop(inbox);
    bo.wait_for_status(1);
    assert_empty(&folder);
}

#[test]
fn closed_output_ends_the_chat() {
    let folder = folder();
    let (input, _keyboard) = std::io::pipe().expect("descriptors");
    let (screen, output) = std::io::pipe().expect("descriptors");
    let mut command = example("chat");
    command.arg(folder.path()).arg("ada");
    command.stdin(input).stdout(output);
    let mut ada = Reaped(command.spawn().expect("the example starts"));
    drop(command);
    let mut screen = BufReader::new(screen);
    let mut next_line = || {
        let mut line = String::new();
        screen.read_line(&mut line).expect("the chat prints a line");
        line
    };
    assert!(next_line().starts_with("waiting"));
    let mut bo = Chat::with_pipes(folder.path(), "bo");
    assert_eq!(next_line(), "bo is here\n");
    bo.expect_output("ada is here\n");
    drop(screen);
    bo.type_text("hello?\n");
    bo.expect_output("ada has left\n");
    bo.wait_for_success();
    assert_eq!(
        ada.0.wait().expect("this process has the child").code(),
        Some(141)
    );
    assert_empty(&folder);
}
