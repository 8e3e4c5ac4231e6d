//! Unusual arguments: zero timeouts, large capacities, too many permits, and descriptors of files
//! that are not pipes.

use super::ends::reply;
use super::harness::Test;
use super::item::{Item, Large};
use super::shared::{PassedEnds, Shared};
use interlatch::channel::{PipeBuffer, RecvError, RecvTimeoutError, SendTimeoutError};
use interlatch::platform::pipe::{PIPE_BUF, Reader, Writer, pipe};
use interlatch::sync::PermitOverflow;
use interlatch::sync::{PipeSemaphore, RawSemaphore, Timeout};
use interlatch::{Buffer, Channel};
use nix::unistd::{Uid, geteuid, setuid};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "zero_timeout_takes_available_items",
            zero_timeout_takes_available_items,
        ),
        Test::new(
            "capacity_above_the_default_is_available",
            capacity_above_the_default_is_available,
        ),
        Test::new(
            "large_items_pass_by_reference",
            large_items_pass_by_reference,
        ),
        Test::new(
            "pipe_smaller_than_an_item_is_enlarged",
            pipe_smaller_than_an_item_is_enlarged,
        ),
        Test::new(
            "capacity_above_the_limit_is_an_error",
            capacity_above_the_limit_is_an_error,
        ),
        Test::new(
            "permit_overflow_changes_nothing",
            permit_overflow_changes_nothing,
        ),
        Test::new(
            "descriptor_of_other_file_is_an_error",
            descriptor_of_other_file_is_an_error,
        ),
    ]
}

fn zero_timeout_takes_available_items() {
    let mut actor = Shared::new(4096).start(PassedEnds::Both, &["zero"]);
    assert_eq!(reply(&mut actor), "done");
}

/// Tests zero timeouts in an actor, because a process that hangs must be killed.
pub fn wait_with_zero_timeout() {
    let buffer = PipeBuffer::<u64>::with_capacity(1).expect("descriptors");
    let (sender, receiver) = (buffer.sender().unwrap(), buffer.receiver().unwrap());
    let timeout = Err(RecvTimeoutError::Timeout);
    assert_eq!(receiver.recv_timeout(Duration::ZERO), timeout);
    assert_eq!(sender.send_timeout(0, Duration::ZERO), Ok(()));
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(0));
    let count = buffer.capacity() as u64;
    for item in 0..count {
        assert_eq!(sender.send_timeout(item, Duration::ZERO), Ok(()));
    }
    let full = Err(SendTimeoutError::Timeout(7));
    assert_eq!(sender.send_timeout(7, Duration::ZERO), full);
    assert!(
        receiver.try_iter().eq((0..count).map(Ok)),
        "exactly the sent items"
    );
    println!("done");
}

/// Passes items between two threads. Each item takes several writes. At the end of the stream,
/// `recv_into` leaves the destination unchanged.
fn large_items_pass_by_reference() {
    let buffer = PipeBuffer::<Large>::with_capacity(1).expect("descriptors");
    std::thread::scope(|scope| {
        let sender = buffer.sender().expect("the channel is open");
        scope.spawn(move || {
            for number in 0..100 {
                let item = Box::new(Large::from_number(number));
                sender.send_ref(&item).expect("a receiver is attached");
            }
        });
        let receiver = buffer.receiver().expect("the channel is open");
        let mut destination = Box::new(Large::from_number(0));
        for number in 0..100 {
            receiver.recv_into(&mut destination).expect("an item");
            assert_eq!(destination.number(), number);
        }
        assert_eq!(
            receiver.recv_into(&mut destination),
            Err(RecvError::Disconnected)
        );
        assert_eq!(destination.number(), 99);
    });
}

/// The default capacity of a pipe in bytes.
const DEFAULT_CAPACITY: usize = 65_536;

fn capacity_above_the_default_is_available() {
    let count = 2 * DEFAULT_CAPACITY / size_of::<u64>();
    let buffer =
        PipeBuffer::<u64>::with_capacity(count).expect("the capacity is within the default limit");
    assert!(buffer.capacity() >= count, "{}", buffer.capacity());
    let sender = buffer.sender().expect("the channel is open");
    for item in 0..count as u64 {
        assert_eq!(sender.try_send(item), Ok(()));
    }
    assert_eq!(buffer.len(), count);
}

/// A process that has only one of the two ends enlarges the pipe, too.
fn pipe_smaller_than_an_item_is_enlarged() {
    type Item = [u8; 100_000];
    let capacity = |reader, writer| PipeBuffer::<Item>::from_ends(reader, writer, None).capacity();
    let (reader, writer) = pipe(1).expect("descriptors");
    assert!(writer.capacity() < size_of::<Item>());
    assert_eq!(capacity(Some(reader), None), 1);
    let (_reader, writer) = pipe(1).expect("descriptors");
    assert_eq!(capacity(None, Some(writer)), 1);
}

/// Requesting a capacity that the kernel cannot represent fails for all users. Requesting a
/// capacity above the system limit fails for unprivileged users.
fn capacity_above_the_limit_is_an_error() {
    for count in [1 << 28, usize::MAX / 8, usize::MAX] {
        let fails = PipeBuffer::<u64>::with_capacity(count);
        assert!(fails.is_err(), "{count} items");
    }
    let mut actor = Shared::new(4096).start(PassedEnds::Both, &["enlarge"]);
    assert_eq!(reply(&mut actor), "PermissionDenied");
}

/// Requests one byte more than the limit, in an actor without privileges.
pub fn enlarge() {
    if geteuid().is_root() {
        setuid(Uid::from_raw(65_534)).expect("root can change its user");
    }
    let max = std::fs::read_to_string("/proc/sys/fs/pipe-max-size").expect("proc");
    let max: usize = max.trim().parse().expect("a number");
    let fails = PipeBuffer::<u8>::with_capacity(max + 1);
    match fails {
        Ok(buffer) => println!("a pipe of {}", buffer.capacity()),
        Err(error) => println!("{:?}", error.kind()),
    }
}

fn permit_overflow_changes_nothing() {
    let semaphore = PipeSemaphore::new(0).expect("descriptors");
    let max_release = PIPE_BUF as u32;
    let fails = |held: usize, added: u32| {
        let held = held as u32;
        assert_eq!(
            semaphore.release(added),
            Err(PermitOverflow { held, added })
        );
        assert_eq!(
            semaphore.permits(),
            held as usize,
            "the permits are unchanged"
        );
    };
    fails(0, max_release + 1);
    fails(0, u32::MAX);
    let capacity = semaphore.capacity();
    for _ in 0..capacity / PIPE_BUF - 1 {
        semaphore
            .release(max_release)
            .expect("the semaphore has room");
    }
    semaphore
        .release(max_release - 10)
        .expect("the semaphore has room");
    fails(capacity - 10, 11);
    semaphore.release(10).expect("the semaphore has room");
    fails(capacity, 1);
    let taken = (0..).take_while(|_| semaphore.acquire_with(Timeout::NonBlocking));
    assert_eq!(taken.count(), capacity);
    assert!(
        PipeSemaphore::new(max_release + 1).is_err(),
        "an initial count above the limit fails"
    );
}

fn descriptor_of_other_file_is_an_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let file = file.as_file();
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let (null, folder) = (
        null.expect("the file exists"),
        File::open("/").expect("the file exists"),
    );
    let (socket, _other) = UnixStream::pair().expect("descriptors");
    for (name, descriptor) in [
        ("a file", file.as_fd()),
        ("a device", null.as_fd()),
        ("a folder", folder.as_fd()),
        ("a socket", socket.as_fd()),
    ] {
        assert!(Reader::reopen(descriptor).is_err(), "reads {name}");
        assert!(Writer::reopen(descriptor).is_err(), "writes {name}");
    }
}
