//! Broken semaphores that lose permits or wake-ups, or admit too many processes.

use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::spin::{Spin, SpinPolicy};
use interlatch::platform::{AtomicU32, ShmSafe, Wake, futex};
use interlatch::sync::{
    MAX_PERMITS, PermitOverflow, RawSemaphore, Semaphore, SemaphorePair, Timeout,
};
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::Scenario;
use interlatch_contract::semaphore;
use interlatch_contract::semaphore_pair::{self, BatchedPair};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "semaphore_acquired_relaxed",
            DataRace,
            semaphore::publishes_writes::<FlawedSemaphore<ACQUIRES_RELAXED>>,
        ),
        Model::broken(
            "semaphore_released_relaxed",
            DataRace,
            semaphore::publishes_writes::<FlawedSemaphore<RELEASES_RELAXED>>,
        ),
        Model::broken(
            "semaphore_that_wakes_no_waiter",
            Deadlock,
            semaphore::publishes_writes::<FlawedSemaphore<WAKES_NO_WAITER>>,
        ),
        Model::broken(
            "semaphore_that_loses_permits",
            Deadlock,
            semaphore::concurrent_releases_wake_two_waiters::<FlawedSemaphore<LOSES_PERMITS>>,
        ),
        Model::broken(
            "semaphore_that_forgets_waiters",
            Deadlock,
            semaphore::concurrent_releases_wake_two_waiters::<FlawedSemaphore<FORGETS_WAITERS>>,
        ),
        Model::broken(
            "semaphore_whose_waiter_wakes_no_other",
            Deadlock,
            semaphore::each_release_wakes_a_waiter::<FlawedSemaphore<WAKES_NO_OTHER>>,
        ),
        Model::broken(
            "semaphore_that_admits_one_too_many",
            WrongResult,
            semaphore::admits_no_more_than_its_permits::<FlawedSemaphore<ADMITS_ONE_TOO_MANY>>,
        ),
        Model::broken(
            "semaphore_that_overflows",
            WrongResult,
            semaphore::rejects_overflow::<FlawedSemaphore<OVERFLOWS>>,
        ),
        Model::broken(
            "semaphore_whose_timed_out_acquirer_keeps_a_permit",
            Deadlock,
            semaphore::timed_out_acquirer_takes_no_permit::<
                FlawedSemaphore<TIMED_OUT_KEEPS_A_PERMIT>,
            >,
        ),
        Model::broken(
            "semaphore_whose_acquire_some_wakes_no_other",
            Deadlock,
            semaphore::acquire_some_leaves_the_rest_to_other_waiters::<
                FlawedSemaphore<WAKES_NO_OTHER>,
            >,
        ),
        Model::broken(
            "semaphore_whose_acquire_some_takes_all",
            WrongResult,
            semaphore::acquire_some_takes_the_available_permits::<FlawedSemaphore<TAKES_ALL>>,
        ),
        Model::broken(
            "semaphore_that_trusts_a_stale_spin",
            DataRace,
            semaphore::publishes_writes::<FlawedSemaphore<TRUSTS_ITS_SPIN>>,
        ),
        Model::broken(
            "semaphore_pair_that_releases_its_own_side",
            WrongResult,
            releases_own_side,
        ),
        Model::broken(
            "semaphore_pair_whose_cancelled_batch_goes_to_the_other_side",
            WrongResult,
            semaphore_pair::single_and_batched_turns_alternate::<CancelsToOtherSide>,
        ),
        Model::broken(
            "semaphore_whose_mark_for_waiters_counts_as_a_permit",
            DataRace,
            semaphore::acquisitions_of_every_kind_exclude::<FlawedSemaphore<COUNTS_THE_MARK>>,
        ),
    ]
}

/// An acquirer takes a permit without Acquire ordering, so the accesses to the protected number
/// race.
const ACQUIRES_RELAXED: u8 = 0;
/// A release returns a permit without Release ordering, so the accesses to the protected number
/// race.
const RELEASES_RELAXED: u8 = 1;
/// A release makes no wake call, so a waiter hangs.
const WAKES_NO_WAITER: u8 = 2;
/// A release reads the number of permits and writes the new number in two steps, so a concurrent
/// release is lost.
const LOSES_PERMITS: u8 = 3;
/// A woken waiter clears the waiters bit, so the next release wakes no process and the other waiter
/// hangs.
const FORGETS_WAITERS: u8 = 4;
/// A woken waiter leaves permits but does not wake the other waiter, so the other waiter hangs.
const WAKES_NO_OTHER: u8 = 5;
/// An acquirer checks for a permit and takes it in two steps, so too many processes hold a permit.
const ADMITS_ONE_TOO_MANY: u8 = 7;
/// A release does not check whether the number of permits overflows.
const OVERFLOWS: u8 = 8;
/// An acquirer takes a permit but reports a timeout, so the other waiter hangs.
const TIMED_OUT_KEEPS_A_PERMIT: u8 = 9;
/// `acquire_some` takes all permits instead of the number that the caller asked for.
const TAKES_ALL: u8 = 10;
/// A spinning acquirer that sees a permit takes it without checking again, so two processes race.
const TRUSTS_ITS_SPIN: u8 = 11;
/// A guard that does not wait takes the mark for waiters for a permit, so it races with a holder
/// that has waited.
const COUNTS_THE_MARK: u8 = 12;

const WAITERS: u32 = 1;
const PERMIT: u32 = 2;

#[repr(C)]
#[derive(Debug, ShmSafe)]
struct FlawedSemaphore<const FLAW: u8> {
    state: AtomicU32,
}

impl<const FLAW: u8> FlawedSemaphore<FLAW> {
    fn take(&self, mark: u32) -> Result<u32, u32> {
        let order = if FLAW == ACQUIRES_RELAXED {
            Relaxed
        } else {
            Acquire
        };
        let mut state = PERMIT;
        while state >= PERMIT {
            let taken = (state - PERMIT) | mark;
            match self.state.compare_exchange(state, taken, order, Relaxed) {
                Ok(_) => return Ok(taken),
                Err(found) if FLAW == ADMITS_ONE_TOO_MANY && found >= PERMIT => {
                    return Ok(self.state.fetch_sub(PERMIT, order) - PERMIT);
                }
                Err(found) => state = found,
            }
        }
        Err(state)
    }

    fn acquire_contended(&self, timeout: Timeout) -> bool {
        let deadline = match timeout {
            Timeout::At(deadline) => Some(deadline),
            Timeout::NonBlocking | Timeout::Infinite => None,
        };
        let mut spin = Spin::new(&self.state, SpinPolicy::Event, deadline);
        let mut mark = 0;
        loop {
            if FLAW == TRUSTS_ITS_SPIN && spin.wait_until(|state| state >= PERMIT) {
                self.state.fetch_sub(PERMIT, Acquire);
                return true;
            }
            match self.take(mark) {
                Ok(left) => {
                    if mark != 0 && left >= PERMIT && FLAW != WAKES_NO_OTHER {
                        futex::wake(&self.state, 1);
                    }
                    return true;
                }
                Err(0)
                    if self
                        .state
                        .compare_exchange(0, WAITERS, Relaxed, Relaxed)
                        .is_err() => {}
                Err(_) => {
                    if futex::wait(&self.state, WAITERS, deadline) == Wake::TimedOut {
                        if FLAW == TIMED_OUT_KEEPS_A_PERMIT {
                            let _ = self.take(WAITERS);
                        }
                        return false;
                    }
                    mark = if FLAW == FORGETS_WAITERS { 0 } else { WAITERS };
                }
            }
        }
    }

    fn add(&self, count: u32) -> Result<u32, PermitOverflow> {
        let order = if FLAW == RELEASES_RELAXED {
            Relaxed
        } else {
            Release
        };
        if FLAW == LOSES_PERMITS {
            let before = self.state.load(Relaxed);
            self.state
                .store((before & !WAITERS) + count * PERMIT, order);
            return Ok(before);
        }
        let mut state = 0;
        loop {
            let held = state / PERMIT;
            if count > MAX_PERMITS - held && FLAW != OVERFLOWS {
                return Err(PermitOverflow { held, added: count });
            }
            let released = (held.wrapping_add(count)).wrapping_mul(PERMIT);
            match self.state.compare_exchange(state, released, order, Relaxed) {
                Ok(before) => return Ok(before),
                Err(found) => state = found,
            }
        }
    }
}

impl<const FLAW: u8> RawSemaphore for FlawedSemaphore<FLAW> {
    fn acquire_with(&self, timeout: Timeout) -> bool {
        self.take(0).is_ok() || (timeout != Timeout::NonBlocking && self.acquire_contended(timeout))
    }

    fn acquire_some_with(&self, max: u32, timeout: Timeout) -> u32 {
        let max = match FLAW {
            TAKES_ALL if max > 0 => u32::MAX,
            _ => max,
        };
        if max == 0 || !self.acquire_with(timeout) {
            return 0;
        }
        let more = (1..max).take_while(|_| self.acquire_with(Timeout::NonBlocking));
        1 + more.count() as u32
    }

    fn release(&self, count: u32) -> Result<(), PermitOverflow> {
        let before = self.add(count)?;
        if before & WAITERS != 0 && FLAW != WAKES_NO_WAITER {
            futex::wake(&self.state, 1);
        }
        Ok(())
    }
}

impl<const FLAW: u8> semaphore::GuardedSemaphore for FlawedSemaphore<FLAW> {
    fn hold(&self, timeout: Timeout, is_forgotten: bool, work: impl FnOnce()) -> bool {
        let is_marked = || {
            let found = self
                .state
                .compare_exchange(WAITERS, WAITERS, Acquire, Relaxed);
            found.is_ok()
        };
        let is_flawed = FLAW == COUNTS_THE_MARK && timeout == Timeout::NonBlocking;
        let is_acquired = self.acquire_with(timeout) || (is_flawed && is_marked());
        if is_acquired {
            work();
        }
        if is_acquired && !is_forgotten {
            self.release(1).expect("far below the maximum");
        }
        is_acquired
    }
}

/// A semaphore pair in which each side releases its own semaphore, so no side waits for the other
/// side.
#[repr(C)]
#[derive(Debug, ShmSafe)]
struct ReleasesOwnSide {
    #[shm(initial = SemaphorePair::from_parts(Semaphore::binary(), Semaphore::binary()))]
    pair: SemaphorePair,
    written: AtomicU32,
}

fn releases_own_side() -> Scenario<ReleasesOwnSide> {
    let writer = |shared: &ReleasesOwnSide| {
        let turn = shared.pair.write();
        shared.written.fetch_add(1, Relaxed);
        turn.cancel();
    };
    let reader = |shared: &ReleasesOwnSide| {
        let turn = shared.pair.read();
        assert_eq!(
            shared.written.fetch_add(0, Relaxed),
            1,
            "read before the write"
        );
        turn.cancel();
    };
    Scenario::new("releases_own_side", vec![writer, reader])
}

/// A semaphore pair in which a cancelled batch goes to the other side. A cancelled single turn
/// returns to its own side.
#[repr(C)]
#[derive(Debug, ShmSafe)]
struct CancelsToOtherSide(SemaphorePair);

impl BatchedPair for CancelsToOtherSide {
    fn write(&self, work: impl FnOnce()) {
        BatchedPair::write(&self.0, work);
    }

    fn read(&self, work: impl FnOnce()) {
        BatchedPair::read(&self.0, work);
    }

    fn write_some(&self, max: u32, work: impl FnOnce(u32) -> u32) {
        self.0.write_some(max, |count| {
            work(count);
            count
        });
    }

    fn read_some(&self, max: u32, work: impl FnOnce(u32) -> u32) {
        self.0.read_some(max, work);
    }
}
