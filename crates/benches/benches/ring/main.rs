//! Mode fast a full ring runs: ours beside a bare one that only spins, and beside rtrb's, in one run.
//!
//! One sends numbers, and another one receives and adds them: each on a core of its own where there are two. Items go
//! one by one, in slices, or in place: written and read where they are, in runs.
//!
//! ```text
//! cargo bench --bench ring -- --table
//! cargo bench --bench ring -- --table items
//! ```

mod bare;
mod ours;
mod rtrb;

use anyhow::Result;
use interlatch_benches::WorkerKind::{Processes, Threads};
use interlatch_benches::{
    Comparison, Length, Measure, Round, Session, Subject, Tally, Worker, WorkerKind, at_least,
};
use std::time::Duration;

const ROUNDS: usize = 31;
const ROUND: Length = Length::Counted(Duration::from_millis(10));
/// Places.
const CAPACITY: usize = 1024;
/// Items of a slice, or of a run.
const BATCH: usize = 64;

/// What a producer does with the numbers from 0 up to this one, and a consumer with as many.
type Produce = Box<dyn FnMut(u64)>;
type Consume = Box<dyn FnMut(u64) -> u64>;
/// Makes either, in the worker that it is for.
type Make<T> = Box<dyn FnOnce() -> T + Send>;
/// Both ends of a ring.
type RingEnds = (Make<Produce>, Make<Consume>);

/// Mode numbers go through a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Items,
    Slices,
    InPlace,
}

fn main() -> Result<()> {
    let mut session = Session::new("ring")?;
    let all = [
        (Mode::Items, "ring, single items"),
        (Mode::Slices, "ring, slices of 64"),
        (Mode::InPlace, "ring, 64 items in place"),
    ];
    for (mode, title) in all {
        session.compare(title, Measure::PerSecond, ROUND, |comparison| {
            comparison.rounds(ROUNDS);
            comparison.run_criterion();
            subjects(comparison, mode)
        })?;
    }
    session.finish()
}

fn subjects(comparison: &mut Comparison, mode: Mode) -> Result<()> {
    for kind in [Processes, Threads] {
        let ours = subject("RingBuffer", kind, ours::ends(mode)?);
        let bare = subject("bare ring", kind, bare::ends(mode)?);
        comparison.versus(&ours.name, &bare.name, at_least(0.9));
        comparison.versus(&ours.name, "rtrb, threads", at_least(1.0));
        comparison.ours(ours);
        comparison.peer(bare);
    }
    comparison.peer(subject("rtrb", Threads, rtrb::ends(mode)));
    Ok(())
}

fn subject(name: &str, kind: WorkerKind, (produce, consume): RingEnds) -> Subject {
    let sender: Worker = Box::new(|| {
        let mut produce = produce();
        Box::new(move |round: &Round<'_>| {
            produce(round.count);
            Tally::default()
        })
    });
    let receiver: Worker = Box::new(|| {
        let mut consume = consume();
        Box::new(move |round: &Round<'_>| {
            let sum = consume(round.count);
            assert_eq!(sum, round.count * (round.count - 1) / 2);
            Tally::new(round.count)
        })
    });
    let name = format!("{name}, {}", kind.name());
    Subject::new(name, kind, vec![sender, receiver])
}

/// Calls with the beginning of each slice of so many numbers, and its length.
fn slices(count: u64, mut each: impl FnMut(u64, usize)) {
    let mut next = 0;
    while next < count {
        let length = BATCH.min((count - next) as usize);
        each(next, length);
        next += length as u64;
    }
}

fn numbered(items: &mut [u64], from: u64) {
    for (item, number) in items.iter_mut().zip(from..) {
        *item = number;
    }
}
