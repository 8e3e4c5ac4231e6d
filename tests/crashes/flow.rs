//! Two senders and two receivers use both robust buffers while they are killed at random moments
//! and replaced. Each item arrives at most once and in order. No slot is lost, and an item is lost
//! only if a receiver took the item and then died.
//!
//! The variables described in the module `soak` also control this soak.

use super::actor::report;
use super::harness::Test;
use super::soak::{WORKERS, random_timeout, run_and_kill, without_leaks, worker};
use interlatch::channel::AttachError;
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Slot, TurnSlot};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::sync::Timeout;
use interlatch::{
    Buffer, Channel, Receiver, Region, RobustBoundedBuffer, RobustMonitorBuffer, Sender, ShmSafe,
};

pub fn tests() -> Vec<Test> {
    let name = "items_flow_while_senders_and_receivers_are_killed";
    vec![Test::alone(name, items_flow)]
}

const SENDERS: usize = 2;
const SLOTS: usize = 3;

/// The objects that the workers share.
#[repr(C)]
#[derive(ShmSafe)]
struct Shared {
    bounded: RobustBoundedBuffer<u64, [TurnSlot<u64>; SLOTS]>,
    monitor: RobustMonitorBuffer<u64, [Slot<u64>; SLOTS]>,
    /// The tally of each of the two buffers.
    tallies: [Tally; 2],
}

/// Counts of one buffer. Each word is written by only one worker, or by single atomic instructions.
#[repr(C)]
#[derive(ShmSafe)]
struct Tally {
    /// The number of the next item of each sender. Some numbers are never sent.
    next: [AtomicU64; SENDERS],
    /// The number of items that each sender has sent, incremented after the operation.
    sent: [AtomicU64; SENDERS],
    received: AtomicU64,
}

/// Encodes an item that identifies its sender.
fn item(sender: usize, number: u64) -> u64 {
    number * SENDERS as u64 + sender as u64
}

/// Sends or receives in an actor until it is killed.
pub fn run(region: &Region, role: &str) {
    let (worker, random) = worker(role);
    let shared: &Shared = region.attach("shared").expect("the shared objects");
    match worker < SENDERS {
        true => send_all(shared, worker, random),
        false => receive_all(shared, random),
    }
}

fn send_all(shared: &Shared, sender_index: usize, mut random: fastrand::Rng) {
    let (bounded, monitor) = (shared.bounded.sender(), shared.monitor.sender());
    let (bounded, monitor) = (
        bounded.expect("the channel is open"),
        monitor.expect("the channel is open"),
    );
    report("ready");
    loop {
        let timeout = random_timeout(&mut random);
        match random.bool() {
            true => send(&bounded, &shared.tallies[0], sender_index, timeout),
            false => send(&monitor, &shared.tallies[1], sender_index, timeout),
        }
    }
}

fn send<B: Buffer<Item = u64>>(
    sender: &Sender<'_, B>,
    tally: &Tally,
    sender_index: usize,
    timeout: Timeout,
) {
    // The number is reserved before the send: if this process is killed, its successor does not
    // reuse the number.
    let number = tally.next[sender_index].fetch_add(1, Relaxed);
    match sender.send_with(item(sender_index, number), timeout) {
        // Release: the increment of the count pairs with the parent's Acquire load.
        Ok(()) => {
            tally.sent[sender_index].store(tally.sent[sender_index].load(Relaxed) + 1, Release)
        }
        Err(SendTimeoutError::Timeout(_)) => {}
        Err(error) => panic!("a receiver lives, but {error}"),
    }
}

fn receive_all(shared: &Shared, mut random: fastrand::Rng) {
    let (bounded, monitor) = (shared.bounded.receiver(), shared.monitor.receiver());
    let (bounded, monitor) = (
        bounded.expect("the channel is open"),
        monitor.expect("the channel is open"),
    );
    let mut latest = [[None; SENDERS]; 2];
    report("ready");
    loop {
        let timeout = random_timeout(&mut random);
        match random.bool() {
            true => receive(&bounded, &shared.tallies[0], &mut latest[0], timeout),
            false => receive(&monitor, &shared.tallies[1], &mut latest[1], timeout),
        }
    }
}

fn receive<B: Buffer<Item = u64>>(
    receiver: &Receiver<'_, B>,
    tally: &Tally,
    latest: &mut [Option<u64>; SENDERS],
    timeout: Timeout,
) {
    match receiver.recv_with(timeout) {
        Ok(item) => {
            check_newer(item, tally, latest);
            tally.received.fetch_add(1, Relaxed);
        }
        Err(RecvTimeoutError::Timeout) => {}
        Err(error) => panic!("a sender lives, but {error}"),
    }
}

/// Checks that the items from one sender are reserved numbers in ascending order.
fn check_newer(item: u64, tally: &Tally, latest: &mut [Option<u64>; SENDERS]) {
    let (sender, number) = (item as usize % SENDERS, item / SENDERS as u64);
    let next = tally.next[sender].load(Relaxed);
    assert!(number < next, "{number} of {next} was never sent");
    let latest = &mut latest[sender];
    assert!(Some(number) > *latest, "{number} comes after {latest:?}");
    *latest = Some(number);
}

fn items_flow() {
    without_leaks(|| {
        let region = Region::memfd("flow", 4096).expect("a region");
        let shared: &Shared = region.create("shared", ()).expect("the region has room");
        // These handles keep both sides open when all workers are dead.
        let bounded = (shared.bounded.sender(), shared.bounded.receiver());
        let monitor = (shared.monitor.sender(), shared.monitor.receiver());
        let deaths = run_and_kill("flow", &region);
        let [first, second] = &shared.tallies;
        check_counts("robust bounded buffer", bounded, first, &deaths);
        check_counts("robust monitor buffer", monitor, second, &deaths);
        println!("{} kills", deaths.iter().sum::<u64>());
    });
}

type Attached<T> = Result<T, AttachError>;

/// Checks that an item is lost only with a dead receiver, that no item is duplicated, and that no
/// slot is lost.
fn check_counts<B: Buffer<Item = u64>>(
    name: &str,
    (sender, receiver): (Attached<Sender<'_, B>>, Attached<Receiver<'_, B>>),
    tally: &Tally,
    deaths: &[u64; WORKERS],
) {
    let (sender, receiver) = (
        sender.expect("the channel is open"),
        receiver.expect("the channel is open"),
    );
    let mut latest = [None; SENDERS];
    let left = receiver
        .try_iter()
        .map(|item| item.expect("the buffer is recoverable"))
        .inspect(|item| check_newer(*item, tally, &mut latest));
    let arrived = tally.received.load(Relaxed) + left.count() as u64;
    let sent: u64 = tally.sent.iter().map(|sent| sent.load(Acquire)).sum();
    // A worker may die between a send or a receive and the increment of its count.
    let sender_deaths: u64 = deaths[..SENDERS].iter().sum();
    let receiver_deaths: u64 = deaths[SENDERS..].iter().sum();
    assert!(
        sent <= arrived + receiver_deaths && arrived <= sent + sender_deaths,
        "{sent} known to be sent, {arrived} arrived, {sender_deaths} senders and {receiver_deaths} receivers killed"
    );
    (0..SLOTS as u64).for_each(|item| sender.try_send(item).expect("no slot is lost"));
    assert!(sender.try_send(0).is_err(), "the buffer is full");
    assert_eq!(receiver.try_iter().count(), SLOTS);
    assert!(arrived > 0, "items arrived");
    println!("{name}: {sent} items known to be sent, {arrived} arrived, in order");
}
