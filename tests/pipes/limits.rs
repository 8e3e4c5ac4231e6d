//! Limits of pipes: a non-blocking call never blocks, SIGPIPE never kills a writer, writes are
//! neither mixed nor lost, and the promised capacity is available.
//!
//! Each test runs in an actor, because a hang or a signal must not end the other tests.

use super::ends::reply;
use super::harness::Test;
use super::shared::{PassedEnds, Shared};
use interlatch::channel::{
    ChannelError, Duplex, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use interlatch::channel::{PipeBuffer, Unregistered};
use interlatch::platform::PipeStop;
use interlatch::platform::pipe::{self, Reader, Writer};
use interlatch::sync::{PipeSemaphore, RawCondvar, RawSemaphore, SemaphoreCondvar, Timeout};
use interlatch::{Buffer, Channel};
use interlatch_ipc::{Fifo, Link, LinkRecvError, LinkSendError, StreamLink};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise, signal};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The tests with their names.
const TESTS: [(&str, fn()); 18] = [
    (
        "writer_survives_later_change_of_sigpipe",
        writer_survives_later_change_of_sigpipe,
    ),
    (
        "writer_survives_sigpipe_on_old_kernel",
        writer_survives_sigpipe_on_old_kernel,
    ),
    (
        "message_is_not_duplicated_without_memory",
        message_is_not_duplicated_without_memory,
    ),
    (
        "non_blocking_sender_of_large_items_never_blocks",
        non_blocking_sender_of_large_items_never_blocks,
    ),
    (
        "sender_of_large_items_keeps_its_deadline",
        sender_of_large_items_keeps_its_deadline,
    ),
    (
        "partial_small_item_is_kept_for_the_next_call",
        partial_small_item_is_kept_for_the_next_call,
    ),
    (
        "unfinished_large_item_does_not_block",
        unfinished_large_item_does_not_block,
    ),
    (
        "threads_take_turns_at_sending_large_items",
        threads_take_turns_at_sending_large_items,
    ),
    (
        "promised_capacity_is_available",
        promised_capacity_is_available,
    ),
    (
        "promised_capacity_of_duplex_is_available",
        promised_capacity_of_duplex_is_available,
    ),
    (
        "duplex_keeps_its_deadline_while_items_arrive",
        duplex_keeps_its_deadline_while_items_arrive,
    ),
    (
        "duplex_buffers_at_most_its_limit",
        duplex_buffers_at_most_its_limit,
    ),
    (
        "default_limit_of_duplex_is_in_bytes",
        default_limit_of_duplex_is_in_bytes,
    ),
    (
        "torn_item_is_distinguished_from_the_end",
        torn_item_is_distinguished_from_the_end,
    ),
    (
        "ends_of_semaphore_are_in_blocking_mode",
        ends_of_semaphore_are_in_blocking_mode,
    ),
    (
        "pipe_of_one_page_loses_no_permit",
        pipe_of_one_page_loses_no_permit,
    ),
    (
        "notify_all_wakes_more_waiters_than_one_release",
        notify_all_wakes_more_waiters_than_one_release,
    ),
    (
        "remove_rejects_a_symlink_to_a_fifo",
        remove_rejects_a_symlink_to_a_fifo,
    ),
];

pub fn tests() -> Vec<Test> {
    let test = |name: &'static str| {
        Test::new(name, move || {
            let mut actor = Shared::new(4096).start(PassedEnds::Both, &["limit", name]);
            assert_eq!(reply(&mut actor), "done");
        })
    };
    TESTS.iter().map(|(name, _)| test(name)).collect()
}

/// Runs a test in an actor.
pub fn run(name: &str) {
    let test = TESTS.iter().find(|(candidate, _)| *candidate == name);
    test.expect("a test of that name").1();
    println!("done");
}

const PAGE: usize = pipe::PIPE_BUF;

/// A program that resets SIGPIPE to its default disposition after creating the writer is not
/// killed.
fn writer_survives_later_change_of_sigpipe() {
    let (reader, writer) = pipe::pipe(1).expect("descriptors");
    drop(reader);
    // SAFETY: the default disposition runs no code of this program.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("the disposition can be set");
    for bytes in [&[1; 8][..], &[1; 2 * PAGE]] {
        assert_eq!(writer.write(bytes), Err(PipeStop::Broken));
        let blocking = writer.write_blocking(bytes);
        assert_eq!(blocking, Err(PipeStop::Broken));
    }
}

/// Makes this system call fail with `errno` in this thread, as on a kernel that does not support
/// the call.
fn deny_system_call(call: libc::c_long, errno: i32) {
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
    // SAFETY: `program` and `filter` outlive the calls. The filter only makes one system call fail.
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

/// Repeats the test on a kernel without `RWF_NOSIGNAL`, where every write to a broken pipe raises
/// SIGPIPE.
fn writer_survives_sigpipe_on_old_kernel() {
    deny_system_call(libc::SYS_pwritev2, libc::EOPNOTSUPP);
    writer_survives_later_change_of_sigpipe();
    // A signal that was pending before the write stays pending.
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
    assert!(!is_pending(), "the signal of the write is discarded");
    raise(Signal::SIGPIPE).expect("this thread");
    assert_eq!(writer.write(&[1]), Err(PipeStop::Broken));
    assert!(is_pending(), "the earlier signal stays pending");
}

/// The kernel has no memory for the rest of a message. A later send must not send the message
/// twice.
fn message_is_not_duplicated_without_memory() {
    let (mut link, mut peer) = StreamLink::pair().expect("descriptors");
    deny_system_call(libc::SYS_sendto, libc::ENOBUFS);
    let message = vec![7; 1 << 20];
    let sent = link.try_send(&message);
    let Err(LinkSendError::Unfinished { left }) = sent else {
        panic!("{sent:?}");
    };
    assert!(left < message.len(), "a part was sent");
    let next = link.try_send(b"next");
    assert!(
        matches!(next, Err(LinkSendError::System { .. })),
        "{next:?}"
    );
    assert!(matches!(peer.try_recv(), Err(LinkRecvError::Timeout)));
}

/// An item of more than one page.
type Large = [u8; 5000];

fn non_blocking_sender_of_large_items_never_blocks() {
    let buffer = PipeBuffer::<Large>::with_capacity(13).expect("descriptors");
    let (sender, receiver) = (
        buffer.sender().expect("the buffer is open"),
        buffer.receiver().expect("the buffer is open"),
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

fn sender_of_large_items_keeps_its_deadline() {
    let buffer = PipeBuffer::<Large>::with_capacity(1).expect("descriptors");
    let (sender, receiver) = (
        buffer.sender().expect("the buffer is open"),
        buffer.receiver().expect("the buffer is open"),
    );
    while sender.try_send([1; 5000]).is_ok() {}
    let count = buffer.len();
    let timeout = Duration::from_millis(20);
    let begin = Instant::now();
    let late = sender.send_timeout([2; 5000], timeout);
    assert!(matches!(late, Err(SendTimeoutError::Timeout(_))));
    assert!(begin.elapsed() >= timeout, "the timeout has expired");
    assert_eq!(buffer.len(), count, "no byte of the item was sent");
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(receiver.recv(), Ok([1; 5000])));
        let sent = sender.send_timeout([2; 5000], super::process::TIMEOUT);
        assert!(sent.is_ok(), "the pipe has room before the deadline");
    });
    assert!(receiver.try_iter().last() == Some(Ok([2; 5000])));
}

fn partial_small_item_is_kept_for_the_next_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = Fifo::create(folder.path().join("fifo"), 0o600).expect("the path is free");
    let mut options = File::options();
    let mut peer = options
        .read(true)
        .write(true)
        .open(fifo.path())
        .expect("a pipe");
    let reader = fifo.reader(Timeout::NonBlocking).expect("a writer exists");
    let buffer = PipeBuffer::<u64>::from_ends(Some(reader), None, None);
    let receiver = buffer.receiver().expect("the channel is open");
    let bytes = 0x0102_0304_0506_0708_u64.to_ne_bytes();
    peer.write_all(&bytes[..3])
        .expect("the file system has space");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let soon = Duration::from_millis(5);
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    peer.write_all(&bytes[3..6])
        .expect("the file system has space");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    peer.write_all(&bytes[6..])
        .expect("the file system has space");
    assert_eq!(receiver.try_recv(), Ok(0x0102_0304_0506_0708));
    peer.write_all(&bytes[..4])
        .expect("the file system has space");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    peer.write_all(&bytes[4..])
        .expect("the file system has space");
    let mut item = 0;
    let received = receiver.recv_into_with(&mut item, Timeout::NonBlocking);
    assert_eq!((received, item), (Ok(()), 0x0102_0304_0506_0708));
    peer.write_all(&bytes[..5])
        .expect("the file system has space");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(peer);
    let (expected, found) = (8, 5);
    let torn = Err(TryRecvError::Failed(ChannelError::Torn { expected, found }));
    assert_eq!(receiver.try_recv(), torn);
}

/// The sender ends in the middle of an item while another sender is still attached.
fn unfinished_large_item_does_not_block() {
    let (reader, writer) = pipe::pipe(8 * PAGE).expect("descriptors");
    let other = Writer::reopen(writer.as_fd()).expect("a pipe");
    let buffer = PipeBuffer::<Large>::from_ends(Some(reader), None, None);
    let receiver = buffer.receiver().expect("the channel is open");
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

/// If the last sender ends in the middle of an item, each receiver gets an error. No receiver gets
/// the torn item or the end of the stream.
fn torn_item_is_distinguished_from_the_end() {
    tear::<u64>(5);
    tear::<Large>(4999);
    let (incoming, writer) = pipe::pipe(PAGE).expect("descriptors");
    let (_reader, outgoing) = pipe::pipe(PAGE).expect("descriptors");
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing);
    assert_eq!(writer.write(&[1; 3]), Ok(3));
    drop(writer);
    let (expected, found) = (8, 3);
    for _ in 0..2 {
        let torn_item_is_distinguished_from_the_end =
            Err(RecvError::Failed(ChannelError::Torn { expected, found }));
        assert_eq!(duplex.recv(), torn_item_is_distinguished_from_the_end);
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
            let torn_item_is_distinguished_from_the_end =
                buffer.recv_unregistered(timeout).map(drop);
            let cause = ChannelError::Torn { expected, found };
            assert_eq!(
                torn_item_is_distinguished_from_the_end,
                Err(RecvTimeoutError::Failed(cause))
            );
        }
    }
    let (reader, writer) = pipe::pipe(4 * PAGE).expect("descriptors");
    let buffer = PipeBuffer::<T>::from_ends(Some(reader), None, None);
    drop(writer);
    let ended = buffer.recv_unregistered(Timeout::Infinite).map(drop);
    assert_eq!(
        ended,
        Err(RecvTimeoutError::Disconnected),
        "the end of the stream"
    );
}

/// Threads of one process send large items one after the other. Only separate processes need
/// semaphores for this.
fn threads_take_turns_at_sending_large_items() {
    const SIZE: usize = 40_000;
    let (reader, writer) = pipe::pipe(PAGE).expect("descriptors");
    let buffer = PipeBuffer::<[u8; SIZE]>::from_ends(Some(reader), Some(writer), None);
    let (sender, receiver) = (
        buffer.sender().expect("the buffer is open"),
        buffer.receiver().expect("the buffer is open"),
    );
    let send = |number: u8| {
        let item = Box::new([number; SIZE]);
        (0..100).for_each(|_| sender.send_ref(&item).expect("a receiver is attached"));
    };
    let receive = || {
        let mut destination = Box::new([0; SIZE]);
        for _ in 0..100 {
            receiver
                .recv_into(&mut destination)
                .expect("a sender is attached");
            assert!(
                destination.iter().all(|byte| *byte == destination[0]),
                "a mixed item"
            );
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| send(1));
        scope.spawn(|| send(2));
        scope.spawn(receive);
        receive();
    });
}

/// Fills an empty buffer, and checks that its capacity is at least the requested capacity.
fn fill<const N: usize>(requested: usize)
where
    [u8; N]: interlatch::Pod,
{
    let buffer = PipeBuffer::<[u8; N]>::with_capacity(requested)
        .expect("the capacity is within the default limit");
    let (sender, receiver) = (
        buffer.sender().expect("the buffer is open"),
        buffer.receiver().expect("the buffer is open"),
    );
    let fits = (0..)
        .take_while(|_| sender.try_send([7; N]).is_ok())
        .count();
    assert_eq!(fits, buffer.capacity(), "items of {N} bytes");
    assert!(
        fits >= requested,
        "{requested} items of {N} bytes: {fits} fit"
    );
    assert_eq!(receiver.try_iter().count(), fits);
}

fn promised_capacity_is_available() {
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

fn promised_capacity_of_duplex_is_available() {
    let (mut here, mut there) =
        Duplex::<[u8; 3000]>::pair(20).expect("the capacity is within the default limit");
    for number in 0..20 {
        assert!(here.try_send([number; 3000]).is_ok(), "item {number}");
    }
    for number in 0..20 {
        assert_eq!(there.try_recv(), Ok([number; 3000]));
    }
}

/// Many items wait in the pipe, and no receiver takes them. A duplex with a zero timeout buffers at
/// most a few items.
fn duplex_keeps_its_deadline_while_items_arrive() {
    const WAITING: usize = 10_000;
    let (incoming, flooding) = pipe::pipe(16 * PAGE * 2).expect("descriptors");
    let incoming_copy = Reader::reopen(incoming.as_fd()).expect("a pipe");
    let (_full, outgoing) = pipe::pipe(PAGE).expect("descriptors");
    while outgoing.write(&[0; PAGE]).is_ok() {}
    for number in 0..WAITING as u64 {
        assert_eq!(flooding.write(&number.to_ne_bytes()), Ok(8));
    }
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing);
    let sent = duplex.send_timeout(1, Duration::ZERO);
    assert_eq!(sent, Err(SendTimeoutError::Timeout(1)));
    assert!(
        incoming_copy.available() / 8 >= WAITING - 2,
        "{}",
        incoming_copy.available()
    );
}

/// The other side sends but does not receive. The number of buffered items stays within the limit.
fn duplex_buffers_at_most_its_limit() {
    let (incoming, flooding) = pipe::pipe(16 * PAGE).expect("descriptors");
    let incoming_copy = Reader::reopen(incoming.as_fd()).expect("a pipe");
    let (full, outgoing) = pipe::pipe(PAGE).expect("descriptors");
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
    assert_eq!(incoming_copy.available(), 900 * 8, "100 items are buffered");
    while full.read(&mut [0; PAGE]).is_ok() {}
    assert_eq!(duplex.send(3), Ok(()), "the pipe has room");
    for number in 0..1000 {
        assert_eq!(duplex.try_recv(), Ok(number), "no item is lost");
    }
}

/// Without a limit set by the user, a duplex buffers 1 MiB of items.
fn default_limit_of_duplex_is_in_bytes() {
    const LIMIT: usize = (1 << 20) / PAGE;
    let (incoming, flooding) = pipe::pipe(16 * PAGE).expect("descriptors");
    let (_full, outgoing) = pipe::pipe(PAGE).expect("descriptors");
    while outgoing.write(&[0; PAGE]).is_ok() {}
    let mut duplex = Duplex::<[u8; PAGE]>::from_ends(incoming, outgoing);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..LIMIT {
                assert_eq!(flooding.write_blocking(&[1; PAGE]), Ok(PAGE));
            }
        });
        let sent = duplex.send_timeout([2; PAGE], Duration::from_secs(10));
        let cause = ChannelError::Flooded { limit: LIMIT };
        assert!(sent == Err(SendTimeoutError::Failed([2; PAGE], cause)));
    });
}

/// Programs that do not use this crate, such as the clients of make's jobserver, expect `read(2)`
/// to block.
fn ends_of_semaphore_are_in_blocking_mode() {
    let permits = PipeSemaphore::new(1).expect("descriptors");
    let (reader, writer) = permits.ends();
    for end in [reader.as_fd(), writer.as_fd()] {
        let flags = fcntl(end, FcntlArg::F_GETFL).expect("the descriptor is open");
        let flags = OFlag::from_bits_retain(flags);
        assert!(!flags.contains(OFlag::O_NONBLOCK), "{flags:?}");
    }
    let mut file = File::from(writer.as_fd().try_clone_to_owned().expect("descriptors"));
    file.write_all(b"+").expect("the file system has space");
    assert_eq!(permits.permits(), 2);
    assert!(permits.acquire_with(Timeout::NonBlocking));
}

fn pipe_of_one_page_loses_no_permit() {
    let (reader, writer) = pipe::pipe(1).expect("descriptors");
    let size =
        fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(PAGE as i32)).expect("the descriptor is open");
    assert_eq!(size as usize, PAGE);
    let permits = PipeSemaphore::from_ends(reader, writer);
    permits.release(2).expect("the permits fit");
    for round in 0..3 * PAGE {
        assert!(permits.acquire_with(Timeout::NonBlocking), "round {round}");
        assert_eq!(permits.release(1), Ok(()), "round {round}");
    }
    assert_eq!(permits.permits(), 2);
}

/// Emulates the waiters: permits in the semaphores represent their entries and acknowledgements.
fn notify_all_wakes_more_waiters_than_one_release() {
    const WAITERS: u32 = 5000;
    let with = |permits: u32| {
        let semaphore = PipeSemaphore::new(0).expect("descriptors");
        (0..permits / 1000).for_each(|_| semaphore.release(1000).expect("the permits fit"));
        semaphore
    };
    let entry = PipeSemaphore::new(1).expect("descriptors");
    let wakes = with(0);
    let (reader, writer) = wakes.ends();
    let seen = Reader::reopen(reader.as_fd()).expect("a pipe");
    let _writer_copy = Writer::reopen(writer.as_fd()).expect("a pipe");
    let changed = SemaphoreCondvar::from_parts([entry, with(WAITERS), wakes, with(WAITERS)]);
    changed.notify_all();
    assert_eq!(seen.available(), WAITERS as usize);
}

fn remove_rejects_a_symlink_to_a_fifo() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = Fifo::create(folder.path().join("fifo"), 0o600).expect("the path is free");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(fifo.path(), &link).expect("the path is free");
    let linked = Fifo::from_path(&link).expect("the link points to a fifo");
    assert!(linked.remove().is_err(), "a symlink is not a fifo");
    assert!(link.symlink_metadata().is_ok(), "the symlink stays");
    fifo.remove().expect("the fifo exists");
}
