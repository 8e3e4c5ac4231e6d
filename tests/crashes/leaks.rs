//! Leaked locks: the end of their thread, the drop of their region, and the death of their process.

use super::actor::{await_command, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::{RecvTimeoutError, Slot};
use interlatch::sync::{RobustLockError, RobustMutexGuard};
use interlatch::{Channel, Region, RobustMonitorBuffer, RobustMutex};
use interlatch_testing::process::assert_child_succeeds;
use nix::sys::signal::Signal::SIGKILL;
use nix::unistd::{ForkResult, fork};
use std::cell::Cell;
use std::mem::forget;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "lock_of_ended_thread_stays_locked_until_the_process_dies",
            lock_of_ended_thread_stays_locked_until_the_process_dies,
        ),
        Test::new(
            "guard_in_a_thread_local_unlocks_at_thread_end",
            guard_in_a_thread_local_unlocks_at_thread_end,
        ),
        Test::new(
            "dropped_region_releases_leaked_lock_and_handle",
            dropped_region_releases_leaked_lock_and_handle,
        ),
        Test::new(
            "dropped_region_releases_lock_of_ended_thread",
            dropped_region_releases_lock_of_ended_thread,
        ),
        Test::new(
            "region_with_lock_of_living_thread_stays_mapped",
            region_with_lock_of_living_thread_stays_mapped,
        ),
        Test::new(
            "kill_during_hand_over_leaves_no_lock_locked",
            kill_during_hand_over_leaves_no_lock_locked,
        ),
        Test::new(
            "keeper_holds_the_first_2000_locks",
            keeper_holds_the_first_2000_locks,
        ),
        Test::new(
            "forked_child_has_a_keeper_of_its_own",
            forked_child_has_a_keeper_of_its_own,
        ),
        Test::new(
            "relocking_through_another_mapping_is_an_error",
            relocking_through_another_mapping_is_an_error,
        ),
    ]
}

type Monitor = RobustMonitorBuffer<u64, [Slot<u64>]>;

thread_local! {
    static KEPT: Cell<Option<RobustMutexGuard<'static, u64>>> = const { Cell::new(None) };
}

/// The number of locks that the threads of one actor leak.
const LOCKS: usize = 100;

fn region() -> Region {
    Region::memfd("leaks", 16 * 4096).expect("a region")
}

/// Maps the memory of the region once more, so that the new region can be dropped.
fn map_again(region: &Region) -> Region {
    let descriptor = region.descriptor().expect("a memfd").try_clone_to_owned();
    Region::from_descriptor(descriptor.expect("a descriptor")).expect("the same region")
}

fn attach<'a>(region: &'a Region, name: &str) -> &'a RobustMutex<u64> {
    region.attach(name).expect("the lock")
}

fn start(region: &Region, role: &str) -> Actor {
    Actor::start(region, &[format!("leaks {role}")])
}

fn expect(actor: &mut Actor, word: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(word));
}

fn assert_owner_died(lock: &RobustMutex<u64>) {
    match lock.lock_timeout(TIMEOUT) {
        Err(RobustLockError::OwnerDied(found)) => drop(found.mark_consistent()),
        other => panic!("expected owner death, found {other:?}"),
    }
}

fn assert_locked(lock: &RobustMutex<u64>) {
    let locked = lock.try_lock();
    assert!(
        matches!(locked, Err(RobustLockError::TimedOut)),
        "{locked:?}"
    );
}

/// Locks and leaks the guard in a thread that ends.
fn leak_in_a_thread(lock: &RobustMutex<u64>) {
    std::thread::scope(|scope| {
        let leaking = scope.spawn(|| forget(lock.lock().expect("the lock is free")));
        leaking.join().expect("no panic");
    });
}

/// Locks and leaks the guards in threads that end one after another.
fn leak_in_threads(locks: &[RobustMutex<u64>]) {
    std::thread::scope(|scope| {
        for locks in locks.chunks(25) {
            let leak = || locks.iter().for_each(|lock| forget(lock.lock()));
            scope.spawn(leak).join().expect("no panic");
        }
    });
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    match role {
        "end thread" => {
            leak_in_a_thread(attach(region, "lock"));
            leak_in_a_thread(attach(region, "other"));
            report("leaked");
        }
        "thread-local" => {
            let region: &'static Region = Box::leak(Box::new(map_again(region)));
            let lock = attach(region, "lock");
            // The thread-local exists before the thread's first lock, so its destructor runs after
            // all destructors of thread-locals that a lock registers.
            let keep = || {
                KEPT.set(None);
                KEPT.set(lock.lock().ok());
            };
            std::thread::spawn(keep).join().expect("no panic");
            report("ended");
        }
        "drop" => {
            let again = map_again(region);
            forget(attach(&again, "lock").lock().expect("the lock is free"));
            let buffer: &Monitor = again.attach("buffer").expect("the buffer");
            forget(buffer.sender().expect("a free slot"));
            drop(again);
            report("dropped");
        }
        "drop after thread" => {
            let again = map_again(region);
            leak_in_a_thread(attach(&again, "lock"));
            leak_in_a_thread(attach(region, "other"));
            drop(again);
            report("dropped");
        }
        "drop beside thread" => return drop_beside_thread(region),
        "many" => {
            let locks: &[RobustMutex<u64>] = region.attach("locks").expect("the locks");
            leak_in_threads(locks);
            report("leaked");
        }
        "hand over" => {
            let locks: &[RobustMutex<u64>] = region.attach("locks").expect("the locks");
            report("starting");
            leak_in_threads(locks);
        }
        "fork" => leak_in_a_fork(attach(region, "lock"), attach(region, "other")),
        other => panic!("unknown role {other:?}"),
    }
    await_command();
}

/// Drops a region while the thread that leaked a lock in it lives.
fn drop_beside_thread(region: &Region) {
    let again = Arc::new(map_again(region));
    let (report_locked, is_locked) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let leaking = std::thread::spawn({
        let again = again.clone();
        move || {
            forget(attach(&again, "lock").lock().expect("the lock is free"));
            // This lock lies above the leaked one in the list of the thread.
            let guard = attach(&again, "other").lock().expect("the lock is free");
            drop(guard);
            drop(again);
            report_locked.send(()).expect("the actor receives");
            // The sender is dropped when the thread may end.
            let _ = may_end.recv();
        }
    });
    is_locked.recv().expect("the thread locks");
    drop(Arc::into_inner(again).expect("the thread has dropped its reference"));
    report("dropped");
    await_command();
    drop(end);
    leaking.join().expect("no panic");
    report("ended");
    await_command();
}

/// Leaks a lock in a thread, and another one in a thread of a forked child.
fn leak_in_a_fork(lock: &RobustMutex<u64>, other: &RobustMutex<u64>) {
    leak_in_a_thread(lock);
    // SAFETY: the only other thread is the keeper, which holds no lock of libc.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            leak_in_a_thread(other);
            let is_locked = matches!(other.try_lock(), Err(RobustLockError::TimedOut));
            std::process::exit(i32::from(!is_locked));
        }
        ForkResult::Parent { child } => {
            assert_child_succeeds(child, "the lock stays locked");
            report("child ended");
        }
    }
}

fn lock_of_ended_thread_stays_locked_until_the_process_dies() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let other: &RobustMutex<u64> = region.create("other", ()).expect("a lock");
    let mut actor = start(&region, "end thread");
    expect(&mut actor, "leaked");
    assert_locked(lock);
    assert_locked(other);
    actor.signal(SIGKILL);
    assert_owner_died(lock);
    assert_owner_died(other);
}

fn guard_in_a_thread_local_unlocks_at_thread_end() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let mut actor = start(&region, "thread-local");
    expect(&mut actor, "ended");
    let locked = lock.try_lock();
    assert!(locked.is_ok(), "{locked:?}");
}

fn dropped_region_releases_leaked_lock_and_handle() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let buffer: &Monitor = region.create("buffer", 4).expect("a buffer");
    let receiver = buffer.receiver().expect("a free slot");
    let mut actor = start(&region, "drop");
    expect(&mut actor, "dropped");
    assert_owner_died(lock);
    let received = receiver.recv_timeout(TIMEOUT);
    assert_eq!(received, Err(RecvTimeoutError::Disconnected));
}

fn dropped_region_releases_lock_of_ended_thread() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let other: &RobustMutex<u64> = region.create("other", ()).expect("a lock");
    let mut actor = start(&region, "drop after thread");
    expect(&mut actor, "dropped");
    assert_owner_died(lock);
    assert_locked(other);
    actor.signal(SIGKILL);
    assert_owner_died(other);
}

fn region_with_lock_of_living_thread_stays_mapped() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let other: &RobustMutex<u64> = region.create("other", ()).expect("a lock");
    let mut actor = start(&region, "drop beside thread");
    expect(&mut actor, "dropped");
    assert_locked(lock);
    actor.tell("end the thread");
    expect(&mut actor, "ended");
    assert_owner_died(lock);
    assert!(other.try_lock().is_ok());
    actor.signal(SIGKILL);
}

/// The actor leaks locks in threads that end, and is killed at another time in each round. Each
/// lock was then free or held, and must be available.
fn kill_during_hand_over_leaves_no_lock_locked() {
    let mut died = 0;
    for round in 0..60_u32 {
        let region = region();
        let locks: &[RobustMutex<u64>] = region.create("locks", LOCKS).expect("the locks");
        let mut actor = start(&region, "hand over");
        expect(&mut actor, "starting");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(u64::from(round) * 60) {
            std::hint::spin_loop();
        }
        actor.signal(SIGKILL);
        drop(actor);
        for (index, lock) in locks.iter().enumerate() {
            match lock.lock_timeout(TIMEOUT) {
                Ok(_) => {}
                Err(RobustLockError::OwnerDied(found)) => {
                    drop(found.mark_consistent());
                    died += 1;
                }
                Err(error) => panic!("round {round}, lock {index}: {error}"),
            }
        }
    }
    assert!(died > LOCKS, "the actor was killed before it locked");
}

/// The kernel visits at most 2048 entries of a list. The documentation states the limit.
fn keeper_holds_the_first_2000_locks() {
    let region = Region::memfd("leaks", 1 << 18).expect("a region");
    let locks: &[RobustMutex<u64>] = region.create("locks", 2050).expect("the locks");
    let mut actor = start(&region, "many");
    expect(&mut actor, "leaked");
    locks.iter().for_each(assert_locked);
    actor.signal(SIGKILL);
    let (kept, lost) = locks.split_at(2000);
    kept.iter().for_each(assert_owner_died);
    lost.iter().for_each(assert_locked);
}

fn forked_child_has_a_keeper_of_its_own() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let other: &RobustMutex<u64> = region.create("other", ()).expect("a lock");
    let mut actor = start(&region, "fork");
    expect(&mut actor, "child ended");
    assert_owner_died(other);
    assert_locked(lock);
    actor.signal(SIGKILL);
    assert_owner_died(lock);
}

fn relocking_through_another_mapping_is_an_error() {
    let region = region();
    let lock: &RobustMutex<u64> = region.create("lock", ()).expect("a lock");
    let again = map_again(&region);
    let (first, second) = (lock.lock(), attach(&again, "lock").lock_timeout(TIMEOUT));
    assert!(
        matches!(second, Err(RobustLockError::AlreadyHeld)),
        "{second:?}"
    );
    drop(first);
    assert!(attach(&again, "lock").lock().is_ok());
}
