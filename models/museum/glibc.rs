//! The condition variable of glibc 2.25 to 2.40 and its lost wake-up.
//!
//! Each waiter draws a number and belongs to one of two groups. G1 receives the signals, and new
//! waiters join G2. When all waiters in G1 have a signal, the next signal closes G1, and G2 becomes
//! G1. The groups alternate between two slots, so a delayed waiter may find a later group in its
//! own slot and take a signal of that group. This is bug 25847, reported in 2020 and fixed in 2024
//! by Frank Barrus. Malte Skarupke explained the bug with TLA+. The delayed waiter detects the
//! later group by its own number, and puts a signal back if the slot still belongs to G1. After
//! this check, and before the waiter puts the signal back, the groups may change once more. The
//! signal then reaches a waiter in G2. That waiter waits again, and its group now counts one waiter
//! too many. A later signal is assigned to the missing waiter, and the waiter that needs it sleeps
//! forever.
//!
//! Fix, as in glibc 2.41: the count of signals starts at the first number of the group instead of
//! 0. No waiter can take a signal from a later group, and no waiter puts a signal back.
//!
//! The model begins after three groups. One waiter is about to take the signal that it saw in the
//! first group. Another waiter is about to check for its own signal in the third group. With a
//! single signaler, the lock among signalers is unnecessary, and the signaler keeps its state
//! private. All loads return the latest value, so weak memory ordering does not cause the bug.

use super::{bounded_by, exhibit, load_latest};
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, futex};
use interlatch::sync::RawMutex;
use interlatch::sync::{LockGuard, RawCondvar, Timeout};
use interlatch::{Condvar, ShmSafe};
use interlatch_check::FailureKind::Deadlock;
use interlatch_check::{Model, RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    let exhibit = exhibit(
        "glibc_condvar_lost_wakeup",
        Deadlock,
        put_back::<false>,
        put_back::<true>,
    );
    // The bug needs two preemptions.
    bounded_by(2, exhibit)
}

/// Number of items that the producer passes to the waiters.
const ITEMS: usize = 3;

#[repr(C)]
#[derive(ShmSafe)]
struct Shared<const FIXED: bool> {
    /// Twice the next number, plus the index of the slot of G2.
    #[shm(initial = AtomicU32::new(3 << 1 | 1))]
    next: AtomicU32,
    /// Twice the first number of G1, plus the index of the slot of G2. The fixed form stores only
    /// the first number of G1.
    #[shm(initial = AtomicU32::new(if FIXED { 2 } else { 2 << 1 | 1 }))]
    start: AtomicU32,
    /// For each slot, twice the number of signals, plus 1 if the group is closed. The fixed form
    /// stores the first number of the group plus the number of signals.
    #[shm(initial = (if FIXED { [3, 1] } else { [2, 0] }).map(AtomicU32::new))]
    signals: [AtomicU32; 2],
    /// For each slot, twice the number of sleeping waiters, plus 1 if the signaler waits for them.
    sleepers: [AtomicU32; 2],
    lock: RawMutex,
    item: RaceCell,
    taken: Condvar,
}

/// The number of a waiter and the slot of its group.
#[derive(Clone, Copy)]
struct Ticket {
    number: u32,
    slot: usize,
}

impl<const FIXED: bool> Shared<FIXED> {
    fn wait(&self, guard: &mut LockGuard<'_, RawMutex>) {
        let next = self.next.fetch_add(2, Acquire);
        let ticket = Ticket {
            number: next >> 1,
            slot: (next & 1) as usize,
        };
        // SAFETY: `guard` owns the lock. The lock is acquired again below, before `guard` is used.
        unsafe { guard.mutex().unlock() };
        self.sleep(ticket, None);
        guard.mutex().raw_lock();
    }

    /// Sleeps until a signal for this ticket. `seen` is an earlier value of the signals.
    fn sleep(&self, ticket: Ticket, seen: Option<u32>) {
        if FIXED {
            self.sleep_fixed(ticket);
        } else {
            self.sleep_broken(ticket, seen);
        }
    }

    fn sleep_fixed(&self, ticket: Ticket) {
        let word = &self.signals[ticket.slot];
        loop {
            let signals = load_latest(word);
            let start = load_latest(&self.start);
            if ticket.number < start {
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

    fn sleep_broken(&self, ticket: Ticket, seen: Option<u32>) {
        const IS_CLOSED: u32 = 1;
        let word = &self.signals[ticket.slot];
        let mut signals = seen.unwrap_or_else(|| load_latest(word));
        loop {
            if signals & IS_CLOSED != 0 {
                return;
            }
            if signals > 0 {
                match word.compare_exchange(signals, signals - 2, Acquire, Relaxed) {
                    Ok(_) => return self.put_back(ticket),
                    Err(found) => signals = found,
                }
                continue;
            }
            self.sleepers[ticket.slot].fetch_add(2, Acquire);
            let is_closed = load_latest(word) & IS_CLOSED != 0;
            let is_over = is_closed || ticket.number < load_latest(&self.start) >> 1;
            if !is_over {
                futex::wait(word, 0, None);
            }
            if self.sleepers[ticket.slot].fetch_sub(2, Release) == 3 {
                self.sleepers[ticket.slot].fetch_and(!1, AcqRel);
                futex::wake(&self.sleepers[ticket.slot], u32::MAX);
            }
            if is_over {
                return;
            }
            signals = load_latest(word);
        }
    }

    /// Puts the signal back if the group of this ticket has ended. In this case the signal may
    /// belong to a later group.
    fn put_back(&self, ticket: Ticket) {
        let start = load_latest(&self.start);
        let is_past = ticket.number < start >> 1;
        if !is_past || (start & 1 ^ 1) as usize != ticket.slot {
            return;
        }
        let word = &self.signals[ticket.slot];
        let mut signals = load_latest(word);
        while load_latest(&self.start) == start {
            let is_closed = signals & 1 != 0;
            // Other processes may make a new group current at this point.
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

/// Private state of the signaler.
struct Groups {
    /// The slot of G1, the first number of G1, and the size of G1.
    slot: usize,
    start: u32,
    size: u32,
    /// Number of waiters in G1 without a signal.
    unsignaled: u32,
}

impl Groups {
    fn signal<const FIXED: bool>(&mut self, shared: &Shared<FIXED>) {
        if self.unsignaled == 0 && !self.switch(shared) {
            return;
        }
        shared.signals[self.slot].fetch_add(if FIXED { 1 } else { 2 }, Relaxed);
        self.unsignaled -= 1;
        futex::wake(&shared.signals[self.slot], 1);
    }

    /// Makes G2 the new G1. Returns `false` if G2 is empty.
    fn switch<const FIXED: bool>(&mut self, shared: &Shared<FIXED>) -> bool {
        let end = self.start + self.size;
        if load_latest(&shared.next) >> 1 == end {
            return false;
        }
        let new = self.slot ^ 1;
        if FIXED {
            shared.start.fetch_add(self.size, Relaxed);
            let next = self.flip(shared);
            shared.signals[new].swap(end, Release);
            self.size = next - end;
        } else {
            self.close(shared);
            let slot = if self.slot == 1 { 1 } else { u32::MAX };
            let step = (self.size << 1).wrapping_add(slot);
            shared.start.fetch_add(step, Relaxed);
            shared.signals[self.slot].swap(0, Release);
            self.size = self.flip(shared) - end;
        }
        (self.slot, self.start, self.unsignaled) = (new, end, self.size);
        true
    }

    /// Assigns new waiters to the slot of the old G1. Returns the next number.
    fn flip<const FIXED: bool>(&self, shared: &Shared<FIXED>) -> u32 {
        let next = match self.slot {
            0 => shared.next.fetch_sub(1, Release),
            _ => shared.next.fetch_add(1, Release),
        };
        next >> 1
    }

    /// Marks G1 as closed and waits until no process sleeps in it.
    fn close<const FIXED: bool>(&self, shared: &Shared<FIXED>) {
        shared.signals[self.slot].fetch_or(1, Relaxed);
        let sleepers = &shared.sleepers[self.slot];
        while load_latest(sleepers) >> 1 > 0 {
            let seen = sleepers.fetch_or(1, AcqRel) | 1;
            if seen >> 1 > 0 {
                futex::wait(sleepers, seen, None);
            }
        }
    }
}

fn put_back<const FIXED: bool>() -> Scenario<Shared<FIXED>> {
    let delayed = |shared: &Shared<FIXED>| {
        shared.sleep(Ticket { number: 0, slot: 0 }, Some(2));
    };
    let third = |shared: &Shared<FIXED>| shared.sleep(Ticket { number: 2, slot: 0 }, None);
    let receive = |shared: &Shared<FIXED>| {
        for _ in 0..ITEMS {
            let mut guard = shared.lock.lock();
            while shared.item.get() == 0 {
                shared.wait(&mut guard);
            }
            shared.item.set(0);
            drop(guard);
            shared.taken.notify_one();
        }
    };
    let send = |shared: &Shared<FIXED>| {
        let mut groups = Groups {
            slot: 0,
            start: 2,
            size: 1,
            unsignaled: 0,
        };
        for _ in 0..ITEMS {
            let mut guard = shared.lock.lock();
            while shared.item.get() != 0 {
                shared.taken.wait_with(&mut guard, Timeout::Infinite);
            }
            shared.item.set(1);
            drop(guard);
            groups.signal(shared);
        }
    };
    Scenario::new("put_back", vec![receive, delayed, third, send]).choices(8)
}
