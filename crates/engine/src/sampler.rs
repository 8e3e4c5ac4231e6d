//! The random decisions of a random execution.
//!
//! A bug needs a few decisions that are rare: a process is preempted at one place, a load returns
//! an old value, a process dies. How rare they must be depends on the bug: with too many of them,
//! others hide it. So each execution first draws a rate for each kind of decision.
//!
//! The process with the highest priority runs, and a process that is preempted gets the lowest one
//! (Burckhardt, Kothari, Musuvathi, Nagarakatti: "A Randomized Scheduler with Probabilistic
//! Guarantees of Finding Bugs", ASPLOS 2010). So a process may stay behind for a long time.

use fastrand::Rng;

/// The smallest rate is two to the power of minus this number.
const MAX_HALVINGS: i32 = 6;

/// Decides how a random execution goes on.
#[derive(Debug)]
pub struct Sampler {
    rng: Rng,
    rates: Rates,
    /// The priority of each process.
    priorities: Vec<i64>,
    /// The lowest priority.
    lowest: i64,
}

/// How often each decision is not the usual one, in the execution that runs.
#[derive(Debug, Default)]
struct Rates {
    preemptions: f64,
    old_places: f64,
    choices: f64,
    deaths: f64,
}

impl Sampler {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            rates: Rates::default(),
            priorities: Vec::new(),
            lowest: 0,
        }
    }

    /// Draws the rates and priorities of the next execution.
    pub fn begin(&mut self, processes: usize) {
        self.rates = Rates {
            preemptions: self.rate(),
            old_places: if self.rng.bool() { self.rate() } else { 0.0 },
            choices: self.rate(),
            deaths: self.rate(),
        };
        let rng = &mut self.rng;
        self.lowest = 0;
        self.priorities.clear();
        self.priorities
            .extend((0..processes).map(|_| i64::from(rng.u32(..))));
    }

    /// Returns the process that runs next.
    pub fn next(&self, ready: impl Iterator<Item = usize>) -> Option<usize> {
        ready.max_by_key(|process| self.priorities[*process])
    }

    /// Decides whether a process is preempted before its next operation.
    pub fn preempt(&mut self, process: usize) {
        if self.happens(self.rates.preemptions) {
            self.lower(process);
        }
    }

    /// Decides whether a process dies. The kernel may find the death late.
    pub fn dies(&mut self, process: usize) -> bool {
        let dies = self.happens(self.rates.deaths);
        if dies && self.rng.bool() {
            self.lower(process);
        }
        dies
    }

    /// Returns the number of a place in the modification order, of which the last is the usual one.
    pub fn place(&mut self, count: usize) -> usize {
        let last = count - 1;
        if last > 0 && self.happens(self.rates.old_places) {
            self.rng.usize(..last)
        } else {
            last
        }
    }

    /// Returns a number below this one, of which 0 is the usual one.
    pub fn choose(&mut self, count: u32) -> u32 {
        if count > 1 && self.happens(self.rates.choices) {
            self.rng.u32(1..count)
        } else {
            0
        }
    }

    /// Returns a number below this one.
    pub fn choose_any(&mut self, count: u32) -> u32 {
        self.rng.u32(..count)
    }

    fn lower(&mut self, process: usize) {
        self.lowest -= 1;
        self.priorities[process] = self.lowest;
    }

    fn rate(&mut self) -> f64 {
        0.5_f64.powi(self.rng.i32(1..=MAX_HALVINGS))
    }

    fn happens(&mut self, rate: f64) -> bool {
        self.rng.f64() < rate
    }
}
