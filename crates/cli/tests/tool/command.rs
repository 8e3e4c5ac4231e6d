//! Runs the tool with a timeout. The tool's process is reaped when the test ends.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The output and exit status of the tool.
#[derive(Debug)]
pub struct ToolOutput {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

impl ToolOutput {
    /// Returns the output of a successful run.
    pub fn success(self) -> String {
        assert_eq!((self.code, &*self.err), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// Returns the output of a successful run as one JSON document.
    pub fn document(self) -> Value {
        let text = self.success();
        assert_eq!(text.lines().count(), 1, "one line: {text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// Runs the tool until it exits.
pub fn interlatch(arguments: &[&str]) -> ToolOutput {
    RunningTool::start(arguments).finish()
}

/// A running process, which is killed and reaped when this value is dropped.
pub struct RunningTool {
    pub child: Child,
    lines: Receiver<String>,
}

impl RunningTool {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interlatch"));
        command.args(arguments);
        Self::spawn(&mut command)
    }

    pub fn spawn(command: &mut Command) -> Self {
        let streams = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::from_child(streams.spawn().expect("the program starts"))
    }

    /// Takes over a child whose output is piped.
    pub fn from_child(mut child: Child) -> Self {
        let out = child.stdout.take();
        let (sender, lines) = channel();
        // The thread ends when the stream ends, which happens when the child ends.
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

    /// Receives the next line of the output.
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(TIMEOUT);
        line.expect("a line within a minute")
    }

    pub fn finish(mut self) -> ToolOutput {
        let code = self.wait().code();
        let out = self.lines.iter().collect();
        let mut err = String::new();
        let stream = self.child.stderr.as_mut().expect("piped");
        stream.read_to_string(&mut err).expect("UTF-8 text");
        assert!(!err.contains("panicked"), "{err}");
        ToolOutput { out, err, code }
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("the process has ended")
    }
}

impl Drop for RunningTool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);

/// Polls until the condition holds; panics after a minute with the condition's description.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "after a minute still not: {what}"
        );
        std::thread::yield_now();
    }
}
