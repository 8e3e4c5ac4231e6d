//! Pauses of one who waits for a count to change, and adapts by itself.

use rustix::thread::{CpuSet, sched_getaffinity};
use std::time::{Duration, Instant};

/// How often a contended primitive looks again before it sleeps.
#[inline]
pub fn rounds() -> u32 {
    ROUNDS
}

const ROUNDS: u32 = 7;

/// The most that one who adapts does in place of [`rounds`]: about as long as it takes to fall asleep and be woken.
#[inline]
pub fn most_rounds() -> u32 {
    ROUNDS + 9
}

/// Says how long a wait was.
#[derive(Debug)]
pub struct Watch(Instant);

impl Watch {
    /// It begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether [`most_rounds`] of pauses would have been about as long: to fall asleep, and be woken by somebody
    /// who had just begun to spin, takes not much longer.
    pub fn was_short(&self) -> bool {
        self.0.elapsed() < SHORT
    }
}

const SHORT: Duration = Duration::from_micros(200);

/// The core on which alone this thread may run, if it is only one. Of two threads that share it neither need
/// ever spin for the other.
pub fn only_core() -> Option<u32> {
    let cores = sched_getaffinity(None).ok()?;
    if cores.count() != 1 {
        return None;
    }
    let only = (0..CpuSet::MAX_CPU).find(|core| cores.is_set(*core))?;
    u32::try_from(only).ok()
}

/// Pauses `2^round` times: a holder that is about to leave gets the cache line to itself.
#[inline]
pub fn pause(round: u32) {
    for _ in 0..1u32 << round.min(ROUNDS) {
        core::hint::spin_loop();
    }
}
