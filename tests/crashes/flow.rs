//! Two senders and two receivers on both robust buffers, one of them after the other killed at a random
//! moment and replaced: items come in order and not twice, none is lost but with its receiver, and no
//! place is.
//!
//! As long as `soak`, and by the same variables.

use super::actor::say;
use super::harness::Test;
use super::soak::{WORKERS, in_peace, kill_for, some_patience, worker};
use interlatch::channel::AttachError;
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Slot, TurnSlot};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::sync::Timeout;
use interlatch::{
    Buffer, Channel, Receiver, Region, RobustBoundedBuffer, RobustMonitorBuffer, Sender, ShmSafe,
};

pub fn tests() -> Vec<Test> {
    let name = "items_flow_however_often_a_sender_or_receiver_is_killed";
    vec![Test::new(name, soak)]
}

const SENDERS: usize = 2;
const PLACES: usize = 3;

/// What the workers share.
#[repr(C)]
#[derive(ShmSafe)]
struct Shared {
    bounded: RobustBoundedBuffer<u64, [TurnSlot<u64>; PLACES]>,
    monitor: RobustMonitorBuffer<u64, [Slot<u64>; PLACES]>,
    /// Of each of the two.
    tallies: [Tally; 2],
}

/// What is known of one buffer: each number is written by one worker, or in one step.
#[repr(C)]
#[derive(ShmSafe)]
struct Tally {
    /// The number of its next item, by sender. Some are never sent.
    next: [AtomicU64; SENDERS],
    /// Items that a sender knows to have been sent, by sender.
    sent: [AtomicU64; SENDERS],
    received: AtomicU64,
}

/// An item names its sender.
fn item(sender: usize, number: u64) -> u64 {
    number * SENDERS as u64 + sender as u64
}

/// In an actor: sends or receives until it is killed.
pub fn play(region: &Region, part: &str) {
    let (worker, random) = worker(part);
    let shared: &Shared = region.attach("shared").expect("what is shared");
    match worker < SENDERS {
        true => send_all(shared, worker, random),
        false => receive_all(shared, random),
    }
}

fn send_all(shared: &Shared, me: usize, mut random: fastrand::Rng) {
    let (bounded, monitor) = (shared.bounded.sender(), shared.monitor.sender());
    let (bounded, monitor) = (bounded.expect("open"), monitor.expect("open"));
    say("ready");
    loop {
        let timeout = some_patience(&mut random);
        match random.bool() {
            true => send(&bounded, &shared.tallies[0], me, timeout),
            false => send(&monitor, &shared.tallies[1], me, timeout),
        }
    }
}

fn send<B: Buffer<Item = u64>>(sender: &Sender<'_, B>, tally: &Tally, me: usize, timeout: Timeout) {
    // Taken first: should this process be killed, the next one sends none of this number.
    let number = tally.next[me].fetch_add(1, Relaxed);
    match sender.send_with(item(me, number), timeout) {
        // Release pairs with the Acquire of the parent.
        Ok(()) => tally.sent[me].store(tally.sent[me].load(Relaxed) + 1, Release),
        Err(SendTimeoutError::Timeout(_)) => {}
        Err(error) => panic!("a receiver lives, but {error}"),
    }
}

fn receive_all(shared: &Shared, mut random: fastrand::Rng) {
    let (bounded, monitor) = (shared.bounded.receiver(), shared.monitor.receiver());
    let (bounded, monitor) = (bounded.expect("open"), monitor.expect("open"));
    let mut load_latest = [[None; SENDERS]; 2];
    say("ready");
    loop {
        let timeout = some_patience(&mut random);
        match random.bool() {
            true => receive(&bounded, &shared.tallies[0], &mut load_latest[0], timeout),
            false => receive(&monitor, &shared.tallies[1], &mut load_latest[1], timeout),
        }
    }
}

fn receive<B: Buffer<Item = u64>>(
    receiver: &Receiver<'_, B>,
    tally: &Tally,
    load_latest: &mut [Option<u64>; SENDERS],
    timeout: Timeout,
) {
    match receiver.recv_with(timeout) {
        Ok(item) => {
            is_newer(item, tally, load_latest);
            tally.received.fetch_add(1, Relaxed);
        }
        Err(RecvTimeoutError::Timeout) => {}
        Err(error) => panic!("a sender lives, but {error}"),
    }
}

/// What one receiver gets of one sender are numbers that were given out, each larger than the last.
fn is_newer(item: u64, tally: &Tally, load_latest: &mut [Option<u64>; SENDERS]) {
    let (sender, number) = (item as usize % SENDERS, item / SENDERS as u64);
    let next = tally.next[sender].load(Relaxed);
    assert!(number < next, "{number} of {next} was never sent");
    let load_latest = &mut load_latest[sender];
    assert!(
        Some(number) > *load_latest,
        "{number} comes after {load_latest:?}"
    );
    *load_latest = Some(number);
}

fn soak() {
    in_peace(|| {
        let region = Region::memfd("flow", 4096).expect("a region");
        let shared: &Shared = region.create("shared", ()).expect("room");
        // With these, no end closes when all workers have died.
        let bounded = (shared.bounded.sender(), shared.bounded.receiver());
        let monitor = (shared.monitor.sender(), shared.monitor.receiver());
        let deaths = kill_for("flow", &region);
        let [first, second] = &shared.tallies;
        settle("robust bounded buffer", bounded, first, &deaths);
        settle("robust monitor buffer", monitor, second, &deaths);
        println!("{} kills", deaths.iter().sum::<u64>());
    });
}

type Attached<T> = Result<T, AttachError>;

/// Nothing is lost but with a receiver, nothing doubled, and there are as many places as ever.
fn settle<B: Buffer<Item = u64>>(
    name: &str,
    (sender, receiver): (Attached<Sender<'_, B>>, Attached<Receiver<'_, B>>),
    tally: &Tally,
    deaths: &[u64; WORKERS],
) {
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    let mut load_latest = [None; SENDERS];
    let left = receiver
        .try_iter()
        .map(|item| item.expect("the locks are whole"))
        .inspect(|item| is_newer(*item, tally, &mut load_latest));
    let arrived = tally.received.load(Relaxed) + left.count() as u64;
    let sent: u64 = tally.sent.iter().map(|sent| sent.load(Acquire)).sum();
    // A death may come between sending or receiving an item and the knowledge of it.
    let senders_deaths: u64 = deaths[..SENDERS].iter().sum();
    let receivers_deaths: u64 = deaths[SENDERS..].iter().sum();
    assert!(
        sent <= arrived + receivers_deaths && arrived <= sent + senders_deaths,
        "{sent} known to be sent, {arrived} arrived, {senders_deaths} senders and {receivers_deaths} receivers killed"
    );
    (0..PLACES as u64).for_each(|item| sender.try_send(item).expect("no place is lost"));
    assert!(sender.try_send(0).is_err(), "it is full");
    assert_eq!(receiver.try_iter().count(), PLACES);
    assert!(arrived > 0, "something happened");
    println!("{name}: {sent} items known to be sent, {arrived} arrived, in order");
}
