//! A queue that grows, while its producer or its consumer is killed again and again: what was sent arrives
//! once and in order, but for what a dead consumer has taken along; and in the end nothing of it is left.
//!
//! `INTERLATCH_SEED` repeats the choices (not the moments at which the kernel carries them out).

use super::actor::{find, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::tally::Tally;
use interlatch::channel::{
    ChannelError, GrowthLimit, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use interlatch::platform::Ordering::{Acquire, Relaxed};
use interlatch::sync::Timeout;
use interlatch::{Channel, Region, RegionError, RegionName, UnboundedBuffer};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use std::path::Path;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("a_producer_that_is_killed_leaves_a_whole_queue", producers),
        Test::new("a_consumer_that_is_killed_leaves_a_whole_queue", consumers),
        Test::new("a_segment_that_was_begun_is_made_by_the_next_one", begun),
        Test::new("a_full_queue_refuses_and_waits_for_nobody", refuses),
        Test::new("a_queue_whose_segment_was_removed_says_so", tampered),
        Test::new(
            "who_dies_while_it_makes_or_removes_a_queue_leaves_one_or_none",
            makers,
        ),
        Test::new("who_is_stopped_holds_up_only_the_patient", stopped),
    ]
}

const ROUNDS: u64 = 40;

/// So few items in a segment that most kills come near one that is made or removed.
const GROWTH: GrowthLimit = GrowthLimit {
    items: 3,
    segments: 50,
};

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

    /// The file of the only segment.
    fn segment(&self) -> String {
        let mut segments = self.files();
        segments.retain(|file| *file != self.file);
        assert_eq!(segments.len(), 1, "{segments:?}");
        segments.remove(0)
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
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(producer.reply(deadline).as_deref(), Ok("there"));
        for _ in 0..random.usize(1..60) {
            let item = receiver.recv_timeout(TIMEOUT).expect("it sends");
            tally.note(item);
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
        match receiver.recv_timeout(TIMEOUT) {
            Ok(item) => tally.note(item),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_removed(queue: UnboundedBuffer<u64>, named: &Named) {
    let grown = queue.usage().expect("a lock");
    assert!(grown.created > 1, "it grew: {grown:?}");
    // The last one stays, also when it is empty.
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
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(consumer.reply(deadline).as_deref(), Ok("there"));
        let goal = tally.received.load(Acquire) + random.u64(1..60);
        while tally.received.load(Acquire) < goal {
            assert!(Instant::now() < deadline, "it does not receive");
            // At the limit the consumer has enough to do.
            let item = tally.give_out(1);
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

/// What a producer leaves that dies when it has made a segment and not said so.
fn begun() {
    let named = Named::new("begun");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    sender.send(1).expect("room");
    let first = named.segment();
    let second = first.strip_suffix('1').expect("its number").to_owned() + "2";
    let [first, second] = [first, second].map(|file| Path::new("/dev/shm").join(file));
    std::fs::copy(first, second).expect("room");
    (2..=7).for_each(|item| sender.send(item).expect("room"));
    (1..=7).for_each(|item| assert_eq!(receiver.recv().expect("an item"), item));
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
    let at_limit = ChannelError::LimitReached { segments: 50 };
    assert_eq!(refused, Err(SendError::Failed(most, at_limit)));
    // The first one and its segments.
    assert_eq!(named.files().len(), 51);
    (0..most).for_each(|item| assert_eq!(receiver.recv().expect("an item"), item));
    // All but the last one.
    assert_eq!(named.files().len(), 2, "drained segments are given back");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

fn tampered() {
    let named = Named::new("tampered");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let sender = queue.sender().expect("open");
    sender.send(1).expect("room");
    let other = UnboundedBuffer::<u64>::attach(&named.name).expect("it is there");
    let receiver = other.receiver().expect("open");
    let segment = RegionName::posix(&named.segment()).expect("a name");
    segment.remove().expect("it is there");
    let refused = receiver.try_recv();
    let Err(TryRecvError::Failed(ChannelError::Storage(error))) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(error.segment(), 1, "{error}");
}

/// A queue is made, used and removed again and again, and that one killed.
fn makers() {
    let (named, mut random) = (Named::new("makers"), random());
    let region = Region::memfd("growth", 4096).expect("a region");
    for _ in 0..ROUNDS {
        let part = format!("growth make {}", named.file);
        let mut maker = Actor::start(&region, &[part]);
        assert_eq!(
            maker.reply(Instant::now() + TIMEOUT).as_deref(),
            Ok("there")
        );
        // Waits for nothing: it is killed at any moment.
        (0..random.u64(0..2000)).for_each(|_| std::thread::yield_now());
        assert!(!maker.has_ended(), "it found something wrong");
        maker.signal(SIGKILL);
        // Once it is gone.
        drop(maker);
        match UnboundedBuffer::<u64>::remove(&named.name) {
            Ok(()) | Err(RegionError::NotFound(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(named.files(), Vec::<String>::new(), "nothing is left");
    }
}

/// One is stopped with the lock: it is not dead, and nobody takes the lock from it; who has a deadline goes on
/// without having sent.
fn stopped() {
    let named = Named::new("stopped");
    let region = Region::memfd("growth", 4096).expect("a region");
    let queue = UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("a queue");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    let part = format!("growth churn {}", named.file);
    let mut other = Actor::start(&region, &[part]);
    let deadline = Instant::now() + TIMEOUT;
    assert_eq!(other.reply(deadline).as_deref(), Ok("there"));
    loop {
        assert!(Instant::now() < deadline, "it is never at work");
        stop(&other);
        match sender.try_send(0) {
            Ok(()) => {
                other.signal(SIGCONT);
                // So there is room, however often it is stopped at the same place.
                while receiver.try_recv().is_ok() {}
            }
            Err(TrySendError::Full(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(Duration::ZERO),
        Timeout::after(Duration::from_millis(20)),
    ] {
        let refused = sender.send_with(0, timeout);
        assert_eq!(refused, Err(SendTimeoutError::Timeout(0)));
    }
    other.signal(SIGCONT);
    sender.send(0).expect("it goes on, and lets others in");
    other.signal(SIGKILL);
}

/// Stops it, and returns when it has.
fn stop(other: &Actor) {
    let stat = format!("/proc/{}/stat", other.pid());
    let deadline = Instant::now() + TIMEOUT;
    other.signal(SIGSTOP);
    loop {
        let stat = std::fs::read_to_string(&stat).expect("it lives");
        if stat.contains(") T ") {
            return;
        }
        assert!(Instant::now() < deadline, "it does not stop: {stat}");
        std::thread::yield_now();
    }
}

fn make_and_remove(name: &RegionName) {
    say("there");
    loop {
        let queue = UnboundedBuffer::<u64>::create(name, GROWTH).expect("there is none");
        let (sender, receiver) = (queue.sender(), queue.receiver());
        let (sender, _receiver) = (sender.expect("open"), receiver.expect("open"));
        (0..10).for_each(|item| sender.send(item).expect("room"));
        UnboundedBuffer::<u64>::remove(name).expect("it is there");
    }
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    let (what, name) = part.split_once(' ').expect("what, and a name");
    let tally: &Tally = find(region, "tally");
    let name = RegionName::posix(name).expect("a name");
    if what == "make" {
        return make_and_remove(&name);
    }
    let queue = UnboundedBuffer::<u64>::attach(&name).expect("it is there");
    match what {
        "produce" => {
            let sender = queue.sender().expect("open");
            say("there");
            loop {
                match sender.send(tally.give_out(1)) {
                    Ok(()) => tally.has_sent(1),
                    Err(SendError::Failed(_, ChannelError::LimitReached { .. })) => {
                        std::thread::yield_now();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        "consume" => {
            let receiver = queue.receiver().expect("open");
            say("there");
            loop {
                tally.note(receiver.recv().expect("the sender lives"));
            }
        }
        "churn" => {
            let (sender, receiver) = (queue.sender(), queue.receiver());
            let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
            say("there");
            loop {
                sender.send(1).expect("room");
                // Also those of the parent.
                while receiver.try_recv().is_ok() {}
            }
        }
        other => panic!("nobody does {other:?}"),
    }
}
