//! What a semaphore pair promises.

use super::{RaceCell, Scenario, Stage};
use interlatch::platform::ShmSafe;
use interlatch::sync::{SemaphorePair, Timeout};
use std::time::Duration;

/// The pair of the notes and what is handed over.
#[repr(C)]
#[derive(Debug)]
pub struct HandedOver {
    pair: SemaphorePair,
    number: RaceCell,
    seen: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl ShmSafe for HandedOver {
    fn initial() -> Self {
        Self {
            pair: SemaphorePair::one(),
            number: RaceCell::new(0),
            seen: RaceCell::new(0),
        }
    }
}

/// Every scenario of a pair.
pub fn all(stage: &mut impl Stage) {
    stage.run(writer_and_reader_alternate());
    stage.run(cancelled_turn_returns_to_its_side());
    stage.run(timed_out_reader_takes_no_turn());
    stage.run(every_turn_method_takes_a_turn());
}

fn write_once(shared: &HandedOver) {
    let _turn = shared.pair.write();
    shared.number.increment();
}

fn read_once(shared: &HandedOver) {
    let _turn = shared.pair.read();
    let number = shared.number.get();
    assert_eq!(number, shared.seen.get() + 1, "one write between two reads");
    shared.seen.set(number);
}

/// Write, read, write, read: each write is read once.
pub fn writer_and_reader_alternate() -> Scenario<HandedOver> {
    let writer = |shared: &HandedOver| {
        write_once(shared);
        write_once(shared);
    };
    let reader = |shared: &HandedOver| {
        read_once(shared);
        read_once(shared);
    };
    Scenario::new("writer_and_reader_alternate", vec![writer, reader])
        .verify(|shared| assert_eq!(shared.seen.get(), 2))
}

/// A turn that is given back goes to the same side.
pub fn cancelled_turn_returns_to_its_side() -> Scenario<HandedOver> {
    let writer = |shared: &HandedOver| {
        shared.pair.write().cancel();
        write_once(shared);
    };
    Scenario::new(
        "cancelled_turn_returns_to_its_side",
        vec![writer, read_once],
    )
    .verify(|shared| assert_eq!(shared.seen.get(), 1))
}

/// A reader that gives up leaves its turn to the next.
pub fn timed_out_reader_takes_no_turn() -> Scenario<HandedOver> {
    let impatient = |shared: &HandedOver| {
        let timeout = Timeout::after(Duration::from_micros(50));
        if let Some(turn) = shared.pair.read_with(timeout) {
            turn.cancel();
        }
    };
    let participants = vec![write_once, impatient, read_once];
    Scenario::new("timed_out_reader_takes_no_turn", participants)
        .verify(|shared| assert_eq!(shared.seen.get(), 1))
        .choices(4)
}

/// Waiting or not, each takes the turn that there is, and is refused the other side's.
pub fn every_turn_method_takes_a_turn() -> Scenario<HandedOver> {
    let takes = |shared: &HandedOver| {
        let (pair, second) = (&shared.pair, Duration::from_secs(1));
        assert!(pair.try_read().is_none(), "nothing was written");
        drop(pair.try_write().expect("the writer begins"));
        assert!(pair.try_write().is_none(), "nothing was read");
        drop(pair.try_read().expect("it was written"));
        drop(pair.write_timeout(second).expect("it was read"));
        drop(pair.read_timeout(second).expect("it was written"));
    };
    Scenario::new("every_turn_method_takes_a_turn", vec![takes])
}
