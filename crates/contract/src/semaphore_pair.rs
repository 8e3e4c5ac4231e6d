//! The promises of a semaphore pair, whose turns are rights to write or read a slot once.

use super::{RaceCell, Scenario, Stage, expired_timeouts};
use interlatch::platform::ShmSafe;
use interlatch::sync::{SemaphorePair, Timeout, Turn};
use std::time::Duration;

/// A semaphore pair, the number that the writer writes, and the number that the reader saw last.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct PairState<P = SemaphorePair> {
    pair: P,
    number: RaceCell,
    seen: RaceCell,
}

/// Runs every scenario of a semaphore pair.
pub fn all(stage: &mut impl Stage) {
    stage.run(writer_and_reader_alternate());
    stage.run(cancelled_turn_returns_to_its_side());
    stage.run(timed_out_reader_takes_no_turn());
    stage.run(every_turn_method_takes_a_turn());
    stage.run(single_and_batched_turns_alternate::<SemaphorePair>());
}

fn write_once(shared: &PairState) {
    let _turn = shared.pair.write();
    shared.number.increment();
}

fn read_once(shared: &PairState) {
    let _turn = shared.pair.read();
    let number = shared.number.get();
    assert_eq!(
        number,
        shared.seen.get() + 1,
        "not one write between two reads"
    );
    shared.seen.set(number);
}

/// The writer and the reader take turns, and the reader reads each written number once.
///
/// Both sides access an unsynchronized number. If the pair grants a turn twice, or a turn does not
/// synchronize with the previous turn, the accesses race.
pub fn writer_and_reader_alternate() -> Scenario<PairState> {
    let writer = |shared: &PairState| {
        write_once(shared);
        write_once(shared);
    };
    let reader = |shared: &PairState| {
        read_once(shared);
        read_once(shared);
    };
    Scenario::new("writer_and_reader_alternate", vec![writer, reader])
        .verify(|shared| assert_eq!(shared.seen.get(), 2))
}

/// If a process cancels its turn, another process of the same side can take the turn.
///
/// The writer cancels its first turn and takes it again. If the cancelled turn goes to the reader,
/// the reader reads a number that was not written.
pub fn cancelled_turn_returns_to_its_side() -> Scenario<PairState> {
    let writer = |shared: &PairState| {
        shared.pair.write().cancel();
        write_once(shared);
    };
    Scenario::new(
        "cancelled_turn_returns_to_its_side",
        vec![writer, read_once],
    )
    .verify(|shared| assert_eq!(shared.seen.get(), 1))
}

/// A reader that times out takes no turn, so the turn stays available.
///
/// One of two readers has a timeout. If this reader keeps the turn or the wake-up, the other reader
/// hangs.
pub fn timed_out_reader_takes_no_turn() -> Scenario<PairState> {
    let with_timeout = |shared: &PairState| {
        let timeout = Timeout::after(Duration::from_micros(50));
        if let Some(turn) = shared.pair.read_with(timeout) {
            turn.cancel();
        }
    };
    let participants = vec![write_once, with_timeout, read_once];
    Scenario::new("timed_out_reader_takes_no_turn", participants)
        .verify(|shared| assert_eq!(shared.seen.get(), 1))
        .choices(4)
}

/// Each method for writers takes an available writer's turn, and each method for readers takes an
/// available reader's turn. No method takes a turn of the other side.
pub fn every_turn_method_takes_a_turn() -> Scenario<PairState> {
    let alone = |shared: &PairState| {
        let (pair, second) = (&shared.pair, Duration::from_secs(1));
        assert!(pair.try_read().is_none(), "nothing was written");
        drop(pair.try_write().expect("the writer has the first turn"));
        assert!(pair.try_write().is_none(), "nothing was read");
        drop(pair.try_read().expect("a write is finished"));
        drop(pair.write_timeout(second).expect("the write was read"));
        drop(pair.read_timeout(second).expect("a write is finished"));
        let others = [Timeout::NonBlocking, Timeout::Infinite];
        for timeout in expired_timeouts().into_iter().chain(others) {
            let turns = pair.write_some_with(3, timeout).expect("a free slot");
            assert_eq!(turns.count(), 1, "the pair has one slot");
            turns.end(0);
            assert!(pair.read_some_with(3, Timeout::NonBlocking).is_none());
            pair.write_with(timeout).expect("a free slot").end(9);
            let turns = pair.read_some_with(3, timeout).expect("a full slot");
            let count = turns.count();
            turns.end(count);
        }
        assert!(pair.writer().try_acquire().is_some(), "the slot is free");
        assert!(pair.reader().try_acquire().is_none(), "the slot is free");
    };
    Scenario::new("every_turn_method_takes_a_turn", vec![alone])
}

/// A semaphore pair whose turns are taken one by one and in batches.
pub trait BatchedPair: ShmSafe + 'static {
    /// Takes a writer's turn, calls `work`, and ends the turn.
    fn write(&self, work: impl FnOnce());

    /// Takes a reader's turn, calls `work`, and ends the turn.
    fn read(&self, work: impl FnOnce());

    /// Takes up to `max` writer's turns, and ends as many as `work` returns for their number.
    fn write_some(&self, max: u32, work: impl FnOnce(u32) -> u32);

    /// Takes up to `max` reader's turns, and ends as many as `work` returns for their number.
    fn read_some(&self, max: u32, work: impl FnOnce(u32) -> u32);
}

impl BatchedPair for SemaphorePair {
    fn write(&self, work: impl FnOnce()) {
        let _turn = self.write();
        work();
    }

    fn read(&self, work: impl FnOnce()) {
        let _turn = self.read();
        work();
    }

    fn write_some(&self, max: u32, work: impl FnOnce(u32) -> u32) {
        let turns = self.write_some_with(max, Timeout::Infinite);
        end_some(turns.expect("an infinite timeout"), work);
    }

    fn read_some(&self, max: u32, work: impl FnOnce(u32) -> u32) {
        let turns = self.read_some_with(max, Timeout::Infinite);
        end_some(turns.expect("an infinite timeout"), work);
    }
}

fn end_some(turns: Turn<'_>, work: impl FnOnce(u32) -> u32) {
    match work(turns.count()) {
        0 => turns.cancel(),
        count => turns.end(count),
    }
}

/// Turns that are taken in batches and one by one exclude each other.
///
/// One writer cancels a batch, takes it again and ends it. The other writer takes a single turn.
/// The reader takes a batch and a single turn. Both sides access an unsynchronized number. If a
/// cancelled batch goes to the reader, the reader reads a number that was not written.
pub fn single_and_batched_turns_alternate<P: BatchedPair>() -> Scenario<PairState<P>> {
    let batches = |shared: &PairState<P>| {
        shared.pair.write_some(2, |_| 0);
        shared.pair.write_some(2, |_| {
            shared.number.increment();
            2
        });
    };
    let single = |shared: &PairState<P>| shared.pair.write(|| shared.number.increment());
    let reader = |shared: &PairState<P>| {
        shared.pair.read_some(2, |count| {
            assert_eq!((count, shared.number.get()), (1, 1));
            shared.seen.set(1);
            1
        });
        shared.pair.read(|| {
            assert_eq!(shared.number.get(), 2);
            shared.seen.set(2);
        });
    };
    let participants = vec![batches as fn(&PairState<P>), single, reader];
    Scenario::new("single_and_batched_turns_alternate", participants)
        .verify(|shared| assert_eq!(shared.seen.get(), 2))
        .choices(4)
}
