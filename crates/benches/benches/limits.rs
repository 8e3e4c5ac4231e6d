//! The speed limits of the machine: no synchronization primitive is faster than the operations
//! measured here.
//!
//! ```text
//! cargo bench --bench limits
//! ```

use anyhow::Result;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch_benches::WorkerKind::Processes;
use interlatch_benches::round_trips::{RawFutex, SpinningWord, signal_round_trips};
use interlatch_benches::{Length, Measure, Round, Session, Subject, Tally, cores, shared};
use std::hint::black_box;
use std::time::Duration;

const ROUND: Length = Length::Counted(Duration::from_millis(2));
const LONG_ROUND: Length = Length::Counted(Duration::from_millis(20));

fn main() -> Result<()> {
    let mut session = Session::new("limits")?;
    session.compare(
        "one word, uncontended",
        Measure::Nanoseconds,
        ROUND,
        |comparison| {
            comparison.ignore_cache_line();
            let word = shared(AtomicU32::new(0))?;
            comparison.peer(alone("one CAS and one store", move || {
                assert_eq!(word.compare_exchange(0, 1, Acquire, Relaxed), Ok(0));
                word.store(0, Release);
            }));
            let word = shared(AtomicU32::new(0))?;
            comparison.peer(alone("one CAS and one swap", move || {
                assert_eq!(word.compare_exchange(0, 1, Acquire, Relaxed), Ok(0));
                assert_eq!(word.swap(0, Release), 1);
            }));
            Ok(())
        },
    )?;
    session.compare("memcpy", Measure::Nanoseconds, ROUND, |comparison| {
        comparison.ignore_cache_line();
        comparison.peer(copy::<8>());
        comparison.peer(copy::<64>());
        comparison.peer(copy::<1024>());
        comparison.peer(copy::<4096>());
        comparison.peer(copy::<65536>());
        Ok(())
    })?;
    session.compare(
        "round trip, one core",
        Measure::Median,
        LONG_ROUND,
        |comparison| {
            comparison.on_one_core();
            comparison.peer(signal_round_trips(
                "raw futex",
                Processes,
                shared(RawFutex::default())?,
            ));
            Ok(())
        },
    )?;
    if cores() > 1 {
        session.compare(
            "round trip, two cores",
            Measure::Median,
            LONG_ROUND,
            |comparison| {
                comparison.peer(signal_round_trips(
                    "raw futex",
                    Processes,
                    shared(RawFutex::default())?,
                ));
                comparison.peer(signal_round_trips(
                    "cache line",
                    Processes,
                    shared(SpinningWord::default())?,
                ));
                Ok(())
            },
        )?;
    }
    session.finish()
}

/// Creates a subject with one worker that repeats an operation.
fn alone(name: &str, operation: impl FnMut() + Clone + Send + 'static) -> Subject {
    let mut operation = operation;
    Subject::uniform(name, Processes, 1, move |_, round: &Round<'_>| {
        (0..round.count).for_each(|_| operation());
        Tally::new(round.count)
    })
}

fn copy<const N: usize>() -> Subject {
    let (from, mut to) = (vec![1_u8; N], vec![0_u8; N]);
    alone(&format!("{N} bytes"), move || {
        black_box(&mut to).copy_from_slice(black_box(&from));
    })
}
