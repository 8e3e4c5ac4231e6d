//! Locks that lose a waiter, miss an ordering, or store a wrong count.

use super::{bounded, exhibit, load_latest};
use interlatch::ShmSafe;
use interlatch::platform::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, Deadline, Wake, futex};
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use std::time::Duration;

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "attempt_counter_overflows",
            DataRace,
            attempts::<false>,
            attempts::<true>,
        ),
        bounded(exhibit(
            "waiter_count_aba",
            Deadlock,
            waiter_count::<false>,
            waiter_count::<true>,
        )),
        exhibit(
            "lock_upgraded_relaxed",
            DataRace,
            upgraded::<false>,
            upgraded::<true>,
        ),
        exhibit(
            "cleared_bit_is_subtracted",
            WrongResult,
            subtracted::<false>,
            subtracted::<true>,
        ),
    ]
    .concat()
}

/// A lock of one word and the number that it protects.
#[repr(C)]
#[derive(ShmSafe)]
struct Locked {
    state: AtomicU32,
    number: RaceCell,
}

/// The first mutex of Drepper, "Futexes Are Tricky" (2011): each attempt adds 1, and the process
/// that reads 0 has the lock. Two processes whose attempts alternate keep each other from sleeping.
/// When the word overflows, one of them reads 0 although the lock is held. The word in the paper
/// overflows at 2^32, and the word in this model overflows at 4.
///
/// Fix: as in the paper, the word has only three values, and an attempt does not add to the word.
fn attempts<const FIXED: bool>() -> Scenario<Locked> {
    const MAX: u32 = 4;
    fn lock<const FIXED: bool>(state: &AtomicU32) {
        if FIXED {
            while state.swap(2, Acquire) != 0 {
                futex::wait(state, 2, None);
            }
            return;
        }
        loop {
            let before = state.fetch_add(1, AcqRel);
            if before.is_multiple_of(MAX) {
                return;
            }
            futex::wait(state, before + 1, None);
        }
    }
    let increment = |locked: &Locked| {
        lock::<FIXED>(&locked.state);
        locked.number.increment();
        locked.state.swap(0, Release);
        futex::wake(&locked.state, 1);
    };
    Scenario::new("attempts", vec![increment, increment, increment]).choices(4)
}

/// Folly's SharedMutex before b927c0557 (2015): the word counts the waiters, and an unlock wakes
/// only one process if the count is 1. A waiter that is counted but not yet asleep can miss an
/// unlock. If the word then has the same value again because it counts another waiter, both waiters
/// sleep. The count is 1, so the next unlock wakes only one of them, and the other sleeps forever.
///
/// Fix: the count is only a lower bound, so an unlock wakes all waiters.
fn waiter_count<const FIXED: bool>() -> Scenario<Locked> {
    const HELD: u32 = 1;
    const WAITER: u32 = 2;
    const MAX: u32 = 3 * WAITER;
    fn lock(state: &AtomicU32) {
        let mut seen = 0;
        loop {
            let wanted = match seen & HELD {
                0 => seen | HELD,
                _ => HELD | MAX.min((seen & !HELD) + WAITER),
            };
            match state.compare_exchange(seen, wanted, AcqRel, Acquire) {
                Err(found) => seen = found,
                Ok(_) if seen & HELD == 0 => return,
                Ok(_) => {
                    futex::wait(state, wanted, None);
                    seen = load_latest(state);
                }
            }
        }
    }
    fn unlock<const FIXED: bool>(state: &AtomicU32) {
        let waiters = state.fetch_and(!HELD, AcqRel) & !HELD;
        if waiters == WAITER {
            // According to the count, no other process waits.
            let _ = state.compare_exchange(WAITER, 0, AcqRel, Acquire);
            futex::wake(state, if FIXED { u32::MAX } else { 1 });
        } else if waiters > 0 {
            futex::wake(state, 1);
        }
    }
    let twice = |locked: &Locked| {
        for _ in 0..2 {
            lock(&locked.state);
            unlock::<FIXED>(&locked.state);
        }
    };
    let once = |locked: &Locked| {
        lock(&locked.state);
        unlock::<FIXED>(&locked.state);
    };
    Scenario::new("waiter_count", vec![twice, once, once]).choices(8)
}

// Bits of a reader-writer lock with upgrade, as in parking_lot.
const READER: u32 = 16;
const WRITER: u32 = 8;
const UPGRADABLE: u32 = 4;
const WRITER_SLEEPS: u32 = 2;

/// parking_lot before c866ba8 (2021): the upgrade of a reader to the writer was Relaxed, so the
/// writes of the upgraded reader raced with the reads of earlier readers.
///
/// Fix: the upgrade uses Acquire, which pairs with the Release of a reader's unlock.
fn upgraded<const FIXED: bool>() -> Scenario<Locked> {
    const UPGRADES: [Ordering; 2] = [Relaxed, Acquire];
    let upgrade = |locked: &Locked| {
        let order = UPGRADES[usize::from(FIXED)];
        locked.state.fetch_add(READER | UPGRADABLE, Acquire);
        let upgraded = locked
            .state
            .compare_exchange(READER | UPGRADABLE, WRITER, order, Relaxed);
        if upgraded.is_ok() {
            locked.number.set(1);
        }
    };
    let read = |locked: &Locked| {
        if locked.state.fetch_add(READER, Acquire) & WRITER == 0 {
            locked.number.get();
        }
        locked.state.fetch_sub(READER, Release);
    };
    Scenario::new("upgraded", vec![upgrade, read])
}

/// parking_lot's issue 465 (2025): a writer that times out subtracts its own bit and the bit of a
/// sleeping writer in one step. The last reader may already have cleared the second bit, because it
/// found no sleeper. The subtraction then borrows from the neighbouring bits, and the lock stays
/// held without an owner.
///
/// Fix: the bit is cleared with `fetch_and`, not subtracted.
fn subtracted<const FIXED: bool>() -> Scenario<Locked> {
    let read = |locked: &Locked| {
        locked.state.fetch_add(READER, Acquire);
        let before = locked.state.fetch_sub(READER, AcqRel);
        if before & !WRITER == READER | WRITER_SLEEPS {
            futex::wake(&locked.state, 1);
            locked.state.fetch_and(!WRITER_SLEEPS, AcqRel);
        }
    };
    let write_with_timeout = |locked: &Locked| {
        let mut state = locked.state.fetch_add(WRITER, AcqRel) | WRITER;
        while state >= READER {
            let sleeping = state | WRITER_SLEEPS;
            if let Err(found) = locked
                .state
                .compare_exchange(state, sleeping, AcqRel, Acquire)
            {
                state = found;
                continue;
            }
            let deadline = Some(Deadline::after(Duration::ZERO));
            if futex::wait(&locked.state, sleeping, deadline) == Wake::TimedOut {
                if FIXED {
                    locked.state.fetch_and(!WRITER_SLEEPS, AcqRel);
                    locked.state.fetch_sub(WRITER, AcqRel);
                } else {
                    locked.state.fetch_sub(WRITER | WRITER_SLEEPS, AcqRel);
                }
                return;
            }
            state = load_latest(&locked.state);
        }
        locked.state.fetch_sub(WRITER, AcqRel);
    };
    Scenario::new("subtracted", vec![read, write_with_timeout])
        .verify(|locked| assert_eq!(load_latest(&locked.state), 0, "the lock is free"))
}
