//! Odd arguments: no timeout, too large a pipe, too many permits, and what is no pipe.

use super::ends::said;
use super::harness::Test;
use super::item::{Item, Large};
use super::shared::{Gets, Shared};
use interlatch::channel::{RecvError, RecvTimeoutError, SendTimeoutError};
use interlatch::platform::pipe::{PIPE_BUF, Reader, Writer};
use interlatch::sync::PermitOverflow;
use interlatch::sync::{PipeSemaphore, RawSemaphore, Timeout};
use interlatch::{Buffer, Channel, PipeBuffer};
use nix::unistd::{Uid, geteuid, setuid};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("a_timeout_of_zero_finds_what_is_there", zero),
        Test::new("a_pipe_can_hold_more_than_usual", enlarged),
        Test::new("large_items_pass_by_reference", by_reference),
        Test::new("a_pipe_beyond_the_limit_is_refused", beyond_the_limit),
        Test::new("more_permits_than_fit_change_nothing", too_many_permits),
        Test::new("what_is_no_pipe_is_no_end_of_one", no_pipe),
    ]
}

fn zero() {
    let mut actor = Shared::new(4096).start(Gets::Both, &["zero"]);
    assert_eq!(said(&mut actor), "done");
}

/// In an actor, since who waits for ever has to be killed.
pub fn wait_for_no_time() {
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
        "no more and no less"
    );
    println!("done");
}

/// Of several pieces each, between two threads; and none is said to have come when the stream has ended.
fn by_reference() {
    let buffer = PipeBuffer::<Large>::with_capacity(1).expect("descriptors");
    std::thread::scope(|scope| {
        let sender = buffer.sender().expect("open");
        scope.spawn(move || {
            for number in 0..100 {
                let item = Box::new(Large::of(number));
                sender.send_ref(&item).expect("somebody receives");
            }
        });
        let receiver = buffer.receiver().expect("open");
        let mut place = Box::new(Large::of(0));
        for number in 0..100 {
            receiver.recv_into(&mut place).expect("an item");
            assert_eq!(place.number(), number);
        }
        assert_eq!(receiver.recv_into(&mut place), Err(RecvError::Disconnected));
        assert_eq!(place.number(), 99);
    });
}

/// What the kernel gives a pipe that nobody asked about.
const USUAL: usize = 65_536;

fn enlarged() {
    let count = 2 * USUAL / size_of::<u64>();
    let buffer = PipeBuffer::<u64>::with_capacity(count).expect("a usual limit");
    assert!(buffer.capacity() >= count, "{}", buffer.capacity());
    let sender = buffer.sender().expect("open");
    for item in 0..count as u64 {
        assert_eq!(sender.try_send(item), Ok(()));
    }
    assert_eq!(buffer.len(), count);
}

/// For everybody: more than the kernel can count. For who is not privileged: more than is allowed.
fn beyond_the_limit() {
    for count in [1 << 28, usize::MAX / 8, usize::MAX] {
        let refused = PipeBuffer::<u64>::with_capacity(count);
        assert!(refused.is_err(), "{count} items");
    }
    let mut actor = Shared::new(4096).start(Gets::Both, &["enlarge"]);
    assert_eq!(said(&mut actor), "PermissionDenied");
}

/// In an actor: asks, without privileges, for a byte more than is allowed.
pub fn enlarge() {
    if geteuid().is_root() {
        setuid(Uid::from_raw(65_534)).expect("root may");
    }
    let most = std::fs::read_to_string("/proc/sys/fs/pipe-max-size").expect("proc");
    let most: usize = most.trim().parse().expect("a number");
    let refused = PipeBuffer::<u8>::with_capacity(most + 1);
    match refused {
        Ok(buffer) => println!("a pipe of {}", buffer.capacity()),
        Err(error) => println!("{:?}", error.kind()),
    }
}

fn too_many_permits() {
    let semaphore = PipeSemaphore::new(0).expect("descriptors");
    let at_once = PIPE_BUF as u32;
    let refused = |held: usize, added: u32| {
        let held = held as u32;
        assert_eq!(
            semaphore.release(added),
            Err(PermitOverflow { held, added })
        );
        assert_eq!(semaphore.permits(), held as usize, "as before");
    };
    refused(0, at_once + 1);
    refused(0, u32::MAX);
    let capacity = semaphore.capacity();
    for _ in 0..capacity / PIPE_BUF - 1 {
        semaphore.release(at_once).expect("there is room");
    }
    semaphore.release(at_once - 10).expect("there is room");
    refused(capacity - 10, 11);
    semaphore.release(10).expect("there is room for these");
    refused(capacity, 1);
    let taken = (0..).take_while(|_| semaphore.acquire_with(Timeout::NonBlocking));
    assert_eq!(taken.count(), capacity);
    assert!(
        PipeSemaphore::new(at_once + 1).is_err(),
        "nor at the beginning"
    );
}

fn no_pipe() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let file = file.as_file();
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let (null, folder) = (
        null.expect("it is there"),
        File::open("/").expect("it is there"),
    );
    let (socket, _other) = UnixStream::pair().expect("descriptors");
    for (what, descriptor) in [
        ("a file", file.as_fd()),
        ("a device", null.as_fd()),
        ("a folder", folder.as_fd()),
        ("a socket", socket.as_fd()),
    ] {
        assert!(Reader::reopen(descriptor).is_err(), "reads {what}");
        assert!(Writer::reopen(descriptor).is_err(), "writes {what}");
    }
}
