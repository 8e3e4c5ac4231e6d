//! Many processes make and remove the region of one name: each gets a region that works, or hears that
//! there is none, and there is one of that name or none.

use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::random::seed;
use super::scratch::{Scratch, parse_name, sysv_segments};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{AcqRel, Acquire};
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore, ShmSafe};
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    let name = "of_many_that_make_and_remove_a_region_each_gets_one_or_hears_why_not";
    vec![Test::new(name, everybody_gets_one)]
}

const PROCESSES: usize = 8;
const ROUNDS: u32 = 300;

/// How many regions there were, and how many removals.
#[repr(C)]
#[derive(ShmSafe)]
struct Balance {
    made: AtomicU64,
    removed: AtomicU64,
}

fn everybody_gets_one() {
    let seed = seed();
    (0..3).for_each(|kind| make_and_remove(kind, seed));
}

fn make_and_remove(kind: usize, seed: u64) {
    let scratch = Scratch::new();
    let name = &scratch.names[kind];
    let score = Region::memfd("score", 4096).expect("a page");
    let balance: &Balance = score.create("balance", ()).expect("room");
    let start = |index: usize| {
        let seed = seed.wrapping_add(index as u64).to_string();
        Actor::start(&score, &["remove".into(), name.to_string(), seed])
    };
    let actors: Vec<Actor> = (0..PROCESSES).map(start).collect();
    let makers: Vec<i32> = actors.iter().map(|actor| actor.pid().as_raw()).collect();
    let deadline = Instant::now() + TIMEOUT;
    for mut actor in actors {
        assert_eq!(actor.reply(deadline).as_deref(), Ok("done"), "{name}");
        assert_eq!(actor.end(deadline), Ok(()), "{name}");
    }
    let there = u64::from(is_there(name));
    assert_balance(balance, there, kind, name);
    assert_eq!(scratch.remaining()[kind] as u64, there, "{name}");
    let is_theirs = |(_, maker): &&(i32, i32)| makers.contains(maker);
    let theirs = sysv_segments().iter().filter(is_theirs).count() as u64;
    assert!(theirs <= there, "{theirs} segments, most without a key");
    if there == 1 {
        name.remove().expect("it is there");
    }
    assert_eq!(scratch.remaining(), [0; 3], "nothing stays of {name}");
}

fn is_there(name: &RegionName) -> bool {
    match RegionOptions::attach(name) {
        Ok(_) => true,
        Err(RegionError::NotFound(_)) => false,
        Err(other) => panic!("{name}: {other}"),
    }
}

/// What was made and not removed is there: so there were never two at a time.
fn assert_balance(balance: &Balance, there: u64, kind: usize, name: &RegionName) {
    let (made, removed) = (balance.made.load(Acquire), balance.removed.load(Acquire));
    println!("{name}: {made} made, {removed} removed, {there} there");
    assert!(removed > 0, "nobody removed anything");
    match kind {
        // Two that remove one segment at the same time have both removed it.
        2 => assert!(made <= removed + there, "{name}"),
        _ => assert_eq!(made, removed + there, "{name}"),
    }
}

/// In an actor.
pub fn play(score: &Region, rest: &[String]) {
    let [name, seed] = rest else {
        panic!("a name and a seed, not {rest:?}")
    };
    let name = parse_name(name);
    let balance: &Balance = score.attach("balance").expect("it is there");
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    for _ in 0..ROUNDS {
        match random.u8(..3) {
            0 => remove(&name, balance),
            _ => make(&name, balance),
        }
    }
    println!("done");
}

/// Makes or finds a region, and uses it. The first one in it counts it.
fn make(name: &RegionName, balance: &Balance) {
    let region = match RegionOptions::new(4096).create_or_attach(name) {
        Ok(region) => region,
        // It was always removed just then.
        Err(RegionError::Busy) => return,
        Err(other) => panic!("{name}: {other:?}"),
    };
    match region.create::<Semaphore>("mark", ()) {
        Ok(_) => balance.made.fetch_add(1, AcqRel),
        Err(RegionError::ObjectExists(_)) => 0,
        Err(other) => panic!("{name}: {other:?}"),
    };
    let semaphore: &Semaphore = region.attach("mark").expect("it is there");
    semaphore.release(1).expect("few");
    assert!(semaphore.try_acquire().is_some(), "one for each");
}

fn remove(name: &RegionName, balance: &Balance) {
    match name.remove() {
        Ok(()) => balance.removed.fetch_add(1, AcqRel),
        Err(RegionError::NotFound(_)) => 0,
        // A segment whose creator has not begun to build it.
        Err(RegionError::NotARegion { found: 0, .. }) if name.to_string().starts_with("sysv") => 0,
        Err(other) => panic!("{name}: {other:?}"),
    };
}
