//! Broken locks, and bugs of programs that use locks wrongly or not at all.

use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::spin::{Spin, SpinPolicy};
use interlatch::platform::{AtomicU32, ShmSafe, ShmType, TypeInfo, Wake, futex};
use interlatch::sync::RawMutex;
use interlatch::sync::{RawLock, Timeout};
use interlatch_check::FailureKind::{DataRace, Deadlock};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::mutex;

pub fn models() -> Vec<Model> {
    use mutex::{excludes, timed_and_waiting_lockers_exclude, timed_out_locker_takes_no_wakeup};
    vec![
        Model::broken("lock_with_test_and_set_in_two_steps", DataRace, || {
            excludes::<FlawedLock<TESTS_THEN_SETS>>(2)
        }),
        Model::broken("lock_acquired_relaxed", DataRace, || {
            excludes::<FlawedLock<LOCKS_RELAXED>>(2)
        }),
        Model::broken("lock_released_relaxed", DataRace, || {
            excludes::<FlawedLock<UNLOCKS_RELAXED>>(2)
        }),
        Model::broken("lock_that_wakes_no_waiter", Deadlock, || {
            excludes::<FlawedLock<WAKES_NO_WAITER>>(2)
        }),
        Model::broken("lock_that_forgets_other_waiters", Deadlock, || {
            excludes::<FlawedLock<FORGETS_WAITERS>>(3)
        }),
        Model::broken("lock_that_trusts_a_stale_spin", DataRace, || {
            excludes::<FlawedLock<TRUSTS_ITS_SPIN>>(2)
        }),
        Model::broken(
            "lock_whose_spin_after_sleep_forgets_waiters",
            Deadlock,
            || excludes::<FlawedLock<SPIN_FORGETS_WAITERS>>(3),
        ),
        Model::broken(
            "lock_reported_held_after_timeout",
            DataRace,
            timed_out_locker_takes_no_wakeup::<FlawedLock<HELD_AFTER_TIMEOUT>>,
        ),
        Model::broken(
            "lock_that_non_blocking_lockers_take_from_a_waiter",
            DataRace,
            timed_and_waiting_lockers_exclude::<FlawedNumberLock<TAKES_CONTENDED>>,
        ),
        Model::broken("counter_without_a_lock", DataRace, counter_without_a_lock),
        Model::broken("locks_in_opposite_order", Deadlock, locks_in_opposite_order),
    ]
}

/// A locker tests the word and sets it in two steps, so two lockers may see a free lock and race.
const TESTS_THEN_SETS: u8 = 0;
/// A locker acquires the lock without Acquire ordering, so the accesses to the protected number
/// race.
const LOCKS_RELAXED: u8 = 1;
/// An unlock releases the lock without Release ordering, so the accesses to the protected number
/// race.
const UNLOCKS_RELAXED: u8 = 2;
/// An unlock makes no wake call, so a waiter hangs.
const WAKES_NO_WAITER: u8 = 3;
/// A woken waiter acquires the lock without setting the mark for waiters. Its unlock wakes no other
/// waiter, so another waiter hangs.
const FORGETS_WAITERS: u8 = 4;
/// A locker reports success when its timeout expires, so two processes hold the lock and race.
const HELD_AFTER_TIMEOUT: u8 = 5;
/// A spinning locker that sees a free lock takes it without checking again, so two holders race.
const TRUSTS_ITS_SPIN: u8 = 6;
/// A woken waiter spins and then acquires the lock without setting the mark for waiters, so another
/// waiter hangs.
const SPIN_FORGETS_WAITERS: u8 = 7;
/// A locker that does not wait treats a lock with the mark for waiters as free, so it races with a
/// holder that has waited.
const TAKES_CONTENDED: u8 = 8;

#[repr(C)]
#[derive(Debug, ShmSafe)]
struct FlawedLock<const FLAW: u8> {
    #[shm(initial = AtomicU32::new(UNLOCKED))]
    state: AtomicU32,
}

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

impl<const FLAW: u8> FlawedLock<FLAW> {
    fn try_acquire(&self) -> bool {
        if FLAW == TESTS_THEN_SETS {
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

    fn acquire_contended(&self) -> bool {
        if FLAW == FORGETS_WAITERS && self.try_acquire() {
            return true;
        }
        let order = if FLAW == LOCKS_RELAXED {
            Relaxed
        } else {
            Acquire
        };
        self.state.swap(CONTENDED, order) == UNLOCKED
    }

    fn is_contended(&self) -> bool {
        let found = self
            .state
            .compare_exchange(CONTENDED, CONTENDED, Acquire, Relaxed);
        found.is_ok()
    }
}

// SAFETY: the flaws break the contract of `RawLock`. Only the models use the type, and the checker
// detects the broken contract.
unsafe impl<const FLAW: u8> RawLock for FlawedLock<FLAW> {
    fn raw_lock_with(&self, timeout: Timeout) -> bool {
        if self.try_acquire() {
            return true;
        }
        let deadline = match timeout {
            Timeout::NonBlocking if FLAW == TAKES_CONTENDED => return self.is_contended(),
            Timeout::NonBlocking => return false,
            Timeout::At(deadline) => Some(deadline),
            Timeout::Infinite => None,
        };
        let mut spin = Spin::new(&self.state, SpinPolicy::Lock, deadline);
        if FLAW == TRUSTS_ITS_SPIN && spin.wait_until(|state| state == UNLOCKED) {
            self.state.swap(LOCKED, Acquire);
            return true;
        }
        while !self.acquire_contended() {
            if futex::wait(&self.state, CONTENDED, deadline) == Wake::TimedOut {
                return FLAW == HELD_AFTER_TIMEOUT;
            }
            spin.restart();
            let seems_free =
                FLAW == SPIN_FORGETS_WAITERS && spin.wait_until(|state| state == UNLOCKED);
            if seems_free && self.try_acquire() {
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
        if self.state.swap(UNLOCKED, order) == CONTENDED && FLAW != WAKES_NO_WAITER {
            futex::wake(&self.state, 1);
        }
    }
}

/// A broken lock and the number that it protects.
#[repr(C)]
#[derive(Debug, ShmSafe)]
struct FlawedNumberLock<const FLAW: u8> {
    lock: FlawedLock<FLAW>,
    number: RaceCell,
}

impl<const FLAW: u8> mutex::NumberLock for FlawedNumberLock<FLAW> {
    fn add(&self, amount: u64, timeout: Timeout) -> Option<u64> {
        let _guard = self.lock.lock_with(timeout)?;
        self.number.set(self.number.get() + amount);
        Some(self.number.get())
    }
}

/// A counter that processes increment without a lock, as in the course notes of this project.
///
/// Without a lock, the increments race.
#[derive(Debug)]
struct Counter(RaceCell);

// SAFETY: the type is a number and contains no pointer. The checker detects the race on the number.
unsafe impl ShmSafe for Counter {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self(RaceCell::new(0))) }
    }
}

impl ShmType for Counter {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Counter");
}

fn counter_without_a_lock() -> Scenario<Counter> {
    let increment = |counter: &Counter| counter.0.increment();
    Scenario::new("counter_without_a_lock", vec![increment, increment])
        .verify(|counter| assert_eq!(counter.0.get(), 2))
}

/// Two locks that two processes acquire in opposite orders, so each process waits for the other.
#[repr(C)]
#[derive(Debug, ShmSafe)]
struct TwoLocks {
    one: RawMutex,
    other: RawMutex,
}

fn locks_in_opposite_order() -> Scenario<TwoLocks> {
    let forward = |locks: &TwoLocks| {
        let _one = locks.one.lock();
        let _other = locks.other.lock();
    };
    let backward = |locks: &TwoLocks| {
        let _other = locks.other.lock();
        let _one = locks.one.lock();
    };
    Scenario::new("locks_in_opposite_order", vec![forward, backward])
}
