//! A peer writes random bytes into the header and the contents while other processes attach to the
//! region and use it. No user process is killed by a signal, panics, or hangs.
//!
//! Between two rounds the peer restores the memory, so a corrupted lock becomes free again. This
//! module therefore also tests operations that wait for a lock without a deadline: creating and
//! dropping handles, and returning from a wait on a condition variable.
//!
//! `INTERLATCH_ATTACHES` sets the number of times that each user process attaches.
//! `INTERLATCH_SEED` repeats the peer's writes.

use super::harness::Test;
use super::hostile::{self, Outcomes, SIZE, corrupt, create_all, expired, use_all};
use super::passing;
use super::process::{Actor, TIMEOUT};
use super::random::{env_number, seed};
use super::raw::Raw;
use interlatch::{Buffer, Region, RegionError, RobustMutex, RobustSemaphore, Semaphore};
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "concurrent_corruption_does_not_end_or_block_users";
    vec![Test::new(
        name,
        concurrent_corruption_does_not_end_or_block_users,
    )]
}

const USERS: usize = 2;

/// The number of attaches between two progress reports of a user process.
const REPORT: u64 = 500;

fn concurrent_corruption_does_not_end_or_block_users() {
    let attaches = env_number("INTERLATCH_ATTACHES").unwrap_or(1_500);
    let region = Region::memfd("scribbled", SIZE).expect("the region can be created");
    create_all(&region).expect("the region has room");
    let start = |role: [String; 2]| Actor::start(&region, &role);
    let mut users: Vec<Actor> = (0..USERS)
        .map(|_| start(["use".into(), attaches.to_string()]))
        .collect();
    let mut scribbler = start(["scribble".into(), seed().to_string()]);
    for actor in users.iter_mut().chain([&mut scribbler]) {
        assert_eq!(reply(actor), "ready");
    }
    for actor in users.iter_mut().chain([&mut scribbler]) {
        actor.tell("go");
    }
    for mut user in users {
        let table = loop {
            match reply(&mut user) {
                line if line == "progress" => {}
                table => break table,
            }
        };
        println!("{}", table.replace(';', "\n"));
        let ended = user.end(Instant::now() + TIMEOUT);
        assert_eq!(ended, Ok(()), "a user");
    }
    assert!(!scribbler.has_ended(), "the peer is still writing");
}

/// Returns the next line from an actor. Panics after a timeout.
fn reply(actor: &mut Actor) -> String {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// Corrupts the region in an actor until the actor is killed.
pub fn write_garbage(region: &Region, arguments: &[String]) {
    let [seed] = arguments else {
        panic!("expected a seed, got {arguments:?}")
    };
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    let raw = Raw::mapped(region.descriptor().expect("a memfd has a descriptor"));
    let clean = raw.all();
    wait_for_start();
    loop {
        for _ in 0..random.usize(..8) {
            corrupt(&raw, &mut random);
            if random.u8(..4) != 0 {
                // The peer restores the words that identify a region. Otherwise most attaches would
                // fail early.
                (0..8).for_each(|index| raw.write(index, clean[index]));
            }
            (0..random.usize(..4000)).for_each(|_| spin_loop());
        }
        raw.write_all(&clean);
        (0..random.usize(..40_000)).for_each(|_| spin_loop());
    }
}

/// Attaches to the region repeatedly in an actor, and uses the objects in the region.
pub fn use_repeatedly(region: &Region, arguments: &[String]) {
    let [attaches] = arguments else {
        panic!("expected a number, got {arguments:?}")
    };
    let attaches: u64 = attaches.parse().expect("a number");
    // With a zero interval, a thread that waits on a corrupted word rechecks the word immediately.
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let mut outcomes = Outcomes::default();
    wait_for_start();
    for attach in 1..=attaches {
        let copy = descriptor.try_clone_to_owned().expect("a descriptor");
        let same = Region::from_descriptor(copy);
        outcomes.count(
            &same.and_then(|region| use_all(&region).and_then(|()| use_without_deadline(&region))),
        );
        if attach.is_multiple_of(REPORT) {
            println!("progress");
        }
    }
    outcomes.assert_variety(1);
    println!("{}", outcomes.table("attaches").replace('\n', ";"));
}

/// Attaches to each object, and calls operations that wait for an internal lock without a deadline.
fn use_without_deadline(region: &Region) -> Result<(), RegionError> {
    let _: &Semaphore = region.create_or_attach("late", ())?;
    let permits: &RobustSemaphore<2> = region.attach("permits")?;
    drop([permits.acquire_with(expired()), permits.try_acquire()]);
    let robust: &RobustMutex<u64> = region.attach("robust")?;
    if let Ok(mut number) = robust.lock_with(expired()) {
        *number = number.wrapping_add(1);
    }
    exchange(region.attach::<hostile::Bounded>("bounded")?);
    exchange(region.attach::<hostile::Monitor>("monitor")?);
    exchange(region.attach::<hostile::RobustBounded>("robust bounded")?);
    exchange(region.attach::<hostile::RobustMonitor>("robust monitor")?);
    exchange(region.attach::<passing::U64Rendezvous>("rendezvous")?);
    passing::use_without_deadline(region)
}

/// Creates handles, and passes items while both sides are attached.
fn exchange<B: Buffer<Item = u64> + ?Sized>(buffer: &B) {
    let handles = (buffer.sender(), buffer.receiver());
    if let (Ok(sender), Ok(receiver)) = &handles {
        let timeout = Duration::from_millis(1);
        for item in 0..5 {
            let _ = black_box(sender.send_timeout(item, timeout));
            let _ = black_box(receiver.recv_timeout(timeout));
        }
    }
    assert!(buffer.len() <= buffer.capacity());
}

fn wait_for_start() {
    println!("ready");
    let mut word = String::new();
    std::io::stdin()
        .read_line(&mut word)
        .expect("the parent sends a line");
    assert_eq!(word.trim_end(), "go");
}
