//! A queue that grows, while its producer or its consumer is killed again and again: what was sent arrives
//! once and in order, but for what a dead consumer has taken along; and in the end no segment is left.
//!
//! `INTERLATCH_SEED` repeats the choices (not the moments at which the kernel carries them out).

use super::actor::{find, say};
use super::harness::Test;
use super::process::{Actor, PATIENCE};
use interlatch::buffer::TakeError;
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::{GrowError, Growth, InPlace, Options, Region, RegionName, UnboundedBuffer};
use nix::sys::signal::Signal::SIGKILL;
use std::path::Path;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("a_producer_that_is_killed_leaves_a_whole_queue", producers),
        Test::new("a_consumer_that_is_killed_leaves_a_whole_queue", consumers),
        Test::new("a_segment_that_was_begun_is_made_by_the_next_one", begun),
        Test::new("a_full_queue_refuses_and_waits_for_nobody", refuses),
        Test::new("a_queue_whose_segment_was_removed_says_so", tampered),
    ]
}

const ROUNDS: u64 = 40;

/// So few items in a segment that most kills come near one that is made or removed.
const GROWTH: Growth = Growth {
    items: 3,
    segments: 50,
};

/// What is known of the items: they are numbers in a row, some of which are never sent.
#[repr(C)]
struct Tally {
    next: AtomicU64,
    sent: AtomicU64,
    /// Those that a consumer got, and the newest of them.
    received: AtomicU64,
    newest: AtomicU64,
}

// SAFETY: `repr(C)`, of words.
unsafe impl InPlace for Tally {
    fn initial() -> Self {
        let word = || AtomicU64::new(0);
        Self {
            next: AtomicU64::new(1),
            sent: word(),
            received: word(),
            newest: word(),
        }
    }
}

/// A queue that is removed with the test, however that ends.
struct Named {
    name: RegionName,
    file: String,
}

impl Named {
    fn new(what: &str) -> Self {
        let file = format!("interlatch-{what}-{}", std::process::id());
        let name = RegionName::posix(&file).expect("a name");
        Self { name, file }
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(Path::new("/dev/shm")).expect("/dev/shm");
        let names = names.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&self.file)).collect()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        for file in self.files() {
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(file));
        }
    }
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("INTERLATCH_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("INTERLATCH_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn producers() {
    let (named, mut random) = (Named::new("producers"), random());
    let region = Region::memfd("growth", 4096).expect("a region");
    let tally: &Tally = find(&region, "tally");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let receiver = queue.receiver().expect("open");
    // The stream ends only here.
    let open = queue.sender().expect("open");
    for _ in 0..ROUNDS {
        let part = format!("growth produce {}", named.file);
        let mut producer = Actor::start(&region, &[part]);
        let deadline = Instant::now() + PATIENCE;
        assert_eq!(producer.reply(deadline).as_deref(), Ok("there"));
        for _ in 0..random.usize(1..60) {
            let item = receiver.recv_timeout(PATIENCE).expect("it sends");
            note(tally, item);
        }
        assert!(!producer.has_ended(), "it found something wrong");
        producer.signal(SIGKILL);
    }
    drop(open);
    drain(&queue, tally);
    drop(receiver);
    // Acquire pairs with the Release of the producers.
    let (sent, received) = (tally.sent.load(Acquire), tally.received.load(Relaxed));
    assert!(sent <= received, "{sent} sent, {received} received");
    assert!(received < tally.next.load(Relaxed), "not sent twice");
    is_removed(queue, &named);
}

/// Receives what is left, to the end.
fn drain(queue: &UnboundedBuffer<u64>, tally: &Tally) {
    let receiver = queue.receiver().expect("open");
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(item) => note(tally, item),
            Err(TakeError::Disconnected) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Each item is newer than all before it.
fn note(tally: &Tally, item: u64) {
    let newest = tally.newest.load(Relaxed);
    assert!(newest < item, "{item} after {newest}");
    assert!(item < tally.next.load(Relaxed), "nobody has sent {item}");
    tally.newest.store(item, Relaxed);
    tally
        .received
        .store(tally.received.load(Relaxed) + 1, Release);
}

fn is_removed(queue: UnboundedBuffer<u64>, named: &Named) {
    let grown = queue.grown().expect("a chain").expect("a lock");
    assert!(grown.ever > 10, "it grew: {grown:?}");
    // One that is not full yet may be linked still.
    assert!(grown.segments <= 1, "{grown:?}");
    drop(queue);
    UnboundedBuffer::<u64>::remove(&named.name).expect("it is there");
    assert_eq!(named.files(), Vec::<String>::new(), "nothing is left");
}

fn consumers() {
    let (named, mut random) = (Named::new("consumers"), random());
    let region = Region::memfd("growth", 4096).expect("a region");
    let tally: &Tally = find(&region, "tally");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let (sender, open) = (queue.sender(), queue.receiver());
    let (sender, open) = (sender.expect("open"), open.expect("open"));
    for _ in 0..ROUNDS {
        let part = format!("growth consume {}", named.file);
        let mut consumer = Actor::start(&region, &[part]);
        let deadline = Instant::now() + PATIENCE;
        assert_eq!(consumer.reply(deadline).as_deref(), Ok("there"));
        let goal = tally.received.load(Acquire) + random.u64(1..60);
        while tally.received.load(Acquire) < goal {
            assert!(Instant::now() < deadline, "it does not receive");
            // At the limit the consumer has enough to do.
            let item = tally.next.fetch_add(1, Relaxed);
            if sender.send(item).is_err() {
                tally.next.store(item, Relaxed);
            }
        }
        assert!(!consumer.has_ended(), "it found something wrong");
        consumer.signal(SIGKILL);
    }
    drop(sender);
    drain(&queue, tally);
    drop(open);
    let (sent, received) = (tally.next.load(Relaxed) - 1, tally.received.load(Relaxed));
    let lost = sent - received;
    assert!(lost <= ROUNDS, "{lost} lost with {ROUNDS} consumers");
    is_removed(queue, &named);
}

/// What a producer leaves that dies between two system calls.
fn begun() {
    let named = Named::new("begun");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let first = named.name.numbered(1).expect("a name");
    let region = Options::new(4096).create(&first).expect("a region");
    drop(region);
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    sender.send(7).expect("room");
    assert_eq!(receiver.recv().expect("an item"), 7);
    drop((sender, receiver));
    drop(queue);
    UnboundedBuffer::<u64>::remove(&named.name).expect("it is there");
    assert_eq!(named.files(), Vec::<String>::new(), "nothing is left");
}

fn refuses() {
    let named = Named::new("refuses");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    let most = u64::from(GROWTH.items * GROWTH.segments);
    (0..most).for_each(|item| sender.send(item).expect("room"));
    let refused = sender.send(most);
    assert!(matches!(refused, Err(GrowError::AtLimit(50))));
    // The first one and its segments.
    assert_eq!(named.files().len(), 51);
    (0..most).for_each(|item| assert_eq!(receiver.recv().expect("an item"), item));
    assert_eq!(named.files().len(), 1, "drained segments are given back");
    assert!(matches!(receiver.try_recv(), Err(TakeError::Timeout)));
}

fn tampered() {
    let named = Named::new("tampered");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let sender = queue.sender().expect("open");
    sender.send(1).expect("room");
    let other = UnboundedBuffer::<u64>::attach(&named.name).expect("it is there");
    let receiver = other.receiver().expect("open");
    let segment = named.name.numbered(1).expect("a name");
    segment.remove().expect("it is there");
    let refused = receiver.try_recv();
    let expected = matches!(refused, Err(TakeError::Segment { number: 1, .. }));
    assert!(expected, "{refused:?}");
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    let (what, name) = part.split_once(' ').expect("what, and a name");
    let tally: &Tally = find(region, "tally");
    let name = RegionName::posix(name).expect("a name");
    let queue = UnboundedBuffer::<u64>::attach(&name).expect("it is there");
    match what {
        "produce" => {
            let sender = queue.sender().expect("open");
            say("there");
            loop {
                // Taken first: should this process be killed, the next one sends none of this number.
                let item = tally.next.fetch_add(1, Relaxed);
                match sender.send(item) {
                    // Release pairs with the Acquire of the parent.
                    Ok(()) => tally.sent.store(tally.sent.load(Relaxed) + 1, Release),
                    Err(GrowError::AtLimit(_)) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        "consume" => {
            let receiver = queue.receiver().expect("open");
            say("there");
            loop {
                note(tally, receiver.recv().expect("the sender lives"));
            }
        }
        other => panic!("nobody does {other:?}"),
    }
}
