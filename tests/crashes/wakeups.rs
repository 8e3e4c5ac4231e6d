//! A process that is killed just after it was woken has swallowed the wake-up: another waiter gets
//! what it was about.
//!
//! The first in the queue shares a core with the one that wakes and kills it, and gives way to
//! everybody else, so that it does not run in between. Where it does, another try is made.

use super::actor::{find, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::Slot;
use interlatch::sync::RawMutex;
use interlatch::{
    BoundedBuffer, Channel, Condvar, MonitorBuffer, Mutex, Region, RobustMutex, Semaphore,
};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal::SIGKILL;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let test = |kind: &'static str, wake: fn(&Objects)| {
        let name = format!("a_swallowed_wake_up_reaches_another_waiter_of_a_{kind}");
        Test::new(name, move || reaches_another(kind, wake))
    };
    vec![
        test("lock", |objects| {
            // SAFETY: the region was made with it locked.
            unsafe { objects.lock.unlock() };
        }),
        test("robust_lock", |_| {}),
        test("condvar", |objects| {
            *objects.tokens.lock() += 1;
            objects.changed.notify_one();
        }),
        test("semaphore", |objects| {
            objects.semaphore.release(1).expect("room")
        }),
        test("bounded_buffer", |objects| {
            let sender = objects.bounded.sender().expect("open");
            sender.send(7).expect("a place");
            // Dropped, it would tell all.
            std::mem::forget(sender);
        }),
        test("monitor_buffer", |objects| {
            let sender = objects.monitor.sender().expect("open");
            sender.send(7).expect("a place");
            std::mem::forget(sender);
        }),
    ]
}

struct Objects<'a> {
    lock: &'a RawMutex,
    robust: &'a RobustMutex<u64>,
    tokens: &'a Mutex<u64>,
    changed: &'a Condvar,
    semaphore: &'a Semaphore,
    bounded: &'a BoundedBuffer<u64, [Slot<u64>; 4]>,
    monitor: &'a MonitorBuffer<u64, [Slot<u64>; 4]>,
}

/// Whoever comes first creates them.
fn objects(region: &Region) -> Objects<'_> {
    Objects {
        lock: find(region, "lock"),
        robust: find(region, "robust"),
        tokens: find(region, "tokens"),
        changed: find(region, "changed"),
        semaphore: find(region, "semaphore"),
        bounded: find(region, "bounded"),
        monitor: find(region, "monitor"),
    }
}

fn reaches_another(kind: &str, wake: fn(&Objects)) {
    // A thread of its own, since it stays on its core.
    let swallowed = std::thread::scope(|scope| {
        let tries = scope.spawn(|| {
            stay_on_one_core();
            (0..TRIES).any(|_| is_swallowed(kind, wake))
        });
        tries.join().expect("the other waiter gets it")
    });
    assert!(
        swallowed,
        "in {TRIES} tries, no waiter was killed before it did anything"
    );
}

const TRIES: usize = 50;

/// Whether the first waiter was killed before it did anything about its wake-up.
fn is_swallowed(kind: &str, wake: fn(&Objects)) -> bool {
    let region = Region::memfd("wakeups", 4096).expect("a region");
    let objects = objects(&region);
    objects.lock.raw_lock();
    let held = objects.robust.lock().expect("it is free");
    let start = |how: &str| {
        let mut actor = Actor::start(&region, &[format!("wakeups {how} {kind}")]);
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(actor.reply(deadline).as_deref(), Ok("waiting"));
        actor.until_asleep(deadline);
        actor
    };
    let mut first = start("first");
    let mut other = start("other");
    wake(&objects);
    drop(held);
    first.signal(SIGKILL);
    if first.reply(Instant::now() + TIMEOUT).is_ok() {
        return false;
    }
    let reply = other.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok("got it"));
    true
}

/// From here on this thread, and what it starts, runs on one core.
pub fn stay_on_one_core() {
    let mut core = CpuSet::new();
    core.set(0).expect("there is a first core");
    sched_setaffinity(Pid::from_raw(0), &core).expect("this thread stays on it");
}

/// Runs only where nobody else wants to.
fn give_way() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live through the call; 0 is this process.
    let returned = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    assert_eq!(returned, 0, "this process gives way");
}

/// In an actor: waits, and says when it has got what it waited for.
pub fn play(region: &Region, part: &str) {
    let objects = objects(region);
    let (how, kind) = part.split_once(' ').expect("how to wait, and for what");
    if how == "first" {
        give_way();
        // It stays the first.
        interlatch::sync::set_recheck_interval(Duration::MAX);
    }
    say("waiting");
    match kind {
        "lock" => objects.lock.raw_lock(),
        "robust_lock" => drop(objects.robust.lock().expect("nobody dies as a holder")),
        "condvar" => {
            let mut tokens = objects.tokens.lock();
            objects
                .changed
                .wait_while(&mut tokens, |tokens| *tokens == 0);
            *tokens -= 1;
        }
        "semaphore" => objects.semaphore.acquire().forget(),
        "bounded_buffer" => {
            let received = objects.bounded.receiver().expect("open").recv();
            assert_eq!(received, Ok(7));
        }
        "monitor_buffer" => {
            let received = objects.monitor.receiver().expect("open").recv();
            assert_eq!(received, Ok(7));
        }
        other => panic!("nobody waits for a {other}"),
    }
    say("got it");
}
