//! The number of wake calls and of heavy barriers in each execution.
//!
//! A primitive that makes unnecessary calls is correct but slow. These models count the calls in
//! the record of each execution, so the models are compiled only with `--cfg loom`.

use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::model::event::Action;
use interlatch::platform::model::world;
use interlatch::platform::{AtomicU32, futex};
use interlatch::sync::{Acquired, RawCondvar, RawLock, RawMutex, RawRobustMutex, Timeout};
use interlatch::{Condvar, Semaphore, ShmSafe};
use interlatch_check::{FailureKind, Model, Scenario};
use interlatch_contract::ring::{Receives, Ring, RingWithoutMembarrier, Sends, SmallRing};
use std::time::Duration;

pub fn models() -> Vec<Model> {
    vec![
        Model::new("calls", free_lock_makes_no_wake_call::<RawMutex>),
        Model::broken(
            "lock_that_always_wakes",
            FailureKind::WrongResult,
            free_lock_makes_no_wake_call::<AlwaysWakes>,
        ),
        Model::new("calls", free_robust_lock_makes_no_wake_call),
        Model::new("calls", notification_without_waiter_makes_no_wake_call),
        Model::new("calls", timed_out_waiter_costs_one_notify_one_call),
        Model::new("calls", timed_out_waiter_costs_one_notify_all_call),
        Model::new("calls", sleeping_waiter_costs_one_notify_one_call),
        Model::new("calls", sleeping_waiter_costs_one_notify_all_call),
        Model::new("calls", release_without_waiter_makes_no_wake_call),
        Model::new("calls", timed_out_acquirer_costs_one_wake_call),
        Model::new("calls", acquirer_of_the_last_permit_makes_no_wake_call),
        Model::new(
            "calls",
            items_without_waiting_cost_no_heavy_barrier::<SmallRing<2>>,
        ),
        Model::new("calls", ring_without_membarrier_makes_no_call),
    ]
}

fn wake_calls() -> usize {
    let events = world::events().into_iter();
    let wakes = events.filter(|event| matches!(event.action, Action::Wake { .. }));
    wakes.count()
}

fn free_lock_makes_no_wake_call<L: RawLock + ShmSafe + 'static>() -> Scenario<L> {
    let twice = |lock: &L| {
        drop(lock.lock());
        drop(lock.lock());
    };
    Scenario::new("free_lock_makes_no_wake_call", vec![twice])
        .verify(|_| assert_eq!(wake_calls(), 0))
}

fn free_robust_lock_makes_no_wake_call() -> Scenario<RawRobustMutex> {
    let twice = |lock: &RawRobustMutex| {
        for _ in 0..2 {
            assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Acquired::Clean));
            // SAFETY: this process locked `lock` above.
            unsafe { lock.unlock() };
        }
    };
    Scenario::new("free_robust_lock_makes_no_wake_call", vec![twice])
        .verify(|_| assert_eq!(wake_calls(), 0))
}

/// A lock that does not record whether processes wait, so each unlock makes a wake call.
#[repr(C)]
#[derive(ShmSafe)]
struct AlwaysWakes(AtomicU32);

// SAFETY: only one process at a time changes the word from 0 to 1, so only one process at a time
// holds the lock.
unsafe impl RawLock for AlwaysWakes {
    fn raw_lock_with(&self, _: Timeout) -> bool {
        while self.0.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            futex::wait(&self.0, 1, None);
        }
        true
    }

    unsafe fn unlock(&self) {
        self.0.swap(0, Release);
        futex::wake(&self.0, 1);
    }
}

/// A condition variable and its lock.
#[repr(C)]
#[derive(Default, ShmSafe)]
struct Shared {
    changed: Condvar,
    lock: RawMutex,
}

fn notification_without_waiter_makes_no_wake_call() -> Scenario<Shared> {
    let notify = |shared: &Shared| {
        shared.changed.notify_one();
        shared.changed.notify_all();
    };
    Scenario::new(
        "notification_without_waiter_makes_no_wake_call",
        vec![notify],
    )
    .verify(|_| assert_eq!(wake_calls(), 0))
}

fn wait_until_timeout(shared: &Shared) {
    let mut guard = shared.lock.lock();
    let timeout = Timeout::after(Duration::from_micros(50));
    assert!(!shared.changed.wait_with(&mut guard, timeout));
}

/// The first notification finds no waiter and resets the count, so later notifications make no wake
/// call.
fn timed_out_waiter_costs_one_notify_one_call() -> Scenario<Shared> {
    let notify = |shared: &Shared| {
        wait_until_timeout(shared);
        (0..3).for_each(|_| shared.changed.notify_one());
    };
    Scenario::new("timed_out_waiter_costs_one_notify_one_call", vec![notify])
        .verify(|_| assert_eq!(wake_calls(), 1))
}

fn timed_out_waiter_costs_one_notify_all_call() -> Scenario<Shared> {
    let notify = |shared: &Shared| {
        wait_until_timeout(shared);
        (0..3).for_each(|_| shared.changed.notify_all());
    };
    Scenario::new("timed_out_waiter_costs_one_notify_all_call", vec![notify])
        .verify(|_| assert_eq!(wake_calls(), 1))
}

fn wait_briefly(shared: &Shared) {
    let mut guard = shared.lock.lock();
    let timeout = Timeout::after(Duration::from_micros(50));
    shared.changed.wait_with(&mut guard, timeout);
}

/// Checks that at most one wake call is made, that it wakes at most one waiter, and that no call is
/// made while the waiter spins.
fn one_wake_call_for_one_sleeper(_: &Shared) {
    let events = world::events();
    let woken = events.iter().filter_map(|event| match event.action {
        Action::Wake { woken, .. } => Some(woken),
        _ => None,
    });
    let woken: Vec<u32> = woken.collect();
    assert!(matches!(woken[..], [] | [1] | [0]), "{woken:?}");
    let is_sleep =
        |action: &Action| matches!(action, Action::Wait { .. } | Action::WaitChanged { .. });
    let has_slept = events.iter().any(|event| is_sleep(&event.action));
    assert!(has_slept || woken.is_empty(), "a wake call for a spinner");
}

fn sleeping_waiter_costs_one_notify_one_call() -> Scenario<Shared> {
    let notify = |shared: &Shared| shared.changed.notify_one();
    let name = "sleeping_waiter_costs_one_notify_one_call";
    Scenario::new(name, vec![wait_briefly, notify]).verify(one_wake_call_for_one_sleeper)
}

fn sleeping_waiter_costs_one_notify_all_call() -> Scenario<Shared> {
    let notify = |shared: &Shared| shared.changed.notify_all();
    let name = "sleeping_waiter_costs_one_notify_all_call";
    Scenario::new(name, vec![wait_briefly, notify]).verify(one_wake_call_for_one_sleeper)
}

fn release_without_waiter_makes_no_wake_call() -> Scenario<Semaphore> {
    let release_and_acquire = |semaphore: &Semaphore| {
        semaphore.release(2).expect("far below the maximum");
        drop(semaphore.acquire());
    };
    Scenario::new(
        "release_without_waiter_makes_no_wake_call",
        vec![release_and_acquire],
    )
    .verify(|_| assert_eq!(wake_calls(), 0))
}

/// The first release finds no waiter and resets the bit, so later releases make no wake call.
fn timed_out_acquirer_costs_one_wake_call() -> Scenario<Semaphore> {
    let acquire_and_release = |semaphore: &Semaphore| {
        let permit = semaphore.acquire_timeout(Duration::from_micros(50));
        assert!(permit.is_none(), "no permit is available");
        (0..3).for_each(|_| semaphore.release(1).expect("far below the maximum"));
    };
    Scenario::new(
        "timed_out_acquirer_costs_one_wake_call",
        vec![acquire_and_release],
    )
    .verify(|_| assert_eq!(wake_calls(), 1))
}

/// The acquirer takes the last permit, so it has no reason to wake another waiter.
fn acquirer_of_the_last_permit_makes_no_wake_call() -> Scenario<Semaphore> {
    let acquire = |semaphore: &Semaphore| semaphore.acquire().forget();
    let release = |semaphore: &Semaphore| semaphore.release(1).expect("far below the maximum");
    Scenario::new(
        "acquirer_of_the_last_permit_makes_no_wake_call",
        vec![acquire, release],
    )
    .verify(|_| assert!(wake_calls() <= 1, "{} wake calls", wake_calls()))
}

/// A sender that finds a free slot and a receiver that finds an item execute no heavy barrier,
/// which is a system call.
pub fn items_without_waiting_cost_no_heavy_barrier<R: Ring>() -> Scenario<R> {
    let alone = |ring: &R| {
        let mut sender = ring.sender().expect("no other handle is attached");
        let mut receiver = ring.receiver().expect("no other handle is attached");
        for item in [1, 2, 3] {
            assert_eq!(sender.send(&[item], Timeout::Infinite), Ok(1));
            let mut received = [0];
            assert_eq!(receiver.recv(&mut received, Timeout::Infinite), Ok(1));
            assert_eq!(received, [item]);
        }
    };
    let scenario = Scenario::new(
        "items_without_waiting_cost_no_heavy_barrier",
        vec![alone as fn(&R)],
    );
    scenario.verify(|_| assert_eq!(world::heavy_barriers(), 0))
}

/// Without `membarrier(2)`, a side that sleeps executes no heavy barrier. A side whose peer does
/// not sleep makes no wake call, even if the peer has slept before.
fn ring_without_membarrier_makes_no_call() -> Scenario<RingWithoutMembarrier<1>> {
    let alone = |ring: &RingWithoutMembarrier<1>| {
        let timeout = || Timeout::after(Duration::from_micros(50));
        let mut sender = ring.sender().expect("no other handle is attached");
        let mut receiver = ring.receiver().expect("no other handle is attached");
        for item in [1, 2] {
            assert!(receiver.recv(&mut [0], timeout()).is_err());
            assert_eq!(sender.send(&[item], timeout()), Ok(1));
            assert!(sender.send(&[item], timeout()).is_err());
            assert_eq!(receiver.recv(&mut [0], timeout()), Ok(1));
        }
    };
    Scenario::new(
        "ring_without_membarrier_makes_no_call",
        vec![alone as fn(&RingWithoutMembarrier<1>)],
    )
    .verify(|_| assert_eq!((world::heavy_barriers(), wake_calls()), (0, 0)))
}
