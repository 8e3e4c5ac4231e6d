//! A peer that writes anything into the header and the contents, all the time, while others attach and
//! use: nobody is ended by a signal, panics, or stays.
//!
//! Between two rounds the peer puts everything back, so a lock that it has ruined becomes free again:
//! therefore what waits for one without a deadline (handles, their end, and what has slept on a condition
//! variable) may be done here.
//!
//! `INTERLATCH_ATTACHES` says how often each user attaches, `INTERLATCH_SEED` repeats what the peer writes.

use super::harness::Test;
use super::hostile::{self, Outcomes, SIZE, create_all, scribble, shortly, use_all};
use super::passing;
use super::process::{Actor, TIMEOUT};
use super::random::{env_number, seed};
use super::raw::Raw;
use interlatch::{Buffer, Region, RegionError, RobustMutex, RobustSemaphore, Semaphore};
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "whatever_a_peer_writes_meanwhile_ends_nobody_and_holds_up_nobody";
    vec![Test::new(name, whatever_a_peer_writes_meanwhile)]
}

const USERS: usize = 2;

/// After so many attaches a user says that it goes on.
const REPORT: u64 = 500;

fn whatever_a_peer_writes_meanwhile() {
    let attaches = env_number("INTERLATCH_ATTACHES").unwrap_or(1_500);
    let region = Region::memfd("scribbled", SIZE).expect("room");
    create_all(&region).expect("room");
    let start = |part: [String; 2]| Actor::start(&region, &part);
    let mut users: Vec<Actor> = (0..USERS)
        .map(|_| start(["use".into(), attaches.to_string()]))
        .collect();
    let mut scribbler = start(["scribble".into(), seed().to_string()]);
    for actor in users.iter_mut().chain([&mut scribbler]) {
        assert_eq!(hear(actor), "ready");
    }
    for actor in users.iter_mut().chain([&mut scribbler]) {
        actor.tell("go");
    }
    for mut user in users {
        let table = loop {
            match hear(&mut user) {
                said if said == "goes on" => {}
                table => break table,
            }
        };
        println!("{}", table.replace(';', "\n"));
        let ended = user.end(Instant::now() + TIMEOUT);
        assert_eq!(ended, Ok(()), "a user");
    }
    assert!(!scribbler.has_ended(), "it has written until now");
}

/// The next line, which comes in time.
fn hear(actor: &mut Actor) -> String {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// In an actor: writes until it is killed.
pub fn scribble_on(region: &Region, rest: &[String]) {
    let [seed] = rest else {
        panic!("a seed, not {rest:?}")
    };
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    let raw = Raw::mapped(region.descriptor().expect("a memfd has one"));
    let clean = raw.all();
    wait_for_the_word();
    loop {
        for _ in 0..random.usize(..8) {
            scribble(&raw, &mut random);
            if random.u8(..4) != 0 {
                // What says that this is a region: else few would go on from here.
                (0..8).for_each(|index| raw.write(index, clean[index]));
            }
            (0..random.usize(..4000)).for_each(|_| spin_loop());
        }
        raw.write_all(&clean);
        (0..random.usize(..40_000)).for_each(|_| spin_loop());
    }
}

/// In an actor: attaches so often, and uses what is there.
pub fn use_often(region: &Region, rest: &[String]) {
    let [attaches] = rest else {
        panic!("a number, not {rest:?}")
    };
    let attaches: u64 = attaches.parse().expect("a number");
    // What is ruined is waited for as shortly as can be.
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    let descriptor = region.descriptor().expect("a memfd has one");
    let mut outcomes = Outcomes::default();
    wait_for_the_word();
    for attach in 1..=attaches {
        let copy = descriptor.try_clone_to_owned().expect("one more");
        let same = Region::from_descriptor(copy);
        outcomes.count(&same.and_then(|region| use_all(&region).and_then(|()| stay(&region))));
        if attach.is_multiple_of(REPORT) {
            println!("goes on");
        }
    }
    outcomes.assert_errors_of(1);
    println!("{}", outcomes.table("attaches").replace('\n', ";"));
}

/// What takes a lock for as long as it takes.
fn stay(region: &Region) -> Result<(), RegionError> {
    let _: &Semaphore = region.create_or_attach("late", ())?;
    let permits: &RobustSemaphore<2> = region.attach("permits")?;
    drop([permits.acquire_with(shortly()), permits.try_acquire()]);
    let robust: &RobustMutex<u64> = region.attach("robust")?;
    if let Ok(mut number) = robust.lock_with(shortly()) {
        *number = number.wrapping_add(1);
    }
    meet(region.attach::<hostile::Bounded>("bounded")?);
    meet(region.attach::<hostile::Monitor>("monitor")?);
    meet(region.attach::<hostile::RobustBounded>("robust bounded")?);
    meet(region.attach::<hostile::RobustMonitor>("robust monitor")?);
    meet(region.attach::<passing::Meeting>("rendezvous")?);
    passing::stay(region)
}

/// Makes handles, and uses them as long as the other end is said to be there.
fn meet<B: Buffer<Item = u64> + ?Sized>(buffer: &B) {
    let ends = (buffer.sender(), buffer.receiver());
    if let (Ok(sender), Ok(receiver)) = &ends {
        let moment = Duration::from_millis(1);
        for item in 0..5 {
            let _ = black_box(sender.send_timeout(item, moment));
            let _ = black_box(receiver.recv_timeout(moment));
        }
    }
    assert!(buffer.len() <= buffer.capacity());
}

fn wait_for_the_word() {
    println!("ready");
    let mut word = String::new();
    std::io::stdin()
        .read_line(&mut word)
        .expect("the parent says so");
    assert_eq!(word.trim_end(), "go");
}
