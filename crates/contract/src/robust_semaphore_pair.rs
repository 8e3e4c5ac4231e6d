//! The promises of a robust semaphore pair. A turn is a process's right to write or read one slot
//! once. If a process dies during its turn, its side (the writers or the readers) gets the turn
//! back.

use super::{RaceCell, Scenario, Stage, expired_timeouts, short_timeout};
use interlatch::platform::ShmSafe;
use interlatch::sync::{AcquireError, PairSlot, RobustSemaphorePair, RobustTurn, Timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A robust semaphore pair, a number for each slot, and the numbers that the readers read.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RobustPairState<const N: usize> {
    pair: RobustSemaphorePair<[PairSlot; N]>,
    numbers: [RaceCell; N],
    seen: [RaceCell; 2],
}

/// Runs every scenario of a robust semaphore pair.
pub fn all(stage: &mut impl Stage) {
    stage.run(writer_and_reader_alternate());
    stage.run(writers_of_one_slot_alternate());
    stage.run(slots_are_read_in_finishing_order());
    stage.run(turns_of_three_slots_end_in_any_order());
    stage.run(unfinished_turn_returns_to_its_side());
    stage.run(writer_death_returns_its_turn(2));
    stage.run(writer_death_returns_its_turn(3));
    stage.run(reader_death_returns_its_turn());
    stage.run(every_turn_method_takes_a_turn());
    stage.run(panicking_holder_marks_its_slot());
}

fn granted<T>(turn: Result<T, AcquireError>) -> T {
    turn.unwrap_or_else(|error| panic!("{error}"))
}

fn write<const N: usize>(
    shared: &RobustPairState<N>,
    turn: RobustTurn<'_, [PairSlot; N]>,
    number: u64,
) {
    shared.numbers[turn.slot_index()].set(number);
    granted(turn.finish());
}

fn read<const N: usize>(shared: &RobustPairState<N>, turn: RobustTurn<'_, [PairSlot; N]>) -> u64 {
    let number = shared.numbers[turn.slot_index()].get();
    granted(turn.finish());
    number
}

/// Checks that each slot is available to one of the sides.
fn no_slot_is_lost<const N: usize>(shared: &RobustPairState<N>) {
    let readers = [(); N].map(|()| shared.pair.try_read());
    let writers = [(); N].map(|()| shared.pair.try_write());
    let taken = |turns: &[Result<RobustTurn<'_, [PairSlot; N]>, AcquireError>]| {
        turns.iter().flatten().count()
    };
    assert_eq!(taken(&readers) + taken(&writers), N, "a slot is lost");
}

/// The writer and the reader take turns, and the reader reads each written number once.
///
/// Both sides access an unsynchronized number of the slot.
pub fn writer_and_reader_alternate() -> Scenario<RobustPairState<1>> {
    let writer = |shared: &RobustPairState<1>| {
        write(shared, granted(shared.pair.write()), 1);
        write(shared, granted(shared.pair.write()), 2);
    };
    let reader = |shared: &RobustPairState<1>| {
        assert_eq!(read(shared, granted(shared.pair.read())), 1);
        assert_eq!(read(shared, granted(shared.pair.read())), 2);
    };
    Scenario::new("writer_and_reader_alternate", vec![writer, reader]).verify(no_slot_is_lost)
}

/// Two writers share one slot, and the reader reads each written number once.
///
/// If a writer makes its slot available before the slot passes to the reader, both writers have the
/// turn, and their accesses race.
pub fn writers_of_one_slot_alternate() -> Scenario<RobustPairState<1>> {
    fn write_one<const NUMBER: u64>(shared: &RobustPairState<1>) {
        write(shared, granted(shared.pair.write()), NUMBER);
    }
    let reader = |shared: &RobustPairState<1>| {
        let numbers = [(); 2].map(|()| read(shared, granted(shared.pair.read())));
        assert!([[1, 2], [2, 1]].contains(&numbers), "{numbers:?}");
    };
    let participants: Vec<fn(&RobustPairState<1>)> = vec![write_one::<1>, write_one::<2>, reader];
    Scenario::new("writers_of_one_slot_alternate", participants)
        .verify(no_slot_is_lost)
        .choices(8)
}

/// The slot whose write finishes first is read first, even if its write began last.
pub fn slots_are_read_in_finishing_order() -> Scenario<RobustPairState<2>> {
    let alone = |shared: &RobustPairState<2>| {
        let first = granted(shared.pair.write());
        let second = granted(shared.pair.write());
        assert_ne!(
            first.slot_index(),
            second.slot_index(),
            "both turns have the same slot"
        );
        write(shared, second, 1);
        write(shared, first, 2);
        assert_eq!(shared.pair.readable(), 2);
        let oldest = granted(shared.pair.read());
        drop(oldest);
        assert_eq!(read(shared, granted(shared.pair.read())), 1);
        assert_eq!(read(shared, granted(shared.pair.read())), 2);
    };
    Scenario::new("slots_are_read_in_finishing_order", vec![alone]).verify(no_slot_is_lost)
}

/// Each side has exactly its own slots, in whatever order the turns of three slots end.
///
/// The turns that end have the first, the middle and the last slot of their side.
pub fn turns_of_three_slots_end_in_any_order() -> Scenario<RobustPairState<3>> {
    let alone = |shared: &RobustPairState<3>| {
        let pair = &shared.pair;
        let take_all = || [(); 3].map(|()| granted(pair.try_write()));
        let [first, middle, last] = take_all();
        write(shared, middle, 1);
        drop(first);
        assert_eq!(pair.readable(), 1);
        assert_eq!(read(shared, granted(pair.try_read())), 1);
        assert!(pair.try_read().is_err(), "one slot was written");
        let others = [(); 2].map(|()| granted(pair.try_write()));
        assert!(pair.try_write().is_err(), "all turns are taken");
        drop(others);
        write(shared, last, 2);
        write(shared, granted(pair.try_write()), 3);
        assert_eq!(read(shared, granted(pair.try_read())), 2);
        assert_eq!(read(shared, granted(pair.try_read())), 3);
        let [first, middle, last] = take_all();
        drop((middle, last));
        write(shared, first, 4);
        assert_eq!(read(shared, granted(pair.try_read())), 4);
        assert!(pair.try_read().is_err(), "one slot was written");
        drop(take_all());
    };
    Scenario::new("turns_of_three_slots_end_in_any_order", vec![alone]).verify(no_slot_is_lost)
}

/// If a process drops its turn before finishing it, the same side gets the turn back, and a waiter
/// of that side wakes up.
///
/// The writer and the reader each drop their first turn. If a dropped turn is lost or goes to the
/// other side, a process hangs or reads a wrong number.
pub fn unfinished_turn_returns_to_its_side() -> Scenario<RobustPairState<1>> {
    let writer = |shared: &RobustPairState<1>| {
        drop(granted(shared.pair.write()));
        write(shared, granted(shared.pair.write()), 7);
    };
    let reader = |shared: &RobustPairState<1>| {
        drop(granted(shared.pair.read()));
        assert_eq!(read(shared, granted(shared.pair.read())), 7);
    };
    Scenario::new("unfinished_turn_returns_to_its_side", vec![writer, reader])
        .verify(no_slot_is_lost)
}

/// If a writer is killed at any step, either its write is finished, or another writer can take its
/// turn.
///
/// The reader reads the number of the killed writer or that of the next writer. The variant with
/// two processes uses non-blocking operations, so a process waits only for internal locks.
pub fn writer_death_returns_its_turn(processes: usize) -> Scenario<RobustPairState<1>> {
    fn write_with(shared: &RobustPairState<1>, timeout: Timeout) {
        if let Ok(turn) = shared.pair.write_with(timeout) {
            write(shared, turn, 1);
        }
    }
    fn read_with(shared: &RobustPairState<1>, timeout: Timeout) {
        if let Ok(turn) = shared.pair.read_with(timeout) {
            let seen = read(shared, turn);
            assert!(
                [1, 2].contains(&seen),
                "read {seen}, which no process wrote"
            );
            shared.seen[0].set(seen);
        }
    }
    let participants: Vec<fn(&RobustPairState<1>)> = match processes {
        2 => vec![
            |shared| write_with(shared, Timeout::NonBlocking),
            |shared| read_with(shared, Timeout::NonBlocking),
        ],
        _ => vec![
            |shared| write_with(shared, short_timeout()),
            |shared| write(shared, granted(shared.pair.write()), 2),
            |shared| {
                read_with(shared, Timeout::Infinite);
                assert_ne!(shared.seen[0].get(), 0, "nothing was read");
            },
        ],
    };
    Scenario::new("writer_death_returns_its_turn", participants)
        .verify(no_slot_is_lost)
        .choices(10)
        .victims(&[0])
}

/// If a reader is killed at any step, either its read is finished, or another reader can take its
/// turn.
///
/// If the read is not finished, another reader can read the slot. Only one of the two readers
/// finishes reading.
pub fn reader_death_returns_its_turn() -> Scenario<RobustPairState<1>> {
    let reader = |shared: &RobustPairState<1>| {
        if let Ok(turn) = shared.pair.read_with(short_timeout()) {
            shared.seen[0].set(read(shared, turn));
        }
    };
    let writer = |shared: &RobustPairState<1>| write(shared, granted(shared.pair.write()), 1);
    let other = |shared: &RobustPairState<1>| {
        if let Ok(turn) = shared.pair.read_with(short_timeout()) {
            shared.seen[1].set(read(shared, turn));
        }
    };
    Scenario::new(
        "reader_death_returns_its_turn",
        vec![reader as fn(&RobustPairState<1>), writer, other],
    )
    .verify(|shared| {
        let seen = [shared.seen[0].get(), shared.seen[1].get()];
        assert!(seen.iter().sum::<u64>() <= 1, "read twice: {seen:?}");
        no_slot_is_lost(shared);
    })
    .choices(10)
    .victims(&[0])
}

/// Each method for writers takes an available writer's turn, and each method for readers takes an
/// available reader's turn. No method takes a turn of the other side.
pub fn every_turn_method_takes_a_turn() -> Scenario<RobustPairState<1>> {
    let alone = |shared: &RobustPairState<1>| {
        let (pair, second) = (&shared.pair, Duration::from_secs(1));
        let none = |turn: Result<RobustTurn<'_, [PairSlot; 1]>, AcquireError>, why| {
            assert_eq!(turn.err(), Some(AcquireError::TimedOut), "{why}");
        };
        none(pair.try_read(), "nothing was written");
        write(shared, granted(pair.try_write()), 1);
        none(pair.try_write(), "nothing was read");
        for timeout in expired_timeouts() {
            none(pair.write_with(timeout), "nothing was read");
            drop(granted(pair.read_with(timeout)));
        }
        assert_eq!(read(shared, granted(pair.try_read())), 1);
        for timeout in expired_timeouts() {
            none(pair.read_with(timeout), "nothing was written");
            drop(granted(pair.write_with(timeout)));
        }
        write(shared, granted(pair.write_timeout(second)), 2);
        let turn = granted(pair.read_timeout(Duration::MAX));
        none(pair.try_read(), "the turn is taken");
        assert_eq!(read(shared, turn), 2);
        assert_eq!((pair.slots(), pair.readable()), (1, 0));
    };
    Scenario::new("every_turn_method_takes_a_turn", vec![alone])
}

/// A value that finishes a turn when it is dropped, including during a panic.
struct FinishOnDrop<'a>(Option<RobustTurn<'a, [PairSlot; 1]>>);

impl Drop for FinishOnDrop<'_> {
    fn drop(&mut self) {
        let finished = self.0.take().map(RobustTurn::finish);
        assert_eq!(finished, Some(Ok(())));
    }
}

/// The next holder of a slot learns that the last holder panicked, and later holders do not.
///
/// If the last holder finished its turn during the panic, the next holder learns nothing.
pub fn panicking_holder_marks_its_slot() -> Scenario<RobustPairState<1>> {
    let alone = |shared: &RobustPairState<1>| {
        let turn = granted(shared.pair.write());
        assert!(!turn.is_owner_died());
        let panics = AssertUnwindSafe(|| {
            let _turn = turn;
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new("a panic of the holder"));
        });
        assert!(catch_unwind(panics).is_err());
        for is_owner_died in [true, false] {
            let turn = granted(shared.pair.try_write());
            assert_eq!(turn.is_owner_died(), is_owner_died);
        }
        let turn = granted(shared.pair.write());
        let panics = AssertUnwindSafe(|| {
            let _finishes = FinishOnDrop(Some(turn));
            resume_unwind(Box::new("a panic of the holder"));
        });
        assert!(catch_unwind(panics).is_err());
        assert!(!granted(shared.pair.try_read()).is_owner_died());
    };
    Scenario::new("panicking_holder_marks_its_slot", vec![alone]).verify(no_slot_is_lost)
}
