//! A peer that writes anything into the header and the contents: who attaches gets an error with a name,
//! or an object that works as far as it can. (Not tried here is what waits for a lock that a peer has
//! ruined: creating, for some seconds, and dropping a handle, for ever.)
//!
//! `INTERLATCH_ATTACHES` says how often (`ci/hostile`: a million times), `INTERLATCH_SEED` repeats a run.

use super::harness::Test;
use interlatch::sync::{Lock, Patience};
use interlatch::{
    BoundedBuffer, Buffer, MonitorBuffer, RawMutex, RecoverableSemaphore, Region, RegionError,
    RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex, Semaphore, Slot, TurnSlot,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    let name = "whatever_a_peer_writes_there_is_an_error_or_an_object";
    vec![Test::new(name, whatever_a_peer_writes)]
}

const SIZE: usize = 3 * 4096;
const CAPACITY: usize = 3;

type Bounded = BoundedBuffer<u64, [Slot<u64>]>;
type Monitor = MonitorBuffer<u64, [Slot<u64>]>;
type RobustBounded = RobustBoundedBuffer<u64, [TurnSlot<u64>], 2>;
type RobustMonitor = RobustMonitorBuffer<u64, [Slot<u64>], 2>;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Nobody may wait long for what a peer has made of a word.
fn shortly() -> Patience {
    Patience::of(Duration::ZERO)
}

fn whatever_a_peer_writes() {
    let attaches = number("INTERLATCH_ATTACHES").unwrap_or(20_000);
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{attaches} attaches, INTERLATCH_SEED={seed}");
    // What is ruined is waited for as shortly as can be.
    interlatch::set_recheck_interval(Duration::ZERO);
    let mut random = fastrand::Rng::with_seed(seed);
    let region = Region::memfd("hostile", SIZE).expect("room");
    create_all(&region).expect("room");
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("one more"));
    let mut clean = vec![0; 4096 + SIZE];
    file.read_exact_at(&mut clean, 0).expect("it is there");
    let mut outcomes = BTreeMap::new();
    for _ in 0..attaches {
        let mut bytes = clean.clone();
        scribble(&mut bytes, &mut random);
        file.write_all_at(&bytes, 0).expect("it is there");
        let copy = descriptor.try_clone_to_owned().expect("one more");
        let outcome = match Region::from_descriptor(copy) {
            Ok(region) => use_all(&region).err(),
            Err(error) => Some(error),
        };
        *outcomes.entry(kind(outcome.as_ref())).or_insert(0_u64) += 1;
    }
    println!("| outcome | attaches |");
    println!("|---|---|");
    outcomes
        .iter()
        .for_each(|(kind, count)| println!("| {kind} | {count} |"));
    assert!(outcomes.len() > 3, "the mutations reach different checks");
}

fn create_all(region: &Region) -> Result<(), RegionError> {
    region.create::<RawMutex>("lock", ())?;
    region.create::<RobustMutex<u64>>("robust", ())?;
    region.create::<Semaphore>("semaphore", ())?;
    region.create::<RecoverableSemaphore<2>>("permits", ())?;
    region.create::<Bounded>("bounded", CAPACITY)?;
    region.create::<Monitor>("monitor", CAPACITY)?;
    region.create::<RobustBounded>("robust bounded", CAPACITY)?;
    region.create::<RobustMonitor>("robust monitor", CAPACITY)?;
    Ok(())
}

/// Changes some bytes or words: in the header, in the contents, or everywhere.
fn scribble(bytes: &mut [u8], random: &mut fastrand::Rng) {
    let places = match random.u8(..4) {
        0 => 0..64,
        1 => 0..4096,
        2 => 4096..bytes.len(),
        _ => 0..bytes.len(),
    };
    for _ in 0..random.usize(1..8) {
        let at = random.usize(places.clone());
        match random.u8(..4) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            kind => {
                let odd = [
                    0,
                    1,
                    4095,
                    4096,
                    u64::MAX,
                    u64::MAX / 2,
                    1 << 32,
                    random.u64(..),
                ];
                let word = odd[random.usize(..odd.len())].to_ne_bytes();
                let at = at & !7;
                let length = if kind == 2 { 4 } else { 8 };
                bytes[at..at + length].copy_from_slice(&word[..length]);
            }
        }
    }
}

fn use_all(region: &Region) -> Result<(), RegionError> {
    let names = region.objects().map(|object| object.to_string());
    let all: String = names.collect();
    assert!(all.len() < 1 << 16);
    let lock: &RawMutex = region.attach("lock")?;
    if lock.lock_within(shortly()) {
        // SAFETY: just locked.
        unsafe { lock.unlock() };
    }
    let robust: &RobustMutex<u64> = region.attach("robust")?;
    drop(robust.lock_within(shortly()));
    let semaphore: &Semaphore = region.attach("semaphore")?;
    let _ = semaphore.release(1);
    drop(semaphore.acquire_timeout(Duration::ZERO));
    let permits: &RecoverableSemaphore<2> = region.attach("permits")?;
    assert!(permits.held() <= 2);
    pass(region.attach::<Bounded>("bounded")?);
    pass(region.attach::<Monitor>("monitor")?);
    pass(region.attach::<RobustBounded>("robust bounded")?);
    pass(region.attach::<RobustMonitor>("robust monitor")?);
    Ok(())
}

fn pass<B: Buffer<Item = u64> + ?Sized>(buffer: &B) {
    let sent = (0..100).take_while(|item| buffer.send_within(*item, shortly()).is_ok());
    let sent = sent.count();
    let received = (0..100).take_while(|_| buffer.recv_within(shortly()).is_ok());
    std::hint::black_box((sent, received.count()));
    assert!(
        buffer.capacity() <= SIZE,
        "known from the size of the region, not from a peer"
    );
}

/// The name of the error.
fn kind(outcome: Option<&RegionError>) -> String {
    let Some(error) = outcome else {
        return "works".into();
    };
    let text = format!("{error:?}");
    let end = text.find(|character: char| !character.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
