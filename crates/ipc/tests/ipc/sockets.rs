//! Properties that only some kinds of sockets have, and links between processes.

use super::harness::Test;
use super::links::{KINDS, assert_closed_by_exec, pair};
use super::pipeline::end;
use super::process::{TIMEOUT, command_for_role, has_pending, test, until};
use interlatch::Region;
use interlatch::sync::Timeout;
use interlatch_ipc::{
    Link, LinkRecvError, LinkSendError, PacketLink, Pipeline, RegionTransferError,
    SeqpacketListener, Signal, StreamLink, send_region_with,
};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction, signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        test("sockets::links_survive_signals", links_survive_signals),
        test(
            "sockets::torn_stream_is_not_an_end_of_stream",
            torn_stream_is_not_an_end_of_stream,
        ),
        test(
            "sockets::message_may_arrive_in_pieces",
            message_may_arrive_in_pieces,
        ),
        test(
            "sockets::length_is_checked_before_allocation",
            length_is_checked_before_allocation,
        ),
        test(
            "sockets::unfinished_message_can_be_finished",
            unfinished_message_can_be_finished,
        ),
        test(
            "sockets::peer_with_unread_messages_resets_the_stream",
            peer_with_unread_messages_resets_the_stream,
        ),
        test(
            "sockets::seqpacket_links_connect_at_a_path",
            seqpacket_links_connect_at_a_path,
        ),
        test(
            "sockets::connecting_without_a_listener_fails",
            connecting_without_a_listener_fails,
        ),
        test(
            "sockets::connecting_to_a_full_listener_times_out",
            connecting_to_a_full_listener_times_out,
        ),
        test(
            "sockets::unconnected_sockets_are_rejected",
            unconnected_sockets_are_rejected,
        ),
        test(
            "sockets::messages_pass_between_processes",
            messages_pass_between_processes,
        ),
        test(
            "sockets::killed_peer_ends_the_stream",
            killed_peer_ends_the_stream,
        ),
        test(
            "sockets::sending_to_closed_peers_raises_no_sigpipe",
            sending_to_closed_peers_raises_no_sigpipe,
        ),
    ]
}

/// Returns a link, and a stream that writes raw bytes to the link.
fn raw() -> (UnixStream, StreamLink) {
    let (raw, other) = UnixStream::pair().expect("a pair");
    (raw, StreamLink::unix(other))
}

fn torn_stream_is_not_an_end_of_stream() {
    for (bytes, said) in [
        (&[10, 0, 0, 0, 1, 2, 3][..], "7 of 14 bytes"),
        (&[10, 0], "2 of 4 bytes"),
    ] {
        let (mut raw, mut link) = raw();
        raw.write_all(bytes).expect("the buffer has room");
        drop(raw);
        for _ in 0..2 {
            let torn = link.recv_timeout(TIMEOUT).expect_err("the stream is torn");
            assert!(matches!(torn, LinkRecvError::Torn { .. }), "{torn:?}");
            assert!(torn.to_string().contains(said), "{torn}");
        }
    }
}

fn message_may_arrive_in_pieces() {
    let (mut raw, mut link) = raw();
    let frame = [3, 0, 0, 0, b'a', b'b', b'c'];
    for byte in frame {
        let early = link.try_recv();
        assert!(matches!(early, Err(LinkRecvError::Timeout)), "{early:?}");
        raw.write_all(&[byte]).expect("the buffer has room");
    }
    assert_eq!(
        link.recv_timeout(TIMEOUT)
            .expect("the message is complete")
            .as_deref(),
        Some(&b"abc"[..])
    );
}

fn length_is_checked_before_allocation() {
    let (mut raw, link) = raw();
    let mut link = link.with_limit(10);
    raw.write_all(&[0xff; 4]).expect("the buffer has room");
    let refused = link
        .recv_timeout(TIMEOUT)
        .expect_err("the message is too long");
    assert_eq!(
        refused.to_string(),
        "the peer sent a message of 4294967295 bytes, the limit is 10; raise it on this side"
    );
}

fn unfinished_message_can_be_finished() {
    const LIMIT: usize = 10 << 20;
    let (one, other) = StreamLink::pair().expect("a pair");
    let (mut one, mut other) = (one.with_limit(LIMIT), other.with_limit(LIMIT));
    let message = vec![7; LIMIT];
    let begun = one.send_timeout(&message, Duration::from_millis(5));
    assert!(
        matches!(begun, Err(LinkSendError::Unfinished { .. })),
        "{begun:?}"
    );
    let refused = one.finish_with(Timeout::NonBlocking);
    assert!(
        matches!(refused, Err(LinkSendError::Unfinished { .. })),
        "{refused:?}"
    );
    let receiver = std::thread::spawn(move || other.recv_timeout(TIMEOUT));
    one.finish_with(Timeout::after(TIMEOUT))
        .expect("the message is received");
    one.finish_with(Timeout::NonBlocking)
        .expect("no message is unfinished");
    let received = receiver
        .join()
        .expect("the process ends")
        .expect("the message is complete");
    assert!(received == Some(message));
}

fn peer_with_unread_messages_resets_the_stream() {
    let (mut one, other) = StreamLink::pair().expect("a pair");
    one.send(b"unread").expect("the buffer has room");
    drop(other);
    let gone = one.recv_timeout(TIMEOUT);
    assert!(matches!(gone, Err(LinkRecvError::Disconnected)), "{gone:?}");
}

fn seqpacket_links_connect_at_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = SeqpacketListener::bind(&path).expect("the name is free");
    assert!(
        listener
            .accept_with(Timeout::NonBlocking)
            .expect("the listener is bound")
            .is_none()
    );
    let mut clients = [(); 3].map(|()| {
        let timeout = Timeout::after(TIMEOUT);
        PacketLink::connect_seqpacket(&path, timeout).expect("the listener is bound")
    });
    for client in &mut clients {
        let accepted = listener
            .accept_with(Timeout::after(TIMEOUT))
            .expect("the listener is bound");
        let mut server = accepted.expect("a client has connected");
        assert_closed_by_exec(&server);
        assert_closed_by_exec(client);
        client
            .send_timeout(b"", TIMEOUT)
            .expect("the buffer has room");
        assert_eq!(
            server.recv_timeout(TIMEOUT).expect("it arrives").as_deref(),
            Some(&b""[..])
        );
        drop(server);
        assert_eq!(client.recv_timeout(TIMEOUT).expect("the end"), None);
    }
    let taken = SeqpacketListener::bind(&path).expect_err("it exists");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

fn connecting_without_a_listener_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let connect = || PacketLink::connect_seqpacket(&path, Timeout::after(TIMEOUT));
    assert_eq!(
        connect().expect_err("the path does not exist").kind(),
        ErrorKind::NotFound
    );
    drop(SeqpacketListener::bind(&path).expect("the name is free"));
    assert_eq!(
        connect().expect_err("no process listens").kind(),
        ErrorKind::ConnectionRefused
    );
    let long = folder.path().join("x".repeat(108));
    SeqpacketListener::bind(long).expect_err("the path is too long");
}

fn connecting_to_a_full_listener_times_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let _listener = SeqpacketListener::bind(&path).expect("the name is free");
    let connect = |timeout| PacketLink::connect_seqpacket(&path, timeout);
    let all: Vec<PacketLink> = (0..1000)
        .map_while(|_| connect(Timeout::NonBlocking).ok())
        .collect();
    assert!(all.len() < 1000, "the queue has a limit");
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(Duration::from_millis(5)),
    ] {
        let refused = connect(timeout).expect_err("the queue is full");
        assert_eq!(refused.kind(), ErrorKind::WouldBlock, "{refused}");
    }
}

fn unconnected_sockets_are_rejected() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let refused = PacketLink::udp(udp).expect_err("the socket is not connected");
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
    let datagram = UnixDatagram::unbound().expect("a socket");
    let refused = PacketLink::unix_datagram(datagram).expect_err("the socket is not connected");
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
    let (stream, _other) = UnixStream::pair().expect("a pair");
    PacketLink::seqpacket(stream.into()).expect_err("the socket is a stream");
    let flags = SockFlag::SOCK_CLOEXEC;
    let packets = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None);
    let refused = PacketLink::seqpacket(packets.expect("a socket"));
    let refused = refused.expect_err("the socket is not connected");
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
}

fn standard_input() -> OwnedFd {
    std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("it exists")
}

extern "C" fn nothing(_: i32) {}

/// Echoes the messages that arrive on standard input. SIGUSR1 interrupts the process's system
/// calls.
pub fn run_echo() -> ExitCode {
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("the handler is installed");
    let packets = PacketLink::seqpacket(standard_input());
    let mut link: Box<dyn Link> = match packets {
        Ok(link) => Box::new(link),
        Err(_) => Box::new(StreamLink::unix(standard_input().into())),
    };
    while let Some(message) = link
        .recv_timeout(TIMEOUT)
        .expect("the parent sends messages")
    {
        link.send_timeout(&message, TIMEOUT)
            .expect("the parent receives");
    }
    ExitCode::SUCCESS
}

/// Starts a process that echoes over a stream or seqpackets, and returns a link to it.
fn echo(is_stream: bool) -> (Box<dyn Link>, interlatch_ipc::RunningPipeline) {
    let (link, other): (Box<dyn Link>, OwnedFd) = if is_stream {
        let (raw, link) = raw();
        (Box::new(link), raw.into())
    } else {
        let (link, other) = PacketLink::seqpacket_pair().expect("a pair");
        (Box::new(link), other.into())
    };
    let pipeline = Pipeline::new()
        .command(command_for_role("echo", &[]))
        .input(other);
    (link, pipeline.spawn().expect("the process starts"))
}

fn messages_pass_between_processes() {
    for is_stream in [true, false] {
        let (mut link, mut running) = echo(is_stream);
        for length in 0..500 {
            let message = vec![length as u8; length];
            link.send_timeout(&message, TIMEOUT)
                .expect("the buffer has room");
            let answer = link.recv_timeout(TIMEOUT).expect("the peer answers");
            assert_eq!(answer, Some(message));
        }
        drop(link);
        assert!(
            end(&mut running)[0].success(),
            "the process sees the end of the stream"
        );
    }
}

/// Returns whether the process sleeps in `ppoll`, as far as the kernel reports it.
fn sleeps_in_a_poll(process: u32) -> bool {
    let call = fs::read_to_string(format!("/proc/{process}/syscall"));
    call.map_or(true, |call| {
        call.starts_with(&format!("{} ", libc::SYS_ppoll))
    })
}

fn links_survive_signals() {
    for is_stream in [true, false] {
        let (mut link, mut running) = echo(is_stream);
        let process = running.process_ids()[0];
        for round in 0..20 {
            let message = [round];
            link.send_timeout(&message, TIMEOUT)
                .expect("the buffer has room");
            let answer = link.recv_timeout(TIMEOUT).expect("the peer answers");
            assert_eq!(answer.as_deref(), Some(&message[..]));
            until("the process waits for the next message", || {
                sleeps_in_a_poll(process)
            });
            running.signal_group(Signal::SIGUSR1).expect("it exists");
            until("the signal was delivered", || !has_pending(process));
        }
        drop(link);
        assert!(
            end(&mut running)[0].success(),
            "the process sees the end of the stream"
        );
    }
}

fn killed_peer_ends_the_stream() {
    for is_stream in [true, false] {
        let (mut link, mut running) = echo(is_stream);
        link.send_timeout(b"x", TIMEOUT)
            .expect("the buffer has room");
        assert_eq!(
            link.recv_timeout(TIMEOUT)
                .expect("the peer answers")
                .as_deref(),
            Some(&b"x"[..])
        );
        running.signal_group(Signal::SIGKILL).expect("it exists");
        assert_eq!(link.recv_timeout(TIMEOUT).expect("the end"), None);
        let refused = link.send_timeout(b"x", TIMEOUT);
        assert!(
            matches!(refused, Err(LinkSendError::Disconnected)),
            "{refused:?}"
        );
        end(&mut running);
    }
}

/// Sends to closed peers while SIGPIPE has its default action, which ends the process.
pub fn run_writer() -> ExitCode {
    // SAFETY: the default action runs no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("the call is allowed");
    for kind in KINDS {
        let (mut one, other) = pair(kind);
        drop(other);
        let sent = (0..1000).map(|_| one.send_timeout(b"for nobody", TIMEOUT));
        let refused = sent.filter_map(Result::err).next();
        assert!(
            matches!(refused, Some(LinkSendError::Disconnected)),
            "{}",
            kind.name
        );
    }
    let (here, there) = UnixStream::pair().expect("a pair");
    drop(there);
    let region = Region::memfd("for nobody", 4096).expect("the memory suffices");
    let refused = send_region_with(&here, &region, Timeout::after(TIMEOUT));
    assert!(
        matches!(refused, Err(RegionTransferError::Disconnected)),
        "{refused:?}"
    );
    ExitCode::SUCCESS
}

fn sending_to_closed_peers_raises_no_sigpipe() {
    let pipeline = Pipeline::new().command(command_for_role("writer for nobody", &[]));
    let mut running = pipeline.spawn().expect("the process starts");
    let status = end(&mut running)[0];
    assert!(status.success(), "{status}");
}
