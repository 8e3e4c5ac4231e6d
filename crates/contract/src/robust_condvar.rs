//! The promises of a condition variable on a robust mutex, even if a process dies.
//!
//! The mutex is robust because a mutex of another kind would stay locked after its holder died.

use super::{RaceCell, Scenario, Stage, short_timeout};
use interlatch::platform::ShmSafe;
use interlatch::sync::{
    Condvar, LockError, RawCondvar, RawLock, RawRobustMutex, RobustLockError, RobustLockResult,
    RobustMutex, RobustMutexGuard, Timeout,
};
use std::time::Duration;

/// A condition variable, its robust mutex, and the number of tokens that waiters wait for.
///
/// A single store changes the number, so the number is consistent after every owner death.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RobustCondvarState {
    changed: Condvar,
    lock: RobustMutex<()>,
    tokens: RaceCell,
}

/// Marks the mutex as consistent after an owner death. The number needs no repair.
fn repaired<'a>(locked: RobustLockResult<'a, ()>) -> RobustMutexGuard<'a, ()> {
    locked
        .or_else(RobustLockError::mark_consistent)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn take(shared: &RobustCondvarState) {
    let mut guard = repaired(shared.lock.lock());
    while shared.tokens.get() == 0 {
        guard = repaired(shared.changed.wait_robust(guard, Timeout::Infinite).0);
    }
    shared.tokens.set(shared.tokens.get() - 1);
    drop(guard);
}

fn put(shared: &RobustCondvarState) {
    let guard = repaired(shared.lock.lock());
    shared.tokens.set(shared.tokens.get() + 1);
    drop(guard);
    shared.changed.notify_one();
}

fn put_twice(shared: &RobustCondvarState) {
    put(shared);
    put(shared);
}

fn tokens(shared: &RobustCondvarState) -> u64 {
    drop(repaired(shared.lock.try_lock()));
    shared.tokens.get()
}

/// Runs every scenario of a condition variable on a robust mutex.
pub fn all(stage: &mut impl Stage) {
    stage.run(does_not_lose_wakeup());
    stage.run(waiter_returns_at_its_timeout());
    stage.run(waiter_without_lock_passes_its_notification_on());
    stage.run(loop_of_timed_waits_ends());
    stage.run(notification_ends_no_later_wait());
    stage.run(waiter_death_blocks_no_other_waiter());
    stage.run(waiter_death_blocks_no_waiter_that_sleeps_on());
    stage.run(change_of_killed_notifier_is_seen());
}

/// A notification wakes a waiter at any moment after the waiter checked its condition.
///
/// If the notification falls between the check and the sleep and is lost, the waiter hangs.
pub fn does_not_lose_wakeup() -> Scenario<RobustCondvarState> {
    Scenario::new("does_not_lose_wakeup", vec![take, put])
        .verify(|shared| assert_eq!(tokens(shared), 0))
}

/// A waiter returns when its timeout expires. The waiter then holds the lock, or the lock operation
/// failed with `TimedOut`.
///
/// Two processes wait without a notifier. A non-blocking wait returns with the lock. A wait with a
/// short timeout may fail to lock again in time.
pub fn waiter_returns_at_its_timeout() -> Scenario<RobustCondvarState> {
    let with_timeout = |shared: &RobustCondvarState| {
        for timeout in [
            Timeout::NonBlocking,
            Timeout::after(Duration::from_micros(50)),
        ] {
            let guard = repaired(shared.lock.lock());
            let (locked, is_notified) = shared.changed.wait_robust(guard, timeout);
            assert!(!is_notified, "no process notifies");
            match locked {
                Err(RobustLockError::TimedOut) if timeout != Timeout::NonBlocking => {}
                locked => {
                    let guard = repaired(locked);
                    shared.tokens.set(shared.tokens.get() + 1);
                    drop(guard);
                }
            }
        }
    };
    Scenario::new(
        "waiter_returns_at_its_timeout",
        vec![with_timeout, with_timeout],
    )
    .verify(|shared| assert!((2..=4).contains(&tokens(shared))))
}

/// If a notified waiter cannot lock again in time, another waiter gets its notification.
///
/// The notifier holds the lock while it notifies. If the waiter with a timeout keeps the
/// notification and returns without the lock, the other waiter hangs.
pub fn waiter_without_lock_passes_its_notification_on() -> Scenario<RobustCondvarState> {
    let put_inside = |shared: &RobustCondvarState| {
        let _guard = repaired(shared.lock.lock());
        shared.tokens.set(shared.tokens.get() + 1);
        shared.changed.notify_one();
    };
    let with_timeout = |shared: &RobustCondvarState| {
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
        // Leave the token to the other waiter.
        shared.changed.notify_one();
    };
    Scenario::new(
        "waiter_without_lock_passes_its_notification_on",
        vec![with_timeout, take, put_inside],
    )
    .verify(|shared| assert_eq!(tokens(shared), 0))
    .choices(8)
}

/// If a waiter is killed at any step, the other waiter gets a token.
///
/// The first of two waiters is killed, and a notifier adds two tokens. If the killed waiter has
/// consumed a wake-up and the wake-up is not repeated, the other waiter hangs.
pub fn waiter_death_blocks_no_other_waiter() -> Scenario<RobustCondvarState> {
    Scenario::new(
        "waiter_death_blocks_no_other_waiter",
        vec![take, take, put_twice],
    )
    .verify(|shared| assert!(tokens(shared) <= 1))
    .choices(10)
    .victims(&[0])
}

/// A loop that ends at the first timeout ends, although no process notifies.
///
/// The scenario is that of [`condvar`](super::condvar), with a robust mutex.
pub fn loop_of_timed_waits_ends() -> Scenario<RobustCondvarState> {
    let alone = |shared: &RobustCondvarState| {
        let guard = repaired(shared.lock.lock());
        let timeout = Timeout::after(Duration::from_micros(50));
        let (locked, is_notified) = shared.changed.wait_robust(guard, timeout);
        drop(repaired(locked));
        assert!(!is_notified, "no process notifies");
    };
    Scenario::new("loop_of_timed_waits_ends", vec![alone])
}

/// A notification ends no wait that begins after it, although another waiter got it.
///
/// One process waits for a token, and another process adds the token and notifies under the lock.
/// If the notified waiter notifies once more although it has locked again, the wait of the last
/// process ends too early.
pub fn notification_ends_no_later_wait() -> Scenario<RobustCondvarState> {
    let see = |shared: &RobustCondvarState| {
        let mut guard = repaired(shared.lock.lock());
        while shared.tokens.get() == 0 {
            guard = repaired(shared.changed.wait_robust(guard, Timeout::Infinite).0);
        }
    };
    let wait_once = |shared: &RobustCondvarState| {
        let guard = repaired(shared.lock.lock());
        let is_over = shared.tokens.get() == 1;
        let (locked, is_notified) = shared.changed.wait_robust(guard, short_timeout());
        drop(locked);
        if is_notified {
            assert!(!is_over, "an earlier notification ended a wait");
            // The notification may have been meant for the other waiter.
            shared.changed.notify_one();
        }
    };
    let put = |shared: &RobustCondvarState| {
        let _guard = repaired(shared.lock.lock());
        shared.tokens.increment();
        shared.changed.notify_one();
    };
    let participants = vec![see as fn(&RobustCondvarState), wait_once, put];
    Scenario::new("notification_ends_no_later_wait", participants).choices(8)
}

/// If a waiter is killed at any step, the other waiter gets a token, although it does not return at
/// a recheck.
///
/// The scenario is that of [`waiter_death_blocks_no_other_waiter`]. A waiter that sleeps on finds
/// at its recheck that a notification has changed the condition variable.
pub fn waiter_death_blocks_no_waiter_that_sleeps_on() -> Scenario<SleepOnState> {
    fn take(shared: &SleepOnState) {
        let mut guard = shared.lock.lock();
        while shared.tokens.get() == 0 {
            shared.changed.wait_with(&mut guard, Timeout::Infinite);
        }
        shared.tokens.set(shared.tokens.get() - 1);
    }
    let put_twice = |shared: &SleepOnState| {
        for _ in 0..2 {
            let guard = shared.lock.lock();
            shared.tokens.set(shared.tokens.get() + 1);
            drop(guard);
            shared.changed.notify_one();
        }
    };
    Scenario::new(
        "waiter_death_blocks_no_waiter_that_sleeps_on",
        vec![take, take, put_twice],
    )
    .verify(|shared| {
        drop(shared.lock.lock());
        assert!(shared.tokens.get() <= 1);
    })
    .choices(10)
    .victims(&[0])
}

/// A condition variable, a lock that an owner death does not block, and the number of tokens.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct SleepOnState {
    changed: Condvar,
    lock: AlwaysConsistent,
    tokens: RaceCell,
}

/// A robust lock of data that needs no repair, for code that works with any [`RawLock`].
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct AlwaysConsistent(RawRobustMutex);

// SAFETY: the robust lock provides mutual exclusion, and orders the accesses of its holders.
unsafe impl RawLock for AlwaysConsistent {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        match self.0.lock_with(timeout) {
            Ok(_) => true,
            Err(LockError::TimedOut) => false,
            Err(error) => panic!("{error}"),
        }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, by the contract of this method.
        unsafe { self.0.unlock() }
    }
}

/// If a notifier is killed at any step, the waiter gets a token.
///
/// The first of two notifiers is killed, possibly after it added its token and before it notified.
/// The waiter must find that token or the token of the other notifier.
pub fn change_of_killed_notifier_is_seen() -> Scenario<RobustCondvarState> {
    Scenario::new("change_of_killed_notifier_is_seen", vec![put, take, put])
        .verify(|shared| assert!(tokens(shared) <= 1))
        .choices(10)
        .victims(&[0])
}
