//! Copies of handles in forked children: no copy acts on what belongs to the parent.
//!
//! A fork of this binary's threads is not possible, so each test runs again in a role, a process
//! with one thread, and forks there.

use super::harness::Test;
use super::process::{TIMEOUT, command_for_role, test, tool};
use interlatch::Semaphore;
use interlatch::sync::{Permit, Timeout};
use interlatch_ipc::{
    Fifo, Link, LinkRecvError, PacketLink, Pipeline, PipelineError, SeqpacketListener, Signal,
    SignalFd, StreamLink, notify_semaphore,
};
use interlatch_testing::process::assert_child_succeeds;
use nix::sys::prctl;
use nix::sys::signal::{kill, raise};
use nix::unistd::{ForkResult, Pid, fork};
use std::process::{ExitCode, Stdio};

/// The name of a test, and its body in the forking process.
const CASES: &[(&str, fn())] = &[
    (
        "copy_of_a_pipeline_sends_no_signal_and_reads_no_output",
        copy_of_a_pipeline_sends_no_signal_and_reads_no_output,
    ),
    (
        "copy_of_a_fifo_removes_no_name_on_drop",
        copy_of_a_fifo_removes_no_name_on_drop,
    ),
    (
        "copy_of_a_listener_removes_no_name_on_drop",
        copy_of_a_listener_removes_no_name_on_drop,
    ),
    (
        "copy_of_a_link_leaves_the_link_open_on_drop",
        copy_of_a_link_leaves_the_link_open_on_drop,
    ),
    (
        "copy_of_a_notification_restores_only_the_action_of_the_child",
        copy_of_a_notification_restores_only_the_action_of_the_child,
    ),
    (
        "copy_of_a_signal_fd_receives_signals_of_the_child",
        copy_of_a_signal_fd_receives_signals_of_the_child,
    ),
];

pub fn tests() -> Vec<Test> {
    let case = |&(name, _): &(&'static str, fn())| {
        test(name, move || {
            let mut role = command_for_role("forked", &[name]);
            let mut process = role.spawn().expect("the process starts");
            let status = process.wait().expect("this process reaps it");
            assert!(status.success(), "{status}");
        })
    };
    CASES.iter().map(case).collect()
}

/// Runs the body of a test in a process with one thread.
pub fn run_role(arguments: &[String]) -> ExitCode {
    let case = CASES.iter().find(|(name, _)| *name == arguments[0]);
    case.expect("the name of a test").1();
    ExitCode::SUCCESS
}

/// Runs `body` in a forked child, which drops what `body` owns. Waits for the child.
fn in_child(body: impl FnOnce()) {
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            prctl::set_pdeathsig(Signal::SIGKILL).expect("a valid signal");
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: the child ends here.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        ForkResult::Parent { child } => assert_child_succeeds(child, "the child succeeds"),
    }
}

fn copy_of_a_pipeline_sends_no_signal_and_reads_no_output() {
    let mut running = Pipeline::new()
        .command(tool("cat", &[]))
        .input(Stdio::piped())
        .capture()
        .spawn()
        .expect("cat starts");
    let input = running.take_input().expect("piped");
    std::io::Write::write_all(&mut &input, b"for the parent").expect("cat reads");
    // The copy must not read the output, so it must be there.
    let mut copy = Some(running);
    in_child(|| {
        let mut copy = copy.take().expect("a copy");
        let signalled = copy.signal_group(Signal::SIGKILL);
        assert!(
            matches!(signalled, Err(PipelineError::Inherited)),
            "{signalled:?}"
        );
        for timeout in [Timeout::NonBlocking, Timeout::after(TIMEOUT)] {
            let waited = copy.wait_with(timeout);
            assert!(
                matches!(waited, Err(PipelineError::Inherited)),
                "{waited:?}"
            );
        }
    });
    let running = copy.take().expect("the original");
    drop(input);
    let finished = running.finish().expect("this process reaps cat");
    assert!(finished.success(), "{:?}", finished.statuses);
    assert_eq!(finished.output, b"for the parent");
}

fn copy_of_a_fifo_removes_no_name_on_drop() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("fifo");
    let mut fifo = Some(Fifo::create(&path, 0o600).expect("the name is new"));
    in_child(|| drop(fifo.take()));
    Fifo::from_path(&path).expect("the name stays");
    // Removing is an action on the path, which is open to every process.
    in_child(|| fifo.take().expect("a copy").remove().expect("it exists"));
    Fifo::from_path(&path).expect_err("the name is removed");
}

fn copy_of_a_listener_removes_no_name_on_drop() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("socket");
    let mut listener = Some(SeqpacketListener::bind(&path).expect("the name is new"));
    in_child(|| drop(listener.take()));
    let timeout = Timeout::after(TIMEOUT);
    let mut client = PacketLink::connect_seqpacket(&path, timeout).expect("the socket listens");
    let accepted = listener.expect("the original").accept_with(timeout);
    let mut server = accepted.expect("a connection").expect("no timeout");
    client.send(b"hello").expect("the link is open");
    assert_eq!(
        server.recv().expect("a message").as_deref(),
        Some(&b"hello"[..])
    );
}

fn copy_of_a_link_leaves_the_link_open_on_drop() {
    let (mut stream, mut packet) = (
        Some(StreamLink::pair().expect("two sockets")),
        Some(PacketLink::seqpacket_pair().expect("two sockets")),
    );
    in_child(|| drop((stream.take(), packet.take())));
    let (first, second) = stream.take().expect("the original");
    send_and_receive(first, second);
    let (first, second) = packet.take().expect("the original");
    send_and_receive(first, second);
}

fn send_and_receive(mut first: impl Link, mut second: impl Link) {
    first.send(b"hello").expect("the link is open");
    let mut message = Vec::new();
    let received: Result<_, LinkRecvError> =
        second.recv_into_with(&mut message, Timeout::after(TIMEOUT));
    assert_eq!(received.expect("a message"), Some(5));
    assert_eq!(message, b"hello");
}

fn copy_of_a_notification_restores_only_the_action_of_the_child() {
    static PERMITS: Semaphore = Semaphore::empty();
    let has_permit = || PERMITS.try_acquire().map(Permit::forget).is_some();
    let mut notification =
        Some(notify_semaphore(Signal::SIGURG, &PERMITS).expect("a signal that can be caught"));
    in_child(|| {
        // The handler of the child releases a permit of the child's copy of the semaphore.
        raise(Signal::SIGURG).expect("this process exists");
        assert!(has_permit());
        drop(notification.take());
        // The default action of SIGURG is to ignore it.
        raise(Signal::SIGURG).expect("this process exists");
        assert!(!has_permit());
    });
    assert!(!has_permit());
    raise(Signal::SIGURG).expect("this process exists");
    assert!(has_permit(), "the handler is installed");
    drop(notification);
}

fn copy_of_a_signal_fd_receives_signals_of_the_child() {
    let mut signals = Some(SignalFd::new([Signal::SIGUSR1]).expect("a descriptor"));
    kill(Pid::this(), Signal::SIGUSR1).expect("this process exists");
    in_child(|| {
        let copy = signals.take().expect("a copy");
        assert_eq!(copy.try_recv().expect("a descriptor"), None);
        raise(Signal::SIGUSR1).expect("this process exists");
        let received = copy.recv_with(Timeout::after(TIMEOUT));
        let received = received.expect("a descriptor").expect("a signal");
        assert_eq!(received.process, Some(std::process::id()));
    });
    let signals = signals.expect("the original");
    let received = signals.try_recv().expect("a descriptor");
    assert_eq!(
        received.expect("the signal is pending").process,
        Some(std::process::id())
    );
}
