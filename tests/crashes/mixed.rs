//! Robust mutexes of libc and of interlatch in one thread share the kernel's robust list.

use super::actor::{await_command, report};
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
    let name = "robust_mutexes_share_one_list_with_libc";
    vec![Test::new(name, robust_mutexes_share_one_list_with_libc)]
}

/// The number of mutexes of each implementation.
const EACH: usize = 3;

/// Each step toggles one mutex: 0 to 2 are mutexes of interlatch, 3 to 5 are mutexes of libc.
fn robust_mutexes_share_one_list_with_libc() {
    let persistence = FileFailurePersistence::Direct("tests/crashes/mixed.proptest-regressions");
    let config = Config {
        cases: 48,
        // Each failing case waits for a timeout, so shrinking is limited.
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
        ours: region.create("ours", ()).expect("the region has room"),
        libcs: region.create("libc's", ()).expect("the region has room"),
    };
    objects.libcs.iter().for_each(|mutex| mutex.init());
    let words: Vec<String> = steps.iter().map(usize::to_string).collect();
    let mut actor = Actor::start(&region, &[format!("mixed {}", words.join(" "))]);
    assert_eq!(actor.reply(Instant::now() + TIMEOUT)?, "done");
    actor.signal(SIGKILL);
    drop(actor);
    for number in 0..2 * EACH {
        let times = steps.iter().filter(|step| **step == number).count();
        let (was_locked, is_owner_died) = (times % 2 == 1, objects.is_owner_died(number)?);
        if was_locked != is_owner_died {
            return Err(format!(
                "mutex {number}: locked at the death: {was_locked}, owner death reported: {is_owner_died}"
            ));
        }
    }
    Ok(())
}

impl Objects<'_> {
    fn is_owner_died(&self, number: usize) -> Result<bool, String> {
        if let Some(mutex) = number.checked_sub(EACH) {
            let mutex = &self.libcs[mutex];
            let is_owner_died = mutex.lock();
            mutex.unlock();
            return Ok(is_owner_died);
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

/// Performs the steps in an actor, reports the result, and waits to be killed.
pub fn run(region: &Region, role: &str) {
    let objects = Objects {
        ours: region.attach("ours").expect("the mutexes exist"),
        libcs: region.attach("libc's").expect("the mutexes exist"),
    };
    let mut guards: [Option<RobustMutexGuard<'_, u64>>; EACH] = [const { None }; EACH];
    let mut locked = [false; EACH];
    for word in role.split(' ') {
        let number: usize = word.parse().expect("a number");
        if let Some(mutex) = number.checked_sub(EACH) {
            match locked[mutex] {
                true => objects.libcs[mutex].unlock(),
                false => assert!(!objects.libcs[mutex].lock(), "no owner has died"),
            }
            locked[mutex] = !locked[mutex];
        } else {
            guards[number] = match guards[number].take() {
                Some(_unlocked) => None,
                None => Some(objects.ours[number].lock().expect("the lock is free")),
            };
        }
    }
    report("done");
    await_command();
}
