//! Many processes create or attach to a region with the same name at the same time, and some are
//! killed at random moments. Exactly one process initializes the region, no process sees an
//! incomplete region, and every survivor gets the region.

use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::random::seed;
use super::scratch::{Scratch, parse_name};
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{AcqRel, Acquire};
use interlatch::{Region, RegionOptions, Semaphore, ShmSafe};
use nix::sys::signal::Signal::SIGKILL;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "one_of_many_concurrent_creators_wins";
    vec![Test::new(name, one_of_many_concurrent_creators_wins)]
}

const PROCESSES: usize = 32;
const KILLED: usize = 12;

/// An object whose initialization takes some time.
#[repr(C)]
#[derive(ShmSafe)]
struct Slow {
    #[shm(initial = AtomicU64::new(MARK))]
    first: AtomicU64,
    #[shm(initial = std::array::from_fn(|_| AtomicU64::new(MARK)))]
    filler: [AtomicU64; 2048],
    last: AtomicU64,
}

const MARK: u64 = 0x1234_5678_9abc_def0;

fn one_of_many_concurrent_creators_wins() {
    let mut random = fastrand::Rng::with_seed(seed());
    for kind in 0..3 {
        let rounds = 4;
        (0..rounds).for_each(|_| race(kind, &mut random));
    }
}

fn race(kind: usize, random: &mut fastrand::Rng) {
    let scratch = Scratch::new();
    let name = &scratch.names[kind];
    let gate_region = Region::memfd("gate", 4096).expect("a page");
    let gate: &Semaphore = gate_region.create("gate", ()).expect("the region has room");
    let argument = ["race".to_owned(), name.to_string()];
    let start = |_| Actor::start(&gate_region, &argument);
    let mut actors: Vec<Actor> = (0..PROCESSES).map(start).collect();
    let deadline = Instant::now() + TIMEOUT;
    for actor in &mut actors {
        assert_eq!(actor.reply(deadline).as_deref(), Ok("ready"));
    }
    gate.release(PROCESSES as u32).expect("the permits fit");
    for victim in &actors[..KILLED] {
        let moment = Instant::now() + Duration::from_micros(random.u64(..300));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        victim.signal(SIGKILL);
    }
    for actor in &mut actors[KILLED..] {
        assert_eq!(actor.reply(deadline).as_deref(), Ok("counted"), "{name}");
    }
    let region = RegionOptions::attach(name).expect("a survivor has created the region");
    let names: Vec<String> = region
        .objects()
        .map(|object| object.name.to_string())
        .collect();
    assert_eq!(names, ["object"], "one object was created");
    let object: &Slow = region.attach("object").expect("the name exists");
    let counted = object.last.load(Acquire) as usize;
    let alive = PROCESSES - KILLED;
    assert!(
        (alive..=PROCESSES).contains(&counted),
        "{counted} of {PROCESSES} counted: {name}"
    );
    let mut expected = [0; 3];
    expected[kind] = 1;
    assert_eq!(
        scratch.remaining(),
        expected,
        "killed creators leave nothing: {name}"
    );
    drop((region, actors));
    name.remove().expect("the name exists");
    assert_eq!(scratch.remaining(), [0; 3], "{name} is removed completely");
}

/// Waits at the gate in an actor, then creates the region or attaches to it.
pub fn run(gate: &Region, arguments: &[String]) {
    let [name] = arguments else {
        panic!("expected a name, got {arguments:?}")
    };
    let name = parse_name(name);
    let gate: &Semaphore = gate.attach("gate").expect("the gate exists");
    println!("ready");
    gate.acquire().forget();
    let options = RegionOptions::new(size_of::<Slow>() + 64);
    let region = options
        .create_or_attach(&name)
        .unwrap_or_else(|error| panic!("{error}"));
    let object: &Slow = region
        .create_or_attach("object", ())
        .unwrap_or_else(|error| panic!("{error}"));
    let words = [&object.first].into_iter().chain(&object.filler);
    assert!(
        words.into_iter().all(|word| word.load(Acquire) == MARK),
        "the object is complete"
    );
    object.last.fetch_add(1, AcqRel);
    println!("counted");
}
