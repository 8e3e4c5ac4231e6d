//! What a condition variable promises when processes die: on a robust lock, since any other would
//! stay locked by the dead.

use super::{RaceCell, Scenario, Stage};
use interlatch::platform::ShmSafe;
use interlatch::sync::{
    Condvar, RobustLockError, RobustLockResult, RobustMutex, RobustMutexGuard, Timeout,
};
use std::time::Duration;

/// A number to wait for, which one step changes, so that it is never half-changed.
#[repr(C)]
#[derive(Debug)]
pub struct Awaited {
    changed: Condvar,
    lock: RobustMutex<()>,
    tokens: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl ShmSafe for Awaited {
    fn initial() -> Self {
        Self {
            changed: Condvar::new(),
            lock: RobustMutex::new(()),
            tokens: RaceCell::new(0),
        }
    }
}

/// A number that one instruction changes is never half-changed.
fn repaired<'a>(locked: RobustLockResult<'a, ()>) -> RobustMutexGuard<'a, ()> {
    locked
        .or_else(RobustLockError::mark_consistent)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn take(shared: &Awaited) {
    let mut guard = repaired(shared.lock.lock());
    while shared.tokens.get() == 0 {
        guard = repaired(shared.changed.wait_robust(guard, Timeout::Infinite).0);
    }
    shared.tokens.set(shared.tokens.get() - 1);
    drop(guard);
}

fn put(shared: &Awaited) {
    let guard = repaired(shared.lock.lock());
    shared.tokens.set(shared.tokens.get() + 1);
    drop(guard);
    shared.changed.notify_one();
}

fn put_twice(shared: &Awaited) {
    put(shared);
    put(shared);
}

fn tokens(shared: &Awaited) -> u64 {
    drop(repaired(shared.lock.try_lock()));
    shared.tokens.get()
}

/// Every scenario among the living.
pub fn all(stage: &mut impl Stage) {
    stage.run(does_not_lose_wakeup());
    stage.run(waiter_returns_at_its_timeout());
    stage.run(waiter_without_lock_passes_its_notification_on());
}

/// Whoever waits for a change under the lock hears of it, wherever the notifier comes in.
pub fn does_not_lose_wakeup() -> Scenario<Awaited> {
    Scenario::new("does_not_lose_wakeup", vec![take, put])
        .verify(|shared| assert_eq!(tokens(shared), 0))
}

/// Without timeout a waiter comes back with the lock; with very little too, or with the news that it was not
/// to be had in time.
pub fn waiter_returns_at_its_timeout() -> Scenario<Awaited> {
    let impatient = |shared: &Awaited| {
        for timeout in [
            Timeout::NonBlocking,
            Timeout::after(Duration::from_micros(50)),
        ] {
            let guard = repaired(shared.lock.lock());
            let (locked, is_notified) = shared.changed.wait_robust(guard, timeout);
            let never = timeout == Timeout::NonBlocking;
            assert!(!(is_notified && never), "nobody was asked");
            match locked {
                Err(RobustLockError::TimedOut) if !never => {}
                locked => {
                    let guard = repaired(locked);
                    shared.tokens.set(shared.tokens.get() + 1);
                    drop(guard);
                }
            }
        }
    };
    Scenario::new("waiter_returns_at_its_timeout", vec![impatient, impatient])
        .verify(|shared| assert!((2..=4).contains(&tokens(shared))))
}

/// A waiter that is notified, but does not get the lock in time, is not the one that the notification was for.
pub fn waiter_without_lock_passes_its_notification_on() -> Scenario<Awaited> {
    let put_inside = |shared: &Awaited| {
        let _guard = repaired(shared.lock.lock());
        shared.tokens.set(shared.tokens.get() + 1);
        shared.changed.notify_one();
    };
    let impatient = |shared: &Awaited| {
        let mut guard = repaired(shared.lock.lock());
        while shared.tokens.get() == 0 {
            let timeout = Timeout::after(Duration::from_micros(50));
            match shared.changed.wait_robust(guard, timeout) {
                (Err(RobustLockError::TimedOut), _) => return,
                (locked, true) => guard = repaired(locked),
                (_, false) => return,
            }
        }
        drop(guard);
        // It saw the token and leaves it: the next one is to look.
        shared.changed.notify_one();
    };
    Scenario::new(
        "waiter_without_lock_passes_its_notification_on",
        vec![impatient, take, put_inside],
    )
    .verify(|shared| assert_eq!(tokens(shared), 0))
    .choices(8)
}

/// A waiter is killed, asleep or woken or elsewhere: the other one gets its token.
pub fn waiter_death_blocks_no_other_waiter() -> Scenario<Awaited> {
    Scenario::new("waiter_death_blocks_no_other_waiter", vec![take, take, put_twice])
        .verify(|shared| assert!(tokens(shared) <= 1))
        .choices(10)
        .victims(&[0])
}

/// A notifier is killed, before or after its change: what the other one puts there is got, and what
/// the dead one put there too.
pub fn change_of_killed_notifier_is_seen() -> Scenario<Awaited> {
    Scenario::new(
        "change_of_killed_notifier_is_seen",
        vec![put, take, put],
    )
    .verify(|shared| assert!(tokens(shared) <= 1))
    .choices(10)
    .victims(&[0])
}
