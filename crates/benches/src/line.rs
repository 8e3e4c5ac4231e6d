//! A cache line that two write in turn: nothing that two cores do together is faster.

use super::crew::{Crew, Padded, Pins};
use super::{Home, Round, Subject, Tally, Worker, cores, shared};
use anyhow::Result;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{Acquire, Release};

/// Round trips of one measurement: some milliseconds at most.
const TRIPS: u64 = 2_000;

/// Two processes on two cores, and a cache line.
pub struct Line {
    crew: Crew,
}

impl Line {
    /// None on a machine of one core.
    pub fn new() -> Result<Option<Self>> {
        if cores() < 2 {
            return Ok(None);
        }
        let subject = Subject::new("cache line", Home::Processes, workers()?);
        let crew = Crew::start(subject, Pins::Spread)?;
        Ok(Some(Self { crew }))
    }

    /// Nanoseconds that the line took from one core to the other, on average.
    pub fn nanoseconds(&mut self) -> Result<f64> {
        let report = self.crew.count(TRIPS)?;
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

/// Waits for one's own number, and writes that of the other one. It does not even pause in between: this
/// is the least that can be.
fn bounce(word: &AtomicU32, own: u32, round: &Round<'_>) -> Tally {
    for _ in 0..round.count {
        while word.load(Acquire) != own {}
        word.store(1 - own, Release);
    }
    Tally::of(round.count)
}
