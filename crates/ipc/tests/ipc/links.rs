//! The behaviour that all five kinds of links share.

use super::harness::Test;
use super::process::{TIMEOUT, test};
use interlatch::sync::Deadline;
use interlatch::sync::Timeout;
use interlatch_ipc::wait::until_readable;
use interlatch_ipc::{Link, LinkRecvError, LinkSendError, PacketLink, StreamLink};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A kind of link, such as a Unix stream or UDP.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Creates both ends of a link with these message limits.
    make: fn(usize, usize) -> Pair,
    /// Whether a receiver sees that the sender has closed its end.
    has_end: bool,
    /// Whether a message stays in the socket until it is received.
    keeps: bool,
    is_stream: bool,
}

type Pair = (Box<dyn End>, Box<dyn End>);

/// A link whose descriptor is accessible.
pub trait End: Link + AsFd {}
impl<L: Link + AsFd> End for L {}

pub const KINDS: [Kind; 5] = [
    Kind {
        name: "unix_stream",
        make: |one, other| streams(StreamLink::pair().expect("a pair"), one, other),
        has_end: true,
        keeps: true,
        is_stream: true,
    },
    Kind {
        name: "tcp",
        make: |one, other| streams(tcp(), one, other),
        has_end: true,
        keeps: true,
        is_stream: true,
    },
    Kind {
        name: "seqpacket",
        make: |one, other| packets(PacketLink::seqpacket_pair().expect("a pair"), one, other),
        has_end: true,
        keeps: true,
        is_stream: false,
    },
    Kind {
        name: "datagram",
        make: |one, other| packets(PacketLink::datagram_pair().expect("a pair"), one, other),
        has_end: false,
        keeps: true,
        is_stream: false,
    },
    Kind {
        name: "udp",
        make: |one, other| packets(udp(), one, other),
        has_end: false,
        keeps: false,
        is_stream: false,
    },
];

fn streams((one, other): (StreamLink, StreamLink), limit: usize, others: usize) -> Pair {
    (
        Box::new(one.with_limit(limit)),
        Box::new(other.with_limit(others)),
    )
}

fn packets((one, other): (PacketLink, PacketLink), limit: usize, others: usize) -> Pair {
    (
        Box::new(one.with_limit(limit)),
        Box::new(other.with_limit(others)),
    )
}

fn tcp() -> (StreamLink, StreamLink) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the socket has an address");
    let one = TcpStream::connect(address).expect("the listener is bound");
    let (other, _) = listener.accept().expect("the client has connected");
    (
        StreamLink::tcp(one).expect("tcp"),
        StreamLink::tcp(other).expect("tcp"),
    )
}

fn udp() -> (PacketLink, PacketLink) {
    let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    one.connect(other.local_addr().expect("the socket has an address"))
        .expect("an address");
    other
        .connect(one.local_addr().expect("the socket has an address"))
        .expect("an address");
    (
        PacketLink::udp(one).expect("connected"),
        PacketLink::udp(other).expect("connected"),
    )
}

pub fn tests() -> Vec<Test> {
    type Scenario = (&'static str, fn(Kind), fn(Kind) -> bool);
    let scenarios: [Scenario; 15] = [
        (
            "messages_stay_separate_and_in_order",
            messages_stay_separate_and_in_order,
            |_| true,
        ),
        (
            "messages_replace_the_contents_of_a_buffer",
            messages_replace_the_contents_of_a_buffer,
            |_| true,
        ),
        (
            "read_ahead_counts_buffered_bytes",
            read_ahead_counts_buffered_bytes,
            |kind| kind.is_stream,
        ),
        (
            "partial_message_survives_timeouts",
            partial_message_survives_timeouts,
            |kind| kind.is_stream,
        ),
        (
            "messages_pass_in_both_directions",
            messages_pass_in_both_directions,
            |_| true,
        ),
        (
            "empty_messages_are_delivered",
            empty_messages_are_delivered,
            |_| true,
        ),
        (
            "message_at_the_limit_is_delivered",
            message_at_the_limit_is_delivered,
            |_| true,
        ),
        (
            "message_beyond_the_limit_is_not_sent",
            message_beyond_the_limit_is_not_sent,
            |_| true,
        ),
        (
            "message_beyond_the_limit_is_not_received",
            message_beyond_the_limit_is_not_received,
            |_| true,
        ),
        (
            "receive_without_a_message_times_out",
            receive_without_a_message_times_out,
            |_| true,
        ),
        (
            "sender_detects_a_closed_peer",
            sender_detects_a_closed_peer,
            |_| true,
        ),
        (
            "end_of_stream_follows_the_last_message",
            end_of_stream_follows_the_last_message,
            |kind| kind.has_end,
        ),
        (
            "receiver_without_end_of_stream_times_out",
            receiver_without_end_of_stream_times_out,
            |kind| !kind.has_end,
        ),
        (
            "full_link_times_out_and_loses_nothing",
            full_link_times_out_and_loses_nothing,
            |kind| kind.keeps,
        ),
        (
            "shared_socket_flags_stay_unchanged",
            shared_socket_flags_stay_unchanged,
            |_| true,
        ),
    ];
    let of_kind = |kind: Kind| {
        let its = scenarios
            .into_iter()
            .filter(move |(_, _, holds)| holds(kind));
        its.map(move |(name, run, _)| {
            test(&format!("links::{}/{name}", kind.name), move || run(kind))
        })
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}

pub fn pair(kind: Kind) -> Pair {
    (kind.make)(1000, 1000)
}

/// Receives the next message before the timeout.
fn next(link: &mut Box<dyn End>) -> Vec<u8> {
    let received = link.recv_timeout(TIMEOUT).expect("a message arrives");
    received.expect("the stream has not ended")
}

fn send(link: &mut Box<dyn End>, message: &[u8]) {
    link.send_timeout(message, TIMEOUT)
        .expect("the buffer has room");
}

fn assert_nothing(link: &mut Box<dyn End>) {
    let found = link.try_recv();
    assert!(matches!(found, Err(LinkRecvError::Timeout)), "{found:?}");
}

fn message(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + length) as u8)
        .collect()
}

fn messages_stay_separate_and_in_order(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    let lengths: Vec<usize> = (0..1000)
        .step_by(37)
        .chain((0..1000).rev().step_by(41))
        .collect();
    // Five messages fit into the buffer of each kind of socket.
    for window in lengths.chunks(5) {
        window
            .iter()
            .for_each(|&length| send(&mut one, &message(length)));
        window
            .iter()
            .for_each(|&length| assert_eq!(next(&mut other), message(length)));
    }
    assert_nothing(&mut other);
}

/// Alternates short messages, which the link copies, and long messages, for which it swaps buffers.
fn messages_replace_the_contents_of_a_buffer(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    let mut buffer = b"something that was there".to_vec();
    for length in [3, 1000, 999, 0, 501, 1, 500, 1000] {
        send(&mut one, &message(length));
        let timeout = Timeout::At(Deadline::after(TIMEOUT));
        let received = other.recv_into_with(&mut buffer, timeout);
        assert_eq!(received.expect("a message arrives"), Some(length));
        assert_eq!(buffer, message(length));
    }
    let nothing = other.recv_into_with(&mut buffer, Timeout::NonBlocking);
    assert!(matches!(nothing, Err(LinkRecvError::Timeout)));
    assert_eq!(buffer, message(1000), "the contents are unchanged");
    send(&mut one, b"x");
    assert_eq!(other.recv_into(&mut buffer).expect("a message"), Some(1));
    assert_eq!(buffer, b"x");
}

/// One system call reads several messages.
fn read_ahead_counts_buffered_bytes(_: Kind) {
    let (mut one, mut other) = StreamLink::pair().expect("a pair");
    assert_eq!(other.read_ahead(), 0);
    for length in [10, 20, 3] {
        one.send(&message(length)).expect("the buffer has room");
    }
    assert_eq!(other.recv().expect("the first"), Some(message(10)));
    assert_eq!(other.read_ahead(), 4 + 20 + 4 + 3);
    assert!(!until_readable(&other, Timeout::NonBlocking).expect("a socket"));
    assert_eq!(other.try_recv().expect("the second"), Some(message(20)));
    assert_eq!(other.try_recv().expect("the third"), Some(message(3)));
    assert_eq!(other.read_ahead(), 0);
    drop(one);
    assert_eq!(other.recv().expect("the end"), None);
}

/// Splits a header, and a message longer than the read-ahead buffer. Then ends the stream within a
/// message.
fn partial_message_survives_timeouts(_: Kind) {
    let (mut raw, socket) = UnixStream::pair().expect("a pair");
    let mut link = StreamLink::unix(socket);
    let mut buffer = b"before".to_vec();
    let long = message(100_000);
    let frame = [&(long.len() as u32).to_le_bytes()[..], &long].concat();
    for piece in [&frame[..2], &frame[2..5], &frame[5..20_000]] {
        raw.write_all(piece).expect("the buffer has room");
        let found = link.recv_into_with(&mut buffer, Timeout::NonBlocking);
        assert!(matches!(found, Err(LinkRecvError::Timeout)), "{found:?}");
        assert_eq!(buffer, b"before");
    }
    assert_eq!(link.read_ahead(), 20_000 - 4);
    raw.write_all(&frame[20_000..])
        .expect("the buffer has room");
    raw.write_all(&[7, 0, 0, 0, 1, 2])
        .expect("the buffer has room");
    assert_eq!(link.recv().expect("the whole message"), Some(long));
    drop(raw);
    for _ in 0..2 {
        let torn = link.recv();
        let (expected, found) = (4 + 7, 4 + 2);
        assert!(
            matches!(torn, Err(LinkRecvError::Torn { expected: e, found: f }) if (e, f) == (expected, found)),
            "{torn:?}"
        );
    }
}

fn messages_pass_in_both_directions(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    one.send(b"question").expect("the buffer has room");
    other.try_send(b"answer").expect("the buffer has room");
    assert_eq!(next(&mut other), b"question");
    assert_eq!(next(&mut one), b"answer");
    assert_nothing(&mut one);
    assert_nothing(&mut other);
}

fn empty_messages_are_delivered(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    for said in [&b""[..], b"", b"x", b""] {
        send(&mut one, said);
    }
    for said in [&b""[..], b"", b"x", b""] {
        assert_eq!(next(&mut other), said);
    }
    assert_nothing(&mut other);
}

fn message_at_the_limit_is_delivered(kind: Kind) {
    let (mut one, mut other) = (kind.make)(usize::MAX, usize::MAX);
    let limit = one.limit().min(100_000);
    assert!(limit >= 65_507, "{limit}");
    let message = message(limit);
    // The buffer of every socket has space for a message of the maximum length.
    send(&mut one, &message);
    assert!(next(&mut other) == message);
}

fn message_beyond_the_limit_is_not_sent(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    let refused = one
        .send(&message(1001))
        .expect_err("the message is too long");
    assert_eq!(
        refused.to_string(),
        "the message has 1001 bytes, the limit is 1000; split it or raise the limit"
    );
    assert_nothing(&mut other);
    send(&mut one, b"short");
    assert_eq!(next(&mut other), b"short");
}

fn message_beyond_the_limit_is_not_received(kind: Kind) {
    let (mut one, mut other) = (kind.make)(2000, 1000);
    send(&mut one, &message(1000));
    send(&mut one, &message(1500));
    send(&mut one, b"short");
    assert_eq!(next(&mut other), message(1000));
    let said = "the peer sent a message of 1500 bytes, the limit is 1000; raise it on this side";
    let refused = other
        .recv_timeout(TIMEOUT)
        .expect_err("the message is too long");
    assert_eq!(refused.to_string(), said);
    if kind.is_stream {
        let again = other
            .recv_timeout(TIMEOUT)
            .expect_err("the stream is unusable");
        assert_eq!(again.to_string(), said);
    } else {
        assert_eq!(next(&mut other), b"short");
    }
}

fn receive_without_a_message_times_out(kind: Kind) {
    let (_one, mut other) = pair(kind);
    assert_nothing(&mut other);
    for timeout in [Duration::ZERO, Duration::from_millis(5)] {
        let found = other.recv_timeout(timeout);
        assert!(matches!(found, Err(LinkRecvError::Timeout)), "{found:?}");
        let found = other.recv_deadline(Deadline::after(timeout));
        assert!(matches!(found, Err(LinkRecvError::Timeout)), "{found:?}");
    }
}

/// A TCP or UDP sender detects the closed peer only after the peer has refused data.
fn sender_detects_a_closed_peer(kind: Kind) {
    let (mut one, other) = pair(kind);
    drop(other);
    let mut tries = 0;
    loop {
        match one.send_timeout(b"for nobody", TIMEOUT) {
            Ok(()) => tries += 1,
            Err(LinkSendError::Disconnected) => break,
            Err(error) => panic!("{error:?}"),
        }
        assert!(tries < 1000, "the sender detects no closed peer");
    }
    let again = one.send_timeout(b"for nobody", TIMEOUT);
    match kind.name {
        // UDP reports the error once per refused datagram.
        "udp" => {}
        _ => assert!(
            matches!(again, Err(LinkSendError::Disconnected)),
            "{again:?}"
        ),
    }
    match kind.name {
        "tcp" | "udp" => assert!(tries >= 1, "the first is on its way before anybody knows"),
        _ => assert_eq!(tries, 0),
    }
}

fn end_of_stream_follows_the_last_message(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    send(&mut one, b"last but one");
    send(&mut one, b"");
    drop(one);
    assert_eq!(next(&mut other), b"last but one");
    assert_eq!(next(&mut other), b"", "an empty message is not the end");
    for _ in 0..2 {
        assert_eq!(other.recv_timeout(TIMEOUT).expect("the end"), None);
        assert_eq!(other.try_recv().expect("the end"), None);
    }
}

fn receiver_without_end_of_stream_times_out(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    send(&mut one, b"");
    drop(one);
    assert_eq!(next(&mut other), b"");
    let found = other.recv_timeout(Duration::from_millis(5));
    assert!(matches!(found, Err(LinkRecvError::Timeout)), "{found:?}");
}

/// A function that sends a message.
type Send = fn(&mut Box<dyn End>, &[u8]) -> Result<(), LinkSendError>;

/// Sends messages from number `first` on until the link is full, and returns the next number. An
/// unfinished message counts as sent.
fn fill(link: &mut Box<dyn End>, first: usize, send: Send) -> usize {
    for next in first..1_000_000 {
        match send(link, &message(next % 1000)) {
            Ok(()) => {}
            Err(LinkSendError::Timeout) => return next,
            Err(LinkSendError::Unfinished { left }) => {
                assert!(left > 0 && left < 4 + next % 1000, "a part was sent");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the link never became full");
}

fn full_link_times_out_and_loses_nothing(kind: Kind) {
    const MOMENT: Duration = Duration::from_millis(5);
    let (mut one, mut other) = pair(kind);
    // TCP enlarges its buffers after a while even if the peer receives nothing.
    let count = fill(&mut one, 0, |link, message| link.try_send(message));
    let count = fill(&mut one, count, |link, message| {
        link.send_timeout(message, Duration::ZERO)
    });
    let count = fill(&mut one, count, |link, message| {
        link.send_deadline(message, Deadline::after(MOMENT))
    });
    let mut index = 0;
    // An unfinished message is completed as soon as the socket's buffer has free space.
    while let Err(error) = one.try_send(b"room again") {
        assert!(matches!(
            error,
            LinkSendError::Timeout | LinkSendError::Unfinished { .. }
        ));
        assert_eq!(next(&mut other), message(index % 1000));
        index += 1;
        if matches!(error, LinkSendError::Unfinished { .. }) {
            break;
        }
    }
    (index..count).for_each(|index| assert_eq!(next(&mut other), message(index % 1000)));
    send(&mut one, b"and again");
    assert_eq!(next(&mut other), b"room again");
    assert_eq!(next(&mut other), b"and again");
    assert_nothing(&mut other);
}

fn shared_socket_flags_stay_unchanged(kind: Kind) {
    let (mut one, mut other) = pair(kind);
    send(&mut one, b"x");
    assert_eq!(next(&mut other), b"x");
    assert_nothing(&mut other);
    for link in [&one, &other] {
        let flags = fcntl(link.as_fd(), FcntlArg::F_GETFL).expect("the descriptor is open");
        assert!(!OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK));
        assert_closed_by_exec(link);
    }
}

pub fn assert_closed_by_exec(link: &impl AsFd) {
    let flags = fcntl(link.as_fd(), FcntlArg::F_GETFD).expect("the descriptor is open");
    assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
}
