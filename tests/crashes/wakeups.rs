//! A process that is killed right after it is woken has consumed the wake-up. Another waiter must
//! proceed.
//!
//! The first waiter shares a core with the process that wakes and kills it. The first waiter has
//! the lowest priority, so it rarely runs between its wake-up and its death. If the first waiter
//! does run, the test tries again.

use super::actor::{find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::Slot;
use interlatch::sync::RawMutex;
use interlatch::{
    BoundedBuffer, Channel, Condvar, MonitorBuffer, Mutex, Region, RobustMutex, Semaphore,
};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal::SIGKILL;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let test = |object: &'static str, wake: fn(&Objects)| {
        let name = format!("wake_up_of_killed_waiter_reaches_next_waiter_of_{object}");
        Test::new(name, move || wake_up_reaches_next_waiter(object, wake))
    };
    vec![
        test("lock", |objects| {
            // SAFETY: `is_killed_before_it_runs` has locked `lock`.
            unsafe { objects.lock.unlock() };
        }),
        test("robust_lock", |_| {}),
        test("condvar", |objects| {
            *objects.tokens.lock() += 1;
            objects.changed.notify_one();
        }),
        test("semaphore", |objects| {
            objects.semaphore.release(1).expect("the permits fit")
        }),
        test("bounded_buffer", |objects| {
            let sender = objects.bounded.sender().expect("the channel is open");
            sender.send(7).expect("a free slot");
            // Dropping the last sender would wake all waiters, so the sender is leaked.
            std::mem::forget(sender);
        }),
        test("monitor_buffer", |objects| {
            let sender = objects.monitor.sender().expect("the channel is open");
            sender.send(7).expect("a free slot");
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

/// Attaches to the objects. The first process creates them.
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

fn wake_up_reaches_next_waiter(object: &str, wake: fn(&Objects)) {
    // The test runs on a new thread, because the thread stays pinned to its core.
    let is_tested = std::thread::scope(|scope| {
        let attempts = scope.spawn(|| {
            stay_on_one_core();
            (0..ATTEMPTS).any(|_| is_killed_before_it_runs(object, wake))
        });
        attempts.join().expect("the other waiter proceeds")
    });
    assert!(
        is_tested,
        "in {ATTEMPTS} attempts, each waiter ran before it was killed"
    );
}

const ATTEMPTS: usize = 50;

/// Wakes and kills the first waiter. Returns whether the waiter was killed before it ran.
fn is_killed_before_it_runs(object: &str, wake: fn(&Objects)) -> bool {
    let region = Region::memfd("wakeups", 4096).expect("a region");
    let objects = objects(&region);
    objects.lock.raw_lock();
    let guard = objects.robust.lock().expect("the lock is free");
    let start = |order: &str| {
        let mut actor = Actor::start(&region, &[format!("wakeups {order} {object}")]);
        let deadline = Instant::now() + TIMEOUT;
        assert_eq!(actor.reply(deadline).as_deref(), Ok("waiting"));
        actor.wait_until_asleep(deadline);
        actor
    };
    let mut first = start("first");
    let mut other = start("other");
    wake(&objects);
    drop(guard);
    first.signal(SIGKILL);
    if first.reply(Instant::now() + TIMEOUT).is_ok() {
        return false;
    }
    let reply = other.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok("proceeded"));
    true
}

/// Pins this thread to one core. The threads and processes that it starts inherit the core.
pub fn stay_on_one_core() {
    stay_on_core(0);
}

/// Pins this thread to one of the allowed cores, selected by the index modulo the number of cores.
pub fn stay_on_core(index: usize) {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).expect("the cores of this thread");
    let cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core) == Ok(true));
    let cores: Vec<usize> = cores.collect();
    let mut chosen = CpuSet::new();
    let core = cores[index % cores.len()];
    chosen.set(core).expect("a core that exists");
    sched_setaffinity(this_thread, &chosen).expect("the thread can be pinned");
}

/// Gives this process the lowest scheduling priority.
fn yield_to_all() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` outlives the call. The process ID 0 denotes this process.
    let returned = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    assert_eq!(returned, 0, "the policy can be set");
}

/// Waits in an actor, and reports when the wait is over.
pub fn run(region: &Region, role: &str) {
    let objects = objects(region);
    let (order, object) = role.split_once(' ').expect("an order and an object");
    if order == "first" {
        yield_to_all();
        // The first waiter does not recheck, so that it keeps its position in the queue.
        interlatch::sync::set_recheck_interval(Duration::MAX);
    }
    report("waiting");
    match object {
        "lock" => objects.lock.raw_lock(),
        "robust_lock" => drop(objects.robust.lock().expect("no owner dies")),
        "condvar" => {
            let mut tokens = objects.tokens.lock();
            objects
                .changed
                .wait_while(&mut tokens, |tokens| *tokens == 0);
            *tokens -= 1;
        }
        "semaphore" => objects.semaphore.acquire().forget(),
        "bounded_buffer" => {
            let received = objects
                .bounded
                .receiver()
                .expect("the channel is open")
                .recv();
            assert_eq!(received, Ok(7));
        }
        "monitor_buffer" => {
            let received = objects
                .monitor
                .receiver()
                .expect("the channel is open")
                .recv();
            assert_eq!(received, Ok(7));
        }
        other => panic!("unknown object {other}"),
    }
    report("proceeded");
}
