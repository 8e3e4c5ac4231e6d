//! The tool, run with a deadline, and reaped with the test.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What it said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

impl Said {
    /// What it said, if it went well.
    pub fn well(self) -> String {
        assert_eq!((self.code, &*self.err), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// The same as one document of JSON.
    pub fn document(self) -> Value {
        let text = self.well();
        assert_eq!(text.lines().count(), 1, "one line: {text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// Runs the tool to its end.
pub fn interlatch(arguments: &[&str]) -> Said {
    Running::start(arguments).end()
}

/// A program that runs; it is killed and reaped with the test.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interlatch"));
        command.args(arguments);
        Self::of(&mut command)
    }

    pub fn of(command: &mut Command) -> Self {
        let streams = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::over(streams.spawn().expect("the program starts"))
    }

    /// One that was started, with its output piped.
    pub fn over(mut child: Child) -> Self {
        let out = child.stdout.take();
        let (sender, lines) = channel();
        // It ends with the stream, and so with the child.
        std::thread::spawn(move || {
            let Some(out) = out else { return };
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line + "\n").is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that it prints.
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(MAX);
        line.expect("a line within a minute")
    }

    pub fn end(mut self) -> Said {
        let code = self.wait().code();
        let out = self.lines.iter().collect();
        let mut err = String::new();
        let stream = self.child.stderr.as_mut().expect("piped");
        stream.read_to_string(&mut err).expect("text");
        assert!(!err.contains("panicked"), "{err}");
        Said { out, err, code }
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const MAX: Duration = Duration::from_secs(60);

/// Looks until it holds; after a minute, fails with what was waited for.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + MAX;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "after a minute still not: {what}"
        );
        std::thread::yield_now();
    }
}
