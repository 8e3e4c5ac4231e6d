//! The same death for libc's process-shared condition variable and for ours: a waiter is killed, again
//! and again, and somebody notifies. Ours has to go on. What libc's does is printed, since that is
//! libc's affair: that of glibc 2.36 stops its notifiers, for they wait until the dead waiter has left.

use super::actor::{find, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::pthread::{Pthread, PthreadCond};
use interlatch::sync::Timeout;
use interlatch::sync::{RobustLockError, RobustLockResult, RobustMutexGuard};
use interlatch::{Condvar, Region, RobustMutex};
use nix::sys::signal::Signal::SIGKILL;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let name = "a_killed_waiter_does_not_stop_the_notifiers";
    vec![Test::new(name, a_killed_waiter_does_not_stop_the_notifiers)]
}

const ROUNDS: usize = 5;

struct Objects<'a> {
    lock: &'a RobustMutex<u64>,
    changed: &'a Condvar,
    mutex: &'a Pthread,
    condition: &'a PthreadCond,
}

/// Whoever comes first creates them.
fn objects(region: &Region) -> Objects<'_> {
    Objects {
        lock: find(region, "lock"),
        changed: find(region, "changed"),
        mutex: find(region, "mutex"),
        condition: find(region, "condition"),
    }
}

fn a_killed_waiter_does_not_stop_the_notifiers() {
    let region = Region::memfd("peers", 4096).expect("a region");
    let objects = objects(&region);
    objects.mutex.make();
    objects.condition.make();
    let ours = rounds_until_stopped(&region, "ours", TIMEOUT);
    let libcs = rounds_until_stopped(&region, "libc", Duration::from_secs(2));
    let tell = |stopped: Option<usize>| match stopped {
        Some(round) => format!("hangs in round {round} of {ROUNDS}"),
        None => format!("{ROUNDS} rounds, all well"),
    };
    println!("| condition variable | a waiter is killed, and somebody notifies |");
    println!("|---|---|");
    println!("| interlatch::Condvar | {} |", tell(ours));
    println!("| pthread_cond_t | {} |", tell(libcs));
    assert_eq!(ours, None, "the round in which the notifier was stopped");
}

/// In each round a waiter is killed asleep, and a notifier notifies. Returns the one in which it is not
/// done in time.
fn rounds_until_stopped(region: &Region, whose: &str, time: Duration) -> Option<usize> {
    (1..=ROUNDS).find(|_| {
        let mut waiter = Actor::start(region, &[format!("peers {whose} wait")]);
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(waiter.reply(deadline).as_deref(), Ok("waiting"));
        waiter.wait_until_asleep(deadline);
        waiter.signal(SIGKILL);
        drop(waiter);
        let mut notifier = Actor::start(region, &[format!("peers {whose} notify")]);
        notifier.reply(Instant::now() + time).as_deref() != Ok("notified")
    })
}

/// A number that one instruction changes is never half-changed.
fn repaired<'a>(locked: RobustLockResult<'a, u64>) -> RobustMutexGuard<'a, u64> {
    locked
        .or_else(RobustLockError::mark_consistent)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    let Objects {
        lock,
        changed,
        mutex,
        condition,
    } = objects(region);
    match part {
        "ours wait" => {
            let mut guard = repaired(lock.lock());
            say("waiting");
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
            say("waiting");
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
        other => panic!("nobody does {other:?}"),
    }
    say("notified");
}
