//! The condition variable of glibc 2.25 to 2.40, and its lost wake-up.
//!
//! Waiters draw numbers and belong to one of two groups: G1 gets the signals, G2 the newcomers. Once
//! everyone in G1 has been signalled, a signal closes it, and G2 becomes G1. There are two slots, so a
//! waiter that was held up may find a later group in the slot of its own, and take that one's signal
//! (bug 25847, reported in 2020 and mended in 2024 by Frank Barrus; Malte Skarupke has explained it
//! with TLA+). It notices by its number, and puts a signal back if the slot is still G1's. Between
//! that look and the signal the groups may change once more, and the signal goes to somebody in G2. That
//! one waits again, and its group counts one more than it has; a later signal goes to the one that is
//! not there, and the one that should have had it sleeps on.
//!
//! Mended, as in glibc 2.41: the word with the signals counts on from the number at which the group
//! begins, so a signal cannot be taken from a later group, and nothing is put back.
//!
//! The model begins where three groups have come and gone: one waiter is about to take the signal
//! that it has seen in the first, and one is about to look for its own in the third. There is one
//! signaler, so the lock among signalers is left out, and it keeps its numbers to itself. All words
//! are read at their newest, so nothing here comes of orderings.

use super::{exhibit, look};
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, futex};
use interlatch::sync::RawMutex;
use interlatch::sync::{LockGuard, RawCondvar, Timeout};
use interlatch::{Condvar, ShmSafe};
use interlatch_check::FailureKind::Deadlock;
use interlatch_check::{Expectation, Model};
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    let exhibit = exhibit(
        "signal_put_back_too_late",
        Deadlock,
        put_back::<false>,
        put_back::<true>,
    );
    // The bug comes about with two preemptions.
    let sweep = |model: Model| match model.expectation {
        Expectation::Holds => model.bounded(2),
        Expectation::Fails(_) => model,
    };
    exhibit.into_iter().map(sweep).collect()
}

/// How many items are handed over.
const ITEMS: usize = 3;

#[repr(C)]
#[derive(ShmSafe)]
struct Shared<const MENDED: bool> {
    /// Twice the next number, and the slot of G2.
    #[shm(initial = AtomicU32::new(3 << 1 | 1))]
    next: AtomicU32,
    /// Twice the number at which G1 begins, and the slot of G2. Mended: without the slot.
    #[shm(initial = AtomicU32::new(if MENDED { 2 } else { 2 << 1 | 1 }))]
    start: AtomicU32,
    /// Twice the number of signals in each slot, and whether its group is closed. Mended: the number
    /// at which the group begins plus the signals.
    #[shm(initial = (if MENDED { [3, 1] } else { [2, 0] }).map(AtomicU32::new))]
    signals: [AtomicU32; 2],
    /// Twice the number of waiters in each slot that sleep, and whether the signaler waits for them.
    sleepers: [AtomicU32; 2],
    lock: RawMutex,
    item: RaceCell,
    taken: Condvar,
}

/// A number, and the slot of its group.
#[derive(Clone, Copy)]
struct Place {
    number: u32,
    slot: usize,
}

impl<const MENDED: bool> Shared<MENDED> {
    fn wait(&self, held: &mut LockGuard<'_, RawMutex>) {
        let next = self.next.fetch_add(2, Acquire);
        let place = Place {
            number: next >> 1,
            slot: (next & 1) as usize,
        };
        // SAFETY: `held` says that the lock is held, and it is taken again below.
        unsafe { held.lock().unlock() };
        self.sleep(place, None);
        held.lock().raw_lock();
    }

    /// Until a signal comes for this place. The first look may have been long ago.
    fn sleep(&self, place: Place, seen: Option<u32>) {
        if MENDED {
            self.sleep_mended(place);
        } else {
            self.sleep_broken(place, seen);
        }
    }

    fn sleep_mended(&self, place: Place) {
        let word = &self.signals[place.slot];
        loop {
            let signals = look(word);
            let start = look(&self.start);
            if place.number < start {
                return;
            }
            if signals.wrapping_sub(start) as i32 > 0 {
                let taken = word.compare_exchange(signals, signals - 1, Acquire, Relaxed);
                if taken.is_ok() {
                    return;
                }
            } else {
                futex::wait(word, signals, None);
            }
        }
    }

    fn sleep_broken(&self, place: Place, seen: Option<u32>) {
        const IS_CLOSED: u32 = 1;
        let word = &self.signals[place.slot];
        let mut signals = seen.unwrap_or_else(|| look(word));
        loop {
            if signals & IS_CLOSED != 0 {
                return;
            }
            if signals > 0 {
                match word.compare_exchange(signals, signals - 2, Acquire, Relaxed) {
                    Ok(_) => return self.put_back(place),
                    Err(found) => signals = found,
                }
                continue;
            }
            self.sleepers[place.slot].fetch_add(2, Acquire);
            let is_closed = look(word) & IS_CLOSED != 0;
            let is_over = is_closed || place.number < look(&self.start) >> 1;
            if !is_over {
                futex::wait(word, 0, None);
            }
            if self.sleepers[place.slot].fetch_sub(2, Release) == 3 {
                self.sleepers[place.slot].fetch_and(!1, AcqRel);
                futex::wake(&self.sleepers[place.slot], u32::MAX);
            }
            if is_over {
                return;
            }
            signals = look(word);
        }
    }

    /// If this place is in a group that is gone, the signal may have been another one's.
    fn put_back(&self, place: Place) {
        let start = look(&self.start);
        let is_gone = place.number < start >> 1;
        if !is_gone || (start & 1 ^ 1) as usize != place.slot {
            return;
        }
        let word = &self.signals[place.slot];
        let mut signals = look(word);
        while look(&self.start) == start {
            let is_closed = signals & 1 != 0;
            // Here the groups may change.
            let put_back = || word.compare_exchange(signals, signals + 2, Relaxed, Relaxed);
            match if is_closed { Ok(signals) } else { put_back() } {
                Ok(_) => {
                    futex::wake(word, 1);
                    return;
                }
                Err(found) => signals = found,
            }
        }
    }
}

/// What the signaler knows.
struct Groups {
    /// The slot of G1, where it begins, and how many it had.
    slot: usize,
    start: u32,
    all: u32,
    /// How many in G1 have not been signalled.
    left: u32,
}

impl Groups {
    fn signal<const MENDED: bool>(&mut self, shared: &Shared<MENDED>) {
        if self.left == 0 && !self.switch(shared) {
            return;
        }
        shared.signals[self.slot].fetch_add(if MENDED { 1 } else { 2 }, Relaxed);
        self.left -= 1;
        futex::wake(&shared.signals[self.slot], 1);
    }

    /// G2 becomes G1, unless nobody is in it.
    fn switch<const MENDED: bool>(&mut self, shared: &Shared<MENDED>) -> bool {
        let end = self.start + self.all;
        if look(&shared.next) >> 1 == end {
            return false;
        }
        let new = self.slot ^ 1;
        if MENDED {
            shared.start.fetch_add(self.all, Relaxed);
            let next = self.flip(shared);
            shared.signals[new].swap(end, Release);
            self.all = next - end;
        } else {
            self.close(shared);
            let slot = if self.slot == 1 { 1 } else { u32::MAX };
            let step = (self.all << 1).wrapping_add(slot);
            shared.start.fetch_add(step, Relaxed);
            shared.signals[self.slot].swap(0, Release);
            self.all = self.flip(shared) - end;
        }
        (self.slot, self.start, self.left) = (new, end, self.all);
        true
    }

    /// From here on newcomers belong to the slot that was G1's. Returns the next number.
    fn flip<const MENDED: bool>(&self, shared: &Shared<MENDED>) -> u32 {
        let next = match self.slot {
            0 => shared.next.fetch_sub(1, Release),
            _ => shared.next.fetch_add(1, Release),
        };
        next >> 1
    }

    /// Marks G1 as closed, and waits until nobody sleeps in it.
    fn close<const MENDED: bool>(&self, shared: &Shared<MENDED>) {
        shared.signals[self.slot].fetch_or(1, Relaxed);
        let sleepers = &shared.sleepers[self.slot];
        while look(sleepers) >> 1 > 0 {
            let seen = sleepers.fetch_or(1, AcqRel) | 1;
            if seen >> 1 > 0 {
                futex::wait(sleepers, seen, None);
            }
        }
    }
}

fn put_back<const MENDED: bool>() -> Scenario<Shared<MENDED>> {
    let held_up = |shared: &Shared<MENDED>| {
        shared.sleep(Place { number: 0, slot: 0 }, Some(2));
    };
    let third = |shared: &Shared<MENDED>| shared.sleep(Place { number: 2, slot: 0 }, None);
    let take = |shared: &Shared<MENDED>| {
        for _ in 0..ITEMS {
            let mut held = shared.lock.lock();
            while shared.item.get() == 0 {
                shared.wait(&mut held);
            }
            shared.item.set(0);
            drop(held);
            shared.taken.notify_one();
        }
    };
    let give = |shared: &Shared<MENDED>| {
        let mut groups = Groups {
            slot: 0,
            start: 2,
            all: 1,
            left: 0,
        };
        for _ in 0..ITEMS {
            let mut held = shared.lock.lock();
            while shared.item.get() != 0 {
                shared.taken.wait_with(&mut held, Timeout::Infinite);
            }
            shared.item.set(1);
            drop(held);
            groups.signal(shared);
        }
    };
    Scenario::new("put_back", vec![take, held_up, third, give]).choices(8)
}
