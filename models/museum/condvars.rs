//! Published bugs in condition variables and barriers.

use super::{bounded, exhibit, load_latest};
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
        bounded(exhibit(
            "condvar_word_aba",
            Deadlock,
            word_aba::<false>,
            word_aba::<true>,
        )),
        bounded(exhibit(
            "wait_without_loop",
            WrongResult,
            without_loop::<false>,
            without_loop::<true>,
        )),
        bounded(exhibit(
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

/// musl's condition variable before 97c5b5a8 (2011): a waiter sets the word to 1 and sleeps while
/// the word is 1. A notification sets it to 0. If a second waiter sets the word to 1 again before
/// the first waiter sleeps, the first waiter misses the notification.
///
/// Fix: each waiter writes its own number.
fn word_aba<const FIXED: bool>() -> Scenario<Blocked> {
    fn begin<const INDEX: u32, const FIXED: bool>(blocked: &Blocked) -> u32 {
        let token = if FIXED { INDEX } else { 1 };
        blocked.block.swap(token, AcqRel);
        token
    }
    let wait = |blocked: &Blocked| {
        loop {
            let guard = blocked.lock.lock();
            if blocked.ready.get() == 1 {
                return;
            }
            let token = begin::<1, FIXED>(blocked);
            drop(guard);
            futex::wait(&blocked.block, token, None);
        }
    };
    let wait_with_timeout_for_another_condition = |blocked: &Blocked| {
        let guard = blocked.lock.lock();
        let token = begin::<2, FIXED>(blocked);
        drop(guard);
        let deadline = Deadline::after(Duration::ZERO);
        futex::wait(&blocked.block, token, Some(deadline));
    };
    let notify = |blocked: &Blocked| {
        let guard = blocked.lock.lock();
        blocked.ready.set(1);
        drop(guard);
        blocked.block.swap(0, AcqRel);
        futex::wake(&blocked.block, u32::MAX);
    };
    let participants = vec![wait, wait_with_timeout_for_another_condition, notify];
    Scenario::new("word_aba", participants).choices(4)
}

#[repr(C)]
#[derive(ShmSafe)]
struct Tokens {
    lock: RawMutex,
    changed: Condvar,
    count: RaceCell,
}

/// A wait that checks its condition with `if` instead of `while`. Between the wake-up and the
/// return of the wait, another process takes the token. The bug is described in the course notes
/// and by Lampson and Redell ("Experience with Processes and Monitors in Mesa", 1980), who call a
/// notification a hint.
fn without_loop<const FIXED: bool>() -> Scenario<Tokens> {
    fn take_token<const FIXED: bool>(tokens: &Tokens) {
        let mut guard = tokens.lock.lock();
        let wait = |guard: &mut LockGuard<'_, RawMutex>| {
            tokens.changed.wait_with(guard, Timeout::Infinite);
        };
        if tokens.count.get() == 0 {
            wait(&mut guard);
        }
        while FIXED && tokens.count.get() == 0 {
            wait(&mut guard);
        }
        assert!(tokens.count.get() > 0, "woken without a token");
        tokens.count.set(tokens.count.get() - 1);
    }
    let put_two = |tokens: &Tokens| {
        for _ in 0..2 {
            let guard = tokens.lock.lock();
            tokens.count.set(tokens.count.get() + 1);
            drop(guard);
            tokens.changed.notify_one();
        }
    };
    Scenario::new(
        "without_loop",
        vec![take_token::<FIXED>, take_token::<FIXED>, put_two],
    )
    .choices(8)
}

/// A call of `notify_one` on a condition variable that is used for two conditions. Lampson and
/// Redell require a broadcast in this case. The notification may reach a waiter whose condition
/// does not hold. That waiter sleeps again, and the other waiter is never notified.
fn two_conditions<const FIXED: bool>() -> Scenario<Tokens> {
    fn wait<const AT_LEAST: u64>(tokens: &Tokens) {
        let mut guard = tokens.lock.lock();
        while tokens.count.get() < AT_LEAST {
            tokens.changed.wait_with(&mut guard, Timeout::Infinite);
        }
    }
    let count_to_two = |tokens: &Tokens| {
        for count in 1..=2 {
            let guard = tokens.lock.lock();
            tokens.count.set(count);
            drop(guard);
            if FIXED {
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
    fn wait<const FIXED: bool>(&self) {
        let closed = if FIXED { load_latest(&self.gate) } else { 0 };
        if self.arrived.fetch_add(1, AcqRel) == 1 {
            self.arrived.swap(0, AcqRel);
            self.gate.swap(closed + 1, AcqRel);
            futex::wake(&self.gate, u32::MAX);
        }
        while load_latest(&self.gate) == closed {
            futex::wait(&self.gate, closed, None);
        }
    }
}

/// A barrier that is not reusable (Downey, "The Little Book of Semaphores", 3.6): its gate stays
/// open, so no process waits at the second meeting.
///
/// Fix: the gate counts the meetings.
fn barrier<const FIXED: bool>() -> Scenario<Barrier> {
    fn meet_twice<const INDEX: usize, const FIXED: bool>(barrier: &Barrier) {
        barrier.wait::<FIXED>();
        barrier.numbers[INDEX].set(7);
        barrier.wait::<FIXED>();
        assert_eq!(barrier.numbers[1 - INDEX].get(), 7);
    }
    Scenario::new(
        "barrier",
        vec![meet_twice::<0, FIXED>, meet_twice::<1, FIXED>],
    )
}
