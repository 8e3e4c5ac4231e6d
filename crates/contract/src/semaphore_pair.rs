//! What a semaphore pair promises.

use super::{RaceCell, Scenario, Stage};
use interlatch::platform::ShmSafe;
use interlatch::sync::{SemaphorePair, Timeout};
use std::time::Duration;

/// The pair of the notes and what is handed over.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct HandedOver {
    pair: SemaphorePair,
    number: RaceCell,
    seen: RaceCell,
}

/// Every scenario of a pair.
pub fn all(stage: &mut impl Stage) {
    stage.run(writer_and_reader_alternate());
    stage.run(a_cancelled_turn_is_the_same_sides_again());
    stage.run(an_impatient_reader_takes_nothing_along());
    stage.run(every_way_to_take_a_turn_takes_one());
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
pub fn a_cancelled_turn_is_the_same_sides_again() -> Scenario<HandedOver> {
    let writer = |shared: &HandedOver| {
        shared.pair.write().cancel();
        write_once(shared);
    };
    Scenario::new(
        "a_cancelled_turn_is_the_same_sides_again",
        vec![writer, read_once],
    )
    .verify(|shared| assert_eq!(shared.seen.get(), 1))
}

/// A reader that gives up leaves its turn to the next.
pub fn an_impatient_reader_takes_nothing_along() -> Scenario<HandedOver> {
    let impatient = |shared: &HandedOver| {
        let timeout = Timeout::after(Duration::from_micros(50));
        if let Some(turn) = shared.pair.read_with(timeout) {
            turn.cancel();
        }
    };
    let participants = vec![write_once, impatient, read_once];
    Scenario::new("an_impatient_reader_takes_nothing_along", participants)
        .verify(|shared| assert_eq!(shared.seen.get(), 1))
        .choices(4)
}

/// Waiting or not, each takes the turn that there is, and is refused the other side's.
pub fn every_way_to_take_a_turn_takes_one() -> Scenario<HandedOver> {
    let takes = |shared: &HandedOver| {
        let (pair, second) = (&shared.pair, Duration::from_secs(1));
        assert!(pair.try_read().is_none(), "nothing was written");
        drop(pair.try_write().expect("the writer begins"));
        assert!(pair.try_write().is_none(), "nothing was read");
        drop(pair.try_read().expect("it was written"));
        drop(pair.write_timeout(second).expect("it was read"));
        drop(pair.read_timeout(second).expect("it was written"));
    };
    Scenario::new("every_way_to_take_a_turn_takes_one", vec![takes])
}
