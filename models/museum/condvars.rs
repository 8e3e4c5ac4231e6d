//! Waiting for a condition.

use super::{exhibit, look, swept};
use interlatch::platform::Ordering::AcqRel;
use interlatch::platform::{AtomicU32, Deadline, futex};
use interlatch::sync::{LockGuard, RawCondvar, RawMutex, Timeout};
use interlatch::{Condvar, ShmSafe};
use interlatch_check::FailureKind::{Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use std::time::Duration;

pub fn models() -> Vec<Model> {
    [
        swept(exhibit(
            "condvar_that_misses_1_0_1",
            Deadlock,
            misses::<false>,
            misses::<true>,
        )),
        swept(exhibit(
            "wait_without_a_loop",
            WrongResult,
            once::<false>,
            once::<true>,
        )),
        swept(exhibit(
            "notify_one_for_two_conditions",
            Deadlock,
            two_conditions::<false>,
            two_conditions::<true>,
        )),
        exhibit(
            "barrier_used_twice",
            WrongResult,
            barrier::<false>,
            barrier::<true>,
        ),
    ]
    .concat()
}

#[repr(C)]
#[derive(ShmSafe)]
struct Blocked {
    block: AtomicU32,
    lock: RawMutex,
    ready: RaceCell,
}

/// musl's condition variable before 97c5b5a8 (2011): a waiter sets the word to 1 and sleeps while it is
/// 1; a notification sets it to 0. If another waiter sets it to 1 again before the first one sleeps,
/// that one has missed the 0. Mended: each waiter writes a number of its own.
fn misses<const MENDED: bool>() -> Scenario<Blocked> {
    fn begin<const ME: u32, const MENDED: bool>(blocked: &Blocked) -> u32 {
        let token = if MENDED { ME } else { 1 };
        blocked.block.swap(token, AcqRel);
        token
    }
    let wait = |blocked: &Blocked| {
        loop {
            let held = blocked.lock.lock();
            if blocked.ready.get() == 1 {
                return;
            }
            let token = begin::<1, MENDED>(blocked);
            drop(held);
            futex::wait(&blocked.block, token, None);
        }
    };
    let wait_a_moment_for_something_else = |blocked: &Blocked| {
        let held = blocked.lock.lock();
        let token = begin::<2, MENDED>(blocked);
        drop(held);
        let soon = Deadline::after(Duration::ZERO);
        futex::wait(&blocked.block, token, Some(soon));
    };
    let notify = |blocked: &Blocked| {
        let held = blocked.lock.lock();
        blocked.ready.set(1);
        drop(held);
        blocked.block.swap(0, AcqRel);
        futex::wake(&blocked.block, u32::MAX);
    };
    let participants = vec![wait, wait_a_moment_for_something_else, notify];
    Scenario::new("misses", participants).choices(4)
}

#[repr(C)]
#[derive(ShmSafe)]
struct Tokens {
    lock: RawMutex,
    changed: Condvar,
    count: RaceCell,
}

/// `if` where `while` belongs (the notes; Lampson and Redell, "Experience with Processes and Monitors in
/// Mesa", 1980: a notification is a hint): between the wake and the return another process takes
/// what there was.
fn once<const MENDED: bool>() -> Scenario<Tokens> {
    fn take<const MENDED: bool>(tokens: &Tokens) {
        let mut held = tokens.lock.lock();
        let wait = |held: &mut LockGuard<'_, RawMutex>| {
            tokens.changed.wait_with(held, Timeout::Infinite);
        };
        if tokens.count.get() == 0 {
            wait(&mut held);
        }
        while MENDED && tokens.count.get() == 0 {
            wait(&mut held);
        }
        assert!(tokens.count.get() > 0, "woken, and nothing is there");
        tokens.count.set(tokens.count.get() - 1);
    }
    let put_two = |tokens: &Tokens| {
        for _ in 0..2 {
            let held = tokens.lock.lock();
            tokens.count.set(tokens.count.get() + 1);
            drop(held);
            tokens.changed.notify_one();
        }
    };
    Scenario::new("once", vec![take::<MENDED>, take::<MENDED>, put_two]).choices(8)
}

/// One condition variable for two conditions, and a notification of one (Lampson and Redell, as
/// above: then it has to be a broadcast): it may reach the one whose condition does not hold, who
/// goes back to sleep, and the other one never hears of it.
fn two_conditions<const MENDED: bool>() -> Scenario<Tokens> {
    fn wait<const AT_LEAST: u64>(tokens: &Tokens) {
        let mut held = tokens.lock.lock();
        while tokens.count.get() < AT_LEAST {
            tokens.changed.wait_with(&mut held, Timeout::Infinite);
        }
    }
    let count_to_two = |tokens: &Tokens| {
        for count in 1..=2 {
            let held = tokens.lock.lock();
            tokens.count.set(count);
            drop(held);
            if MENDED {
                tokens.changed.notify_all();
            } else {
                tokens.changed.notify_one();
            }
        }
    };
    let participants = vec![wait::<1> as fn(&Tokens), wait::<2>, count_to_two];
    Scenario::new("two_conditions", participants).choices(8)
}

#[repr(C)]
#[derive(ShmSafe)]
struct Barrier {
    arrived: AtomicU32,
    gate: AtomicU32,
    numbers: [RaceCell; 2],
}

impl Barrier {
    fn wait<const MENDED: bool>(&self) {
        let closed = if MENDED { look(&self.gate) } else { 0 };
        if self.arrived.fetch_add(1, AcqRel) == 1 {
            self.arrived.swap(0, AcqRel);
            self.gate.swap(closed + 1, AcqRel);
            futex::wake(&self.gate, u32::MAX);
        }
        while look(&self.gate) == closed {
            futex::wait(&self.gate, closed, None);
        }
    }
}

/// Downey, "The Little Book of Semaphores", 3.6: a barrier whose gate stays open once it was opened, so
/// that nobody waits at the second meeting. Mended: the gate counts the meetings.
fn barrier<const MENDED: bool>() -> Scenario<Barrier> {
    fn meet_twice<const ME: usize, const MENDED: bool>(barrier: &Barrier) {
        barrier.wait::<MENDED>();
        barrier.numbers[ME].set(7);
        barrier.wait::<MENDED>();
        assert_eq!(barrier.numbers[1 - ME].get(), 7);
    }
    Scenario::new(
        "barrier",
        vec![meet_twice::<0, MENDED>, meet_twice::<1, MENDED>],
    )
}
