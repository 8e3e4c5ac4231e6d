//! Many processes create and remove the region of one name. Each process gets a working region or
//! an error, and at most one region with the name exists at any time.

use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::random::seed;
use super::scratch::{Scratch, parse_name, sysv_segments};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{AcqRel, Acquire};
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore, ShmSafe};
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    let name = "concurrent_creation_and_removal_give_a_region_or_an_error";
    vec![Test::new(
        name,
        concurrent_creation_and_removal_give_a_region_or_an_error,
    )]
}

const PROCESSES: usize = 8;
const ROUNDS: u32 = 300;

/// Counts of created and removed regions.
#[repr(C)]
#[derive(ShmSafe)]
struct Balance {
    made: AtomicU64,
    removed: AtomicU64,
}

fn concurrent_creation_and_removal_give_a_region_or_an_error() {
    let seed = seed();
    (0..3).for_each(|kind| create_and_remove(kind, seed));
}

fn create_and_remove(kind: usize, seed: u64) {
    let scratch = Scratch::new();
    let name = &scratch.names[kind];
    let shared = Region::memfd("shared", 4096).expect("a page");
    let balance: &Balance = shared.create("balance", ()).expect("the region has room");
    let start = |index: usize| {
        let seed = seed.wrapping_add(index as u64).to_string();
        Actor::start(&shared, &["remove".into(), name.to_string(), seed])
    };
    let actors: Vec<Actor> = (0..PROCESSES).map(start).collect();
    let actor_ids: Vec<i32> = actors.iter().map(|actor| actor.pid().as_raw()).collect();
    let deadline = Instant::now() + TIMEOUT;
    for mut actor in actors {
        assert_eq!(actor.reply(deadline).as_deref(), Ok("done"), "{name}");
        assert_eq!(actor.end(deadline), Ok(()), "{name}");
    }
    let remaining = u64::from(exists(name));
    assert_balance(balance, remaining, kind, name);
    assert_eq!(scratch.remaining()[kind] as u64, remaining, "{name}");
    let is_of_an_actor = |(_, creator): &&(i32, i32)| actor_ids.contains(creator);
    let segments = sysv_segments().iter().filter(is_of_an_actor).count() as u64;
    assert!(
        segments <= remaining,
        "{segments} segments are left, some without a key"
    );
    if remaining == 1 {
        name.remove().expect("the region exists");
    }
    assert_eq!(scratch.remaining(), [0; 3], "{name} is removed completely");
}

fn exists(name: &RegionName) -> bool {
    match RegionOptions::attach(name) {
        Ok(_) => true,
        Err(RegionError::NotFound(_)) => false,
        Err(other) => panic!("{name}: {other}"),
    }
}

/// Checks that each created region was removed or remains, so two regions never existed at the same
/// time.
fn assert_balance(balance: &Balance, remaining: u64, kind: usize, name: &RegionName) {
    let (made, removed) = (balance.made.load(Acquire), balance.removed.load(Acquire));
    println!("{name}: {made} created, {removed} removed, {remaining} remaining");
    assert!(removed > 0, "no region was removed");
    match kind {
        // If two processes remove one segment at the same time, both processes count the removal.
        2 => assert!(made <= removed + remaining, "{name}"),
        _ => assert_eq!(made, removed + remaining, "{name}"),
    }
}

/// Creates and removes regions in an actor.
pub fn run(shared: &Region, arguments: &[String]) {
    let [name, seed] = arguments else {
        panic!("expected a name and a seed, got {arguments:?}")
    };
    let name = parse_name(name);
    let balance: &Balance = shared.attach("balance").expect("the counts exist");
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    for _ in 0..ROUNDS {
        match random.u8(..3) {
            0 => remove(&name, balance),
            _ => create(&name, balance),
        }
    }
    println!("done");
}

/// Creates a region or attaches to it, and uses it. The process that creates the object counts the
/// region.
fn create(name: &RegionName, balance: &Balance) {
    let region = match RegionOptions::new(4096).create_or_attach(name) {
        Ok(region) => region,
        // Every attempt failed, because another process removed the region during each attempt.
        Err(RegionError::Busy) => return,
        Err(other) => panic!("{name}: {other:?}"),
    };
    match region.create::<Semaphore>("mark", ()) {
        Ok(_) => balance.made.fetch_add(1, AcqRel),
        Err(RegionError::ObjectExists(_)) => 0,
        Err(other) => panic!("{name}: {other:?}"),
    };
    let semaphore: &Semaphore = region.attach("mark").expect("the object exists");
    semaphore.release(1).expect("the permits fit");
    assert!(
        semaphore.try_acquire().is_some(),
        "one permit for each process"
    );
}

fn remove(name: &RegionName, balance: &Balance) {
    match name.remove() {
        Ok(()) => balance.removed.fetch_add(1, AcqRel),
        Err(RegionError::NotFound(_)) => 0,
        // The creator of the segment has not yet begun to initialize it.
        Err(RegionError::NotARegion { found: 0, .. }) if name.to_string().starts_with("sysv") => 0,
        Err(other) => panic!("{name}: {other:?}"),
    };
}
