//! The promises of [`RobustMutex`], in addition to those of the raw lock.

use super::{RaceCell, Scenario, Stage, expired_timeouts, short_timeout};
use interlatch::platform::ShmSafe;
use interlatch::sync::{LockError, RobustLockError, RobustMutex, Timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A robust mutex around the number of its holders.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RobustMutexState {
    lock: RobustMutex<u64>,
    owner_deaths: RaceCell,
}

/// A robust mutex around two numbers that are equal while no process holds the lock.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RobustPairOfNumbers {
    lock: RobustMutex<[u64; 2]>,
    repairs: [RaceCell; 2],
}

/// Runs every scenario of a robust mutex.
pub fn all(stage: &mut impl Stage) {
    stage.run(panic_counts_as_owner_death());
    stage.run(dropped_inconsistent_guard_is_unrecoverable_for_all(3));
    stage.run(dropped_inconsistent_guard_is_unrecoverable_for_all(4));
    stage.run(handles_extreme_timeouts());
    stage.run(relocking_returns_already_held());
    stage.run(panicking_repair_counts_as_owner_death());
    stage.run(every_repair_sees_the_data_of_the_dead_owner());
}

/// Locks, increments the number, and panics while holding the guard.
fn panic_as_holder(shared: &RobustMutexState) {
    let locked = shared.lock.lock();
    let result = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(mut guard) = locked {
            *guard += 1;
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new("a panic of the holder"));
        }
    }));
    assert!(
        result.is_err() || shared.lock.lock().is_err(),
        "the holder did not panic"
    );
}

/// A panic of the holder is reported to the next locker, like an owner death.
///
/// One process panics while it holds the lock, and another process locks. The mutex must report the
/// panic to exactly one locker. If a lock is both acquired and released while an earlier panic
/// unwinds, no locker gets a report.
pub fn panic_counts_as_owner_death() -> Scenario<RobustMutexState> {
    let repair = |shared: &RobustMutexState| {
        let mut guard = match shared.lock.lock() {
            Err(RobustLockError::OwnerDied(found)) => {
                shared.owner_deaths.set(1);
                found.mark_consistent()
            }
            other => other.unwrap_or_else(|error| panic!("{error}")),
        };
        *guard += 1;
    };
    Scenario::new("panic_counts_as_owner_death", vec![panic_as_holder, repair]).verify(|shared| {
        let is_reported = shared.owner_deaths.get() == 1;
        match shared.lock.try_lock() {
            Ok(guard) => assert!(
                is_reported && *guard == 2,
                "reported: {is_reported}, holders: {}",
                *guard
            ),
            Err(RobustLockError::OwnerDied(found)) => assert!(!is_reported && *found == 2),
            Err(error) => panic!("{error}"),
        }
    })
}

/// If a process drops an inconsistent guard without repair, every later lock of the mutex fails.
///
/// One process panics while it holds the lock. Another process drops the inconsistent guard. A
/// waiter that is not woken then hangs.
pub fn dropped_inconsistent_guard_is_unrecoverable_for_all(
    processes: usize,
) -> Scenario<RobustMutexState> {
    let drop_guard = |shared: &RobustMutexState| match shared.lock.lock() {
        Ok(guard) => drop(guard),
        Err(RobustLockError::OwnerDied(found)) => {
            drop(found);
            let again = shared.lock.lock();
            assert!(
                matches!(again, Err(RobustLockError::Unrecoverable)),
                "{again:?}"
            );
        }
        Err(RobustLockError::Unrecoverable) => {}
        Err(error) => panic!("{error}"),
    };
    let mut participants = vec![panic_as_holder as fn(&RobustMutexState)];
    participants.resize(processes.clamp(2, 4), drop_guard);
    Scenario::new(
        "dropped_inconsistent_guard_is_unrecoverable_for_all",
        participants,
    )
    .choices(8)
}

/// A locker with an expired timeout tries once without waiting. A locker with the longest timeout
/// acquires a free lock.
pub fn handles_extreme_timeouts() -> Scenario<RobustMutexState> {
    let alone = |shared: &RobustMutexState| {
        for timeout in expired_timeouts() {
            let locked = shared.lock.lock_with(timeout).is_ok();
            assert!(locked, "an expired timeout did not acquire the free lock");
        }
        let guard = shared.lock.lock_timeout(Duration::MAX);
        assert!(guard.is_ok(), "the free lock was not acquired");
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}

/// A thread that locks again while it holds the lock gets an error without waiting.
///
/// If the lock did not record its owner, the thread would wait for itself. Another process may wait
/// for the lock meanwhile.
pub fn relocking_returns_already_held() -> Scenario<RobustMutexState> {
    let again = |shared: &RobustMutexState| {
        let guard = shared.lock.lock();
        let tried = shared.lock.try_lock();
        assert!(matches!(tried, Err(RobustLockError::TimedOut)), "{tried:?}");
        for timeout in [Timeout::Infinite, Timeout::after(Duration::MAX)] {
            let asked = shared.lock.lock_with(timeout);
            assert!(
                matches!(asked, Err(RobustLockError::AlreadyHeld)),
                "{asked:?}"
            );
        }
        let asked = shared.lock.lock_or_repair(|_| panic!("no owner has died"));
        assert!(matches!(asked, Err(LockError::AlreadyHeld)), "{asked:?}");
        assert!(shared.lock.is_locked(), "a failed attempt unlocked");
        drop(guard);
    };
    let waiter = |shared: &RobustMutexState| match shared.lock.lock_with(short_timeout()) {
        Ok(_) | Err(RobustLockError::TimedOut) => {}
        Err(error) => panic!("{error}"),
    };
    let participants = vec![again as fn(&RobustMutexState), waiter];
    Scenario::new("relocking_returns_already_held", participants)
        .verify(|shared| assert!(shared.lock.try_lock().is_ok(), "the lock is free"))
}

/// A repair that panics is reported like another owner death, and a lock that no holder repairs is
/// not held.
pub fn panicking_repair_counts_as_owner_death() -> Scenario<RobustMutexState> {
    let alone = |shared: &RobustMutexState| {
        panic_as_holder(shared);
        let panics = || {
            let repair = |_: &mut u64| resume_unwind(Box::new("a panic of the repair"));
            shared.lock.lock_or_repair(repair).map(drop)
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        match shared.lock.lock() {
            Err(RobustLockError::OwnerDied(found)) => assert_eq!(*found, 1),
            other => panic!("the panic is not reported: {other:?}"),
        }
        let unrepaired = shared.lock.lock();
        assert!(matches!(unrepaired, Err(RobustLockError::Unrecoverable)));
        assert!(!shared.lock.is_locked(), "no thread holds the lock");
    };
    Scenario::new("panicking_repair_counts_as_owner_death", vec![alone])
}

/// Each way of locking after an owner death passes the dead owner's data to the repair, once.
///
/// One process is killed between two writes that belong together. The other processes lock with
/// `lock_or_repair_with`, and with `lock_with` and `repair`. A repair reenters the lock.
pub fn every_repair_sees_the_data_of_the_dead_owner() -> Scenario<RobustPairOfNumbers> {
    fn increment(numbers: &mut [u64; 2]) {
        numbers[0] += 1;
        numbers[1] += 1;
    }
    let victim = |shared: &RobustPairOfNumbers| {
        let guard = shared.lock.lock_or_repair(|_| panic!("no owner has died"));
        let mut guard = guard.unwrap_or_else(|error| panic!("{error}"));
        guard[0] += 1;
        guard[1] += 1;
    };
    let first = |shared: &RobustPairOfNumbers| {
        let guard = shared.lock.lock_or_repair_with(short_timeout(), |numbers| {
            shared.repairs[0].set(1);
            assert!(shared.lock.is_locked());
            let again = shared.lock.lock();
            assert!(matches!(again, Err(RobustLockError::AlreadyHeld)));
            numbers[1] = numbers[0];
        });
        if let Ok(mut guard) = guard {
            assert_eq!(guard[0], guard[1], "the repair did not run");
            increment(&mut guard);
        }
    };
    let second = |shared: &RobustPairOfNumbers| {
        let repair = |numbers: &mut [u64; 2]| {
            shared.repairs[1].set(1);
            numbers[1] = numbers[0];
        };
        let locked = shared.lock.lock_with(Timeout::Infinite);
        let locked = locked.or_else(|error| error.repair(repair));
        let mut guard = locked.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(guard[0], guard[1], "the repair did not run");
        increment(&mut guard);
    };
    let name = "every_repair_sees_the_data_of_the_dead_owner";
    let participants = vec![victim as fn(&RobustPairOfNumbers), first, second];
    Scenario::new(name, participants)
        .verify(|shared| {
            let repairs = shared.repairs[0].get() + shared.repairs[1].get();
            assert!(repairs <= 1, "one death was repaired {repairs} times");
            let guard = shared.lock.lock_or_repair(|numbers| {
                assert_eq!(repairs, 0, "one death was repaired twice");
                numbers[1] = numbers[0];
            });
            let guard = guard.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(guard[0], guard[1]);
            drop(guard);
            assert!(!shared.lock.is_locked());
        })
        .choices(6)
        .victims(&[0])
}
