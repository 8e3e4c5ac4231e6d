//! A peer that writes anything into the header and the contents: who attaches gets an error with a name,
//! or an object that works as far as it can. (Not tried here is what waits for a lock that a peer has
//! ruined: creating, for some seconds, and dropping a handle, for ever. `scribbler` does, and `intruder` has
//! regions with names.)
//!
//! `INTERLATCH_ATTACHES` says how often (`ci/hostile`: a million times), `INTERLATCH_SEED` repeats a run.

use super::harness::Test;
use super::passing;
use super::random::{env_number, seed};
use super::raw::Raw;
use interlatch::channel::Unregistered;
use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::RawMutex;
use interlatch::sync::{RawLock, Timeout};
use interlatch::{
    BoundedBuffer, Buffer, Channel, MonitorBuffer, Region, RegionError, RingBuffer,
    RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, RobustSemaphore, Semaphore,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    let name = "whatever_a_peer_writes_there_is_an_error_or_an_object";
    vec![Test::new(name, whatever_a_peer_writes)]
}

/// Bytes of the region behind its header.
pub const SIZE: usize = 3 * HEADER;
pub const HEADER: usize = 8192;
const CAPACITY: usize = 3;

pub type Bounded = BoundedBuffer<u64, [Slot<u64>]>;
pub type Monitor = MonitorBuffer<u64, [Slot<u64>]>;
pub type RobustBounded = RobustBoundedBuffer<u64, [TurnSlot<u64>], 2>;
pub type RobustMonitor = RobustMonitorBuffer<u64, [Slot<u64>], 2>;

/// Nobody may wait long for what a peer has made of a word.
pub fn shortly() -> Timeout {
    Timeout::after(Duration::ZERO)
}

fn whatever_a_peer_writes() {
    let attaches = env_number("INTERLATCH_ATTACHES").unwrap_or(3000);
    let mut random = fastrand::Rng::with_seed(seed());
    // What is ruined is waited for as shortly as can be.
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    let region = Region::memfd("hostile", SIZE).expect("room");
    create_all(&region).expect("room");
    let descriptor = region.descriptor().expect("a memfd has one");
    let raw = Raw::mapped(descriptor);
    let clean = raw.all();
    let mut outcomes = Outcomes::default();
    for _ in 0..attaches {
        raw.write_all(&clean);
        scribble(&raw, &mut random);
        let copy = descriptor.try_clone_to_owned().expect("one more");
        outcomes.count(&Region::from_descriptor(copy).and_then(|region| use_all(&region)));
    }
    println!("{}", outcomes.table("attaches"));
    outcomes.assert_errors_of(3);
}

/// One object of every kind.
pub fn create_all(region: &Region) -> Result<(), RegionError> {
    region.create::<RawMutex>("lock", ())?;
    region.create::<RobustMutex<u64>>("robust", ())?;
    region.create::<Semaphore>("semaphore", ())?;
    region.create::<RobustSemaphore<2>>("permits", ())?;
    region.create::<Bounded>("bounded", CAPACITY)?;
    region.create::<Monitor>("monitor", CAPACITY)?;
    region.create::<RobustBounded>("robust bounded", CAPACITY)?;
    region.create::<RobustMonitor>("robust monitor", CAPACITY)?;
    region.create::<RingBuffer<u64>>("ring", CAPACITY)?;
    passing::create_all(region)
}

/// Changes some bytes or words: in the header, in the contents, or everywhere.
pub fn scribble(raw: &Raw, random: &mut fastrand::Rng) {
    let header = HEADER / 8;
    let places = match random.u8(..4) {
        0 => 0..8,
        1 => 0..header,
        2 => header..raw.words(),
        _ => 0..raw.words(),
    };
    for _ in 0..random.usize(1..8) {
        let at = random.usize(places.clone());
        raw.write(at, damaged(raw.read(at), random));
    }
}

/// The word with a bit, a byte, a half or all of it changed.
pub fn damaged(word: u64, random: &mut fastrand::Rng) -> u64 {
    let page = HEADER as u64;
    let odd = [0, 1, page - 1, page, u64::MAX, u64::MAX / 2, 1 << 32];
    let other = random.choice(odd).filter(|_| random.u8(..8) != 0);
    let other = other.unwrap_or_else(|| random.u64(..));
    let half = u64::from(u32::MAX) << (32 * random.u8(..2));
    let byte = u64::from(u8::MAX) << (8 * random.u8(..8));
    match random.u8(..4) {
        0 => word ^ 1 << random.u8(..64),
        1 => word & !byte | random.u64(..) & byte,
        2 => word & !half | other & half,
        _ => other,
    }
}

/// Attaches to all of them, and uses them by operations that have a deadline.
pub fn use_all(region: &Region) -> Result<(), RegionError> {
    let names = region.objects().map(|object| object.to_string());
    let all: String = names.collect();
    assert!(all.len() < 1 << 16);
    let lock: &RawMutex = region.attach("lock")?;
    drop(lock.lock_with(shortly()));
    let robust: &RobustMutex<u64> = region.attach("robust")?;
    drop(robust.lock_with(shortly()));
    let semaphore: &Semaphore = region.attach("semaphore")?;
    let _ = semaphore.release(1);
    drop(semaphore.acquire_timeout(Duration::ZERO));
    let permits: &RobustSemaphore<2> = region.attach("permits")?;
    assert!(permits.held() <= 2);
    pass(region.attach::<Bounded>("bounded")?);
    pass(region.attach::<Monitor>("monitor")?);
    pass(region.attach::<RobustBounded>("robust bounded")?);
    pass(region.attach::<RobustMonitor>("robust monitor")?);
    pass_in_a_ring(region.attach("ring")?);
    passing::use_all(region)
}

/// Each way of sending and receiving, while the counts may be anything.
fn pass_in_a_ring(ring: &RingBuffer<u64>) {
    assert!(ring.len() <= ring.capacity() && ring.capacity() <= SIZE);
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (Ok(mut sender), Ok(mut receiver)) = (sender, receiver) else {
        return;
    };
    // One wait of each: who waits spins first.
    let _ = receiver.recv_with(shortly());
    for _ in 0..2 * CAPACITY {
        let _ = sender.try_send(1);
        let _ = sender.try_send_slice(&[2; 9]);
        if let Ok(mut loan) = sender.try_loan(9) {
            loan.iter_mut().for_each(|place| *place = 3);
            loan.send();
        }
        let _ = receiver.try_recv();
        let _ = receiver
            .try_borrow(2)
            .map(|items| items.iter().sum::<u64>());
        let _ = receiver.try_recv_slice(&mut [0; 9]);
    }
    let _ = sender.send_slice_with(&[2; 9], shortly());
}

fn pass<B: Unregistered<Item = u64> + ?Sized>(buffer: &B) {
    let sent = (0..100).take_while(|item| buffer.send_unregistered(*item, shortly()).is_ok());
    let sent = sent.count();
    let received = (0..100).take_while(|_| buffer.recv_unregistered(shortly()).is_ok());
    std::hint::black_box((sent, received.count()));
    assert!(
        buffer.capacity() <= SIZE,
        "known from the size of the region, not from a peer"
    );
}

/// How often which error came, by its name, and how often none.
#[derive(Default)]
pub struct Outcomes(BTreeMap<String, u64>);

impl Outcomes {
    pub fn count(&mut self, outcome: &Result<(), RegionError>) {
        let name = match outcome {
            Ok(()) => "works".into(),
            Err(error) => variant(error),
        };
        *self.0.entry(name).or_insert(0) += 1;
    }

    /// For people.
    pub fn table(&self, what: &str) -> String {
        let rows = self.0.iter();
        let rows: String = rows
            .map(|(name, count)| format!("\n| {name} | {count} |"))
            .collect();
        format!("| outcome | {what} |\n|---|---|{rows}")
    }

    /// Fails if the run has shown little: nothing that works, or fewer errors than that.
    pub fn assert_errors_of(&self, least: usize) {
        let found = &self.0;
        assert!(found.contains_key("works"), "nothing works: {found:?}");
        assert!(
            found.len() > least,
            "the mutations reach different checks: {found:?}"
        );
    }
}

/// The name of the error.
pub fn variant(error: &RegionError) -> String {
    let text = format!("{error:?}");
    let end = text.find(|character: char| !character.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
