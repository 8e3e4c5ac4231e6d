//! Hostile peers of message queues, pipes, rendezvous and unbounded buffers. `hostile` and
//! `scribbler` call the functions of this module, which also tests an unbounded buffer in named
//! regions.

use super::harness::Test;
use super::hostile::{HEADER, RobustBounded, RobustMonitor, SIZE, corrupted, expired};
use super::random::{env_number, seed};
use super::raw::Raw;
use super::scratch::Scratch;
use interlatch::channel::Unregistered;
use interlatch::channel::message_queue::{
    LengthPolicy, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::channel::{GrowthLimit, Slot};
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::sync::Timeout;
use interlatch::{
    BytePipe, Channel, MessageQueue, Region, RegionError, Rendezvous, RingBuffer, UnboundedBuffer,
};
use std::fs::File;
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "concurrent_corruption_of_an_unbounded_buffer_is_survived",
            concurrent_corruption_of_an_unbounded_buffer_is_survived,
        ),
        Test::new(
            "corrupted_limit_does_not_enlarge_segments",
            corrupted_limit_does_not_enlarge_segments,
        ),
        Test::new(
            "segment_list_with_corrupted_numbers_is_removed",
            segment_list_with_corrupted_numbers_is_removed,
        ),
        Test::new(
            "objects_are_created_over_the_bytes_of_a_peer",
            objects_are_created_over_the_bytes_of_a_peer,
        ),
    ]
}

pub type Pipe = BytePipe<[Slot<u8>], 2>;
pub type U64Rendezvous = Rendezvous<u64, 2>;

const LIMITS: QueueLimits = QueueLimits {
    messages: 3,
    bytes: 200,
};

const GROWTH: GrowthLimit = GrowthLimit {
    items: 2,
    segments: 2,
};

/// Creates one object of every type.
pub fn create_all(region: &Region) -> Result<(), RegionError> {
    region.create::<MessageQueue>("queue", LIMITS)?;
    region.create::<Pipe>("pipe", 5)?;
    region.create::<U64Rendezvous>("rendezvous", ())?;
    Ok(())
}

/// Attaches to each object, and calls its operations with a deadline.
pub fn use_all(region: &Region) -> Result<(), RegionError> {
    use_message_queue(region.attach("queue")?);
    let pipe: &Pipe = region.attach("pipe")?;
    let mut bytes = [0; 100];
    for length in [1, 4, 100] {
        let written = pipe.write_unregistered(&bytes[..length], expired());
        assert!(written.is_err() || written.is_ok_and(|count| count <= length));
        let read = pipe.read_unregistered(&mut bytes[..length], expired());
        assert!(read.is_err() || read.is_ok_and(|count| count <= length));
    }
    let rendezvous: &U64Rendezvous = region.attach("rendezvous")?;
    let _ = black_box(rendezvous.send_unregistered(1, expired()));
    let _ = black_box(rendezvous.recv_unregistered(expired()));
    let delivery = rendezvous.accept_unregistered(expired()).ok();
    let _ = delivery.map(|delivery| black_box(delivery.acknowledge()));
    Ok(())
}

/// Sends messages of different lengths, and receives messages in every way.
fn use_message_queue(queue: &MessageQueue) {
    let message_type = MessageType::LOWEST;
    for length in [0, 1, 97, 200, 1000] {
        let _ = black_box(queue.send_with(message_type, &[7; 1000][..length], expired()));
    }
    let mut buffer = [0; 100];
    for (select, policy) in [
        (Select::First, LengthPolicy::Exact),
        (Select::Type(MessageType::HIGHEST), LengthPolicy::Truncate),
        (Select::LowestUpTo(message_type), LengthPolicy::Truncate),
    ] {
        let received = queue.receive_into(select, &mut buffer, policy, expired());
        assert!(received.is_err() || received.is_ok_and(|received| received.length <= 100));
    }
    for _ in 0..5 {
        if let Ok(message) = queue.receive_with(Select::First, expired()) {
            let max = LIMITS.cells() * interlatch::channel::message_queue::CELL_PAYLOAD;
            assert!(message.bytes.len() <= max, "at most the bytes of all cells");
        }
    }
}

/// Attaches to each object, and calls operations that wait for an internal lock without a deadline.
pub fn use_without_deadline(region: &Region) -> Result<(), RegionError> {
    let short_timeout = || Timeout::after(Duration::from_millis(1));
    let queue: &MessageQueue = region.attach("queue")?;
    black_box((queue.len(), queue.bytes()));
    let _ =
        black_box(queue.receive_with(Select::LowestUpTo(MessageType::HIGHEST), short_timeout()));
    let pipe: &Pipe = region.attach("pipe")?;
    if let (Ok(writer), Ok(reader)) = (pipe.sender(), pipe.receiver()) {
        let _ = black_box(writer.write_with(&[1; 9], short_timeout()));
        let _ = black_box(reader.read_with(&mut [0; 9], short_timeout()));
    }
    assert!(pipe.len() <= pipe.capacity());
    let rendezvous: &U64Rendezvous = region.attach("rendezvous")?;
    let _ = black_box(rendezvous.send_unregistered(1, Timeout::NonBlocking));
    drop(rendezvous.accept_unregistered(short_timeout()));
    Ok(())
}

fn raw(scratch: &Scratch) -> Raw {
    let file = File::options()
        .read(true)
        .write(true)
        .open(&scratch.paths[1]);
    Raw::mapped(file.expect("the file exists"))
}

/// The minimum number of items that must pass before the test ends.
const MIN_COUNT: u32 = 20;

/// A peer corrupts the region of the segment list, and restores the region at intervals.
fn concurrent_corruption_of_an_unbounded_buffer_is_survived() {
    let rounds = env_number("INTERLATCH_ATTACHES").unwrap_or(2_000);
    let random = fastrand::Rng::with_seed(seed());
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    let scratch = Scratch::new();
    let queue = UnboundedBuffer::<u64>::create(&scratch.names[1], GROWTH)
        .expect("the buffer can be created");
    let memory = raw(&scratch);
    let (clean, has_ended) = (memory.all(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| corrupt_until_end(raw(&scratch), random, &clean, &has_ended));
        let (mut rounds, mut worked) = (rounds, 0);
        while rounds > 0 || worked < MIN_COUNT {
            worked += u32::from(send_and_receive(&queue));
            rounds = rounds.saturating_sub(1);
        }
        has_ended.store(1, Relaxed);
    });
    memory.write_all(&clean);
    drop(queue);
    UnboundedBuffer::<u64>::remove(&scratch.names[1]).expect("the buffer exists");
}

fn corrupt_until_end(raw: Raw, mut random: fastrand::Rng, clean: &[u64], has_ended: &AtomicU32) {
    while has_ended.load(Relaxed) == 0 {
        for _ in 0..random.usize(..6) {
            let index = random.usize(HEADER / 8..raw.words());
            raw.write(index, corrupted(raw.read(index), &mut random));
            (0..random.usize(..4000)).for_each(|_| spin_loop());
        }
        raw.write_all(clean);
        (0..random.usize(..40_000)).for_each(|_| spin_loop());
    }
}

/// Sends some items and tries to receive them. Returns whether an item was received.
fn send_and_receive(queue: &UnboundedBuffer<u64>) -> bool {
    let (Ok(sender), Ok(receiver)) = (queue.sender(), queue.receiver()) else {
        return false;
    };
    for item in 0..3 {
        let _ = black_box(sender.send(item));
    }
    let _ = black_box(sender.send_with(3, expired()));
    (0..3)
        .filter(|_| receiver.recv_with(expired()).is_ok())
        .count()
        > 0
}

/// Finds the word index of the growth limit in the segment list, as a peer could.
fn find_growth_limit(raw: &Raw) -> usize {
    let word = u64::from(GROWTH.items) << 32 | u64::from(GROWTH.segments);
    let index = (HEADER / 8..raw.words()).find(|index| raw.read(*index) == word);
    index.expect("the segment list has it")
}

fn corrupted_limit_does_not_enlarge_segments() {
    let scratch = Scratch::new();
    let name = &scratch.names[1];
    let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("the buffer can be created");
    let sender = queue.sender().expect("the channel is open");
    let raw = raw(&scratch);
    raw.write(
        find_growth_limit(&raw),
        1 << 52 | u64::from(GROWTH.segments),
    );
    (0..3).for_each(|item| sender.send(item).expect("the buffer has room"));
    let lengths: Vec<u64> = std::fs::read_dir(scratch.directory.path())
        .expect("the directory is readable")
        .map(|file| file.and_then(|file| file.metadata()).expect("a file").len())
        .collect();
    assert_eq!(lengths.len(), 3, "the buffer and two segments");
    assert!(
        lengths.iter().all(|length| *length < 1 << 20),
        "{lengths:?} bytes for {} items each",
        GROWTH.items
    );
    drop(sender);
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("the buffer exists");
}

/// The numbers in a segment list claim more segments than any process can search.
fn segment_list_with_corrupted_numbers_is_removed() {
    let scratch = Scratch::new();
    let name = &scratch.names[1];
    let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("the buffer can be created");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (
        sender.expect("the channel is open"),
        receiver.expect("the channel is open"),
    );
    (0..3).for_each(|item| sender.send(item).expect("the buffer has room"));
    let raw = raw(&scratch);
    let growth = find_growth_limit(&raw);
    // Three numbers precede the growth limit: those of the first segment, the last segment, and the
    // first unremoved segment.
    let numbers = growth - 3;
    assert_eq!([0, 1, 2].map(|index| raw.read(numbers + index)), [1, 2, 1]);
    raw.write(growth, u64::from(u32::MAX));
    raw.write(numbers, 1 << 32);
    raw.write(numbers + 1, 1 << 32);
    let begin = Instant::now();
    assert!(receiver.try_recv().is_err(), "the segment does not exist");
    assert!(sender.send(3).is_err());
    raw.write(numbers, 0);
    drop((sender, receiver));
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("the buffer exists");
    let passed = begin.elapsed();
    assert!(
        passed < Duration::from_secs(60),
        "{passed:?}: removal tried all numbers"
    );
}

/// A peer writes to the free memory of a region before objects are created there.
fn objects_are_created_over_the_bytes_of_a_peer() {
    let region = Region::memfd("used", SIZE).expect("the region can be created");
    let raw = Raw::mapped(region.descriptor().expect("a memfd has a descriptor"));
    (HEADER / 8..raw.words()).for_each(|index| raw.write(index, 0xA5A5_A5A5_A5A5_A5A5));
    create_all(&region).expect("the region has room");
    let queue: &MessageQueue = region.attach("queue").expect("the queue exists");
    let sent = queue.try_send(MessageType::LOWEST, &[7; 150]);
    assert_eq!(sent, Ok(()));
    let received = queue.try_receive(Select::First);
    assert_eq!(received.map(|message| message.bytes), Ok(vec![7; 150]));
    let pipe: &Pipe = region.attach("pipe").expect("the pipe exists");
    let mut bytes = [0; 5];
    let written = pipe.write_unregistered(&[1, 2, 3, 4, 5], expired());
    assert_eq!(written, Ok(5));
    assert_eq!(pipe.read_unregistered(&mut bytes, expired()), Ok(5));
    assert_eq!(bytes, [1, 2, 3, 4, 5]);
    assert!(pipe.sender().is_ok() && pipe.receiver().is_ok());
    let ring: &RingBuffer<u64> = region.create("ring", 2).expect("the region has room");
    let sender = ring.sender().expect("the side is free");
    let receiver = ring.receiver().expect("the side is free");
    assert_eq!(sender.try_send_slice(&[1, 2, 3]), Ok(2));
    assert_eq!(receiver.try_recv_slice(&mut [0; 3]), Ok(2));
    fill_and_drain::<RobustBounded>(region.create("robust bounded", 3));
    fill_and_drain::<RobustMonitor>(region.create("robust monitor", 3));
}

fn fill_and_drain<B: Unregistered<Item = u64> + ?Sized>(buffer: Result<&B, RegionError>) {
    let buffer = buffer.expect("the region has room");
    let items = 0..buffer.capacity() as u64;
    for item in items.clone() {
        assert_eq!(buffer.send_unregistered(item, expired()), Ok(()));
    }
    for item in items {
        assert_eq!(buffer.recv_unregistered(expired()), Ok(item));
    }
    assert!(buffer.sender().is_ok() && buffer.receiver().is_ok());
}
