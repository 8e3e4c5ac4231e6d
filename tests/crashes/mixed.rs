//! libc's robust mutexes and ours in one thread: both are on the one list that the kernel knows.

use super::actor::{hear, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::pthread::Pthread;
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Region, RobustMutex};
use nix::sys::signal::Signal::SIGKILL;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "libcs_robust_mutexes_and_ours_keep_to_one_list";
    vec![Test::new(name, both_keep_to_one_list)]
}

/// How many there are of each kind.
const EACH: usize = 3;

/// Ours are 0 to 2, libc's are 3 to 5; each step locks one, or unlocks it if it is locked.
fn both_keep_to_one_list() {
    let persistence = FileFailurePersistence::Direct("tests/crashes/mixed.proptest-regressions");
    let config = Config {
        cases: 48,
        // A case that fails takes until a deadline.
        max_shrink_iters: 8,
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };
    let steps = proptest::collection::vec(0..2 * EACH, 1..24);
    let outcome =
        TestRunner::new(config).run(&steps, |steps| check(&steps).map_err(TestCaseError::fail));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

struct Objects<'a> {
    ours: &'a [RobustMutex<u64>; EACH],
    libcs: &'a [Pthread; EACH],
}

fn check(steps: &[usize]) -> Result<(), String> {
    let region = Region::memfd("mixed", 4096).expect("a region");
    let objects = Objects {
        ours: region.create("ours", ()).expect("room"),
        libcs: region.create("libc's", ()).expect("room"),
    };
    objects.libcs.iter().for_each(|mutex| mutex.make());
    let words: Vec<String> = steps.iter().map(usize::to_string).collect();
    let mut actor = Actor::start(&region, &[format!("mixed {}", words.join(" "))]);
    assert_eq!(actor.reply(Instant::now() + TIMEOUT)?, "done");
    actor.signal(SIGKILL);
    drop(actor);
    for number in 0..2 * EACH {
        let times = steps.iter().filter(|step| **step == number).count();
        let (held, told) = (times % 2 == 1, objects.hears_of_a_death(number)?);
        if held != told {
            return Err(format!(
                "{number}: held by the dead: {held}, told of: {told}"
            ));
        }
    }
    Ok(())
}

impl Objects<'_> {
    fn hears_of_a_death(&self, number: usize) -> Result<bool, String> {
        if let Some(mutex) = number.checked_sub(EACH) {
            let mutex = &self.libcs[mutex];
            let told = mutex.lock();
            mutex.unlock();
            return Ok(told);
        }
        match self.ours[number].lock_timeout(Duration::from_secs(10)) {
            Ok(_) => Ok(false),
            Err(RobustLockError::OwnerDied(found)) => {
                drop(found.mark_consistent());
                Ok(true)
            }
            Err(error) => Err(format!("{number}: {error}")),
        }
    }
}

/// In an actor: does the steps, says so, and waits for its end.
pub fn play(region: &Region, part: &str) {
    let objects = Objects {
        ours: region.attach("ours").expect("they are there"),
        libcs: region.attach("libc's").expect("they are there"),
    };
    let mut guards: [Option<RobustMutexGuard<'_, u64>>; EACH] = [const { None }; EACH];
    let mut locked = [false; EACH];
    for word in part.split(' ') {
        let number: usize = word.parse().expect("a number");
        if let Some(mutex) = number.checked_sub(EACH) {
            match locked[mutex] {
                true => objects.libcs[mutex].unlock(),
                false => assert!(!objects.libcs[mutex].lock(), "nobody has died yet"),
            }
            locked[mutex] = !locked[mutex];
        } else {
            guards[number] = match guards[number].take() {
                Some(_unlocked) => None,
                None => Some(objects.ours[number].lock().expect("it is free")),
            };
        }
    }
    say("done");
    hear();
}
