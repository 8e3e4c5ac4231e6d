//! What a peer may make of message queues, pipes, rendezvous, and queues that grow: parts of `hostile` and
//! of `scribbler`, and a queue whose regions have names.

use super::chance::{number, seed};
use super::harness::Test;
use super::hostile::{HEADER, damaged, shortly};
use super::raw::Raw;
use super::scratch::Scratch;
use interlatch::channel::Unregistered;
use interlatch::channel::message_queue::{
    MessageQueueExt, MessageType, Oversize, QueueLimits, Select,
};
use interlatch::channel::{GrowthLimit, Slot};
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::sync::Timeout;
use interlatch::{BytePipe, MessageQueue, Region, RegionError, Rendezvous, UnboundedBuffer};
use std::fs::File;
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "whatever_a_peer_writes_meanwhile_into_a_queue_that_grows",
            growing,
        ),
        Test::new("a_peer_does_not_make_others_reserve_more", reserves),
        Test::new("a_chain_that_never_ends_is_removed_all_the_same", endless),
    ]
}

pub type Pipe = BytePipe<[Slot<u8>], 2>;
pub type Meeting = Rendezvous<u64, 2>;

const LIMITS: QueueLimits = QueueLimits {
    messages: 3,
    bytes: 200,
};

const GROWTH: GrowthLimit = GrowthLimit {
    items: 2,
    segments: 2,
};

/// One object of every kind.
pub fn create_all(region: &Region) -> Result<(), RegionError> {
    region.create::<MessageQueue>("queue", LIMITS)?;
    region.create::<Pipe>("pipe", 5)?;
    region.create::<Meeting>("rendezvous", ())?;
    Ok(())
}

/// Uses all of them by operations that have a deadline.
pub fn use_all(region: &Region) -> Result<(), RegionError> {
    exchange(region.attach("queue")?);
    let pipe: &Pipe = region.attach("pipe")?;
    let mut bytes = [0; 100];
    for length in [1, 4, 100] {
        let written = pipe.write_with(&bytes[..length], shortly());
        assert!(written.is_ok_and(|count| count <= length) || written.is_err());
        let read = pipe.read_with(&mut bytes[..length], shortly());
        assert!(read.is_ok_and(|count| count <= length) || read.is_err());
    }
    let place: &Meeting = region.attach("rendezvous")?;
    let _ = black_box(place.send_unregistered(1, shortly()));
    let _ = black_box(place.recv_unregistered(shortly()));
    let delivery = place.accept_with(shortly()).ok();
    let _ = delivery.map(|delivery| black_box(delivery.acknowledge()));
    Ok(())
}

/// MessageQueueExt of all lengths, received in all ways.
fn exchange(queue: &MessageQueue) {
    let kind = MessageType::LOWEST;
    for length in [0, 1, 97, 200, 1000] {
        let _ = black_box(queue.send_with(kind, &[7; 1000][..length], shortly()));
    }
    let mut room = [0; 100];
    for (select, fit) in [
        (Select::First, Oversize::Exact),
        (Select::Type(MessageType::HIGHEST), Oversize::Truncated),
        (Select::LowestUpTo(kind), Oversize::Truncated),
    ] {
        let received = queue.receive_into(select, &mut room, fit, shortly());
        assert!(received.is_ok_and(|received| received.length <= 100) || received.is_err());
    }
    for _ in 0..5 {
        if let Ok(message) = queue.receive_with(Select::First, shortly()) {
            let most = LIMITS.cells() * interlatch::channel::message_queue::CELL_BYTES;
            assert!(message.bytes.len() <= most, "as much as its cells have");
        }
    }
}

/// What takes a lock for as long as it takes.
pub fn stay(region: &Region) -> Result<(), RegionError> {
    let moment = || Timeout::after(Duration::from_millis(1));
    let queue: &MessageQueue = region.attach("queue")?;
    black_box((queue.len(), queue.bytes()));
    let _ = black_box(queue.receive_with(Select::LowestUpTo(MessageType::HIGHEST), moment()));
    let pipe: &Pipe = region.attach("pipe")?;
    if let (Ok(writer), Ok(reader)) = (pipe.writer(), pipe.reader()) {
        let _ = black_box(writer.write_with(&[1; 9], moment()));
        let _ = black_box(reader.read_with(&mut [0; 9], moment()));
    }
    assert!(pipe.len() <= pipe.capacity());
    let place: &Meeting = region.attach("rendezvous")?;
    let _ = black_box(place.send_unregistered(1, Timeout::NonBlocking));
    drop(place.accept_with(moment()));
    Ok(())
}

fn raw(scratch: &Scratch) -> Raw {
    let file = File::options()
        .read(true)
        .write(true)
        .open(&scratch.paths[1]);
    Raw::mapped(file.expect("it exists"))
}

/// So often an item has to pass before the test ends.
const OFTEN: u32 = 20;

/// A peer writes into the region of the chain, and puts everything back now and then.
fn growing() {
    let rounds = number("INTERLATCH_ATTACHES").unwrap_or(2_000);
    let random = fastrand::Rng::with_seed(seed());
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    let scratch = Scratch::new();
    let queue = UnboundedBuffer::<u64>::create(&scratch.names[1], GROWTH).expect("a queue");
    let memory = raw(&scratch);
    let (clean, ends) = (memory.all(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| write_deadline(raw(&scratch), random, &clean, &ends));
        let (mut rounds, mut worked) = (rounds, 0);
        while rounds > 0 || worked < OFTEN {
            worked += u32::from(send_and_receive(&queue));
            rounds = rounds.saturating_sub(1);
        }
        ends.store(1, Relaxed);
    });
    memory.write_all(&clean);
    drop(queue);
    UnboundedBuffer::<u64>::remove(&scratch.names[1]).expect("it is there");
}

fn write_deadline(raw: Raw, mut random: fastrand::Rng, clean: &[u64], ends: &AtomicU32) {
    while ends.load(Relaxed) == 0 {
        for _ in 0..random.usize(..6) {
            let at = random.usize(HEADER / 8..raw.words());
            raw.write(at, damaged(raw.read(at), &mut random));
            (0..random.usize(..4000)).for_each(|_| spin_loop());
        }
        raw.write_all(clean);
        (0..random.usize(..40_000)).for_each(|_| spin_loop());
    }
}

/// Whether an item came through.
fn send_and_receive(queue: &UnboundedBuffer<u64>) -> bool {
    let (Ok(sender), Ok(receiver)) = (queue.sender(), queue.receiver()) else {
        return false;
    };
    for item in 0..3 {
        let _ = black_box(sender.send(item));
    }
    let _ = black_box(sender.send_with(3, shortly()));
    (0..3)
        .filter(|_| receiver.recv_with(shortly()).is_ok())
        .count()
        > 0
}

/// Where the growth of the chain is, as a peer finds it.
fn growth_in(raw: &Raw) -> usize {
    let word = u64::from(GROWTH.items) << 32 | u64::from(GROWTH.segments);
    let at = (HEADER / 8..raw.words()).find(|at| raw.read(*at) == word);
    at.expect("it is in the chain")
}

fn reserves() {
    let scratch = Scratch::new();
    let name = &scratch.names[1];
    let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("a queue");
    let sender = queue.sender().expect("open");
    let raw = raw(&scratch);
    raw.write(growth_in(&raw), 1 << 52 | u64::from(GROWTH.segments));
    (0..3).for_each(|item| sender.send(item).expect("room"));
    let lengths: Vec<u64> = std::fs::read_dir(scratch.directory.path())
        .expect("it is there")
        .map(|file| file.and_then(|file| file.metadata()).expect("a file").len())
        .collect();
    assert_eq!(lengths.len(), 3, "the queue and two segments");
    assert!(
        lengths.iter().all(|length| *length < 1 << 20),
        "{lengths:?} bytes for {} items each",
        GROWTH.items
    );
    drop(sender);
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("it is there");
}

/// A chain that says that there are more segments than anybody could look for.
fn endless() {
    let scratch = Scratch::new();
    let name = &scratch.names[1];
    let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("a queue");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    (0..3).for_each(|item| sender.send(item).expect("room"));
    let raw = raw(&scratch);
    let growth = growth_in(&raw);
    // Before it are the numbers of the first and of the last segment, and of those that are removed.
    let numbers = growth - 3;
    assert_eq!([0, 1, 2].map(|at| raw.read(numbers + at)), [1, 2, 1]);
    raw.write(growth, u64::from(u32::MAX));
    raw.write(numbers, 1 << 32);
    raw.write(numbers + 1, 1 << 32);
    let begin = Instant::now();
    assert!(receiver.try_recv().is_err(), "there is no such segment");
    assert!(sender.send(3).is_err());
    raw.write(numbers, 0);
    drop((sender, receiver));
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("it is there");
    let passed = begin.elapsed();
    assert!(
        passed < Duration::from_secs(60),
        "{passed:?}: all numbers were tried"
    );
}
