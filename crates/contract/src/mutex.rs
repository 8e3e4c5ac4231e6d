//! The promises of a lock.

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, short_timeout};
use interlatch::platform::ShmSafe;
use interlatch::sync::{Mutex, RawLock, RawMutex, Timeout};
use std::time::{Duration, Instant};

/// A lock and a number that it protects.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct Protected<L> {
    lock: L,
    number: RaceCell,
    tries: [RaceCell; 4],
}

/// Runs every scenario of a lock.
pub fn all<L: RawLock + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(excludes::<L>(2));
    stage.run(excludes::<L>(3));
    stage.run(excludes::<L>(4));
    stage.run(locks_again_after_contention::<L>());
    stage.run(publishes_writes::<L>());
    stage.run(timed_out_locker_takes_no_wakeup::<L>());
    stage.run(handles_extreme_timeouts::<L>());
}

/// Runs every scenario of the methods that only [`RawMutex`] has.
pub fn all_of_raw_mutex(stage: &mut impl Stage) {
    stage.run(every_lock_method_locks());
}

/// Runs every scenario of the lock with data.
pub fn all_of_mutex(stage: &mut impl Stage) {
    stage.run(every_mutex_method_locks());
    stage.run(timed_and_waiting_lockers_exclude::<Mutex<u64>>());
}

fn increment<L: RawLock>(shared: &Protected<L>) {
    let _guard = shared.lock.lock();
    shared.number.increment();
}

/// Only one process at a time holds the lock, and it sees the writes of the previous holder.
///
/// The processes increment an unsynchronized number under the lock. If two processes hold the lock
/// at the same time, or a write is not visible to the next holder, the accesses race.
pub fn excludes<L: RawLock>(processes: usize) -> Scenario<Protected<L>> {
    let verify = match processes {
        2 => |shared: &Protected<L>| assert_eq!(shared.number.get(), 2),
        3 => |shared: &Protected<L>| assert_eq!(shared.number.get(), 3),
        _ => |shared: &Protected<L>| assert_eq!(shared.number.get(), 4),
    };
    Scenario::new("excludes", vec![increment; processes.clamp(2, 4)])
        .verify(verify)
        .choices(4)
}

/// A lock can be locked again after processes have waited for it.
///
/// Two processes lock twice each. If the lock word is wrong after the first lock and unlock, the
/// second locks hang or race.
pub fn locks_again_after_contention<L: RawLock>() -> Scenario<Protected<L>> {
    let twice = |shared: &Protected<L>| {
        increment(shared);
        increment(shared);
    };
    Scenario::new("locks_again_after_contention", vec![twice, twice])
        .verify(|shared| assert_eq!(shared.number.get(), 4))
}

/// A locker that succeeds without waiting sees the writes of the previous holder.
///
/// The second process tries to lock once and reads the number. A missing Acquire or Release on the
/// uncontended path is a data race.
pub fn publishes_writes<L: RawLock>() -> Scenario<Protected<L>> {
    let peek = |shared: &Protected<L>| {
        if let Some(_guard) = shared.lock.lock_with(Timeout::NonBlocking) {
            let number = shared.number.get();
            assert!(number <= 1, "read {number}, which no process wrote");
        }
    };
    Scenario::new("publishes_writes", vec![increment, peek])
}

/// A locker that times out does not hold the lock, and consumes no wake-up that another waiter
/// needs.
///
/// One of three processes locks with a timeout. If the timed-out process keeps the lock, the other
/// processes race with it or hang. If the timed-out process consumes the wake-up of an unlock, the
/// last waiter hangs.
pub fn timed_out_locker_takes_no_wakeup<L: RawLock>() -> Scenario<Protected<L>> {
    let with_timeout = |shared: &Protected<L>| {
        if let Some(_guard) = shared
            .lock
            .lock_with(Timeout::after(Duration::from_micros(50)))
        {
            shared.number.increment();
            shared.tries[0].set(1);
        }
    };
    Scenario::new(
        "timed_out_locker_takes_no_wakeup",
        vec![with_timeout, increment, increment],
    )
    .verify(|shared| assert_eq!(shared.number.get(), 2 + shared.tries[0].get()))
    .choices(4)
}

/// A locker with an expired timeout tries once without waiting. A locker with the longest timeout
/// acquires a free lock.
///
/// One process locks with a zero timeout, a deadline in the past and a timeout of centuries. An
/// overflow in the deadline's arithmetic makes one of these calls fail or wait.
pub fn handles_extreme_timeouts<L: RawLock>() -> Scenario<Protected<L>> {
    let alone = |shared: &Protected<L>| {
        for timeout in expired_timeouts() {
            let locked = shared.lock.lock_with(timeout).is_some();
            assert!(locked, "an expired timeout did not acquire the free lock");
        }
        let guard = shared.lock.lock_with(distant_timeout());
        assert!(guard.is_some(), "the free lock was not acquired");
        for timeout in expired_timeouts() {
            let locked = shared.lock.lock_with(timeout).is_some();
            assert!(!locked, "the held lock was acquired");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}

/// Each locking method of [`RawMutex`] acquires a free lock, and fails while the lock is held.
pub fn every_lock_method_locks() -> Scenario<RawMutex> {
    let alone = |lock: &RawMutex| {
        let guard = lock.lock();
        assert!(lock.is_locked());
        assert!(lock.try_lock().is_none(), "the lock is held");
        assert!(core::ptr::eq(guard.mutex(), lock));
        drop(guard);
        assert!(!lock.is_locked());
        assert!(lock.try_lock().is_some(), "the lock is free");
        lock.raw_lock();
        assert!(lock.try_lock().is_none(), "the lock is held");
        // SAFETY: `raw_lock` above has acquired the lock, and no guard releases it.
        unsafe { lock.unlock() };
        assert!(!lock.is_locked());
    };
    Scenario::new("every_lock_method_locks", vec![alone])
}

/// Each locking method of [`Mutex`] acquires a free lock, and fails while the lock is held.
pub fn every_mutex_method_locks() -> Scenario<Mutex<u64>> {
    let alone = |lock: &Mutex<u64>| {
        let second = Duration::from_secs(1);
        let guard = lock.lock();
        assert!(lock.is_locked());
        assert!(lock.try_lock().is_none(), "the lock is held");
        assert!(
            lock.try_lock_for(Duration::ZERO).is_none(),
            "the lock is held"
        );
        assert!(
            lock.lock_with(Timeout::NonBlocking).is_none(),
            "the lock is held"
        );
        drop(guard);
        *lock.try_lock().expect("the lock is free") += 1;
        *lock.try_lock_for(second).expect("the lock is free") += 1;
        let later = Instant::now() + second;
        *lock.try_lock_until(later).expect("the lock is free") += 1;
        core::mem::forget(lock.lock());
        // SAFETY: the lock is held by a guard that was leaked and is not used again.
        unsafe { lock.force_unlock() };
        assert_eq!(*lock.lock(), 3);
        assert!(!lock.is_locked());
    };
    Scenario::new("every_mutex_method_locks", vec![alone])
}

/// A lock and the number that it protects.
pub trait NumberLock: ShmSafe + 'static {
    /// Adds to the number under the lock, and returns the sum. Returns `None` if the lock was not
    /// acquired in time.
    fn add(&self, amount: u64, timeout: Timeout) -> Option<u64>;
}

impl NumberLock for Mutex<u64> {
    fn add(&self, amount: u64, timeout: Timeout) -> Option<u64> {
        let mut guard = match timeout {
            Timeout::NonBlocking => self.try_lock()?,
            Timeout::At(_) => self.lock_with(timeout)?,
            Timeout::Infinite => self.lock(),
        };
        *guard += amount;
        Some(*guard)
    }
}

/// Lockers that wait, that time out and that do not wait exclude each other.
///
/// If a locker that does not wait acquires the lock of a process that has waited, the additions
/// race.
pub fn timed_and_waiting_lockers_exclude<L: NumberLock>() -> Scenario<L> {
    let waiting = |lock: &L| {
        lock.add(100, Timeout::Infinite);
        lock.add(10, Timeout::NonBlocking);
    };
    let timed = |lock: &L| {
        lock.add(1, short_timeout());
        lock.add(100, Timeout::Infinite);
    };
    let participants = vec![waiting as fn(&L), timed];
    Scenario::new("timed_and_waiting_lockers_exclude", participants)
        .verify(|lock| {
            let number = lock.add(0, Timeout::NonBlocking).expect("the lock is free");
            assert!([200, 201, 210, 211].contains(&number), "{number}");
        })
        .choices(4)
}
