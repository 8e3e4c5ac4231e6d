//! Runs the examples of sockets and signals.

use super::support::{example, run, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn every_kind_of_socket_passes_messages() {
    let output = run("sockets", &["stressed", "\u{1b}drawer"]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    let kinds = ["UnixStream", "UnixSeqpacket", "UnixDatagram", "Tcp", "Udp"];
    let stdout = kinds.map(|kind| {
        format!("  stressed desserts\n  \u{1b}drawer reward\\u{{1b}}\n{kind}: 2 words answered\n")
    });
    assert_eq!(out, stdout.concat());
    assert_eq!(run("sockets", &[""]).status.code(), Some(2));
    assert_eq!(run("sockets", &["--kind", "pigeon"]).status.code(), Some(2));
}

#[test]
fn program_receives_each_signal_with_its_sender() {
    let mut child = example("signals");
    let mut child = child
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let process = Pid::from_raw(child.id() as i32);
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = move || {
        let mut line = String::new();
        output
            .read_line(&mut line)
            .expect("the example prints a line");
        line
    };
    assert_eq!(line(), format!("{process} waits for signals\n"));
    let sender = std::process::id();
    for _ in 0..3 {
        kill(process, Signal::SIGHUP).expect("the process runs");
        assert_eq!(line(), "SIGHUP: reloaded\n");
        kill(process, Signal::SIGUSR1).expect("the process runs");
        assert_eq!(line(), format!("SIGUSR1 from {sender}\n"));
    }
    kill(process, Signal::SIGTERM).expect("the process runs");
    assert_eq!(line(), "reloaded 3 times; goodbye after SIGTERM\n");
    assert!(child.wait().expect("this process has the child").success());
}
