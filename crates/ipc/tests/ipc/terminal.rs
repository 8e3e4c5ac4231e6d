//! Ctrl+C at a pseudo-terminal that the test controls.

use super::harness::Test;
use super::pipeline::end;
use super::process::{TIMEOUT, command_for_role, test, tool};
use interlatch::sync::Timeout;
use interlatch_ipc::wait::until_readable;
use interlatch_ipc::{Pipeline, RunningPipeline, Signal, SignalFd};
use nix::pty::openpty;
use nix::sys::signal::{SigHandler, kill, signal};
use nix::unistd::{Pid, dup2_stdin, getsid};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitCode};

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "terminal::ctrl_c_terminates_every_command",
            ctrl_c_terminates_every_command,
        ),
        test(
            "terminal::ctrl_c_works_with_redirected_input",
            ctrl_c_works_with_redirected_input,
        ),
        test("terminal::ctrl_z_stops_no_command", ctrl_z_stops_no_command),
        test(
            "terminal::foreground_pipeline_reads_the_terminal",
            foreground_pipeline_reads_the_terminal,
        ),
        test(
            "terminal::shared_group_keeps_the_terminal_and_ctrl_c_reaches_all",
            shared_group_keeps_the_terminal_and_ctrl_c_reaches_all,
        ),
        test(
            "terminal::signal_in_a_shared_group_reaches_only_the_commands",
            signal_in_a_shared_group_reaches_only_the_commands,
        ),
        test(
            "terminal::piped_output_keeps_the_terminal",
            piped_output_keeps_the_terminal,
        ),
        test(
            "terminal::background_pipeline_keeps_the_terminal",
            background_pipeline_keeps_the_terminal,
        ),
    ]
}

/// A session with a terminal, whose leader runs a pipeline.
struct Session {
    child: Child,
    keyboard: File,
    output: OwnedFd,
}

impl Session {
    /// Starts a session whose leader writes to a socket. If the output were a pipe, the leader
    /// would assume that its job has another process.
    fn start(arguments: &[&str]) -> Self {
        let (output, written) = UnixStream::pair().expect("two sockets");
        Self::writing_to(written.into(), output.into(), arguments)
    }

    fn writing_to(written: OwnedFd, output: OwnedFd, arguments: &[&str]) -> Self {
        let terminal = openpty(None, None).expect("a pseudo-terminal");
        let mut command = command_for_role("session", arguments);
        command.stdin(terminal.slave).stdout(written);
        // SAFETY: between fork and exec the function makes only system calls.
        unsafe { command.pre_exec(begin_session) };
        let child = command.spawn().expect("the process starts");
        Self {
            output,
            keyboard: terminal.master.into(),
            child,
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard
            .write_all(keys)
            .expect("the terminal accepts input");
    }

    /// Reads the next line before the timeout.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let came = until_readable(&self.output, Timeout::after(TIMEOUT)).expect("a pipe");
            assert!(came, "no output after {:?}", String::from_utf8_lossy(&line));
            let mut byte = [0];
            let length = nix::unistd::read(&self.output, &mut byte).expect("a pipe");
            assert_eq!(length, 1, "it has gone: {:?}", self.child.wait());
            line.push(byte[0]);
        }
        String::from_utf8(line)
            .expect("UTF-8 text")
            .trim_end()
            .to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // If the test failed, processes of the session may still exist.
        let session = Some(Pid::from_raw(self.child.id() as i32));
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let process = entry
                .file_name()
                .to_string_lossy()
                .parse()
                .map(Pid::from_raw);
            if let Ok(process) = process
                && getsid(Some(process)).ok() == session
            {
                let _ = kill(process, Signal::SIGKILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// Begins a session with a terminal, and restores the default actions of SIGINT and SIGHUP.
///
/// A shell starts background commands with SIGINT ignored, and `nohup` ignores SIGHUP. Children
/// inherit ignored signals.
fn begin_session() -> std::io::Result<()> {
    for ignored in [Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: the default action runs no handler.
        unsafe { signal(ignored, SigHandler::SigDfl)? };
    }
    nix::unistd::setsid()?;
    // SAFETY: descriptor 0 is the terminal, and the argument is an integer.
    match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Runs a pipeline and prints the foreground group, the statuses, and the foreground group after
/// the end of the pipeline.
pub fn run_role(arguments: &[String]) -> ExitCode {
    // If the pipeline shares its group, Ctrl+C reaches this process too, which must survive to
    // report.
    std::mem::forget(SignalFd::new([Signal::SIGINT]).expect("the call is allowed"));
    let _companion = arguments[0].starts_with("beside").then(Companion::start);
    let pipeline = match arguments[0].as_str() {
        "sleepers" | "beside" | "beside, told" => sleepers(),
        "deaf" => {
            dup2_stdin(File::open("/dev/null").expect("it exists"))
                .expect("the descriptor is open");
            sleepers()
        }
        "background" => sleepers().foreground(false),
        "reader" => Pipeline::new()
            .command(tool("head", &["-1"]))
            .command(tool("cat", &[])),
        other => panic!("unknown pipeline {other:?}"),
    };
    let mut running = pipeline.spawn().expect("the process starts");
    println!("{}", foreground(&running));
    if ["background", "beside, told"].contains(&arguments[0].as_str()) {
        running
            .signal_group(Signal::SIGTERM)
            .expect("the process runs");
    }
    let statuses = end(&mut running);
    let signals: Vec<Option<i32>> = statuses.iter().map(ExitStatusExt::signal).collect();
    println!("{signals:?}");
    println!("{}", foreground(&running));
    ExitCode::SUCCESS
}

/// Another process of the group, as in a shell's `pipeline ... | less`.
struct Companion(Child);

impl Companion {
    fn start() -> Self {
        Self(
            tool("sleep", &["1000"])
                .spawn()
                .expect("the process starts"),
        )
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.0.kill().expect("this process reaps it");
        self.0.wait().expect("this process reaps it");
    }
}

fn sleepers() -> Pipeline {
    let commands = (0..3).map(|_| tool("sleep", &["1000"]));
    commands.fold(Pipeline::new(), Pipeline::command)
}

fn foreground(running: &RunningPipeline) -> &'static str {
    let terminal = File::open("/dev/tty").expect("this session has one");
    // SAFETY: the call takes an open descriptor.
    match unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) } {
        it if Some(it) == running.group_id() => "the pipeline",
        it if it == nix::unistd::getpgrp().as_raw() => "this process",
        _ => "somebody else",
    }
}

const CTRL_C: &[u8] = b"\x03";
const CTRL_Z: &[u8] = b"\x1a";

fn assert_interrupted(mut session: Session) {
    assert_eq!(session.line(), "[Some(2), Some(2), Some(2)]", "SIGINT");
    assert_eq!(session.line(), "this process");
    assert!(
        session
            .child
            .wait()
            .expect("this process reaps it")
            .success(),
        "the process survived"
    );
}

fn ctrl_c_terminates_every_command() {
    let mut session = Session::start(&["sleepers"]);
    assert_eq!(session.line(), "the pipeline");
    session.press(CTRL_C);
    assert_interrupted(session);
}

fn ctrl_c_works_with_redirected_input() {
    let mut session = Session::start(&["deaf"]);
    assert_eq!(session.line(), "the pipeline");
    session.press(CTRL_C);
    assert_interrupted(session);
}

fn ctrl_z_stops_no_command() {
    let mut session = Session::start(&["sleepers"]);
    assert_eq!(session.line(), "the pipeline");
    session.press(CTRL_Z);
    session.press(CTRL_C);
    assert_interrupted(session);
}

/// The kernel would stop a background process that reads from the terminal.
fn foreground_pipeline_reads_the_terminal() {
    let mut session = Session::start(&["reader"]);
    assert_eq!(session.line(), "the pipeline");
    session.press(b"typed\n");
    assert_eq!(session.line(), "typed");
    assert_eq!(session.line(), "[None, None]");
    assert_eq!(session.line(), "this process");
    let mut echo = [0; 5];
    session
        .keyboard
        .read_exact(&mut echo)
        .expect("a terminal shows what is typed");
}

fn shared_group_keeps_the_terminal_and_ctrl_c_reaches_all() {
    let mut session = Session::start(&["beside"]);
    assert_eq!(session.line(), "this process");
    session.press(CTRL_C);
    assert_interrupted(session);
}

/// A signal to the whole group would terminate the companion and the session's leader.
fn signal_in_a_shared_group_reaches_only_the_commands() {
    let mut session = Session::start(&["beside, told"]);
    assert_eq!(session.line(), "this process");
    assert_eq!(session.line(), "[Some(15), Some(15), Some(15)]", "SIGTERM");
    assert_eq!(session.line(), "this process");
    assert!(
        session
            .child
            .wait()
            .expect("this process reaps it")
            .success()
    );
}

/// The process that reads the pipe may belong to a job that the shell is still starting.
fn piped_output_keeps_the_terminal() {
    let (output, written) = std::io::pipe().expect("a pipe");
    let mut session = Session::writing_to(written.into(), output.into(), &["sleepers"]);
    assert_eq!(session.line(), "this process");
    session.press(CTRL_C);
    assert_interrupted(session);
}

fn background_pipeline_keeps_the_terminal() {
    let mut session = Session::start(&["background"]);
    assert_eq!(session.line(), "this process");
    assert_eq!(session.line(), "[Some(15), Some(15), Some(15)]", "SIGTERM");
    assert_eq!(session.line(), "this process");
}
