//! What a robust lock with data promises beyond the lock.

use super::{RaceCell, Scenario, Stage, spent};
use interlatch::platform::ShmSafe;
use interlatch::sync::{RobustLockError, RobustMutex, Timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A robust lock, and how many have held it.
#[repr(C)]
#[derive(Debug)]
pub struct Visited {
    lock: RobustMutex<u64>,
    told: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl ShmSafe for Visited {
    fn initial() -> Self {
        Self {
            lock: RobustMutex::new(0),
            told: RaceCell::new(0),
        }
    }
}

/// Every scenario of a robust lock with data.
pub fn all(stage: &mut impl Stage) {
    stage.run(panic_counts_as_owner_death());
    stage.run(dropped_inconsistent_guard_is_unrecoverable_for_all(3));
    stage.run(dropped_inconsistent_guard_is_unrecoverable_for_all(4));
    stage.run(handles_extreme_timeouts());
    stage.run(relocking_returns_already_held());
}

/// Locks, adds one, and panics.
fn panic_as_holder(shared: &Visited) {
    let locked = shared.lock.lock();
    let result = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(mut guard) = locked {
            *guard += 1;
            // As `panic!`, without the message.
            resume_unwind(Box::new("in the middle"));
        }
    }));
    assert!(
        result.is_err() || shared.lock.lock().is_err(),
        "it panics as a holder"
    );
}

/// A holder that panics leaves the same news as one that dies; and who unlocks while a panic passes
/// by that is older leaves none.
pub fn panic_counts_as_owner_death() -> Scenario<Visited> {
    let repair = |shared: &Visited| {
        let mut guard = match shared.lock.lock() {
            Err(RobustLockError::OwnerDied(found)) => {
                shared.told.set(1);
                found.mark_consistent()
            }
            other => other.unwrap_or_else(|error| panic!("{error}")),
        };
        *guard += 1;
    };
    Scenario::new(
        "panic_counts_as_owner_death",
        vec![panic_as_holder, repair],
    )
    .verify(|shared| {
        let is_told = shared.told.get() == 1;
        match shared.lock.try_lock() {
            Ok(guard) => assert!(is_told && *guard == 2, "told once: {is_told}, {}", *guard),
            Err(RobustLockError::OwnerDied(found)) => assert!(!is_told && *found == 2),
            Err(error) => panic!("{error}"),
        }
    })
}

/// Whoever gets the news and drops it ends the lock for everybody, and all hear of it.
pub fn dropped_inconsistent_guard_is_unrecoverable_for_all(processes: usize) -> Scenario<Visited> {
    let drop_the_news = |shared: &Visited| match shared.lock.lock() {
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
    let mut participants = vec![panic_as_holder as fn(&Visited)];
    participants.resize(processes.clamp(2, 4), drop_the_news);
    Scenario::new("dropped_inconsistent_guard_is_unrecoverable_for_all", participants).choices(8)
}

/// A timeout of zero and a deadline in the past try once.
pub fn handles_extreme_timeouts() -> Scenario<Visited> {
    let odd = |shared: &Visited| {
        for timeout in spent() {
            assert!(shared.lock.lock_with(timeout).is_ok(), "it is free");
        }
        let held = shared.lock.lock_timeout(Duration::MAX);
        assert!(held.is_ok(), "it is free");
    };
    Scenario::new("handles_extreme_timeouts", vec![odd])
}

/// Who holds the lock and asks for it again hears so at once, and does not wait for itself.
pub fn relocking_returns_already_held() -> Scenario<Visited> {
    let again = |shared: &Visited| {
        let held = shared.lock.lock();
        let tried = shared.lock.try_lock();
        assert!(matches!(tried, Err(RobustLockError::TimedOut)), "{tried:?}");
        for timeout in [Timeout::Infinite, Timeout::after(Duration::MAX)] {
            let asked = shared.lock.lock_with(timeout);
            assert!(
                matches!(asked, Err(RobustLockError::AlreadyHeld)),
                "{asked:?}"
            );
        }
        drop(held);
        assert!(shared.lock.try_lock().is_ok(), "it is free");
    };
    Scenario::new("relocking_returns_already_held", vec![again])
}
