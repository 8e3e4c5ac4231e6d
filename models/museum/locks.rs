//! Locks that lose a waiter, an ordering, or count.

use super::{exhibit, look, swept};
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
            "lock_that_counts_its_lockers",
            DataRace,
            counted::<false>,
            counted::<true>,
        ),
        swept(exhibit(
            "waiter_counted_in_another_time",
            Deadlock,
            recorded::<false>,
            recorded::<true>,
        )),
        exhibit(
            "upgraded_relaxed",
            DataRace,
            upgraded::<false>,
            upgraded::<true>,
        ),
        exhibit(
            "bit_that_another_has_cleared",
            WrongResult,
            subtracted::<false>,
            subtracted::<true>,
        ),
    ]
    .concat()
}

/// A lock of one word, and what it protects.
#[repr(C)]
#[derive(ShmSafe)]
struct Locked {
    state: AtomicU32,
    number: RaceCell,
}

/// The first mutex of Drepper, "Futexes Are Tricky" (2011): each try adds one, and who finds nothing
/// has the lock. Two that try in turn keep each other from sleeping, and after as many tries as the word
/// can count, one finds nothing although the lock is held. The word of the paper counts to 2^32, the
/// one here to 4. Mended, as in the paper: three values, and a try adds nothing.
fn counted<const MENDED: bool>() -> Scenario<Locked> {
    const MAX: u32 = 4;
    fn lock<const MENDED: bool>(state: &AtomicU32) {
        if MENDED {
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
        lock::<MENDED>(&locked.state);
        locked.number.increment();
        locked.state.swap(0, Release);
        futex::wake(&locked.state, 1);
    };
    Scenario::new("counted", vec![increment, increment, increment]).choices(4)
}

/// Folly's SharedMutex before b927c0557 (2015): the word counts the waiters, so that one that is alone is
/// woken without telling all. But between being counted and asleep one can miss an unlock, and be
/// there when the word looks the same again and counts another one: two sleep, one is counted, and
/// one is woken. Mended: the count says how many at least.
fn recorded<const MENDED: bool>() -> Scenario<Locked> {
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
                    seen = look(state);
                }
            }
        }
    }
    fn unlock<const MENDED: bool>(state: &AtomicU32) {
        let waiters = state.fetch_and(!HELD, AcqRel) & !HELD;
        if waiters == WAITER {
            // As far as is known there is no other.
            let _ = state.compare_exchange(WAITER, 0, AcqRel, Acquire);
            futex::wake(state, if MENDED { u32::MAX } else { 1 });
        } else if waiters > 0 {
            futex::wake(state, 1);
        }
    }
    let twice = |locked: &Locked| {
        for _ in 0..2 {
            lock(&locked.state);
            unlock::<MENDED>(&locked.state);
        }
    };
    let once = |locked: &Locked| {
        lock(&locked.state);
        unlock::<MENDED>(&locked.state);
    };
    Scenario::new("recorded", vec![twice, once, once]).choices(8)
}

/// Readers, of whom one may become the writer, as in parking_lot's RwLock.
const READER: u32 = 16;
const WRITER: u32 = 8;
const UPGRADABLE: u32 = 4;
const WRITER_SLEEPS: u32 = 2;

/// parking_lot before c866ba8 (2021): a reader that becomes the writer did so with Relaxed, and its
/// writes raced with what the readers before it had read. Mended: Acquire, which pairs with the
/// Release of a reader that leaves.
fn upgraded<const MENDED: bool>() -> Scenario<Locked> {
    const UPGRADES: [Ordering; 2] = [Relaxed, Acquire];
    let upgrade = |locked: &Locked| {
        let order = UPGRADES[usize::from(MENDED)];
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

/// parking_lot's issue 465 (2025): a writer whose time is over takes its own bit and the bit for a
/// sleeping writer away by one subtraction. The last reader may have cleared the latter already, since
/// it has found nobody asleep; then the subtraction borrows from the neighbours, and the lock is held
/// by nobody for ever. Mended: the bit is cleared, not subtracted.
fn subtracted<const MENDED: bool>() -> Scenario<Locked> {
    let read = |locked: &Locked| {
        locked.state.fetch_add(READER, Acquire);
        let before = locked.state.fetch_sub(READER, AcqRel);
        if before & !WRITER == READER | WRITER_SLEEPS {
            futex::wake(&locked.state, 1);
            locked.state.fetch_and(!WRITER_SLEEPS, AcqRel);
        }
    };
    let write_soon = |locked: &Locked| {
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
            let soon = Some(Deadline::after(Duration::ZERO));
            if futex::wait(&locked.state, sleeping, soon) == Wake::TimedOut {
                if MENDED {
                    locked.state.fetch_and(!WRITER_SLEEPS, AcqRel);
                    locked.state.fetch_sub(WRITER, AcqRel);
                } else {
                    locked.state.fetch_sub(WRITER | WRITER_SLEEPS, AcqRel);
                }
                return;
            }
            state = look(&locked.state);
        }
        locked.state.fetch_sub(WRITER, AcqRel);
    };
    Scenario::new("subtracted", vec![read, write_soon])
        .verify(|locked| assert_eq!(look(&locked.state), 0, "nobody holds it"))
}
