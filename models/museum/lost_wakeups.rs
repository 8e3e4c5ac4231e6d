//! Published bugs in which a sleeping process misses its wake-up.

use super::{bounded, exhibit, load_latest};
use interlatch::ShmSafe;
use interlatch::platform::Ordering::{AcqRel, Acquire, Release, SeqCst};
use interlatch::platform::{AtomicU32, Deadline, Wake, fence, futex};
use interlatch_check::FailureKind::Deadlock;
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use std::time::Duration;

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "notification_before_wait",
            Deadlock,
            notify_early::<false>,
            notify_early::<true>,
        ),
        exhibit(
            "check_outside_queue_lock",
            Deadlock,
            check_outside::<false>,
            check_outside::<true>,
        ),
        exhibit(
            "waiter_count_without_fence",
            Deadlock,
            waiter_count::<false>,
            waiter_count::<true>,
        ),
        bounded(exhibit(
            "timed_out_writer_wakes_no_reader",
            Deadlock,
            timed_out_writer::<false>,
            timed_out_writer::<true>,
        )),
        exhibit(
            "timed_out_waiter_loses_wakeup",
            Deadlock,
            timed_out_waiter::<false>,
            timed_out_waiter::<true>,
        ),
        bounded(exhibit(
            "lock_acquired_without_waiters_mark",
            Deadlock,
            unmarked::<false>,
            unmarked::<true>,
        )),
    ]
    .concat()
}

/// A condition, the number of waiters, and the word on which they sleep.
#[repr(C)]
#[derive(ShmSafe)]
struct Event {
    ready: AtomicU32,
    waiters: AtomicU32,
    gate: AtomicU32,
}

/// The oldest lost wake-up: a wake before the sleep has no effect unless the waker changes a word
/// that the sleeper checks.
///
/// Fix: the waker changes the word that the kernel compares before it lets the process sleep.
fn notify_early<const FIXED: bool>() -> Scenario<Event> {
    let wait = |event: &Event| {
        loop {
            let gate = if FIXED { load_latest(&event.gate) } else { 0 };
            if load_latest(&event.ready) == 1 {
                return;
            }
            futex::wait(&event.gate, gate, None);
        }
    };
    let notify = |event: &Event| {
        event.ready.swap(1, AcqRel);
        if FIXED {
            event.gate.fetch_add(1, AcqRel);
        }
        futex::wake(&event.gate, 1);
    };
    Scenario::new("notify_early", vec![wait, notify])
}

/// A futex whose wait checks the word before it locks the queue (Unikraft, pull request 1763, 2026;
/// Zephyr, 105859). A wake between these two steps finds an empty queue. In this model the queue is
/// a count, and the waiter sleeps on its own word.
///
/// Fix: the waiter checks the word again after it has joined the queue.
fn check_outside<const FIXED: bool>() -> Scenario<Event> {
    let wait = |event: &Event| {
        if load_latest(&event.ready) == 1 {
            return;
        }
        event.waiters.fetch_add(1, AcqRel);
        if FIXED && load_latest(&event.ready) == 1 {
            return;
        }
        while load_latest(&event.gate) == 0 {
            futex::wait(&event.gate, 0, None);
        }
    };
    let wake = |event: &Event| {
        event.ready.swap(1, AcqRel);
        if load_latest(&event.waiters) > 0 {
            event.gate.swap(1, AcqRel);
            futex::wake(&event.gate, 1);
        }
    };
    Scenario::new("check_outside", vec![wait, wake])
}

/// Folly's ParkingLot before ff7ab9dbe: `unpark` first checks whether a process waits, to avoid the
/// lock. The store before `unpark` and this load form the store-buffering pattern: each side may
/// miss the store of the other side.
///
/// Fix: each side executes a full fence between its store and its load.
fn waiter_count<const FIXED: bool>() -> Scenario<Event> {
    let park = |event: &Event| {
        event.waiters.store(1, Release);
        if FIXED {
            fence(SeqCst);
        }
        if event.ready.load(Acquire) == 0 {
            while load_latest(&event.gate) == 0 {
                futex::wait(&event.gate, 0, None);
            }
        }
    };
    let unpark = |event: &Event| {
        event.ready.store(1, Release);
        if FIXED {
            fence(SeqCst);
        }
        if event.waiters.load(Acquire) > 0 {
            event.gate.swap(1, AcqRel);
            futex::wake(&event.gate, 1);
        }
    };
    Scenario::new("waiter_count", vec![park, unpark])
}

/// A reader-writer lock in one word. The word contains the number of readers, whether a writer
/// holds the lock or waits for it, and whether readers sleep.
#[repr(C)]
#[derive(ShmSafe)]
struct ReadersAndWriters(AtomicU32);

const WRITER: u32 = 1;
const READERS_SLEEP: u32 = 2;
const READER: u32 = 4;

impl ReadersAndWriters {
    fn read(&self) {
        let mut state = load_latest(&self.0);
        loop {
            let sleeps = state & WRITER != 0;
            let new = if sleeps {
                state | READERS_SLEEP
            } else {
                state + READER
            };
            match self.0.compare_exchange(state, new, AcqRel, Acquire) {
                Err(found) => state = found,
                Ok(_) if !sleeps => break,
                Ok(_) => {
                    futex::wait(&self.0, new, None);
                    state = load_latest(&self.0);
                }
            }
        }
        if self.0.fetch_sub(READER, AcqRel) & WRITER != 0 {
            futex::wake(&self.0, u32::MAX);
        }
    }

    fn write_with_timeout<const FIXED: bool>(&self) {
        let mut state = self.0.fetch_or(WRITER, AcqRel) | WRITER;
        let mut timed_out = false;
        while state >= READER && !timed_out {
            let deadline = Some(Deadline::after(Duration::ZERO));
            timed_out = futex::wait(&self.0, state, deadline) == Wake::TimedOut;
            state = load_latest(&self.0);
        }
        let state = self.0.fetch_and(!(WRITER | READERS_SLEEP), AcqRel);
        if state & READERS_SLEEP != 0 && (FIXED || !timed_out) {
            futex::wake(&self.0, u32::MAX);
        }
    }
}

/// A writer that waits for the readers blocks new readers. When it times out, it does not wake the
/// readers that it blocked, so their wake-up is lost.
///
/// Fix: a writer that times out wakes the readers that it blocked.
fn timed_out_writer<const FIXED: bool>() -> Scenario<ReadersAndWriters> {
    let read = |lock: &ReadersAndWriters| lock.read();
    let write = |lock: &ReadersAndWriters| lock.write_with_timeout::<FIXED>();
    Scenario::new("timed_out_writer", vec![read, write, read]).choices(4)
}

/// A wake call and a timeout happen at the same time. The wake call selects one waiter, but this
/// waiter reports a timeout and takes nothing. The other sleeper is not woken.
///
/// Fix: the waiter that timed out wakes the other sleeper.
fn timed_out_waiter<const FIXED: bool>() -> Scenario<Event> {
    fn try_acquire(event: &Event) -> bool {
        event.ready.compare_exchange(1, 0, AcqRel, Acquire).is_ok()
    }
    let waiter = |event: &Event| {
        while !try_acquire(event) {
            futex::wait(&event.ready, 0, None);
        }
    };
    let timed_waiter = |event: &Event| {
        let deadline = Some(Deadline::after(Duration::ZERO));
        if futex::wait(&event.ready, 0, deadline) == Wake::Woken && FIXED {
            futex::wake(&event.ready, 1);
        }
    };
    let release = |event: &Event| {
        event.ready.swap(1, AcqRel);
        futex::wake(&event.ready, 1);
    };
    Scenario::new("timed_out_waiter", vec![waiter, timed_waiter, release]).choices(4)
}

#[repr(C)]
#[derive(ShmSafe)]
struct Marked {
    state: AtomicU32,
    number: RaceCell,
}

/// The second mutex of Drepper, "Futexes Are Tricky" (2011), with the bug that its text warns of: a
/// process that has slept acquires the lock without setting the mark for waiters. Other processes
/// may still be asleep, and the unlock of this process wakes none of them.
///
/// Fix: a process that has slept sets the mark when it acquires the lock.
fn unmarked<const FIXED: bool>() -> Scenario<Marked> {
    const FREE: u32 = 0;
    const LOCKED: u32 = 1;
    const CONTENDED: u32 = 2;
    fn lock<const FIXED: bool>(state: &AtomicU32) {
        let mut new_state = LOCKED;
        while state
            .compare_exchange(FREE, new_state, AcqRel, Acquire)
            .is_err()
        {
            let marked = state.compare_exchange(LOCKED, CONTENDED, AcqRel, Acquire);
            if marked != Err(FREE) {
                futex::wait(state, CONTENDED, None);
                new_state = if FIXED { CONTENDED } else { LOCKED };
            }
        }
    }
    let increment = |marked: &Marked| {
        lock::<FIXED>(&marked.state);
        marked.number.increment();
        if marked.state.swap(FREE, AcqRel) == CONTENDED {
            futex::wake(&marked.state, 1);
        }
    };
    Scenario::new("unmarked", vec![increment, increment, increment]).choices(4)
}
