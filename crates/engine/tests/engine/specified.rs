//! Locks, semaphores and condition variables that do what their contract says, in few steps.

use interlatch_engine::{
    AtomicU32, Ended, FailureKind, Limits, RaceCell, Setup, Verdict, WaitQueue, Wake, explore,
    replay, sample_with,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, RangeInclusive};
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A semaphore and the data of the processes that hold its permits.
struct Shared {
    permits: AtomicU32,
    queue: WaitQueue,
    data: RaceCell<u32>,
}

impl Shared {
    fn new(permits: u32) -> Rc<Self> {
        Rc::new(Self {
            permits: AtomicU32::new(permits),
            queue: WaitQueue::new(),
            data: RaceCell::new(0),
        })
    }

    fn acquire(&self) {
        self.permits
            .update_when(Acquire, |permits| permits.checked_sub(1));
    }

    fn release(&self) {
        self.permits.fetch_add(1, Release);
    }
}

/// Explores processes that each acquire and release one permit. Returns the number of executions.
fn executions(processes: u32, permits: u32) -> u64 {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let shared = Shared::new(permits);
        for _ in 0..processes {
            let shared = shared.clone();
            model.process(move || {
                shared.acquire();
                if permits == 1 {
                    shared.data.with_mut(|data| *data += 1);
                }
                shared.release();
            });
        }
        model.verify(move || assert_eq!(shared.permits.load(Relaxed), permits));
    });
    report.assert_exhaustive().executions
}

#[test]
fn lock_has_one_execution_for_each_order_of_its_holders() {
    let counts = [2, 3, 4].map(|processes| executions(processes, 1));
    assert_eq!(counts, [2, 6, 24]);
}

/// Of the 90 orders of three acquisitions and their releases, 36 have three holders at once.
#[test]
fn semaphore_has_one_execution_for_each_order_of_its_steps() {
    assert_eq!(executions(2, 2), 6);
    assert_eq!(executions(3, 3), 90);
    assert_eq!(executions(3, 2), 54);
}

/// Adds three processes that append their numbers under a lock, and calls `verify` with the digits.
fn holders(model: &mut Setup, verify: impl FnOnce(u32) + 'static) {
    let shared = Shared::new(1);
    for process in 1..=3 {
        let shared = shared.clone();
        model.process(move || {
            shared.acquire();
            shared.data.with_mut(|data| *data = *data * 10 + process);
            shared.release();
        });
    }
    model.verify(move || verify(shared.data.with(|data| *data)));
}

/// In a random execution, a process that must wait for the lock runs again after the unlock. Its
/// failed attempts are no part of the execution that a failure replays.
#[test]
fn random_executions_reach_each_order_of_the_holders() {
    let orders = Rc::new(RefCell::new(BTreeSet::new()));
    let failing = |model: &mut Setup| {
        let orders = orders.clone();
        holders(model, move |order| {
            orders.borrow_mut().insert(order);
            panic!("order {order}");
        });
    };
    let mut limits = Limits::default();
    limits.samples = 200;
    let mut failures = Vec::new();
    sample_with(limits, failing, |ended| {
        let Ended::Failed(failure) = ended else {
            panic!("the verification has not run");
        };
        failures.push(failure.clone());
        ControlFlow::Continue(())
    });
    for first in failures {
        let again = replay(&first.replay, failing).expect("the text is valid");
        assert_eq!(failure(again.verdict).to_string(), first.kind.to_string());
    }
    assert_eq!(*orders.borrow(), [123, 132, 213, 231, 312, 321].into());
}

#[test]
fn process_acquires_a_permit_that_is_released_later() {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let shared = Shared::new(0);
        let releaser = shared.clone();
        model.process(move || shared.acquire());
        model.process(move || releaser.release());
    });
    assert_eq!(report.assert_exhaustive().executions, 1);
}

#[test]
fn relaxed_lock_lets_accesses_race() {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let shared = Shared::new(1);
        for _ in 0..2 {
            let shared = shared.clone();
            model.process(move || {
                shared.acquire();
                shared.data.with_mut(|data| *data += 1);
                shared.permits.fetch_add(1, Relaxed);
            });
        }
    });
    assert!(matches!(
        failure(report.verdict),
        FailureKind::DataRace { .. }
    ));
}

#[test]
fn update_that_never_happens_is_a_deadlock() {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let shared = Shared::new(1);
        model.process(move || {
            shared.acquire();
            shared.acquire();
        });
    });
    let FailureKind::Deadlock { waiting } = failure(report.verdict) else {
        panic!("the second acquisition succeeded");
    };
    assert!(waiting.contains("waits at"), "{waiting}");
}

/// A process may observe the second store only, so it may wait for ever.
#[test]
fn update_may_miss_a_value_that_is_stored_for_a_moment() {
    let model = |model: &mut Setup| {
        let word = Rc::new(AtomicU32::new(0));
        let writer = word.clone();
        model.process(move || {
            writer.store(1, Relaxed);
            writer.store(0, Relaxed);
        });
        model.process(move || {
            word.update_when(Relaxed, |value| (value == 1).then_some(2));
        });
    };
    let mut ends = Vec::new();
    interlatch_engine::explore_with(Limits::default(), model, |ended| {
        ends.push(matches!(ended, Ended::Complete(_)));
        ControlFlow::Continue(())
    });
    ends.sort();
    assert_eq!(ends, [false, true]);
}

/// Explores a waiter for the data, and a process that sets the data and notifies.
fn condition_variable(unlocks_after_join: bool, notifies: bool) -> Verdict {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let shared = Shared::new(1);
        let waiter = shared.clone();
        model.process(move || {
            waiter.acquire();
            while waiter.data.with(|data| *data == 0) {
                if unlocks_after_join {
                    waiter.queue.join();
                    waiter.release();
                } else {
                    waiter.release();
                    waiter.queue.join();
                }
                assert_eq!(waiter.queue.sleep(), Wake::Woken);
                waiter.acquire();
            }
            waiter.release();
        });
        model.process(move || {
            shared.acquire();
            shared.data.with_mut(|data| *data = 1);
            shared.release();
            if notifies {
                shared.queue.wake(1..=1);
            }
        });
    });
    report.verdict
}

#[test]
fn waiter_that_joins_before_it_unlocks_is_woken() {
    let verdict = condition_variable(true, true);
    assert!(matches!(verdict, Verdict::Exhaustive), "{verdict:?}");
}

#[test]
fn lost_notifications_are_deadlocks() {
    for (unlocks_after_join, notifies) in [(true, false), (false, true)] {
        let verdict = condition_variable(unlocks_after_join, notifies);
        let kind = failure(verdict);
        assert!(matches!(kind, FailureKind::Deadlock { .. }), "{kind:?}");
    }
}

/// Explores two sleepers that may give up, and a wake. Returns how many the wake may end.
fn ended_sleeps(count: RangeInclusive<u32>) -> BTreeSet<u32> {
    let counts = Rc::new(RefCell::new(BTreeSet::new()));
    let report = explore(Limits::default(), |model: &mut Setup| {
        let shared = Rc::new((WaitQueue::new(), AtomicU32::new(0), AtomicU32::new(0)));
        for _ in 0..2 {
            let shared = shared.clone();
            model.process(move || {
                shared.0.join();
                shared.1.fetch_add(1, Release);
                if shared.0.sleep_or_give_up() == Wake::Woken {
                    shared.2.fetch_add(1, Relaxed);
                }
            });
        }
        let (waker, count) = (shared.clone(), count.clone());
        model.process(move || {
            waker.1.load_until(Acquire, |joined| joined == 2);
            waker.0.wake(count);
        });
        let counts = counts.clone();
        model.verify(move || {
            counts.borrow_mut().insert(shared.2.load(Relaxed));
        });
    });
    report.assert_exhaustive();
    counts.take()
}

#[test]
fn wake_ends_as_many_sleeps_as_its_range_says() {
    assert_eq!(ended_sleeps(1..=1), BTreeSet::from([0, 1]));
    assert_eq!(ended_sleeps(1..=9), BTreeSet::from([0, 1, 2]));
    assert_eq!(ended_sleeps(0..=0), BTreeSet::from([0]));
}

/// A process whose first sleep a wake has ended may sleep again before the waker goes on.
#[test]
fn second_wake_ends_a_second_sleep() {
    let results = Rc::new(RefCell::new(BTreeSet::new()));
    explore(Limits::default(), |model: &mut Setup| {
        let shared = Rc::new((WaitQueue::new(), AtomicU32::new(0)));
        let (waker, results) = (shared.clone(), results.clone());
        model.process(move || {
            shared.0.join();
            shared.1.store(1, Release);
            assert_eq!(shared.0.sleep(), Wake::Woken);
            shared.0.join();
            let result = shared.0.sleep_or_give_up();
            results.borrow_mut().insert(result == Wake::Woken);
        });
        model.process(move || {
            waker.1.load_until(Acquire, |joined| joined == 1);
            let woken = waker.0.wake(1..=1);
            assert_eq!(woken.count(), 1);
            waker.0.wake_again(&woken);
        });
    })
    .assert_exhaustive();
    assert_eq!(*results.borrow(), BTreeSet::from([false, true]));
}

fn failure(verdict: Verdict) -> FailureKind {
    match verdict {
        Verdict::Failed(failure) => failure.kind,
        other => panic!("no failure: {other:?}"),
    }
}
