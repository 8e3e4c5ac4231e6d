//! Going to sleep, and being missed.

use super::{exhibit, look, swept};
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
            "notified_before_the_wait",
            Deadlock,
            early::<false>,
            early::<true>,
        ),
        exhibit(
            "look_outside_the_queues_lock",
            Deadlock,
            looks::<false>,
            looks::<true>,
        ),
        exhibit(
            "waiters_counted_without_a_fence",
            Deadlock,
            counts::<false>,
            counts::<true>,
        ),
        swept(exhibit(
            "writer_gives_up_and_wakes_nobody",
            Deadlock,
            gives_up::<false>,
            gives_up::<true>,
        )),
        exhibit(
            "woken_when_its_time_is_over",
            Deadlock,
            too_late::<false>,
            too_late::<true>,
        ),
        swept(exhibit(
            "lock_taken_without_the_mark",
            Deadlock,
            unmarked::<false>,
            unmarked::<true>,
        )),
    ]
    .concat()
}

/// What is waited for, how many wait, and where they sleep.
#[repr(C)]
#[derive(ShmSafe)]
struct Bed {
    ready: AtomicU32,
    waiters: AtomicU32,
    gate: AtomicU32,
}

/// The oldest lost wake-up: a wake that comes before the sleep is nothing, if it leaves no trace where
/// the sleeper looks. Mended: it changes the word that the kernel compares.
fn early<const MENDED: bool>() -> Scenario<Bed> {
    let wait = |bed: &Bed| {
        loop {
            let gate = if MENDED { look(&bed.gate) } else { 0 };
            if look(&bed.ready) == 1 {
                return;
            }
            futex::wait(&bed.gate, gate, None);
        }
    };
    let notify = |bed: &Bed| {
        bed.ready.swap(1, AcqRel);
        if MENDED {
            bed.gate.fetch_add(1, AcqRel);
        }
        futex::wake(&bed.gate, 1);
    };
    Scenario::new("early", vec![wait, notify])
}

/// A futex whose wait looks at the word before it takes the lock of the queue (Unikraft, pull request 1763, 2026; Zephyr, 105859): a
/// wake in between finds nobody in the queue. Here the queue is a count, and sleeping is on a word of
/// its own. Mended: it looks again once it is in the queue.
fn looks<const MENDED: bool>() -> Scenario<Bed> {
    let wait = |bed: &Bed| {
        if look(&bed.ready) == 1 {
            return;
        }
        bed.waiters.fetch_add(1, AcqRel);
        if MENDED && look(&bed.ready) == 1 {
            return;
        }
        while look(&bed.gate) == 0 {
            futex::wait(&bed.gate, 0, None);
        }
    };
    let wake = |bed: &Bed| {
        bed.ready.swap(1, AcqRel);
        if look(&bed.waiters) > 0 {
            bed.gate.swap(1, AcqRel);
            futex::wake(&bed.gate, 1);
        }
    };
    Scenario::new("looks", vec![wait, wake])
}

/// Folly's ParkingLot before ff7ab9dbe: whoever unparks looks first whether anybody waits at all, to save
/// the lock. The store before and this load are store buffering: each side may miss what the
/// other has just written. Mended by a full fence on each side.
fn counts<const MENDED: bool>() -> Scenario<Bed> {
    let park = |bed: &Bed| {
        bed.waiters.store(1, Release);
        if MENDED {
            fence(SeqCst);
        }
        if bed.ready.load(Acquire) == 0 {
            while look(&bed.gate) == 0 {
                futex::wait(&bed.gate, 0, None);
            }
        }
    };
    let unpark = |bed: &Bed| {
        bed.ready.store(1, Release);
        if MENDED {
            fence(SeqCst);
        }
        if bed.waiters.load(Acquire) > 0 {
            bed.gate.swap(1, AcqRel);
            futex::wake(&bed.gate, 1);
        }
    };
    Scenario::new("counts", vec![park, unpark])
}

/// A lock for readers and writers, of one word: readers, whether one writes or wants to, and whether
/// readers sleep.
#[repr(C)]
#[derive(ShmSafe)]
struct ReadersAndWriters(AtomicU32);

const WRITER: u32 = 1;
const READERS_SLEEP: u32 = 2;
const READER: u32 = 4;

impl ReadersAndWriters {
    fn read(&self) {
        let mut state = look(&self.0);
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
                    state = look(&self.0);
                }
            }
        }
        if self.0.fetch_sub(READER, AcqRel) & WRITER != 0 {
            futex::wake(&self.0, u32::MAX);
        }
    }

    fn write_soon<const MENDED: bool>(&self) {
        let mut state = self.0.fetch_or(WRITER, AcqRel) | WRITER;
        let mut gave_up = false;
        while state >= READER && !gave_up {
            let soon = Some(Deadline::after(Duration::ZERO));
            gave_up = futex::wait(&self.0, state, soon) == Wake::TimedOut;
            state = look(&self.0);
        }
        let state = self.0.fetch_and(!(WRITER | READERS_SLEEP), AcqRel);
        if state & READERS_SLEEP != 0 && (MENDED || !gave_up) {
            futex::wake(&self.0, u32::MAX);
        }
    }
}

/// A writer that waits for the readers to leave keeps new ones out; when its time is over it goes, and
/// those that it has kept out are not told: it has eaten their wake.
fn gives_up<const MENDED: bool>() -> Scenario<ReadersAndWriters> {
    let read = |lock: &ReadersAndWriters| lock.read();
    let write = |lock: &ReadersAndWriters| lock.write_soon::<MENDED>();
    Scenario::new("gives_up", vec![read, write, read]).choices(4)
}

/// A wake and a deadline meet: the waiter was chosen, but says that its time is over and takes
/// nothing, so the wake is lost to the one who still sleeps. Mended: it hands the wake on.
fn too_late<const MENDED: bool>() -> Scenario<Bed> {
    fn take(bed: &Bed) -> bool {
        bed.ready.compare_exchange(1, 0, AcqRel, Acquire).is_ok()
    }
    let patient = |bed: &Bed| {
        while !take(bed) {
            futex::wait(&bed.ready, 0, None);
        }
    };
    let impatient = |bed: &Bed| {
        let soon = Some(Deadline::after(Duration::ZERO));
        if futex::wait(&bed.ready, 0, soon) == Wake::Woken && MENDED {
            futex::wake(&bed.ready, 1);
        }
    };
    let release = |bed: &Bed| {
        bed.ready.swap(1, AcqRel);
        futex::wake(&bed.ready, 1);
    };
    Scenario::new("too_late", vec![patient, impatient, release]).choices(4)
}

#[repr(C)]
#[derive(ShmSafe)]
struct Marked {
    state: AtomicU32,
    number: RaceCell,
}

/// The second mutex of Drepper, "Futexes Are Tricky" (2011), with the mistake that its text warns of: one
/// that has slept takes the lock without the mark for waiters, though others may still sleep, and
/// then its unlock wakes nobody. Mended: whoever has slept leaves the mark.
fn unmarked<const MENDED: bool>() -> Scenario<Marked> {
    const FREE: u32 = 0;
    const TAKEN: u32 = 1;
    const WAITED_FOR: u32 = 2;
    fn lock<const MENDED: bool>(state: &AtomicU32) {
        let mut take_as = TAKEN;
        while state
            .compare_exchange(FREE, take_as, AcqRel, Acquire)
            .is_err()
        {
            let marked = state.compare_exchange(TAKEN, WAITED_FOR, AcqRel, Acquire);
            if marked != Err(FREE) {
                futex::wait(state, WAITED_FOR, None);
                take_as = if MENDED { WAITED_FOR } else { TAKEN };
            }
        }
    }
    let increment = |marked: &Marked| {
        lock::<MENDED>(&marked.state);
        marked.number.increment();
        if marked.state.swap(FREE, AcqRel) == WAITED_FOR {
            futex::wake(&marked.state, 1);
        }
    };
    Scenario::new("unmarked", vec![increment, increment, increment]).choices(4)
}
