//! What a lock promises.

use super::{RaceCell, Scenario, Stage, centuries, spent};
use interlatch::platform::ShmSafe;
use interlatch::sync::{RawLock, RawMutex, Timeout};
use std::time::Duration;

/// A lock and a number that it protects.
#[repr(C)]
#[derive(Debug)]
pub struct Protected<L> {
    lock: L,
    number: RaceCell,
    tries: [RaceCell; 4],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<L: ShmSafe> ShmSafe for Protected<L> {
    fn initial() -> Self {
        Self {
            lock: L::initial(),
            number: RaceCell::new(0),
            tries: core::array::from_fn(|_| RaceCell::new(0)),
        }
    }
}

/// Every scenario of a lock.
pub fn all<L: RawLock + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(excludes::<L>(2));
    stage.run(excludes::<L>(3));
    stage.run(excludes::<L>(4));
    stage.run(locks_again_after_contention::<L>());
    stage.run(publishes_writes::<L>());
    stage.run(timed_out_locker_takes_no_wakeup::<L>());
    stage.run(handles_extreme_timeouts::<L>());
}

fn increment<L: RawLock>(shared: &Protected<L>) {
    let _held = shared.lock.lock();
    shared.number.increment();
}

/// Each of these holds the lock alone, and sees what the one before has written.
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

/// A lock that was contended works again afterwards.
pub fn locks_again_after_contention<L: RawLock>() -> Scenario<Protected<L>> {
    let twice = |shared: &Protected<L>| {
        increment(shared);
        increment(shared);
    };
    Scenario::new("locks_again_after_contention", vec![twice, twice])
        .verify(|shared| assert_eq!(shared.number.get(), 4))
}

/// Who gets the lock without waiting sees what the last holder has written.
pub fn publishes_writes<L: RawLock>() -> Scenario<Protected<L>> {
    let peek = |shared: &Protected<L>| {
        if let Some(_held) = shared.lock.lock_with(Timeout::NonBlocking) {
            let number = shared.number.get();
            assert!(number <= 1, "a number that nobody wrote: {number}");
        }
    };
    Scenario::new("publishes_writes", vec![increment, peek])
}

/// A locker that gives up holds nothing, and swallows nobody's wake-up.
pub fn timed_out_locker_takes_no_wakeup<L: RawLock>() -> Scenario<Protected<L>> {
    let impatient = |shared: &Protected<L>| {
        if let Some(_held) = shared
            .lock
            .lock_with(Timeout::after(Duration::from_micros(50)))
        {
            shared.number.increment();
            shared.tries[0].set(1);
        }
    };
    Scenario::new(
        "timed_out_locker_takes_no_wakeup",
        vec![impatient, increment, increment],
    )
    .verify(|shared| assert_eq!(shared.number.get(), 2 + shared.tries[0].get()))
    .choices(4)
}

/// A timeout of zero and a deadline in the past try once; one of centuries takes what is free.
pub fn handles_extreme_timeouts<L: RawLock>() -> Scenario<Protected<L>> {
    let odd = |shared: &Protected<L>| {
        for timeout in spent() {
            assert!(shared.lock.lock_with(timeout).is_some(), "it is free");
        }
        let held = shared.lock.lock_with(centuries());
        assert!(held.is_some(), "it is free");
        for timeout in spent() {
            assert!(shared.lock.lock_with(timeout).is_none(), "it is held");
        }
    };
    Scenario::new("handles_extreme_timeouts", vec![odd])
}

/// The lock's own methods: each locks, and fails while the lock is held.
pub fn every_lock_method_locks() -> Scenario<RawMutex> {
    let locks = |lock: &RawMutex| {
        let guard = lock.lock();
        assert!(lock.is_locked());
        assert!(lock.try_lock().is_none(), "it is held");
        drop(guard);
        assert!(!lock.is_locked());
        assert!(lock.try_lock().is_some(), "it is free");
        lock.raw_lock();
        assert!(lock.try_lock().is_none(), "it is held");
        // SAFETY: locked above.
        unsafe { lock.unlock() };
        assert!(!lock.is_locked());
    };
    Scenario::new("every_lock_method_locks", vec![locks])
}
