//! The ring with a step left out or in the wrong place.

use interlatch::channel::{LoanError, RecvTimeoutError};
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::{AtomicU32, AtomicU64, ShmSafe, UnsafeCell, asymmetric, futex};
use interlatch::sync::Timeout;
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_contract::ring::{self, Receives, Ring, Sends};

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("ring_without_heavy_barrier", Deadlock, || {
            ring::keeps_order::<Flawed<NO_HEAVY, 1>>()
        }),
        Model::broken("ring_without_light_barrier", Deadlock, || {
            ring::keeps_order::<Flawed<NO_LIGHT, 1>>()
        }),
        Model::broken("ring_that_rechecks_before_it_registers", Deadlock, || {
            ring::keeps_order::<Flawed<LOOKS_FIRST, 1>>()
        }),
        Model::broken("ring_that_wakes_before_it_publishes", Deadlock, || {
            ring::keeps_order::<Flawed<WAKES_FIRST, 1>>()
        }),
        Model::broken("ring_that_publishes_before_it_fills", DataRace, || {
            ring::keeps_order::<Flawed<COUNTS_FIRST, 1>>()
        }),
        Model::broken("ring_that_frees_a_slot_before_it_copies", DataRace, || {
            ring::keeps_order::<Flawed<FREES_FIRST, 1>>()
        }),
        Model::broken("ring_with_relaxed_positions", DataRace, || {
            ring::keeps_order::<Flawed<RELAXED, 1>>()
        }),
        Model::broken(
            "ring_that_disconnects_before_its_last_item",
            WrongResult,
            || ring::disconnection_follows_the_last_item::<Flawed<ENDS_EARLY, 2>>(),
        ),
    ]
}

/// A sleeper asks for no barrier.
const NO_HEAVY: u8 = 0;
/// Whoever moves a count may have looked for sleepers before.
const NO_LIGHT: u8 = 1;
/// A sleeper looks for the last time before it says that it sleeps.
const LOOKS_FIRST: u8 = 2;
/// Looks for sleepers before it moves the count.
const WAKES_FIRST: u8 = 3;
/// The sender moves its count before the item is there.
const COUNTS_FIRST: u8 = 4;
/// The receiver moves its count before it has the item.
const FREES_FIRST: u8 = 5;
/// Counts are neither released nor acquired.
const RELAXED: u8 = 6;
/// A receiver that finds nothing, and then the end, does not look again.
const ENDS_EARLY: u8 = 7;

const ASLEEP: u32 = 1;
const CLOSED: u32 = 2;

/// `RingBuffer` without seats: it does not know of deaths.
#[derive(Debug)]
struct Flawed<const FLAW: u8, const PLACES: usize> {
    counts: [AtomicU64; 2],
    flags: [AtomicU32; 2],
    places: [UnsafeCell<u64>; PLACES],
    taken: [AtomicU32; 2],
}

const SENDER: usize = 0;
const RECEIVER: usize = 1;

// SAFETY: the models run it in one address space.
unsafe impl<const FLAW: u8, const PLACES: usize> ShmSafe for Flawed<FLAW, PLACES> {
    fn initial() -> Self {
        Self {
            counts: [AtomicU64::new(0), AtomicU64::new(0)],
            flags: [AtomicU32::new(0), AtomicU32::new(0)],
            places: core::array::from_fn(|_| UnsafeCell::new(0)),
            taken: [AtomicU32::new(0), AtomicU32::new(0)],
        }
    }
}

// SAFETY: a place belongs to one side; or so it should be.
unsafe impl<const FLAW: u8, const PLACES: usize> Sync for Flawed<FLAW, PLACES> {}

/// A handle of either end.
struct Cursor<'a, const FLAW: u8, const PLACES: usize> {
    ring: &'a Flawed<FLAW, PLACES>,
    me: usize,
    count: u64,
}

impl<const FLAW: u8, const PLACES: usize> Ring for Flawed<FLAW, PLACES> {
    fn sender(&self) -> Option<impl Sends + '_> {
        self.hand(SENDER)
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        self.hand(RECEIVER)
    }
}

impl<const FLAW: u8, const PLACES: usize> Flawed<FLAW, PLACES> {
    fn hand(&self, me: usize) -> Option<Cursor<'_, FLAW, PLACES>> {
        (self.taken[me].swap(1, Relaxed) == 0).then_some(Cursor {
            ring: self,
            me,
            count: 0,
        })
    }
}

impl<const FLAW: u8, const PLACES: usize> Cursor<'_, FLAW, PLACES> {
    /// Whether there is room for the sender, or an item for the receiver.
    fn is_ready(&self, other: u64) -> bool {
        match self.me {
            SENDER => self.count - other < PLACES as u64,
            _ => other > self.count,
        }
    }

    fn look(&self) -> bool {
        let order = if FLAW == RELAXED { Relaxed } else { Acquire };
        self.is_ready(self.ring.counts[1 - self.me].load(order))
    }

    /// False, if the other side has gone, and nothing is left.
    fn wait(&self) -> bool {
        let (mine, others) = (&self.ring.flags[self.me], &self.ring.flags[1 - self.me]);
        let count = &self.ring.counts[1 - self.me];
        while !self.look() {
            if others.fetch_or(0, Acquire) & CLOSED != 0 {
                return FLAW != ENDS_EARLY && self.look();
            }
            if FLAW == LOOKS_FIRST && self.is_ready(asymmetric::load_after_heavy_barrier(count)) {
                continue;
            }
            mine.fetch_or(ASLEEP, Acquire);
            let is_ready = match FLAW {
                NO_HEAVY => self.look(),
                LOOKS_FIRST => false,
                _ => self.is_ready(asymmetric::load_after_heavy_barrier(count)),
            };
            if !is_ready && others.fetch_or(0, Acquire) & CLOSED == 0 {
                futex::wait(mine, ASLEEP, None);
            }
            mine.fetch_and(!ASLEEP, Relaxed);
        }
        true
    }

    fn wake(&self) {
        let flags = &self.ring.flags[1 - self.me];
        let found = match FLAW {
            NO_LIGHT => flags.load(Relaxed),
            _ => asymmetric::load_after_light_barrier(flags),
        };
        if found & ASLEEP != 0 && flags.fetch_and(!ASLEEP, Release) & ASLEEP != 0 {
            futex::wake(flags, 1);
        }
    }

    fn give(&self) {
        if FLAW == WAKES_FIRST {
            self.wake();
        }
        let order = if FLAW == RELAXED { Relaxed } else { Release };
        self.ring.counts[self.me].store(self.count + 1, order);
        if FLAW != WAKES_FIRST {
            self.wake();
        }
    }

    fn place(&self) -> &UnsafeCell<u64> {
        &self.ring.places[self.count as usize % PLACES]
    }
}

impl<const FLAW: u8, const PLACES: usize> Sends for Cursor<'_, FLAW, PLACES> {
    fn send(&mut self, items: &[u64], _patience: Timeout) -> Result<usize, LoanError> {
        for item in items {
            if !self.wait() {
                return Err(LoanError::Disconnected);
            }
            if FLAW == COUNTS_FIRST {
                self.give();
            }
            // SAFETY: see `Sync`; loom checks it.
            self.place().with_mut(|place| unsafe { *place = *item });
            if FLAW != COUNTS_FIRST {
                self.give();
            }
            self.count += 1;
        }
        Ok(items.len())
    }
}

impl<const FLAW: u8, const PLACES: usize> Receives for Cursor<'_, FLAW, PLACES> {
    fn recv(&mut self, items: &mut [u64], _patience: Timeout) -> Result<usize, RecvTimeoutError> {
        if !self.wait() {
            return Err(RecvTimeoutError::Disconnected);
        }
        if FLAW == FREES_FIRST {
            self.give();
        }
        // SAFETY: see `Sync`; loom checks it.
        items[0] = self.place().with(|place| unsafe { *place });
        if FLAW != FREES_FIRST {
            self.give();
        }
        self.count += 1;
        Ok(1)
    }
}

impl<const FLAW: u8, const PLACES: usize> Drop for Cursor<'_, FLAW, PLACES> {
    fn drop(&mut self) {
        self.ring.flags[self.me].fetch_or(CLOSED, Release);
        let others = &self.ring.flags[1 - self.me];
        if others.fetch_and(!ASLEEP, Release) & ASLEEP != 0 {
            futex::wake(others, 1);
        }
    }
}
