//! The swept operations on pipes, rendezvous, segment lists, unbounded buffers and loans.

use super::buffers::{contains_one_of, send_one};
use super::watchdog::PATIENCE;
use super::{NO_OPERATION, Objects, Operation};
use crate::process::TIMEOUT;
use interlatch::channel::Unregistered;
use interlatch::channel::{GrowthLimit, RecvTimeoutError, SendTimeoutError, Slot, TryRecvError};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::Relaxed;
use interlatch::sync::Timeout;
use interlatch::{BytePipe, Channel, RegionName, Rendezvous, UnboundedBuffer};
use interlatch_contract::segment_list::{PooledList, Unlimited};
use std::io::Write;
use std::time::Instant;

pub type Pipe = BytePipe<[Slot<u8>; CAPACITY], 2>;
pub type U64Rendezvous = Rendezvous<u64, 2>;
/// A segment list with at most two segments of one item each.
pub type SegmentPool = PooledList;

const CAPACITY: usize = 4;

pub fn operations() -> Vec<Operation> {
    let mut all = Vec::from(pipe_operations());
    all.extend(rendezvous_operations());
    all.extend(segment_operations());
    all.extend(unbounded_operations());
    all.extend(loan_operations());
    all
}

/// Runs the one-time initialization, which is not swept.
pub fn warm(objects: &Objects) {
    write(objects, b"a");
    read(objects, b"a");
    drop((objects.pipe.sender(), objects.pipe.receiver()));
    assert!(
        objects
            .meeting
            .recv_unregistered(Timeout::NonBlocking)
            .is_err()
    );
    contains_items(objects, &[&[]]);
}

fn timeout() -> Timeout {
    Timeout::after(PATIENCE)
}

fn pipe_operations() -> [Operation; 5] {
    const PIPE: Operation = Operation {
        object: "byte pipe: ",
        ..NO_OPERATION
    };
    [
        Operation {
            name: "write",
            perform: |objects| write(objects, b"abc"),
            check: |objects| contains_bytes(objects, &[b"", b"abc"]),
            ..PIPE
        },
        Operation {
            name: "read",
            prepare: |objects| write(objects, b"abc"),
            perform: |objects| read(objects, b"ab"),
            check: |objects| contains_bytes(objects, &[b"abc", b"c"]),
            ..PIPE
        },
        Operation {
            name: "write that waits",
            prepare: |objects| write(objects, b"abc"),
            perform: |objects| write(objects, b"de"),
            unblock: |objects| read(objects, b"ab"),
            check: |objects| contains_bytes(objects, &[b"abc", b"c", b"cde"]),
            ..PIPE
        },
        Operation {
            name: "read that waits",
            perform: |objects| read(objects, b"ab"),
            unblock: |objects| write(objects, b"ab"),
            check: |objects| contains_bytes(objects, &[b"", b"ab"]),
            ..PIPE
        },
        Operation {
            name: "writer, a large write",
            perform: write_all,
            peer: read_to_the_end,
            // If the child was killed before it attached a writer, the stream begins and ends here.
            check: |objects| drop(objects.pipe.sender()),
            ..PIPE
        },
    ]
}

fn write(objects: &Objects, bytes: &[u8]) {
    let written = objects.pipe.write_unregistered(bytes, timeout());
    assert_eq!(written, Ok(bytes.len()), "the pipe has room");
}

/// Reads as many bytes as `expected` has, and compares them with `expected`.
fn read(objects: &Objects, expected: &[u8]) {
    let mut bytes = [0; CAPACITY];
    let bytes = &mut bytes[..expected.len()];
    let read = objects.pipe.read_unregistered(bytes, timeout());
    assert_eq!(read, Ok(expected.len()), "the bytes were written");
    assert_eq!(bytes, expected);
}

/// A text with more bytes than the pipe holds.
const MANY: &[u8] = b"abcdef";

fn write_all(objects: &Objects) {
    if let Ok(mut writer) = objects.pipe.sender() {
        writer.write_all(MANY).expect("a reader is attached");
        objects.sent.store(MANY.len() as u64, Relaxed);
    }
}

fn read_to_the_end(objects: &Objects) {
    let reader = objects
        .pipe
        .receiver()
        .expect("no other reader is attached");
    let (mut all, mut piece) = (Vec::new(), [0; 3]);
    loop {
        let count = reader.read_with(&mut piece, timeout());
        match count.expect("the stream continues or ends") {
            0 => break,
            count => all.extend_from_slice(&piece[..count]),
        }
    }
    assert!(MANY.starts_with(&all), "torn write: {all:?}");
    assert!(
        all.len() as u64 >= objects.sent.load(Relaxed),
        "lost bytes: {all:?}"
    );
}

/// Checks that the pipe contains one of these texts, and that no capacity is lost.
fn contains_bytes(objects: &Objects, texts: &[&[u8]]) {
    let mut bytes = [0; CAPACITY + 1];
    let drain = |bytes: &mut [u8]| match objects.pipe.read_unregistered(bytes, Timeout::NonBlocking)
    {
        Err(RecvTimeoutError::Timeout) => 0,
        read => read.expect("the lock is available"),
    };
    let count = drain(&mut bytes);
    let found = &bytes[..count];
    assert!(texts.contains(&found), "{found:?} is not in {texts:?}");
    write(objects, b"wxyz");
    let more = objects.pipe.write_unregistered(b"!", Timeout::NonBlocking);
    assert_eq!(more, Err(SendTimeoutError::Timeout(())), "the pipe is full");
    assert_eq!(drain(&mut bytes), CAPACITY);
    assert_eq!(&bytes[..CAPACITY], b"wxyz");
}

const ITEM: u64 = 7;

fn rendezvous_operations() -> [Operation; 4] {
    const MEETING: Operation = Operation {
        object: "rendezvous: ",
        ..NO_OPERATION
    };
    [
        Operation {
            name: "send that waits for a receiver",
            perform: |objects| send(objects, ITEM),
            unblock: |objects| assert_eq!(receive_now(objects), Some(ITEM), "the child offers it"),
            check: |objects| {
                assert_eq!(
                    receive_now(objects),
                    None,
                    "the item was received or withdrawn"
                );
                passes_an_item(objects);
            },
            ..MEETING
        },
        Operation {
            name: "recv before a sender arrives",
            perform: |objects| receive(objects, ITEM),
            unblock: |objects| {
                let given = objects
                    .meeting
                    .send_unregistered(ITEM, Timeout::NonBlocking);
                given.expect("a receiver waits");
            },
            check: |objects| {
                let given = objects
                    .meeting
                    .send_unregistered(ITEM, Timeout::NonBlocking);
                assert!(given.is_err(), "no receiver waits any more");
                passes_an_item(objects);
            },
            ..MEETING
        },
        Operation {
            name: "recv of an offered item",
            perform: |objects| {
                receive(objects, ITEM);
                objects.queue.store(ITEM, Relaxed);
            },
            peer: offer,
            check: is_received_once,
            ..MEETING
        },
        Operation {
            name: "accept, acknowledge",
            perform: |objects| {
                let delivery = objects.meeting.accept_unregistered(timeout());
                assert_eq!(
                    delivery.expect("an item is offered").acknowledge(),
                    Ok(ITEM)
                );
                objects.queue.store(ITEM, Relaxed);
            },
            peer: offer,
            check: is_received_once,
            ..MEETING
        },
    ]
}

fn send(objects: &Objects, item: u64) {
    objects
        .meeting
        .send_unregistered(item, timeout())
        .expect("a receiver takes the item");
}

fn receive(objects: &Objects, item: u64) {
    assert_eq!(objects.meeting.recv_unregistered(timeout()), Ok(item));
}

fn receive_now(objects: &Objects) -> Option<u64> {
    objects.meeting.recv_unregistered(Timeout::NonBlocking).ok()
}

fn offer(objects: &Objects) {
    send(objects, ITEM);
    objects.sent.store(ITEM, Relaxed);
}

/// Checks that either the child received the item, or the parent can still receive it.
fn is_received_once(objects: &Objects) {
    let begin = Instant::now();
    let mut taken = u32::from(objects.queue.load(Relaxed) == ITEM);
    while objects.sent.load(Relaxed) != ITEM {
        taken += u32::from(receive_now(objects).is_some());
        assert!(begin.elapsed() < TIMEOUT, "the sender is not acknowledged");
        std::thread::yield_now();
    }
    assert!(taken <= 1, "the item was received twice");
    passes_an_item(objects);
}

fn passes_an_item(objects: &Objects) {
    std::thread::scope(|scope| {
        scope.spawn(|| send(objects, 9));
        receive(objects, 9);
    });
}

fn segment_operations() -> [Operation; 4] {
    const SEGMENTS: Operation = Operation {
        object: "segment list: ",
        ..NO_OPERATION
    };
    [
        Operation {
            name: "send the first item",
            perform: |objects| send_item(objects, 1),
            check: |objects| contains_items(objects, &[&[], &[1]]),
            ..SEGMENTS
        },
        Operation {
            name: "send into another segment",
            prepare: |objects| send_item(objects, 1),
            perform: |objects| send_item(objects, 2),
            check: |objects| contains_items(objects, &[&[1], &[1, 2]]),
            ..SEGMENTS
        },
        Operation {
            name: "receive the last item of a segment",
            prepare: |objects| (1..=2).for_each(|item| send_item(objects, item)),
            perform: |objects| assert_eq!(objects.chain.receive(timeout()), Ok(Some(1))),
            check: |objects| contains_items(objects, &[&[1, 2], &[2]]),
            ..SEGMENTS
        },
        Operation {
            name: "receive that waits",
            perform: |objects| assert_eq!(objects.chain.receive(timeout()), Ok(Some(1))),
            unblock: |objects| send_item(objects, 1),
            check: |objects| contains_items(objects, &[&[], &[1]]),
            ..SEGMENTS
        },
    ]
}

fn send_item(objects: &Objects, item: u64) {
    assert!(objects.chain.send(item), "the pipe has room");
}

/// Checks that the segment list contains one of these lists of items, and that no capacity is lost.
fn contains_items(objects: &Objects, lists: &[&[u64]]) {
    let next = || {
        objects
            .chain
            .receive(Timeout::NonBlocking)
            .expect("the list is not closed")
    };
    let found: Vec<u64> = std::iter::from_fn(next).collect();
    assert!(lists.contains(&&found[..]), "{found:?} is not in {lists:?}");
    (8..=9).for_each(|item| send_item(objects, item));
    assert!(!objects.chain.send(10), "the list is at its limit");
    assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), [8, 9]);
}

/// Returns operations that spend most instructions on creating, attaching and removing regions.
fn unbounded_operations() -> [Operation; 2] {
    const NAMED: Operation = Operation {
        object: "unbounded buffer: ",
        check: is_removed,
        at_system_calls: true,
        ..NO_OPERATION
    };
    [
        Operation {
            name: "attach, send into a new segment",
            prepare: |objects| create(objects, 0),
            perform: |objects| {
                let queue = attach(objects);
                let sender = queue.sender().expect("the channel is open");
                sender.send(1).expect("the buffer has room");
            },
            peer: |objects| contains_after_death(objects, &[&[], &[1]]),
            ..NAMED
        },
        Operation {
            name: "attach, receive the last item of a segment",
            prepare: |objects| create(objects, 2),
            perform: |objects| {
                let queue = attach(objects);
                let receiver = queue.receiver().expect("the channel is open");
                assert_eq!(receiver.recv_with(timeout()).expect("an item"), 1);
            },
            peer: |objects| contains_after_death(objects, &[&[1, 2], &[2]]),
            ..NAMED
        },
    ]
}

fn file_name(objects: &Objects) -> String {
    format!("interlatch-sweep-{:x}", objects.queue.load(Relaxed))
}

fn region_name(objects: &Objects) -> RegionName {
    RegionName::posix(&file_name(objects)).expect("a name")
}

/// Creates an unbounded buffer with one item per segment, sends the items, and drops the sender.
fn create(objects: &Objects, items: u64) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Relaxed);
    objects.queue.store(number, Relaxed);
    let growth = GrowthLimit {
        items: 1,
        segments: 2,
    };
    let queue = UnboundedBuffer::<u64>::create(&region_name(objects), growth)
        .expect("the buffer can be created");
    if items > 0 {
        let sender = queue.sender().expect("the channel is open");
        (1..=items).for_each(|item| sender.send(item).expect("the buffer has room"));
    }
}

fn attach(objects: &Objects) -> UnboundedBuffer<u64> {
    UnboundedBuffer::attach(&region_name(objects)).expect("the buffer exists")
}

/// Checks after the child's death that the buffer contains one of these lists of items. A second
/// receiver stays attached until the death, so the buffer stays open.
fn contains_after_death(objects: &Objects, lists: &[&[u64]]) {
    let queue = attach(objects);
    let receiver = queue.receiver();
    while objects.is_over.load(Relaxed) == 0 {
        std::thread::yield_now();
    }
    // If the child attached and died before this thread attached, the buffer no longer accepts
    // receivers.
    let next = || match receiver.as_ref().ok()?.try_recv() {
        Ok(item) => Some(item),
        Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        Err(error) => panic!("{error}"),
    };
    let found: Vec<u64> = std::iter::from_fn(next).collect();
    assert!(
        receiver.is_err() || lists.contains(&&found[..]),
        "{found:?} is not in {lists:?}"
    );
    objects.sent.store(1, Relaxed);
}

/// Checks that removing the buffer leaves none of its files.
fn is_removed(objects: &Objects) {
    let begin = Instant::now();
    while objects.sent.load(Relaxed) == 0 && begin.elapsed() < TIMEOUT {
        std::thread::yield_now();
    }
    UnboundedBuffer::<u64>::remove(&region_name(objects)).expect("the buffer exists");
    let files = std::fs::read_dir("/dev/shm")
        .expect("/dev/shm is readable")
        .flatten();
    let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let left = names.find(|name| name.starts_with(&file_name(objects)));
    assert_eq!(left, None, "a file of the buffer is left");
}

fn loan_operations() -> [Operation; 3] {
    const LOAN: Operation = Operation {
        object: "robust bounded buffer: ",
        ..NO_OPERATION
    };
    [
        Operation {
            name: "loan, fill, send",
            perform: |objects| {
                let mut loan = objects.bounded.loan_with(timeout()).expect("a free slot");
                *loan = 1;
                loan.send().expect("the loan is still owned");
            },
            check: |objects| contains_one_of(&objects.bounded, &[&[], &[1]]),
            ..LOAN
        },
        Operation {
            name: "loan dropped",
            perform: |objects| drop(objects.bounded.loan_with(timeout())),
            check: |objects| contains_one_of(&objects.bounded, &[&[]]),
            ..LOAN
        },
        Operation {
            name: "borrow, read, drop",
            prepare: |objects| send_one(&objects.bounded, 1),
            perform: |objects| {
                let item = objects.bounded.borrow_with(timeout()).expect("an item");
                assert_eq!(*item, 1);
            },
            check: |objects| contains_one_of(&objects.bounded, &[&[], &[1]]),
            ..LOAN
        },
    ]
}
