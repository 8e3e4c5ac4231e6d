//! How fast a full ring runs: ours beside a bare one that only spins, and beside rtrb's, in one run.
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
use interlatch_benches::Home::{Processes, Threads};
use interlatch_benches::{
    Comparison, Home, Length, Measure, Round, Session, Subject, Tally, Worker, at_least,
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
type Ends = (Make<Produce>, Make<Consume>);

/// How numbers go through a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Items,
    Slices,
    ShmSafe,
}

fn main() -> Result<()> {
    let mut session = Session::new("ring")?;
    let all = [
        (How::Items, "a ring, items"),
        (How::Slices, "a ring, slices of 64"),
        (How::ShmSafe, "a ring, runs of 64 in place"),
    ];
    for (how, title) in all {
        session.compare(title, Measure::PerSecond, ROUND, |comparison| {
            comparison.rounds(ROUNDS);
            comparison.has_criterion();
            subjects(comparison, how)
        })?;
    }
    session.finish()
}

fn subjects(comparison: &mut Comparison, how: How) -> Result<()> {
    for home in [Processes, Threads] {
        let ours = subject("RingBuffer", home, ours::ends(how)?);
        let bare = subject("bare ring", home, bare::ends(how)?);
        comparison.versus(&ours.name, &bare.name, at_least(0.9));
        comparison.versus(&ours.name, "rtrb, threads", at_least(1.0));
        comparison.ours(ours);
        comparison.peer(bare);
    }
    comparison.peer(subject("rtrb", Threads, rtrb::ends(how)));
    Ok(())
}

fn subject(name: &str, home: Home, (produce, consume): Ends) -> Subject {
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
            Tally::of(round.count)
        })
    });
    let name = format!("{name}, {}", home.name());
    Subject::new(name, home, vec![sender, receiver])
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
