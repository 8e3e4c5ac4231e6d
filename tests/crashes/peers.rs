//! Compares interlatch's condition variable with libc's process-shared one when waiters are killed.
//!
//! In each round a waiter is killed, then a notifier notifies. The test requires that interlatch's
//! notifiers finish. For libc it only prints the result: with glibc 2.36, a notifier waits forever
//! for the dead waiter to leave.

use super::actor::{find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::pthread::{Pthread, PthreadCond};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustLockResult, RobustMutexGuard};
use interlatch::{Condvar, Region, RobustMutex};
use nix::sys::signal::Signal::SIGKILL;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "killed_waiter_does_not_block_notifiers";
    vec![Test::new(name, killed_waiter_does_not_block_notifiers)]
}

const ROUNDS: usize = 5;

struct Objects<'a> {
    lock: &'a RobustMutex<u64>,
    changed: &'a Condvar,
    mutex: &'a Pthread,
    condition: &'a PthreadCond,
}

/// Attaches to the objects of the test. The first process creates the objects.
fn objects(region: &Region) -> Objects<'_> {
    Objects {
        lock: find(region, "lock"),
        changed: find(region, "changed"),
        mutex: find(region, "mutex"),
        condition: find(region, "condition"),
    }
}

fn killed_waiter_does_not_block_notifiers() {
    let region = Region::memfd("peers", 4096).expect("a region");
    let objects = objects(&region);
    objects.mutex.init();
    objects.condition.init();
    let ours = first_blocked_round(&region, "ours", TIMEOUT);
    let libcs = first_blocked_round(&region, "libc", Duration::from_secs(2));
    let describe = |stopped: Option<usize>| match stopped {
        Some(round) => format!("hangs in round {round} of {ROUNDS}"),
        None => format!("completes {ROUNDS} rounds"),
    };
    println!("| condition variable | notifiers after the death of a waiter |");
    println!("|---|---|");
    println!("| interlatch::Condvar | {} |", describe(ours));
    println!("| pthread_cond_t | {} |", describe(libcs));
    assert_eq!(ours, None, "the round in which the notifier hangs");
}

/// Kills a sleeping waiter and runs a notifier in each round. Returns the first round in which the
/// notifier does not finish in time.
fn first_blocked_round(region: &Region, implementation: &str, time: Duration) -> Option<usize> {
    (1..=ROUNDS).find(|_| {
        let mut waiter = Actor::start(region, &[format!("peers {implementation} wait")]);
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(waiter.reply(deadline).as_deref(), Ok("waiting"));
        waiter.wait_until_asleep(deadline);
        waiter.signal(SIGKILL);
        drop(waiter);
        let mut notifier = Actor::start(region, &[format!("peers {implementation} notify")]);
        notifier.reply(Instant::now() + time).as_deref() != Ok("notified")
    })
}

/// Repairs the mutex after owner death: a single store changes the number, so the number is always
/// consistent.
fn repaired<'a>(locked: RobustLockResult<'a, u64>) -> RobustMutexGuard<'a, u64> {
    locked
        .or_else(RobustLockError::mark_consistent)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    let Objects {
        lock,
        changed,
        mutex,
        condition,
    } = objects(region);
    match role {
        "ours wait" => {
            let mut guard = repaired(lock.lock());
            report("waiting");
            loop {
                guard = repaired(changed.wait_robust(guard, Timeout::Infinite).0);
            }
        }
        "ours notify" => {
            for _ in 0..3 {
                *repaired(lock.lock()) += 1;
                changed.notify_one();
                changed.notify_all();
            }
        }
        "libc wait" => {
            mutex.lock();
            report("waiting");
            loop {
                condition.wait(mutex);
            }
        }
        "libc notify" => {
            for _ in 0..3 {
                mutex.lock();
                mutex.unlock();
                condition.signal();
                condition.broadcast();
            }
        }
        other => panic!("unknown role {other:?}"),
    }
    report("notified");
}
