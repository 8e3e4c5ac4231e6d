//! The operations of pipes, rendezvous, queues that grow, and loans that a child is killed in.

use super::process::TIMEOUT;
use super::sweep::{NOTHING, Objects, Operation, holds_one_of, put_in};
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
pub type Meeting = Rendezvous<u64, 2>;
/// With segments of one item, of which there are two at most.
pub type Linked = PooledList;

const CAPACITY: usize = 4;

pub fn operations() -> Vec<Operation> {
    let mut all = Vec::from(on_a_pipe());
    all.extend(at_a_rendezvous());
    all.extend(on_a_chain());
    all.extend(on_named_segments());
    all.extend(of_loans());
    all
}

/// What happens the first time only is done once.
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
    has_links(objects, &[&[]]);
}

fn timeout() -> Timeout {
    Timeout::after(TIMEOUT)
}

fn on_a_pipe() -> [Operation; 5] {
    const PIPE: Operation = Operation {
        on: "byte pipe: ",
        ..NOTHING
    };
    [
        Operation {
            name: "write",
            perform: |objects| write(objects, b"abc"),
            check: |objects| has_bytes(objects, &[b"", b"abc"]),
            ..PIPE
        },
        Operation {
            name: "read",
            prepare: |objects| write(objects, b"abc"),
            perform: |objects| read(objects, b"ab"),
            check: |objects| has_bytes(objects, &[b"abc", b"c"]),
            ..PIPE
        },
        Operation {
            name: "write that waits",
            prepare: |objects| write(objects, b"abc"),
            perform: |objects| write(objects, b"de"),
            forget_range: |objects| read(objects, b"ab"),
            check: |objects| has_bytes(objects, &[b"abc", b"c", b"cde"]),
            ..PIPE
        },
        Operation {
            name: "read that waits",
            perform: |objects| read(objects, b"ab"),
            forget_range: |objects| write(objects, b"ab"),
            check: |objects| has_bytes(objects, &[b"", b"ab"]),
            ..PIPE
        },
        Operation {
            name: "writer, a large write",
            perform: write_all,
            beside: read_to_the_end,
            // Should the child have died before it came, the stream begins and ends here.
            check: |objects| drop(objects.pipe.sender()),
            ..PIPE
        },
    ]
}

fn write(objects: &Objects, bytes: &[u8]) {
    let written = objects.pipe.write_unregistered(bytes, timeout());
    assert_eq!(written, Ok(bytes.len()), "there is room");
}

/// So many, and these.
fn read(objects: &Objects, expected: &[u8]) {
    let mut bytes = [0; CAPACITY];
    let bytes = &mut bytes[..expected.len()];
    let read = objects.pipe.read_unregistered(bytes, timeout());
    assert_eq!(read, Ok(expected.len()), "they were written");
    assert_eq!(bytes, expected);
}

/// More than fit.
const MANY: &[u8] = b"abcdef";

fn write_all(objects: &Objects) {
    if let Ok(mut writer) = objects.pipe.sender() {
        writer.write_all(MANY).expect("somebody reads");
        objects.sent.store(MANY.len() as u64, Relaxed);
    }
}

fn read_to_the_end(objects: &Objects) {
    let reader = objects.pipe.receiver().expect("the first");
    let (mut all, mut piece) = (Vec::new(), [0; 3]);
    loop {
        let count = reader.read_with(&mut piece, timeout());
        match count.expect("the stream goes on, or ends") {
            0 => break,
            count => all.extend_from_slice(&piece[..count]),
        }
    }
    assert!(MANY.starts_with(&all), "torn: {all:?}");
    assert!(
        all.len() as u64 >= objects.sent.load(Relaxed),
        "lost: {all:?}"
    );
}

/// The bytes are one of these, and there is as much room as ever.
fn has_bytes(objects: &Objects, texts: &[&[u8]]) {
    let mut bytes = [0; CAPACITY + 1];
    let drain = |bytes: &mut [u8]| match objects.pipe.read_unregistered(bytes, Timeout::NonBlocking)
    {
        Err(RecvTimeoutError::Timeout) => 0,
        read => read.expect("the lock is to be had"),
    };
    let count = drain(&mut bytes);
    let found = &bytes[..count];
    assert!(texts.contains(&found), "{found:?} is none of {texts:?}");
    write(objects, b"wxyz");
    let more = objects.pipe.write_unregistered(b"!", Timeout::NonBlocking);
    assert_eq!(more, Err(SendTimeoutError::Timeout(())), "it is full");
    assert_eq!(drain(&mut bytes), CAPACITY);
    assert_eq!(&bytes[..CAPACITY], b"wxyz");
}

const ITEM: u64 = 7;

fn at_a_rendezvous() -> [Operation; 4] {
    const MEETING: Operation = Operation {
        on: "rendezvous: ",
        ..NOTHING
    };
    [
        Operation {
            name: "send that waits for a receiver",
            perform: |objects| send(objects, ITEM),
            forget_range: |objects| assert_eq!(take_now(objects), Some(ITEM), "it is offered"),
            check: |objects| {
                assert_eq!(take_now(objects), None, "it was taken or withdrawn");
                passes_an_item(objects);
            },
            ..MEETING
        },
        Operation {
            name: "recv that an item is given to",
            perform: |objects| receive(objects, ITEM),
            forget_range: |objects| {
                let given = objects
                    .meeting
                    .send_unregistered(ITEM, Timeout::NonBlocking);
                given.expect("somebody asks");
            },
            check: |objects| {
                let given = objects
                    .meeting
                    .send_unregistered(ITEM, Timeout::NonBlocking);
                assert!(given.is_err(), "nobody asks any more");
                passes_an_item(objects);
            },
            ..MEETING
        },
        Operation {
            name: "recv of what is offered",
            perform: |objects| {
                receive(objects, ITEM);
                objects.queue.store(ITEM, Relaxed);
            },
            beside: offer,
            check: is_taken_once,
            ..MEETING
        },
        Operation {
            name: "accept, acknowledge",
            perform: |objects| {
                let delivery = objects.meeting.accept_unregistered(timeout());
                assert_eq!(delivery.expect("offered").acknowledge(), Ok(ITEM));
                objects.queue.store(ITEM, Relaxed);
            },
            beside: offer,
            check: is_taken_once,
            ..MEETING
        },
    ]
}

fn send(objects: &Objects, item: u64) {
    objects
        .meeting
        .send_unregistered(item, timeout())
        .expect("taken");
}

fn receive(objects: &Objects, item: u64) {
    assert_eq!(objects.meeting.recv_unregistered(timeout()), Ok(item));
}

fn take_now(objects: &Objects) -> Option<u64> {
    objects.meeting.recv_unregistered(Timeout::NonBlocking).ok()
}

fn offer(objects: &Objects) {
    send(objects, ITEM);
    objects.sent.store(ITEM, Relaxed);
}

/// By the child, or here if that died before.
fn is_taken_once(objects: &Objects) {
    let begin = Instant::now();
    let mut taken = u32::from(objects.queue.load(Relaxed) == ITEM);
    while objects.sent.load(Relaxed) != ITEM {
        taken += u32::from(take_now(objects).is_some());
        assert!(begin.elapsed() < TIMEOUT, "the sender hears nothing");
        std::thread::yield_now();
    }
    assert!(taken <= 1, "taken twice");
    passes_an_item(objects);
}

fn passes_an_item(objects: &Objects) {
    std::thread::scope(|scope| {
        scope.spawn(|| send(objects, 9));
        receive(objects, 9);
    });
}

fn on_a_chain() -> [Operation; 4] {
    const CHAIN: Operation = Operation {
        on: "chain: ",
        ..NOTHING
    };
    [
        Operation {
            name: "send, the first of all",
            perform: |objects| link(objects, 1),
            check: |objects| has_links(objects, &[&[], &[1]]),
            ..CHAIN
        },
        Operation {
            name: "send into another segment",
            prepare: |objects| link(objects, 1),
            perform: |objects| link(objects, 2),
            check: |objects| has_links(objects, &[&[1], &[1, 2]]),
            ..CHAIN
        },
        Operation {
            name: "take, the last of its segment",
            prepare: |objects| (1..=2).for_each(|item| link(objects, item)),
            perform: |objects| assert_eq!(objects.chain.receive(timeout()), Ok(Some(1))),
            check: |objects| has_links(objects, &[&[1, 2], &[2]]),
            ..CHAIN
        },
        Operation {
            name: "take that waits",
            perform: |objects| assert_eq!(objects.chain.receive(timeout()), Ok(Some(1))),
            forget_range: |objects| link(objects, 1),
            check: |objects| has_links(objects, &[&[], &[1]]),
            ..CHAIN
        },
    ]
}

fn link(objects: &Objects, item: u64) {
    assert!(objects.chain.send(item), "there is room");
}

/// The items are one of these lists, and there is as much room as ever.
fn has_links(objects: &Objects, lists: &[&[u64]]) {
    let next = || {
        objects
            .chain
            .receive(Timeout::NonBlocking)
            .expect("nobody has closed it")
    };
    let found: Vec<u64> = std::iter::from_fn(next).collect();
    assert!(
        lists.contains(&&found[..]),
        "{found:?} is none of {lists:?}"
    );
    (8..=9).for_each(|item| link(objects, item));
    assert!(!objects.chain.send(10), "it is at its limit");
    assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), [8, 9]);
}

/// Of each operation most instructions are those that attach, make and remove regions.
fn on_named_segments() -> [Operation; 2] {
    const NAMED: Operation = Operation {
        on: "unbounded buffer: ",
        check: is_removed,
        by_calls: true,
        ..NOTHING
    };
    [
        Operation {
            name: "attach, send into a new segment",
            prepare: |objects| create(objects, 0),
            perform: |objects| {
                let queue = attach(objects);
                let sender = queue.sender().expect("open");
                sender.send(1).expect("room");
            },
            beside: |objects| has_in_the_end(objects, &[&[], &[1]]),
            ..NAMED
        },
        Operation {
            name: "attach, receive the last of a segment",
            prepare: |objects| create(objects, 2),
            perform: |objects| {
                let queue = attach(objects);
                let receiver = queue.receiver().expect("open");
                assert_eq!(receiver.recv_with(timeout()).expect("an item"), 1);
            },
            beside: |objects| has_in_the_end(objects, &[&[1, 2], &[2]]),
            ..NAMED
        },
    ]
}

fn file_of(objects: &Objects) -> String {
    format!("interlatch-sweep-{:x}", objects.queue.load(Relaxed))
}

fn name_of(objects: &Objects) -> RegionName {
    RegionName::posix(&file_of(objects)).expect("a name")
}

/// A queue of one item to a segment. If there is one, nobody sends any more.
fn create(objects: &Objects, items: u64) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Relaxed);
    objects.queue.store(number, Relaxed);
    let growth = GrowthLimit {
        items: 1,
        segments: 2,
    };
    let queue = UnboundedBuffer::<u64>::create(&name_of(objects), growth).expect("a queue");
    if items > 0 {
        let sender = queue.sender().expect("open");
        (1..=items).for_each(|item| sender.send(item).expect("room"));
    }
}

fn attach(objects: &Objects) -> UnboundedBuffer<u64> {
    UnboundedBuffer::attach(&name_of(objects)).expect("it is there")
}

/// When the child is dead the items are one of these lists. Until then this is a receiver too, so that the queue
/// has one after it.
fn has_in_the_end(objects: &Objects, lists: &[&[u64]]) {
    let queue = attach(objects);
    let receiver = queue.receiver();
    while objects.is_over.load(Relaxed) == 0 {
        std::thread::yield_now();
    }
    // If the child came and died before this one came, there is no receiver any more.
    let next = || match receiver.as_ref().ok()?.try_recv() {
        Ok(item) => Some(item),
        Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        Err(error) => panic!("{error}"),
    };
    let found: Vec<u64> = std::iter::from_fn(next).collect();
    assert!(
        receiver.is_err() || lists.contains(&&found[..]),
        "{found:?} is none of {lists:?}"
    );
    objects.sent.store(1, Relaxed);
}

/// Of the queue no name is left.
fn is_removed(objects: &Objects) {
    let begin = Instant::now();
    while objects.sent.load(Relaxed) == 0 && begin.elapsed() < TIMEOUT {
        std::thread::yield_now();
    }
    UnboundedBuffer::<u64>::remove(&name_of(objects)).expect("it is there");
    let files = std::fs::read_dir("/dev/shm")
        .expect("it is there")
        .flatten();
    let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let left = names.find(|name| name.starts_with(&file_of(objects)));
    assert_eq!(left, None, "nothing is left");
}

fn of_loans() -> [Operation; 3] {
    const LOAN: Operation = Operation {
        on: "robust bounded buffer: ",
        ..NOTHING
    };
    [
        Operation {
            name: "loan, fill, send",
            perform: |objects| {
                let mut loan = objects.bounded.loan_with(timeout()).expect("a place");
                *loan = 1;
                loan.send().expect("it is this one's");
            },
            check: |objects| holds_one_of(&objects.bounded, &[&[], &[1]]),
            ..LOAN
        },
        Operation {
            name: "a loan given back",
            perform: |objects| drop(objects.bounded.loan_with(timeout())),
            check: |objects| holds_one_of(&objects.bounded, &[&[]]),
            ..LOAN
        },
        Operation {
            name: "borrow, read, drop",
            prepare: |objects| put_in(&objects.bounded, 1),
            perform: |objects| {
                let item = objects.bounded.borrow_with(timeout()).expect("an item");
                assert_eq!(*item, 1);
            },
            check: |objects| holds_one_of(&objects.bounded, &[&[], &[1]]),
            ..LOAN
        },
    ]
}
