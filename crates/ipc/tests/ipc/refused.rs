//! The kernel refuses to wait for a descriptor, as it does where it has no memory: whoever waits hears of it, and
//! nothing is lost. Here `ppoll(2)` is refused since a process that may have no descriptor may wait for none.

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

/// Where the kernel refuses to wait.
fn refusing<R>(wait: impl FnOnce(Timeout) -> R) -> R {
    let _limited = Limited::to(0);
    wait(Timeout::after(TIMEOUT))
}

/// What it says then.
#[track_caller]
fn is_the_kernels(error: &io::Error) {
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
}

fn failed_wait_returns_the_error() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let readable = refusing(|timeout| until_readable(&reader, timeout));
    is_the_kernels(&readable.expect_err("it is refused"));
    let writable = refusing(|timeout| until_writable(&writer, timeout));
    is_the_kernels(&writable.expect_err("it is refused"));
}

/// Nothing has come, and the kernel refuses to wait for it; then something comes.
fn receives_afterwards(here: &mut impl Link, there: &mut impl Link) {
    let mut place = b"as it was".to_vec();
    let refused = refusing(|timeout| here.recv_into_with(&mut place, timeout));
    match refused {
        Err(LinkRecvError::System { error, .. }) => is_the_kernels(&error),
        other => panic!("{other:?}"),
    }
    there.send(b"a message").expect("room");
    let received = here.recv_timeout(TIMEOUT).expect("it comes");
    assert_eq!(received.as_deref(), Some(&b"a message"[..]));
}

fn failed_wait_loses_no_packet() {
    let (mut here, mut there) = PacketLink::seqpacket_pair().expect("descriptors");
    receives_afterwards(&mut here, &mut there);
    let mut sent = 0;
    while there.try_send(b"more").is_ok() {
        sent += 1;
    }
    match refusing(|timeout| there.send_with(b"too much", timeout)) {
        Err(LinkSendError::System { error, .. }) => is_the_kernels(&error),
        other => panic!("{other:?}"),
    }
    for _ in 0..sent {
        let received = here.try_recv().expect("it was sent");
        assert_eq!(received.as_deref(), Some(&b"more"[..]));
    }
    let nothing = here.try_recv();
    assert!(
        matches!(nothing, Err(LinkRecvError::Timeout)),
        "{nothing:?}"
    );
}

fn failed_wait_tears_no_stream() {
    let (here, there) = UnixStream::pair().expect("descriptors");
    let (mut here, mut there) = (StreamLink::unix(here), StreamLink::unix(there));
    receives_afterwards(&mut here, &mut there);
}

/// Much more than there is room for.
fn unfinished_message_is_completed_later() {
    const LONG: usize = 1 << 20;
    let (here, there) = UnixStream::pair().expect("descriptors");
    setsockopt(&here, sockopt::SndBuf, &(1 << 14)).expect("a small buffer");
    let (mut here, mut there) = (StreamLink::unix(here), StreamLink::unix(there));
    let message: Vec<u8> = (0..LONG).map(|place| place as u8).collect();
    match refusing(|timeout| here.send_with(&message, timeout)) {
        Err(LinkSendError::Unfinished { left }) => assert!((1..LONG).contains(&left), "{left}"),
        other => panic!("{other:?}"),
    }
    match refusing(|timeout| here.finish_with(timeout)) {
        Err(LinkSendError::System { error, .. }) => is_the_kernels(&error),
        other => panic!("{other:?}"),
    }
    let received = std::thread::scope(|scope| {
        let received = scope.spawn(|| there.recv_timeout(TIMEOUT));
        let finished = here.finish_with(Timeout::after(TIMEOUT));
        finished.expect("somebody receives");
        received.join().expect("no panic")
    });
    assert!(received.expect("it comes").as_deref() == Some(&message[..]));
}

fn failed_wait_loses_no_signal() {
    let signals = SignalFd::new([Signal::SIGUSR2]).expect("descriptors");
    match refusing(|timeout| signals.recv_with(timeout)) {
        Err(SignalError::System { error, .. }) => is_the_kernels(&error),
        other => panic!("{other:?}"),
    }
    nix::sys::signal::raise(Signal::SIGUSR2).expect("a signal to itself");
    let received = signals.recv_timeout(TIMEOUT).expect("it is there");
    assert_eq!(received.map(|it| it.signal), Some(Signal::SIGUSR2));
}

fn failed_wait_loses_no_region() {
    let (here, there) = UnixStream::pair().expect("descriptors");
    match refusing(|timeout| recv_region_with(&there, timeout)) {
        Err(RegionTransferError::System { error, .. }) => is_the_kernels(&error),
        other => panic!("{other:?}"),
    }
    let region = Region::memfd("refused", 4096).expect("memory");
    send_region_with(&here, &region, Timeout::after(TIMEOUT)).expect("room");
    let received = recv_region_with(&there, Timeout::after(TIMEOUT)).expect("it comes");
    assert!(received.is_some());
}

fn failed_wait_loses_no_status() {
    let mut running = Pipeline::new()
        .foreground(false)
        .command(tool("cat", &[]))
        .input(Stdio::piped())
        .capture()
        .spawn()
        .expect("it starts");
    let input = running.take_input().expect("piped");
    match refusing(|timeout| running.wait_with(timeout)) {
        Err(PipelineError::System { call, error }) => {
            assert_eq!(call, "ppoll");
            is_the_kernels(&error);
        }
        other => panic!("{other:?}"),
    }
    io::Write::write_all(&mut { input }, b"text").expect("it reads");
    assert!(end(&mut running)[0].success());
    assert_eq!(running.finish().expect("ours").output, b"text");
}
