//! The unbounded buffer while its producer or consumer is killed repeatedly: each sent item arrives
//! once and in order, unless a consumer took the item and then died. Removal leaves no file.
//!
//! `INTERLATCH_SEED` repeats the random choices, but not the kernel's scheduling.

use super::actor::{find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::random::seed;
use super::tally::Tally;
use interlatch::channel::{
    ChannelError, GrowthLimit, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use interlatch::platform::Ordering::{Acquire, Relaxed};
use interlatch::sync::Timeout;
use interlatch::{Buffer, Channel, Region, RegionError, RegionName, UnboundedBuffer};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use std::path::Path;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "killed_producers_leave_an_intact_buffer",
            killed_producers_leave_an_intact_buffer,
        ),
        Test::new(
            "killed_consumers_leave_an_intact_buffer",
            killed_consumers_leave_an_intact_buffer,
        ),
        Test::new(
            "next_sender_completes_unfinished_segment",
            next_sender_completes_unfinished_segment,
        ),
        Test::new(
            "send_at_growth_limit_fails_at_once",
            send_at_growth_limit_fails_at_once,
        ),
        Test::new(
            "removed_segment_is_a_storage_error",
            removed_segment_is_a_storage_error,
        ),
        Test::new(
            "killed_creator_leaves_a_removable_buffer_or_none",
            killed_creator_leaves_a_removable_buffer_or_none,
        ),
        Test::new(
            "stopped_owner_delays_only_infinite_timeouts",
            stopped_owner_delays_only_infinite_timeouts,
        ),
    ]
}

const ROUNDS: u64 = 40;

/// A growth limit with few items per segment, so that most kills happen near the creation or
/// removal of a segment.
const GROWTH: GrowthLimit = GrowthLimit {
    items: 3,
    segments: 50,
};

/// The name of a buffer. The buffer's files are removed when the test ends, even if it fails.
struct Named {
    name: RegionName,
    file: String,
}

impl Named {
    fn new(action: &str) -> Self {
        let file = format!("interlatch-{action}-{}", std::process::id());
        let name = RegionName::posix(&file).expect("a name");
        Self { name, file }
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(Path::new("/dev/shm")).expect("/dev/shm");
        let names = names.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&self.file)).collect()
    }

    /// Returns the file name of the only segment.
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

fn killed_producers_leave_an_intact_buffer() {
    let (named, mut random) = (Named::new("producers"), fastrand::Rng::with_seed(seed()));
    let region = Region::memfd("growth", 4096).expect("a region");
    let tally: &Tally = find(&region, "tally");
    let buffer =
        UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("the buffer can be created");
    let receiver = buffer.receiver().expect("the channel is open");
    // This sender keeps the stream open until it is dropped.
    let open = buffer.sender().expect("the channel is open");
    for _ in 0..ROUNDS {
        let role = format!("growth produce {}", named.file);
        let mut producer = Actor::start(&region, &[role]);
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(producer.reply(deadline).as_deref(), Ok("ready"));
        for _ in 0..random.usize(1..60) {
            let item = receiver.recv_timeout(TIMEOUT).expect("the producer sends");
            tally.add_received(item);
        }
        assert!(!producer.has_ended(), "the actor has failed");
        producer.signal(SIGKILL);
    }
    drop(open);
    drain(&buffer, tally);
    drop(receiver);
    // Acquire pairs with the Release in the producers.
    let (sent, received) = (tally.sent.load(Acquire), tally.received.load(Relaxed));
    assert!(sent <= received, "{sent} sent, {received} received");
    assert!(
        received < tally.next.load(Relaxed),
        "no item was sent twice"
    );
    remove_and_check(buffer, &named);
}

/// Receives the remaining items until the end of the stream.
fn drain(buffer: &UnboundedBuffer<u64>, tally: &Tally) {
    let receiver = buffer.receiver().expect("the channel is open");
    loop {
        match receiver.recv_timeout(TIMEOUT) {
            Ok(item) => tally.add_received(item),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn remove_and_check(buffer: UnboundedBuffer<u64>, named: &Named) {
    let usage = buffer.usage().expect("a lock");
    assert!(
        usage.created > 1,
        "the buffer created several segments: {usage:?}"
    );
    // The last segment remains, even when it is empty.
    assert!(usage.segments <= 1, "{usage:?}");
    drop(buffer);
    UnboundedBuffer::<u64>::remove(&named.name).expect("the name exists");
    assert_eq!(named.files(), Vec::<String>::new(), "no file is left");
}

fn killed_consumers_leave_an_intact_buffer() {
    let (named, mut random) = (Named::new("consumers"), fastrand::Rng::with_seed(seed()));
    let region = Region::memfd("growth", 4096).expect("a region");
    let tally: &Tally = find(&region, "tally");
    let buffer =
        UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("the buffer can be created");
    let (sender, open) = (buffer.sender(), buffer.receiver());
    let (sender, open) = (
        sender.expect("the channel is open"),
        open.expect("the channel is open"),
    );
    for _ in 0..ROUNDS {
        let role = format!("growth consume {}", named.file);
        let mut consumer = Actor::start(&region, &[role]);
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(consumer.reply(deadline).as_deref(), Ok("ready"));
        let goal = tally.received.load(Acquire) + random.u64(1..60);
        while tally.received.load(Acquire) < goal {
            assert!(Instant::now() < deadline, "the consumer does not receive");
            // If the send fails at the growth limit, the consumer has enough items to receive.
            let item = tally.reserve(1);
            if sender.send(item).is_err() {
                tally.next.store(item, Relaxed);
            }
        }
        assert!(!consumer.has_ended(), "the actor has failed");
        consumer.signal(SIGKILL);
    }
    drop(sender);
    drain(&buffer, tally);
    drop(open);
    let (sent, received) = (tally.next.load(Relaxed) - 1, tally.received.load(Relaxed));
    let lost = sent - received;
    assert!(lost <= ROUNDS, "{lost} lost with {ROUNDS} consumers");
    remove_and_check(buffer, &named);
}

/// Emulates a producer that dies after it creates a segment and before it publishes the segment.
fn next_sender_completes_unfinished_segment() {
    let named = Named::new("begun");
    let buffer =
        UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("the buffer can be created");
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (
        sender.expect("the channel is open"),
        receiver.expect("the channel is open"),
    );
    sender.send(1).expect("the buffer has room");
    let first = named.segment();
    let second = first.strip_suffix('1').expect("its number").to_owned() + "2";
    let [first, second] = [first, second].map(|file| Path::new("/dev/shm").join(file));
    std::fs::copy(first, second).expect("the file system has space");
    (2..=7).for_each(|item| sender.send(item).expect("the file system has space"));
    (1..=7).for_each(|item| assert_eq!(receiver.recv().expect("an item"), item));
    drop((sender, receiver));
    drop(buffer);
    UnboundedBuffer::<u64>::remove(&named.name).expect("the name exists");
    assert_eq!(named.files(), Vec::<String>::new(), "no file is left");
}

fn send_at_growth_limit_fails_at_once() {
    let named = Named::new("refuses");
    let buffer =
        UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("the buffer can be created");
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (
        sender.expect("the channel is open"),
        receiver.expect("the channel is open"),
    );
    let capacity = u64::from(GROWTH.items * GROWTH.segments);
    (0..capacity).for_each(|item| sender.send(item).expect("the buffer has room"));
    let failed = sender.send(capacity);
    let limit_reached = ChannelError::LimitReached { segments: 50 };
    assert_eq!(failed, Err(SendError::Failed(capacity, limit_reached)));
    // The files are the buffer's file and the files of its segments.
    assert_eq!(named.files().len(), 51);
    (0..capacity).for_each(|item| assert_eq!(receiver.recv().expect("an item"), item));
    // The files are the buffer's file and the file of the last segment.
    assert_eq!(named.files().len(), 2, "drained segments are removed");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

fn removed_segment_is_a_storage_error() {
    let named = Named::new("tampered");
    let buffer =
        UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("the buffer can be created");
    let sender = buffer.sender().expect("the channel is open");
    sender.send(1).expect("the buffer has room");
    let other = UnboundedBuffer::<u64>::attach(&named.name).expect("the name exists");
    let receiver = other.receiver().expect("the channel is open");
    let segment = RegionName::posix(&named.segment()).expect("a name");
    segment.remove().expect("the name exists");
    let failed = receiver.try_recv();
    let Err(TryRecvError::Failed(ChannelError::Storage(error))) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(error.segment(), 1, "{error}");
}

/// Kills an actor that creates, uses and removes the buffer repeatedly.
fn killed_creator_leaves_a_removable_buffer_or_none() {
    let (named, mut random) = (Named::new("makers"), fastrand::Rng::with_seed(seed()));
    let region = Region::memfd("growth", 4096).expect("a region");
    for _ in 0..ROUNDS {
        let role = format!("growth create {}", named.file);
        let mut creator = Actor::start(&region, &[role]);
        assert_eq!(
            creator.reply(Instant::now() + TIMEOUT).as_deref(),
            Ok("ready")
        );
        // The delay is random, so that the kill can happen at any moment.
        wait_randomly(&mut random);
        assert!(!creator.has_ended(), "the actor has failed");
        creator.signal(SIGKILL);
        // Dropping the handle reaps the actor, so the actor is dead after this line.
        drop(creator);
        match UnboundedBuffer::<u64>::remove(&named.name) {
            Ok(()) | Err(RegionError::NotFound(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(named.files(), Vec::<String>::new(), "no file is left");
    }
}

/// A stopped process that owns the lock is not dead, so it keeps the lock. Sends and receives
/// with a deadline time out, and those that do not block fail.
fn stopped_owner_delays_only_infinite_timeouts() {
    let (named, mut random) = (Named::new("stopped"), fastrand::Rng::with_seed(seed()));
    let region = Region::memfd("growth", 4096).expect("a region");
    let buffer =
        UnboundedBuffer::<u64>::create(&named.name, GROWTH).expect("the buffer can be created");
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (
        sender.expect("the channel is open"),
        receiver.expect("the channel is open"),
    );
    let role = format!("growth churn {}", named.file);
    let mut other = Actor::start(&region, &[role]);
    let deadline = Instant::now() + TIMEOUT;
    assert_eq!(other.reply(deadline).as_deref(), Ok("ready"));
    loop {
        assert!(
            Instant::now() < deadline,
            "the actor is never stopped inside an operation"
        );
        stop(&other);
        match sender.try_send(0) {
            Ok(()) => {
                other.signal(SIGCONT);
                // Draining the buffer ensures that it has capacity, no matter how often the actor
                // stops here.
                while receiver.try_recv().is_ok() {}
                // Without the delay, a busy machine stops the actor before it continues.
                wait_randomly(&mut random);
            }
            Err(TrySendError::Failed(_, ChannelError::Busy)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let busy = Err(RecvTimeoutError::Failed(ChannelError::Busy));
    assert_eq!(receiver.recv_with(Timeout::NonBlocking), busy);
    assert_eq!((buffer.usage(), Buffer::len(&buffer)), (None, 0));
    for milliseconds in [0, 20] {
        let timeout = Timeout::after(Duration::from_millis(milliseconds));
        let sent = sender.send_with(0, timeout);
        assert_eq!(sent, Err(SendTimeoutError::Timeout(0)));
        let received = receiver.recv_with(timeout);
        assert_eq!(received, Err(RecvTimeoutError::Timeout));
    }
    other.signal(SIGCONT);
    sender.send(0).expect("the actor continues and unlocks");
    other.signal(SIGKILL);
}

/// Lets the other processes run until a random moment within a millisecond.
fn wait_randomly(random: &mut fastrand::Rng) {
    let moment = Instant::now() + Duration::from_micros(random.u64(0..1000));
    while Instant::now() < moment {
        std::thread::yield_now();
    }
}

/// Stops the process, and returns after it has stopped.
fn stop(other: &Actor) {
    let stat = format!("/proc/{}/stat", other.pid());
    let deadline = Instant::now() + TIMEOUT;
    other.signal(SIGSTOP);
    loop {
        let stat = std::fs::read_to_string(&stat).expect("the process lives");
        if stat.contains(") T ") {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the process does not stop: {stat}"
        );
        std::thread::yield_now();
    }
}

fn create_and_remove(name: &RegionName) {
    report("ready");
    loop {
        let buffer = UnboundedBuffer::<u64>::create(name, GROWTH).expect("the name is free");
        let (sender, receiver) = (buffer.sender(), buffer.receiver());
        let (sender, _receiver) = (
            sender.expect("the channel is open"),
            receiver.expect("the channel is open"),
        );
        (0..10).for_each(|item| sender.send(item).expect("the buffer has room"));
        UnboundedBuffer::<u64>::remove(name).expect("the name exists");
    }
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    let (action, name) = role.split_once(' ').expect("an action and a name");
    let tally: &Tally = find(region, "tally");
    let name = RegionName::posix(name).expect("a name");
    if action == "create" {
        return create_and_remove(&name);
    }
    let buffer = UnboundedBuffer::<u64>::attach(&name).expect("the name exists");
    match action {
        "produce" => {
            let sender = buffer.sender().expect("the channel is open");
            report("ready");
            loop {
                match sender.send(tally.reserve(1)) {
                    Ok(()) => tally.add_sent(1),
                    Err(SendError::Failed(_, ChannelError::LimitReached { .. })) => {
                        std::thread::yield_now();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        "consume" => {
            let receiver = buffer.receiver().expect("the channel is open");
            report("ready");
            loop {
                tally.add_received(receiver.recv().expect("the sender lives"));
            }
        }
        "churn" => {
            let (sender, receiver) = (buffer.sender(), buffer.receiver());
            let (sender, receiver) = (
                sender.expect("the channel is open"),
                receiver.expect("the channel is open"),
            );
            report("ready");
            loop {
                sender.send(1).expect("the buffer has room");
                // The loop also receives the items that the parent sent.
                while receiver.try_recv().is_ok() {}
            }
        }
        other => panic!("unknown action {other:?}"),
    }
}
