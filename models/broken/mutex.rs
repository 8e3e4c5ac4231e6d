//! Locks that are none, and what happens without one.

use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::spin::{Spin, SpinPolicy};
use interlatch::platform::{AtomicU32, ShmSafe, Wake, futex};
use interlatch::sync::RawMutex;
use interlatch::sync::{RawLock, Timeout};
use interlatch_check::FailureKind::{DataRace, Deadlock};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::mutex;

pub fn models() -> Vec<Model> {
    use mutex::{excludes, timed_out_locker_takes_no_wakeup as timed_out};
    vec![
        Model::broken("lock_with_test_and_set_in_two_steps", DataRace, || {
            excludes::<FlawedLock<LOOKS_THEN_LEAPS>>(2)
        }),
        Model::broken("lock_acquired_relaxed", DataRace, || {
            excludes::<FlawedLock<LOCKS_RELAXED>>(2)
        }),
        Model::broken("lock_released_relaxed", DataRace, || {
            excludes::<FlawedLock<UNLOCKS_RELAXED>>(2)
        }),
        Model::broken("lock_that_wakes_no_waiter", Deadlock, || {
            excludes::<FlawedLock<WAKES_NOBODY>>(2)
        }),
        Model::broken("lock_that_forgets_other_waiters", Deadlock, || {
            excludes::<FlawedLock<FORGETS_WAITERS>>(3)
        }),
        Model::broken("lock_that_trusts_a_stale_spin", DataRace, || {
            excludes::<FlawedLock<BELIEVES_ITS_SPIN>>(2)
        }),
        Model::broken(
            "lock_whose_spin_after_sleep_forgets_waiters",
            Deadlock,
            || excludes::<FlawedLock<SPIN_FORGETS_WAITERS>>(3),
        ),
        Model::broken(
            "lock_reported_held_after_timeout",
            DataRace,
            timed_out::<FlawedLock<HELD_AFTER_TIMEOUT>>,
        ),
        Model::broken("counter_without_a_lock", DataRace, counter_without_a_lock),
        Model::broken("locks_in_opposite_order", Deadlock, locks_in_opposite_order),
    ]
}

/// Tests the word and sets it in two steps.
const LOOKS_THEN_LEAPS: u8 = 0;
/// Takes the lock without Acquire.
const LOCKS_RELAXED: u8 = 1;
/// Leaves the lock without Release.
const UNLOCKS_RELAXED: u8 = 2;
/// Leaves the lock without a wake.
const WAKES_NOBODY: u8 = 3;
/// A woken waiter takes the lock as if nobody else waited.
const FORGETS_WAITERS: u8 = 4;
/// Says that it is locked when time is over.
const HELD_AFTER_TIMEOUT: u8 = 5;

/// Takes the lock that it has seen free while it was spinning, whether or not that is so still.
const BELIEVES_ITS_SPIN: u8 = 6;
/// Who was woken and spins takes the lock as if nobody else waited.
const SPIN_FORGETS_WAITERS: u8 = 7;

#[repr(C)]
#[derive(Debug)]
struct FlawedLock<const FLAW: u8> {
    state: AtomicU32,
}

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

// SAFETY: one word.
unsafe impl<const FLAW: u8> ShmSafe for FlawedLock<FLAW> {
    fn initial() -> Self {
        Self {
            state: AtomicU32::new(UNLOCKED),
        }
    }
}

impl<const FLAW: u8> FlawedLock<FLAW> {
    fn take(&self) -> bool {
        if FLAW == LOOKS_THEN_LEAPS {
            let free = self.state.load(Acquire) == UNLOCKED;
            if free {
                self.state.store(LOCKED, Relaxed);
            }
            return free;
        }
        let order = if FLAW == LOCKS_RELAXED {
            Relaxed
        } else {
            Acquire
        };
        self.state
            .compare_exchange(UNLOCKED, LOCKED, order, Relaxed)
            .is_ok()
    }

    fn take_contended(&self) -> bool {
        if FLAW == FORGETS_WAITERS && self.take() {
            return true;
        }
        let order = if FLAW == LOCKS_RELAXED {
            Relaxed
        } else {
            Acquire
        };
        self.state.swap(CONTENDED, order) == UNLOCKED
    }
}

// SAFETY: it is not, and that is what the models have to find.
unsafe impl<const FLAW: u8> RawLock for FlawedLock<FLAW> {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        if self.take() {
            return true;
        }
        let deadline = match timeout {
            Timeout::NonBlocking => return false,
            Timeout::At(deadline) => Some(deadline),
            Timeout::Infinite => None,
        };
        let mut spin = Spin::new(&self.state, SpinPolicy::Lock, deadline);
        if FLAW == BELIEVES_ITS_SPIN && spin.wait_until(|state| state == UNLOCKED) {
            self.state.swap(LOCKED, Acquire);
            return true;
        }
        while !self.take_contended() {
            if futex::wait(&self.state, CONTENDED, deadline) == Wake::TimedOut {
                return FLAW == HELD_AFTER_TIMEOUT;
            }
            spin.restart();
            let looks_free =
                FLAW == SPIN_FORGETS_WAITERS && spin.wait_until(|state| state == UNLOCKED);
            if looks_free && self.take() {
                return true;
            }
        }
        true
    }

    unsafe fn unlock(&self) {
        let order = if FLAW == UNLOCKS_RELAXED {
            Relaxed
        } else {
            Release
        };
        if self.state.swap(UNLOCKED, order) == CONTENDED && FLAW != WAKES_NOBODY {
            futex::wake(&self.state, 1);
        }
    }
}

/// The counter of the course notes: several increment it, and nothing keeps them apart.
#[derive(Debug)]
struct Counter(RaceCell);

// SAFETY: a plain number; the race on it is what the model has to find.
unsafe impl ShmSafe for Counter {
    fn initial() -> Self {
        Self(RaceCell::new(0))
    }
}

fn counter_without_a_lock() -> Scenario<Counter> {
    let increment = |counter: &Counter| counter.0.increment();
    Scenario::new("counter_without_a_lock", vec![increment, increment])
        .verify(|counter| assert_eq!(counter.0.get(), 2))
}

/// Two locks that two processes take in different order: the shortest circle of waiting.
#[derive(Debug)]
struct TwoLocks {
    one: RawMutex,
    other: RawMutex,
}

// SAFETY: two locks, valid for every bit pattern.
unsafe impl ShmSafe for TwoLocks {
    fn initial() -> Self {
        Self {
            one: RawMutex::new(),
            other: RawMutex::new(),
        }
    }
}

fn locks_in_opposite_order() -> Scenario<TwoLocks> {
    let forth = |locks: &TwoLocks| {
        let _one = locks.one.lock();
        let _other = locks.other.lock();
    };
    let back = |locks: &TwoLocks| {
        let _other = locks.other.lock();
        let _one = locks.one.lock();
    };
    Scenario::new("locks_in_opposite_order", vec![forth, back])
}
