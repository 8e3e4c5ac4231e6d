//! What a condition variable promises.

use super::{RaceCell, Scenario, Stage, spent};
use interlatch::platform::ShmSafe;
use interlatch::sync::{RawCondvar, RawLock, Timeout};
use std::time::Duration;

/// A condition variable, its lock, and a number to wait for.
#[repr(C)]
#[derive(Debug)]
pub struct Awaited<C, L> {
    changed: C,
    lock: L,
    tokens: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<C: ShmSafe, L: ShmSafe> ShmSafe for Awaited<C, L> {
    fn initial() -> Self {
        Self {
            changed: C::initial(),
            lock: L::initial(),
            tokens: RaceCell::new(0),
        }
    }
}

/// Every scenario of a condition variable.
pub fn all<C, L>(stage: &mut impl Stage)
where
    C: RawCondvar + ShmSafe + 'static,
    L: RawLock + ShmSafe + 'static,
{
    stage.run(does_not_lose_wakeup::<C, L>());
    stage.run(does_not_lose_wakeup_sent_under_the_lock::<C, L>());
    stage.run(two_notifications_wake_two_waiters::<C, L>());
    stage.run(three_notifications_wake_three_waiters::<C, L>());
    stage.run(notify_all_wakes_every_waiter::<C, L>());
    stage.run(notify_all_wakes_waiters_of_different_conditions::<C, L>());
    stage.run(two_waiters_alternate::<C, L>());
    stage.run(timed_out_waiter_takes_no_notification::<C, L>());
    stage.run(handles_extreme_timeouts::<C, L>());
}

fn take<C: RawCondvar, L: RawLock>(shared: &Awaited<C, L>) {
    let mut held = shared.lock.lock();
    while shared.tokens.get() == 0 {
        shared.changed.wait_with(&mut held, Timeout::Infinite);
    }
    shared.tokens.set(shared.tokens.get() - 1);
}

fn see<C: RawCondvar, L: RawLock>(shared: &Awaited<C, L>) {
    let mut held = shared.lock.lock();
    while shared.tokens.get() == 0 {
        shared.changed.wait_with(&mut held, Timeout::Infinite);
    }
}

fn put<C: RawCondvar, L: RawLock>(shared: &Awaited<C, L>) {
    let held = shared.lock.lock();
    shared.tokens.increment();
    drop(held);
    shared.changed.notify_one();
}

/// Whoever waits for a change under the lock hears of it, wherever the notifier comes in.
pub fn does_not_lose_wakeup<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    Scenario::new("does_not_lose_wakeup", vec![take, put])
        .verify(|shared| assert_eq!(shared.tokens.get(), 0))
}

/// The same if the notifier still holds the lock.
pub fn does_not_lose_wakeup_sent_under_the_lock<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    let put = |shared: &Awaited<C, L>| {
        let _held = shared.lock.lock();
        shared.tokens.increment();
        shared.changed.notify_one();
    };
    Scenario::new("does_not_lose_wakeup_sent_under_the_lock", vec![take, put])
}

/// Two waiters, two notifications: both go on.
pub fn two_notifications_wake_two_waiters<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    let put_twice = |shared: &Awaited<C, L>| {
        put(shared);
        put(shared);
    };
    Scenario::new("two_notifications_wake_two_waiters", vec![take, take, put_twice])
        .verify(|shared| assert_eq!(shared.tokens.get(), 0))
        .choices(8)
}

/// Three waiters, three notifications: all go on, also those that came late and found traces of
/// the others.
pub fn three_notifications_wake_three_waiters<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    let put_thrice = |shared: &Awaited<C, L>| {
        put(shared);
        put(shared);
        put(shared);
    };
    Scenario::new(
        "three_notifications_wake_three_waiters",
        vec![take, take, take, put_thrice],
    )
    .verify(|shared| assert_eq!(shared.tokens.get(), 0))
    .choices(16)
}

/// Two waiters, one notification of all: both go on.
pub fn notify_all_wakes_every_waiter<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    let announce = |shared: &Awaited<C, L>| {
        let held = shared.lock.lock();
        shared.tokens.increment();
        drop(held);
        shared.changed.notify_all();
    };
    Scenario::new("notify_all_wakes_every_waiter", vec![see, see, announce]).choices(8)
}

/// Two waiters for different values, and a notification of all that is for one of them.
pub fn notify_all_wakes_waiters_of_different_conditions<C: RawCondvar, L: RawLock>()
-> Scenario<Awaited<C, L>> {
    fn raise_from<C: RawCondvar, L: RawLock, const FROM: u64>(shared: &Awaited<C, L>) {
        let mut held = shared.lock.lock();
        while shared.tokens.get() < FROM {
            shared.changed.wait_with(&mut held, Timeout::Infinite);
        }
        shared.tokens.increment();
        drop(held);
        shared.changed.notify_all();
    }
    let participants: Vec<fn(&Awaited<C, L>)> = vec![
        raise_from::<C, L, 1>,
        raise_from::<C, L, 2>,
        raise_from::<C, L, 0>,
    ];
    Scenario::new("notify_all_wakes_waiters_of_different_conditions", participants)
        .verify(|shared| assert_eq!(shared.tokens.get(), 3))
        .choices(8)
}

/// Two that wait for each other in turn.
pub fn two_waiters_alternate<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    fn turn<C: RawCondvar, L: RawLock>(shared: &Awaited<C, L>, mine: u64) {
        let mut held = shared.lock.lock();
        while shared.tokens.get() != mine {
            shared.changed.wait_with(&mut held, Timeout::Infinite);
        }
        shared.tokens.increment();
        drop(held);
        shared.changed.notify_one();
    }
    let first = |shared: &Awaited<C, L>| {
        turn(shared, 0);
        turn(shared, 2);
    };
    let second = |shared: &Awaited<C, L>| turn(shared, 1);
    Scenario::new("two_waiters_alternate", vec![first, second])
        .verify(|shared| assert_eq!(shared.tokens.get(), 3))
}

/// A waiter that gives up has not used up the notification that another one needs.
pub fn timed_out_waiter_takes_no_notification<C: RawCondvar, L: RawLock>()
-> Scenario<Awaited<C, L>> {
    let impatient = |shared: &Awaited<C, L>| {
        let mut held = shared.lock.lock();
        if shared.tokens.get() != 0 {
            return;
        }
        let timeout = Timeout::after(Duration::from_micros(50));
        let notified = shared.changed.wait_with(&mut held, timeout);
        drop(held);
        if notified {
            // The notification was for either of the two: pass it on.
            shared.changed.notify_one();
        }
    };
    Scenario::new(
        "timed_out_waiter_takes_no_notification",
        vec![impatient, see, put],
    )
    .choices(8)
}

/// With a timeout of zero or a deadline in the past a waiter comes back with the lock.
pub fn handles_extreme_timeouts<C: RawCondvar, L: RawLock>() -> Scenario<Awaited<C, L>> {
    let odd = |shared: &Awaited<C, L>| {
        let mut held = shared.lock.lock();
        for timeout in spent() {
            let notified = shared.changed.wait_with(&mut held, timeout);
            assert!(!notified, "nobody notifies");
            let again = shared.lock.lock_with(Timeout::NonBlocking);
            assert!(again.is_none(), "the lock is held again");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![odd])
}
