//! The work that the workers do in addition to the measured operations.

use super::{Round, Tally};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Returns the number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Work that takes some nanoseconds. Each step depends on the previous step and accesses neither
/// memory nor a clock.
#[derive(Clone, Copy)]
pub struct Section {
    steps: u32,
}

impl Section {
    /// Creates work that takes about this time. The number of steps is calibrated on this machine.
    pub fn calibrated(nanoseconds: f64) -> Self {
        const STEPS: u32 = 100_000;
        let one = (0..20).map(|_| Self { steps: STEPS }.timed()).min();
        let one = one.map_or(1.0, |time| time.as_nanos() as f64 / f64::from(STEPS));
        let steps = (nanoseconds / one) as u32;
        Self { steps }
    }

    fn timed(self) -> Duration {
        let begin = Instant::now();
        self.work();
        begin.elapsed()
    }

    #[inline]
    pub fn work(self) {
        let mut number = 1_u32;
        for _ in 0..self.steps {
            number = black_box(number).wrapping_mul(3);
        }
        black_box(number);
    }
}

/// Times round trips one by one. Returns the median and the 99th percentile of their durations.
pub fn time_trips(round: &Round<'_>, mut trip: impl FnMut()) -> Tally {
    let mut times = Vec::with_capacity(round.count as usize);
    let mut before = Instant::now();
    for _ in 0..round.count {
        trip();
        let after = Instant::now();
        times.push((after - before).as_nanos() as f64);
        before = after;
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Tally {
        operations: round.count,
        p50: at(50),
        p99: at(99),
        ..Tally::default()
    }
}
