//! What a pipe must not do at its limits: block one who has no time, kill who writes, mix or lose pieces, promise
//! more than fits.
//!
//! Each part runs in an actor, since one that hangs, or that a signal ends, would take the tests with it.

use super::ends::said;
use super::harness::Test;
use super::shared::{Gets, Shared};
use interlatch::channel::Unregistered;
use interlatch::channel::{
    ChannelError, Duplex, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use interlatch::platform::PipeStop;
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::{PipeSemaphore, RawCondvar, RawSemaphore, SemaphoreCondvar, Timeout};
use interlatch::{Buffer, Channel, PipeBuffer};
use interlatch_ipc::{Fifo, Link, LinkRecvError, LinkSendError, StreamLink};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise, signal};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The parts, by the names of their tests.
const PARTS: [(&str, fn()); 17] = [
    ("a_writer_outlives_a_later_change_of_sigpipe", sigpipe),
    (
        "a_writer_outlives_it_where_the_kernel_is_old",
        sigpipe_of_old,
    ),
    ("a_message_is_not_doubled_when_memory_is_short", no_memory),
    ("an_impatient_sender_of_large_items_never_blocks", full),
    (
        "a_sender_of_large_items_keeps_its_deadline",
        full_for_a_while,
    ),
    (
        "a_part_of_a_small_item_is_kept_for_the_next_call",
        part_of_small,
    ),
    (
        "a_large_item_that_stays_unfinished_blocks_nobody",
        unfinished,
    ),
    ("threads_that_send_large_items_take_turns", threads),
    ("as_many_items_fit_as_was_promised", promised),
    (
        "a_large_pipe_holds_what_a_duplex_promises",
        promised_to_a_duplex,
    ),
    ("a_duplex_keeps_its_deadline_while_items_come", flood),
    ("a_duplex_keeps_no_more_than_its_limit", flood_without_end),
    ("a_torn_item_is_told_from_the_end", torn),
    (
        "ends_of_a_semaphore_are_passed_on_so_that_they_block",
        jobserver,
    ),
    ("a_pipe_of_one_page_loses_no_permit", one_page),
    (
        "a_notification_reaches_more_waiters_than_one_release",
        many_waiters,
    ),
    ("a_link_to_a_fifo_is_not_the_fifo", removal),
];

pub fn tests() -> Vec<Test> {
    let test = |name: &'static str| {
        Test::new(name, move || {
            let mut actor = Shared::new(4096).start(Gets::Both, &["limit", name]);
            assert_eq!(said(&mut actor), "done");
        })
    };
    PARTS.iter().map(|(name, _)| test(name)).collect()
}

/// In an actor.
pub fn play(name: &str) {
    let part = PARTS.iter().find(|(known, _)| *known == name);
    part.expect("a part of that name").1();
    println!("done");
}

const PAGE: usize = pipe::PIPE_BUF;

/// Whoever has set the signal to its default since the writer was made is not killed by it.
fn sigpipe() {
    let (reader, writer) = pipe::pipe(1).expect("descriptors");
    drop(reader);
    // SAFETY: it runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("it can be chosen");
    for bytes in [&[1; 8][..], &[1; 2 * PAGE]] {
        assert_eq!(writer.write(bytes), Err(PipeStop::Broken));
        let blocking = writer.write_blocking(bytes);
        assert_eq!(blocking, Err(PipeStop::Broken));
    }
}

/// From now on, this thread's calls of that number fail so, as those do that a kernel does not know.
fn refuse(call: libc::c_long, errno: i32) {
    let statement = |code: u32, k: u32, jf: u8| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32, 1),
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | errno as u32,
            0,
        ),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program and what points to it live during the calls, and refuse one system call.
    let is_set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const filter,
            ) == 0
    };
    assert!(is_set, "{}", std::io::Error::last_os_error());
}

/// As above, with a kernel that cannot write without the signal.
fn sigpipe_of_old() {
    refuse(libc::SYS_pwritev2, libc::EOPNOTSUPP);
    sigpipe();
    // One that was there before is there still.
    let pipes = SigSet::from(Signal::SIGPIPE);
    pipes.thread_block().expect("a mask can be set");
    let is_pending = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc");
        let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:"));
        u64::from_str_radix(pending.expect("a mask").trim(), 16).expect("a number") != 0
    };
    let (reader, writer) = pipe::pipe(1).expect("descriptors");
    drop(reader);
    assert_eq!(writer.write(&[1]), Err(PipeStop::Broken));
    assert!(!is_pending(), "it is forgotten");
    raise(Signal::SIGPIPE).expect("this thread");
    assert_eq!(writer.write(&[1]), Err(PipeStop::Broken));
    assert!(is_pending(), "it was another's");
}

/// The kernel has no memory for the rest of a message. Who sends it again must not send it twice.
fn no_memory() {
    let (mut link, mut peer) = StreamLink::pair().expect("descriptors");
    refuse(libc::SYS_sendto, libc::ENOBUFS);
    let message = vec![7; 1 << 20];
    let sent = link.try_send(&message);
    let Err(LinkSendError::Unfinished { left }) = sent else {
        panic!("{sent:?}");
    };
    assert!(left < message.len(), "a part has gone");
    let next = link.try_send(b"next");
    assert!(
        matches!(next, Err(LinkSendError::System { .. })),
        "{next:?}"
    );
    assert!(matches!(peer.try_recv(), Err(LinkRecvError::Timeout)));
}

/// A third of a page more than one.
type Large = [u8; 5000];

fn full() {
    let buffer = PipeBuffer::<Large>::with_capacity(13).expect("descriptors");
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    for round in 0..3 {
        let mut sent = 0;
        while sender.try_send([sent as u8; 5000]).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, buffer.capacity(), "round {round}");
        assert!(sent >= 13, "{sent}");
        assert!(matches!(
            sender.try_send([0; 5000]),
            Err(TrySendError::Full(_))
        ));
        for number in 0..sent {
            assert_eq!(receiver.try_recv(), Ok([number as u8; 5000]));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}

fn full_for_a_while() {
    let buffer = PipeBuffer::<Large>::with_capacity(1).expect("descriptors");
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    while sender.try_send([1; 5000]).is_ok() {}
    let count = buffer.len();
    let timeout = Duration::from_millis(20);
    let begin = Instant::now();
    let late = sender.send_timeout([2; 5000], timeout);
    assert!(matches!(late, Err(SendTimeoutError::Timeout(_))));
    assert!(begin.elapsed() >= timeout, "not before");
    assert_eq!(buffer.len(), count, "nothing of it was sent");
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(receiver.recv(), Ok([1; 5000])));
        let sent = sender.send_timeout([2; 5000], super::process::TIMEOUT);
        assert!(sent.is_ok(), "there is room in time");
    });
    assert!(receiver.try_iter().last() == Some(Ok([2; 5000])));
}

fn part_of_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = Fifo::create(folder.path().join("fifo"), 0o600).expect("it is new");
    let mut options = File::options();
    let mut peer = options
        .read(true)
        .write(true)
        .open(fifo.path())
        .expect("a pipe");
    let reader = fifo.reader(Timeout::NonBlocking).expect("it is there");
    let buffer = PipeBuffer::<u64>::from_ends(Some(reader), None, None);
    let receiver = buffer.receiver().expect("open");
    let bytes = 0x0102_0304_0506_0708_u64.to_ne_bytes();
    peer.write_all(&bytes[..3]).expect("room");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let soon = Duration::from_millis(5);
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    peer.write_all(&bytes[3..6]).expect("room");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    peer.write_all(&bytes[6..]).expect("room");
    assert_eq!(receiver.try_recv(), Ok(0x0102_0304_0506_0708));
    peer.write_all(&bytes[..5]).expect("room");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(peer);
    let (expected, found) = (8, 5);
    let torn = Err(TryRecvError::Failed(ChannelError::Torn { expected, found }));
    assert_eq!(receiver.try_recv(), torn);
}

/// Its sender has gone in the middle of it, and another one is there still.
fn unfinished() {
    let (reader, writer) = pipe::pipe(8 * PAGE).expect("descriptors");
    let other = Writer::reopen(writer.as_fd()).expect("a pipe");
    let buffer = PipeBuffer::<Large>::from_ends(Some(reader), None, None);
    let receiver = buffer.receiver().expect("open");
    assert_eq!(writer.write(&[1; 5000]), Ok(5000));
    assert_eq!(writer.write(&[2; 3000]), Ok(3000));
    drop(writer);
    assert_eq!(receiver.try_recv(), Ok([1; 5000]));
    for _ in 0..2 {
        let soon = Duration::from_millis(20);
        assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
    drop(other);
    let (expected, found) = (5000, 3000);
    let torn = Err(TryRecvError::Failed(ChannelError::Torn { expected, found }));
    assert_eq!(receiver.try_recv(), torn);
}

/// What has come of an item when its last sender has gone is no item, and no end either.
fn torn() {
    tear::<u64>(5);
    tear::<Large>(4999);
    let (incoming, writer) = pipe::pipe(PAGE).expect("descriptors");
    let (_reader, outgoing) = pipe::pipe(PAGE).expect("descriptors");
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing);
    assert_eq!(writer.write(&[1; 3]), Ok(3));
    drop(writer);
    let (expected, found) = (8, 3);
    for _ in 0..2 {
        let torn = Err(RecvError::Failed(ChannelError::Torn { expected, found }));
        assert_eq!(duplex.recv(), torn);
    }
}

fn tear<T: interlatch::Pod>(found: usize) {
    let expected = size_of::<T>();
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(super::process::TIMEOUT),
        Timeout::Infinite,
    ] {
        let (reader, writer) = pipe::pipe(4 * PAGE).expect("descriptors");
        let buffer = PipeBuffer::<T>::from_ends(Some(reader), None, None);
        assert_eq!(
            writer.write(&vec![0; expected + found]),
            Ok(expected + found)
        );
        drop(writer);
        assert!(buffer.recv_unregistered(timeout).is_ok());
        for _ in 0..2 {
            let torn = buffer.recv_unregistered(timeout).map(drop);
            let cause = ChannelError::Torn { expected, found };
            assert_eq!(torn, Err(RecvTimeoutError::Failed(cause)));
        }
    }
    let (reader, writer) = pipe::pipe(4 * PAGE).expect("descriptors");
    let buffer = PipeBuffer::<T>::from_ends(Some(reader), None, None);
    drop(writer);
    let ended = buffer.recv_unregistered(Timeout::Infinite).map(drop);
    assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "a proper end");
}

/// Without the locks that processes need.
fn threads() {
    const SIZE: usize = 40_000;
    let (reader, writer) = pipe::pipe(PAGE).expect("descriptors");
    let buffer = PipeBuffer::<[u8; SIZE]>::from_ends(Some(reader), Some(writer), None);
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    let send = |number: u8| {
        let item = Box::new([number; SIZE]);
        (0..100).for_each(|_| sender.send_ref(&item).expect("somebody receives"));
    };
    let receive = || {
        let mut place = Box::new([0; SIZE]);
        for _ in 0..100 {
            receiver.recv_into(&mut place).expect("somebody sends");
            assert!(place.iter().all(|byte| *byte == place[0]), "mixed");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| send(1));
        scope.spawn(|| send(2));
        scope.spawn(receive);
        receive();
    });
}

/// Fills an empty buffer, and says what it has promised.
fn fill<const N: usize>(asked: usize)
where
    [u8; N]: interlatch::Pod,
{
    let buffer = PipeBuffer::<[u8; N]>::with_capacity(asked).expect("a usual limit");
    let (sender, receiver) = (
        buffer.sender().expect("open"),
        buffer.receiver().expect("open"),
    );
    let fits = (0..)
        .take_while(|_| sender.try_send([7; N]).is_ok())
        .count();
    assert_eq!(fits, buffer.capacity(), "items of {N} bytes");
    assert!(fits >= asked, "{asked} items of {N} bytes: {fits} fit");
    assert_eq!(receiver.try_iter().count(), fits);
}

fn promised() {
    fill::<1>(PAGE);
    fill::<8>(16 * PAGE / 8);
    fill::<100>(16 * 40 + 1);
    fill::<1365>(49);
    fill::<2049>(31);
    fill::<3000>(20);
    fill::<4095>(17);
    fill::<4096>(16);
    fill::<4097>(9);
    fill::<5000>(13);
    fill::<65536>(2);
}

fn promised_to_a_duplex() {
    let (mut here, mut there) = Duplex::<[u8; 3000]>::pair(20).expect("a usual limit");
    for number in 0..20 {
        assert!(here.try_send([number; 3000]).is_ok(), "item {number}");
    }
    for number in 0..20 {
        assert_eq!(there.try_recv(), Ok([number; 3000]));
    }
}

/// There is much to take in, and nobody receives. With no time left, it is not taken in.
fn flood() {
    const WAITING: usize = 10_000;
    let (incoming, flooding) = pipe::pipe(16 * PAGE * 2).expect("descriptors");
    let kept = Reader::reopen(incoming.as_fd()).expect("a pipe");
    let (_full, outgoing) = pipe::pipe(PAGE).expect("descriptors");
    while outgoing.write(&[0; PAGE]).is_ok() {}
    for number in 0..WAITING as u64 {
        assert_eq!(flooding.write(&number.to_ne_bytes()), Ok(8));
    }
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing);
    let sent = duplex.send_timeout(1, Duration::ZERO);
    assert_eq!(sent, Err(SendTimeoutError::Timeout(1)));
    assert!(kept.available() / 8 >= WAITING - 2, "{}", kept.available());
}

/// The other side sends and does not receive: what is kept of it does not grow without end.
fn flood_without_end() {
    let (incoming, flooding) = pipe::pipe(16 * PAGE).expect("descriptors");
    let (_full, outgoing) = pipe::pipe(PAGE).expect("descriptors");
    while outgoing.write(&[0; PAGE]).is_ok() {}
    for number in 0..1000_u64 {
        assert_eq!(flooding.write(&number.to_ne_bytes()), Ok(8));
    }
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing).with_limit(100);
    let sent = duplex.send(1);
    assert_eq!(
        sent,
        Err(SendError::Failed(1, ChannelError::Flooded { limit: 100 }))
    );
    let again = duplex.send(2);
    assert_eq!(
        again,
        Err(SendError::Failed(2, ChannelError::Flooded { limit: 100 }))
    );
    for number in 0..1000 {
        assert_eq!(duplex.try_recv(), Ok(number), "nothing is lost");
    }
}

/// A program that knows nothing of this crate reads, and waits until there is something to read.
fn jobserver() {
    let permits = PipeSemaphore::new(1).expect("descriptors");
    let (reader, writer) = permits.ends();
    for end in [reader.as_fd(), writer.as_fd()] {
        let flags = fcntl(end, FcntlArg::F_GETFL).expect("it is open");
        let flags = OFlag::from_bits_retain(flags);
        assert!(!flags.contains(OFlag::O_NONBLOCK), "{flags:?}");
    }
    let mut plain = File::from(writer.as_fd().try_clone_to_owned().expect("descriptors"));
    plain.write_all(b"+").expect("room");
    assert_eq!(permits.permits(), 2);
    assert!(permits.acquire_with(Timeout::NonBlocking));
}

fn one_page() {
    let (reader, writer) = pipe::pipe(1).expect("descriptors");
    let size = fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(PAGE as i32)).expect("it is open");
    assert_eq!(size as usize, PAGE);
    let permits = PipeSemaphore::from_ends(reader, writer);
    permits.release(2).expect("room");
    for round in 0..3 * PAGE {
        assert!(permits.acquire_with(Timeout::NonBlocking), "round {round}");
        assert_eq!(permits.release(1), Ok(()), "round {round}");
    }
    assert_eq!(permits.permits(), 2);
}

/// Those who wait are played: they are on the list, and have said that they have heard.
fn many_waiters() {
    const WAITERS: u32 = 5000;
    let with = |permits: u32| {
        let semaphore = PipeSemaphore::new(0).expect("descriptors");
        (0..permits / 1000).for_each(|_| semaphore.release(1000).expect("room"));
        semaphore
    };
    let entry = PipeSemaphore::new(1).expect("descriptors");
    let wakes = with(0);
    let (reader, writer) = wakes.ends();
    let seen = Reader::reopen(reader.as_fd()).expect("a pipe");
    let _kept = Writer::reopen(writer.as_fd()).expect("a pipe");
    let changed = SemaphoreCondvar::from_parts([entry, with(WAITERS), wakes, with(WAITERS)]);
    changed.notify_all();
    assert_eq!(seen.available(), WAITERS as usize);
}

fn removal() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = Fifo::create(folder.path().join("fifo"), 0o600).expect("it is new");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(fifo.path(), &link).expect("it is new");
    let linked = Fifo::at(&link).expect("it leads to one");
    assert!(linked.remove().is_err(), "a link is no named pipe");
    assert!(link.symlink_metadata().is_ok(), "it stays");
    fifo.remove().expect("it is there");
}
