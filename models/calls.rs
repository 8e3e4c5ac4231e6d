//! What costs no system call: the calls of each execution, counted.
//!
//! A primitive that wakes for nothing is correct, and slow. Without loom nobody counts.

use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::model::event::Action;
use interlatch::platform::model::world;
use interlatch::platform::{AtomicU32, futex};
use interlatch::sync::RawMutex;
use interlatch::sync::{RawCondvar, RawLock, Timeout};
use interlatch::{Condvar, Semaphore, ShmSafe};
use interlatch_check::Scenario;
use interlatch_check::{FailureKind, Model};
use std::time::Duration;

pub fn models() -> Vec<Model> {
    vec![
        Model::new("calls", a_lock_that_is_free_makes_none::<RawMutex>),
        Model::broken(
            "lock_that_wakes_for_nothing",
            FailureKind::WrongResult,
            a_lock_that_is_free_makes_none::<Loud>,
        ),
        Model::new("calls", a_notification_without_a_waiter_makes_none),
        Model::new("calls", a_waiter_that_gave_up_costs_one_notification),
        Model::new("calls", a_waiter_that_gave_up_costs_one_notification_of_all),
        Model::new("calls", a_waiter_that_is_found_costs_one_call),
        Model::new("calls", a_release_without_a_waiter_makes_none),
        Model::new("calls", an_acquirer_that_leaves_nothing_wakes_nobody),
    ]
}

fn wakes() -> usize {
    let events = world::events().into_iter();
    let wakes = events.filter(|event| matches!(event.action, Action::Wake { .. }));
    wakes.count()
}

fn a_lock_that_is_free_makes_none<L: RawLock + ShmSafe + 'static>() -> Scenario<L> {
    let twice = |lock: &L| {
        drop(lock.lock());
        drop(lock.lock());
    };
    Scenario::new("a_lock_that_is_free_makes_none", vec![twice]).verify(|_| assert_eq!(wakes(), 0))
}

/// A lock without a state for waiters.
#[repr(C)]
#[derive(ShmSafe)]
struct Loud(AtomicU32);

// SAFETY: the word goes from 0 to 1 in one step of one process.
unsafe impl RawLock for Loud {
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
struct Waited {
    changed: Condvar,
    lock: RawMutex,
}

fn a_notification_without_a_waiter_makes_none() -> Scenario<Waited> {
    let notify = |shared: &Waited| {
        shared.changed.notify_one();
        shared.changed.notify_all();
    };
    Scenario::new("a_notification_without_a_waiter_makes_none", vec![notify])
        .verify(|_| assert_eq!(wakes(), 0))
}

fn mark_unrecoverable(shared: &Waited) {
    let mut held = shared.lock.lock();
    let timeout = Timeout::after(Duration::from_micros(50));
    assert!(!shared.changed.wait_with(&mut held, timeout));
}

/// The first notification finds nobody; the next ones know.
fn a_waiter_that_gave_up_costs_one_notification() -> Scenario<Waited> {
    let notify = |shared: &Waited| {
        mark_unrecoverable(shared);
        (0..3).for_each(|_| shared.changed.notify_one());
    };
    Scenario::new("a_waiter_that_gave_up_costs_one_notification", vec![notify])
        .verify(|_| assert_eq!(wakes(), 1))
}

fn a_waiter_that_gave_up_costs_one_notification_of_all() -> Scenario<Waited> {
    let notify = |shared: &Waited| {
        mark_unrecoverable(shared);
        (0..3).for_each(|_| shared.changed.notify_all());
    };
    Scenario::new(
        "a_waiter_that_gave_up_costs_one_notification_of_all",
        vec![notify],
    )
    .verify(|_| assert_eq!(wakes(), 1))
}

/// A waiter that is found is woken, and nobody else has to be told.
fn a_waiter_that_is_found_costs_one_call() -> Scenario<Waited> {
    let wait = |shared: &Waited| {
        let mut held = shared.lock.lock();
        shared
            .changed
            .wait_with(&mut held, Timeout::after(Duration::from_micros(50)));
    };
    let notify = |shared: &Waited| shared.changed.notify_one();
    Scenario::new("a_waiter_that_is_found_costs_one_call", vec![wait, notify]).verify(|_| {
        let woken = world::events()
            .into_iter()
            .filter_map(|event| match event.action {
                Action::Wake { woken, .. } => Some(woken),
                _ => None,
            });
        let woken: Vec<u32> = woken.collect();
        assert!(matches!(woken[..], [] | [1] | [0]), "{woken:?}");
    })
}

fn a_release_without_a_waiter_makes_none() -> Scenario<Semaphore> {
    let pass = |semaphore: &Semaphore| {
        semaphore.release(2).expect("far from the maximum");
        drop(semaphore.acquire());
    };
    Scenario::new("a_release_without_a_waiter_makes_none", vec![pass])
        .verify(|_| assert_eq!(wakes(), 0))
}

/// It was woken, and nothing is left for another one.
fn an_acquirer_that_leaves_nothing_wakes_nobody() -> Scenario<Semaphore> {
    let acquire = |semaphore: &Semaphore| semaphore.acquire().forget();
    let release = |semaphore: &Semaphore| semaphore.release(1).expect("far from the maximum");
    Scenario::new(
        "an_acquirer_that_leaves_nothing_wakes_nobody",
        vec![acquire, release],
    )
    .verify(|_| assert!(wakes() <= 1, "{} calls", wakes()))
}
