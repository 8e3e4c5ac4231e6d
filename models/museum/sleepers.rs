//! Going to sleep, and being missed.

use super::{exhibit, look};
use interlatch::InPlace;
use interlatch::check::FailureKind::Deadlock;
use interlatch::check::Model;
use interlatch::contract::Scenario;
use interlatch::platform::Ordering::{AcqRel, Acquire, Release, SeqCst};
use interlatch::platform::{AtomicU32, fence, futex};

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
    ]
    .concat()
}

/// What is waited for, how many wait, and where they sleep.
struct Bed {
    ready: AtomicU32,
    waiters: AtomicU32,
    gate: AtomicU32,
}

// SAFETY: three words.
unsafe impl InPlace for Bed {
    fn initial() -> Self {
        Self {
            ready: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
            gate: AtomicU32::new(0),
        }
    }
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

/// A futex whose wait looks at the word before it takes the lock of the queue (Unikraft, issue 1763): a
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
