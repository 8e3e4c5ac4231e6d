//! Measures a cache line that two cores write alternately: the lower bound for communication
//! between cores.

use super::workers::{Affinity, Padded, WorkerGroup};
use super::{Round, Subject, Tally, Worker, WorkerKind, cores, shared};
use anyhow::Result;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{Acquire, Release};

/// The number of round trips in one measurement. A measurement takes a few milliseconds at most.
const TRIPS: u64 = 2_000;

/// Two processes, each on its own core, that alternately write one cache line.
pub struct CacheLine {
    group: WorkerGroup,
}

impl CacheLine {
    /// Starts the two processes. Returns `None` on a machine with one core.
    pub fn new() -> Result<Option<Self>> {
        if cores() < 2 {
            return Ok(None);
        }
        let subject = Subject::new("cache line", WorkerKind::Processes, workers()?);
        let group = WorkerGroup::start(subject, Affinity::Spread)?;
        Ok(Some(Self { group }))
    }

    /// Returns the mean time that the cache line takes from one core to the other, in nanoseconds.
    pub fn nanoseconds(&mut self) -> Result<f64> {
        let report = self.group.count(TRIPS)?;
        Ok(report.seconds * 1e9 / (2 * TRIPS) as f64)
    }
}

fn workers() -> Result<Vec<Worker>> {
    let word: &Padded<AtomicU32> = shared(Padded::default())?;
    let worker = move |own: u32| -> Worker {
        Box::new(move || Box::new(move |round: &Round<'_>| bounce(&word.0, own, round)))
    };
    Ok(vec![worker(0), worker(1)])
}

/// Waits until the word holds this side's number, then writes the other side's number. The loop has
/// no pause, so the measured time is the lower bound.
fn bounce(word: &AtomicU32, own: u32, round: &Round<'_>) -> Tally {
    for _ in 0..round.count {
        while word.load(Acquire) != own {}
        word.store(1 - own, Release);
    }
    Tally::new(round.count)
}
