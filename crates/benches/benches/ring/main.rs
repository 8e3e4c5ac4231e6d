//! Measures the throughput of a ring, compared with rtrb and with a minimal ring that only spins.
//!
//! A producer sends numbers and a consumer adds them up. Each of the two runs on its own core if
//! possible. The items pass through the ring one by one, in slices, or in place. In place means
//! that the workers write and read several consecutive slots directly.
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
/// The number of slots in each ring.
const CAPACITY: usize = 1024;
/// The number of items in a slice, or of slots that are accessed in place together.
const BATCH: usize = 64;

/// A producer's function, which sends the numbers from 0 up to a count. The type `Consume` is a
/// consumer's function, which adds up the numbers.
type Produce = Box<dyn FnMut(u64)>;
type Consume = Box<dyn FnMut(u64) -> u64>;
/// Creates the function of a producer or of a consumer. The worker that runs this function creates
/// it.
type Make<T> = Box<dyn FnOnce() -> T + Send>;
/// The two sides of a ring: a producer and a consumer.
type RingEnds = (Make<Produce>, Make<Consume>);

/// How items pass through the ring.
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

/// Calls `each` once per slice, with the slice's first number and its length.
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
