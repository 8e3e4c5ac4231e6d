//! A peer writes random bytes into the header and the contents of a region. Attaching then fails
//! with a specific error, or the object works without memory errors.
//!
//! Operations that wait for a corrupted lock are tested in other modules, because creating an
//! object waits for some seconds, and dropping a handle waits forever. `scribbler` tests these
//! operations, and `replaced` tests named regions.
//!
//! `INTERLATCH_ATTACHES` sets the number of times the test attaches to the region (`ci/hostile`
//! sets a million). `INTERLATCH_SEED` repeats a run.

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
    let name = "corrupted_region_is_an_error_or_usable";
    vec![Test::new(name, corrupted_region_is_an_error_or_usable)]
}

/// The number of bytes in the region after its header.
pub const SIZE: usize = 3 * HEADER;
pub const HEADER: usize = 8192;
const CAPACITY: usize = 3;

pub type Bounded = BoundedBuffer<u64, [Slot<u64>]>;
pub type Monitor = MonitorBuffer<u64, [Slot<u64>]>;
pub type RobustBounded = RobustBoundedBuffer<u64, [TurnSlot<u64>], 2>;
pub type RobustMonitor = RobustMonitorBuffer<u64, [Slot<u64>], 2>;

/// Returns an expired timeout, so that no operation waits for a word that a peer has corrupted.
pub fn expired() -> Timeout {
    Timeout::after(Duration::ZERO)
}

fn corrupted_region_is_an_error_or_usable() {
    let attaches = env_number("INTERLATCH_ATTACHES").unwrap_or(3000);
    let mut random = fastrand::Rng::with_seed(seed());
    // With a zero interval, a thread that waits on a corrupted word rechecks the word immediately.
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    let region = Region::memfd("hostile", SIZE).expect("the region can be created");
    create_all(&region).expect("the region has room");
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let raw = Raw::mapped(descriptor);
    let clean = raw.all();
    let mut outcomes = Outcomes::default();
    for _ in 0..attaches {
        raw.write_all(&clean);
        corrupt(&raw, &mut random);
        let copy = descriptor.try_clone_to_owned().expect("a descriptor");
        outcomes.count(&Region::from_descriptor(copy).and_then(|region| use_all(&region)));
    }
    println!("{}", outcomes.table("attaches"));
    outcomes.assert_variety(3);
}

/// Creates one object of every type.
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

/// Corrupts some words of the header, of the contents, or of both.
pub fn corrupt(raw: &Raw, random: &mut fastrand::Rng) {
    let header = HEADER / 8;
    let range = match random.u8(..4) {
        0 => 0..8,
        1 => 0..header,
        2 => header..raw.words(),
        _ => 0..raw.words(),
    };
    for _ in 0..random.usize(1..8) {
        let index = random.usize(range.clone());
        raw.write(index, corrupted(raw.read(index), random));
    }
}

/// Returns a corrupted copy of the word: one bit, one byte, one half or the whole word is changed.
pub fn corrupted(word: u64, random: &mut fastrand::Rng) -> u64 {
    let page = HEADER as u64;
    let special = [0, 1, page - 1, page, u64::MAX, u64::MAX / 2, 1 << 32];
    let other = random.choice(special).filter(|_| random.u8(..8) != 0);
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

/// Attaches to each object, and calls its operations with a deadline.
pub fn use_all(region: &Region) -> Result<(), RegionError> {
    let names = region.objects().map(|object| object.to_string());
    let all: String = names.collect();
    assert!(all.len() < 1 << 16);
    let lock: &RawMutex = region.attach("lock")?;
    drop(lock.lock_with(expired()));
    let robust: &RobustMutex<u64> = region.attach("robust")?;
    drop(robust.lock_with(expired()));
    let semaphore: &Semaphore = region.attach("semaphore")?;
    let _ = semaphore.release(1);
    drop(semaphore.acquire_timeout(Duration::ZERO));
    let permits: &RobustSemaphore<2> = region.attach("permits")?;
    assert!(permits.held() <= 2);
    use_buffer(region.attach::<Bounded>("bounded")?);
    use_buffer(region.attach::<Monitor>("monitor")?);
    use_buffer(region.attach::<RobustBounded>("robust bounded")?);
    use_buffer(region.attach::<RobustMonitor>("robust monitor")?);
    use_ring(region.attach("ring")?);
    passing::use_all(region)
}

/// Sends and receives in every way while the ring's positions have arbitrary values.
fn use_ring(ring: &RingBuffer<u64>) {
    assert!(ring.len() <= ring.capacity() && ring.capacity() <= SIZE);
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (Ok(mut sender), Ok(mut receiver)) = (sender, receiver) else {
        return;
    };
    // The test waits only once per direction, because each wait spins first.
    let _ = receiver.recv_with(expired());
    for _ in 0..2 * CAPACITY {
        let _ = sender.try_send(1);
        let _ = sender.try_send_slice(&[2; 9]);
        if let Ok(mut loan) = sender.try_loan(9) {
            loan.iter_mut().for_each(|slot| *slot = 3);
            loan.send();
        }
        let _ = receiver.try_recv();
        let _ = receiver
            .try_borrow(2)
            .map(|items| items.iter().sum::<u64>());
        let _ = receiver.try_recv_slice(&mut [0; 9]);
    }
    let _ = sender.send_slice_with(&[2; 9], expired());
}

fn use_buffer<B: Unregistered<Item = u64> + ?Sized>(buffer: &B) {
    let sent = (0..100).take_while(|item| buffer.send_unregistered(*item, expired()).is_ok());
    let sent = sent.count();
    let received = (0..100).take_while(|_| buffer.recv_unregistered(expired()).is_ok());
    std::hint::black_box((sent, received.count()));
    assert!(
        buffer.capacity() <= SIZE,
        "the capacity follows from the size of the region"
    );
}

/// The counts of the outcomes: the number of successes, and the number of each error by its name.
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

    /// Formats the counts as a Markdown table.
    pub fn table(&self, unit: &str) -> String {
        let rows = self.0.iter();
        let rows: String = rows
            .map(|(name, count)| format!("\n| {name} | {count} |"))
            .collect();
        format!("| outcome | {unit} |\n|---|---|{rows}")
    }

    /// Panics unless the run had both successes and at least `min` different errors.
    pub fn assert_variety(&self, min: usize) {
        let found = &self.0;
        assert!(
            found.contains_key("works"),
            "no attach succeeded: {found:?}"
        );
        assert!(found.len() > min, "too few different errors: {found:?}");
    }
}

/// Returns the name of the error's variant.
pub fn variant(error: &RegionError) -> String {
    let text = format!("{error:?}");
    let end = text.find(|character: char| !character.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
