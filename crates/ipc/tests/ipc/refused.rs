//! If `ppoll(2)` fails, for example because the kernel is out of memory, the waiter gets the error
//! and no data is lost.
//!
//! These tests make `ppoll(2)` fail by setting the process's limit of descriptors to 0.

use super::harness::Test;
use super::pipeline::end;
use super::process::{Limited, TIMEOUT, test, tool};
use interlatch::Region;
use interlatch::sync::Timeout;
use interlatch_ipc::wait::{until_readable, until_writable};
use interlatch_ipc::{
    Link, LinkRecvError, LinkSendError, PacketLink, Pipeline, PipelineError, RegionTransferError,
    Signal, SignalError, SignalFd, StreamLink, recv_region_with, send_region_with,
};
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "refused::failed_wait_returns_the_error",
            failed_wait_returns_the_error,
        ),
        test(
            "refused::failed_wait_loses_no_packet",
            failed_wait_loses_no_packet,
        ),
        test(
            "refused::failed_wait_tears_no_stream",
            failed_wait_tears_no_stream,
        ),
        test(
            "refused::unfinished_message_is_completed_later",
            unfinished_message_is_completed_later,
        ),
        test(
            "refused::failed_wait_loses_no_signal",
            failed_wait_loses_no_signal,
        ),
        test(
            "refused::failed_wait_loses_no_region",
            failed_wait_loses_no_region,
        ),
        test(
            "refused::failed_wait_loses_no_status",
            failed_wait_loses_no_status,
        ),
    ]
}

/// Calls `wait` while `ppoll(2)` fails.
fn with_failing_poll<R>(wait: impl FnOnce(Timeout) -> R) -> R {
    let _limited = Limited::to(0);
    wait(Timeout::after(TIMEOUT))
}

/// Checks that the error comes from `ppoll(2)`.
#[track_caller]
fn assert_poll_error(error: &io::Error) {
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
}

fn failed_wait_returns_the_error() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let readable = with_failing_poll(|timeout| until_readable(&reader, timeout));
    assert_poll_error(&readable.expect_err("the kernel refuses"));
    let writable = with_failing_poll(|timeout| until_writable(&writer, timeout));
    assert_poll_error(&writable.expect_err("the kernel refuses"));
}

/// A wait fails before a message arrives; then the message is received.
fn receive_after_failure(here: &mut impl Link, there: &mut impl Link) {
    let mut buffer = b"as it was".to_vec();
    let refused = with_failing_poll(|timeout| here.recv_into_with(&mut buffer, timeout));
    match refused {
        Err(LinkRecvError::System { error, .. }) => assert_poll_error(&error),
        other => panic!("{other:?}"),
    }
    there.send(b"a message").expect("room");
    let received = here.recv_timeout(TIMEOUT).expect("it arrives");
    assert_eq!(received.as_deref(), Some(&b"a message"[..]));
}

fn failed_wait_loses_no_packet() {
    let (mut here, mut there) = PacketLink::seqpacket_pair().expect("a free descriptor");
    receive_after_failure(&mut here, &mut there);
    let mut sent = 0;
    while there.try_send(b"more").is_ok() {
        sent += 1;
    }
    match with_failing_poll(|timeout| there.send_with(b"too much", timeout)) {
        Err(LinkSendError::System { error, .. }) => assert_poll_error(&error),
        other => panic!("{other:?}"),
    }
    for _ in 0..sent {
        let received = here.try_recv().expect("the message was sent");
        assert_eq!(received.as_deref(), Some(&b"more"[..]));
    }
    let nothing = here.try_recv();
    assert!(
        matches!(nothing, Err(LinkRecvError::Timeout)),
        "{nothing:?}"
    );
}

fn failed_wait_tears_no_stream() {
    let (here, there) = UnixStream::pair().expect("a free descriptor");
    let (mut here, mut there) = (StreamLink::unix(here), StreamLink::unix(there));
    receive_after_failure(&mut here, &mut there);
}

/// The message of this test is much longer than the socket's buffer, so one call cannot send the
/// whole message.
fn unfinished_message_is_completed_later() {
    const LONG: usize = 1 << 20;
    let (here, there) = UnixStream::pair().expect("a free descriptor");
    setsockopt(&here, sockopt::SndBuf, &(1 << 14)).expect("a small buffer");
    let (mut here, mut there) = (StreamLink::unix(here), StreamLink::unix(there));
    let message: Vec<u8> = (0..LONG).map(|index| index as u8).collect();
    match with_failing_poll(|timeout| here.send_with(&message, timeout)) {
        Err(LinkSendError::Unfinished { left }) => assert!((1..LONG).contains(&left), "{left}"),
        other => panic!("{other:?}"),
    }
    match with_failing_poll(|timeout| here.finish_with(timeout)) {
        Err(LinkSendError::System { error, .. }) => assert_poll_error(&error),
        other => panic!("{other:?}"),
    }
    let received = std::thread::scope(|scope| {
        let received = scope.spawn(|| there.recv_timeout(TIMEOUT));
        let finished = here.finish_with(Timeout::after(TIMEOUT));
        finished.expect("the peer receives");
        received.join().expect("no panic")
    });
    assert!(received.expect("it arrives").as_deref() == Some(&message[..]));
}

fn failed_wait_loses_no_signal() {
    let signals = SignalFd::new([Signal::SIGUSR2]).expect("a free descriptor");
    match with_failing_poll(|timeout| signals.recv_with(timeout)) {
        Err(SignalError::System { error, .. }) => assert_poll_error(&error),
        other => panic!("{other:?}"),
    }
    nix::sys::signal::raise(Signal::SIGUSR2).expect("a signal to itself");
    let received = signals.recv_timeout(TIMEOUT).expect("it exists");
    assert_eq!(received.map(|it| it.signal), Some(Signal::SIGUSR2));
}

fn failed_wait_loses_no_region() {
    let (here, there) = UnixStream::pair().expect("a free descriptor");
    match with_failing_poll(|timeout| recv_region_with(&there, timeout)) {
        Err(RegionTransferError::System { error, .. }) => assert_poll_error(&error),
        other => panic!("{other:?}"),
    }
    let region = Region::memfd("refused", 4096).expect("memory");
    send_region_with(&here, &region, Timeout::after(TIMEOUT)).expect("room");
    let received = recv_region_with(&there, Timeout::after(TIMEOUT)).expect("it arrives");
    assert!(received.is_some());
}

fn failed_wait_loses_no_status() {
    let mut running = Pipeline::new()
        .foreground(false)
        .command(tool("cat", &[]))
        .input(Stdio::piped())
        .capture()
        .spawn()
        .expect("the process starts");
    let input = running.take_input().expect("piped");
    match with_failing_poll(|timeout| running.wait_with(timeout)) {
        Err(PipelineError::System { call, error }) => {
            assert_eq!(call, "ppoll");
            assert_poll_error(&error);
        }
        other => panic!("{other:?}"),
    }
    io::Write::write_all(&mut { input }, b"text").expect("the command reads");
    assert!(end(&mut running)[0].success());
    assert_eq!(
        running.finish().expect("this process reaps it").output,
        b"text"
    );
}
