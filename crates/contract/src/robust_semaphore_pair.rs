//! What a semaphore pair promises whose turns come back from the dead.

use super::{RaceCell, Scenario, Stage, spent};
use interlatch::platform::ShmSafe;
use interlatch::sync::{AcquireError, PairSlot, RobustSemaphorePair, RobustTurn, Timeout};
use std::time::Duration;

/// A pair, what its slots are about, and what was read.
#[repr(C)]
#[derive(Debug)]
pub struct HandedOver<const N: usize> {
    pair: RobustSemaphorePair<[PairSlot; N]>,
    numbers: [RaceCell; N],
    seen: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<const N: usize> ShmSafe for HandedOver<N> {
    fn initial() -> Self {
        Self {
            pair: ShmSafe::initial(),
            numbers: core::array::from_fn(|_| RaceCell::new(0)),
            seen: [RaceCell::new(0), RaceCell::new(0)],
        }
    }
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    stage.run(writer_and_reader_alternate());
    stage.run(slots_are_read_in_finishing_order());
    stage.run(unfinished_turn_returns_to_its_side());
    stage.run(writer_death_returns_its_turn(2));
    stage.run(writer_death_returns_its_turn(3));
    stage.run(reader_death_returns_its_turn());
    stage.run(every_turn_method_takes_a_turn());
}

fn taken<T>(turn: Result<T, AcquireError>) -> T {
    turn.unwrap_or_else(|error| panic!("{error}"))
}

fn briefly() -> Timeout {
    Timeout::after(Duration::from_micros(200))
}

fn write<const N: usize>(shared: &HandedOver<N>, turn: RobustTurn<'_, [PairSlot; N]>, number: u64) {
    shared.numbers[turn.slot_index()].set(number);
    taken(turn.finish());
}

fn read<const N: usize>(shared: &HandedOver<N>, turn: RobustTurn<'_, [PairSlot; N]>) -> u64 {
    let number = shared.numbers[turn.slot_index()].get();
    taken(turn.finish());
    number
}

/// All slots are there, each with the side that has it.
fn no_slot_is_lost<const N: usize>(shared: &HandedOver<N>) {
    let readers = [(); N].map(|()| shared.pair.try_read());
    let writers = [(); N].map(|()| shared.pair.try_write());
    let there = |turns: &[Result<RobustTurn<'_, [PairSlot; N]>, AcquireError>]| {
        turns.iter().flatten().count()
    };
    assert_eq!(there(&readers) + there(&writers), N, "slots");
}

/// Write, read, write, read: each write is read once.
pub fn writer_and_reader_alternate() -> Scenario<HandedOver<1>> {
    let writer = |shared: &HandedOver<1>| {
        write(shared, taken(shared.pair.write()), 1);
        write(shared, taken(shared.pair.write()), 2);
    };
    let reader = |shared: &HandedOver<1>| {
        assert_eq!(read(shared, taken(shared.pair.read())), 1);
        assert_eq!(read(shared, taken(shared.pair.read())), 2);
    };
    Scenario::new("writer_and_reader_alternate", vec![writer, reader]).verify(no_slot_is_lost)
}

/// Of two slots the one that was finished first is read first, whichever was taken first.
pub fn slots_are_read_in_finishing_order() -> Scenario<HandedOver<2>> {
    let alone = |shared: &HandedOver<2>| {
        let first = taken(shared.pair.write());
        let second = taken(shared.pair.write());
        assert_ne!(first.slot_index(), second.slot_index(), "a slot each");
        write(shared, second, 1);
        write(shared, first, 2);
        assert_eq!(shared.pair.readable(), 2);
        let oldest = taken(shared.pair.read());
        drop(oldest);
        assert_eq!(read(shared, taken(shared.pair.read())), 1);
        assert_eq!(read(shared, taken(shared.pair.read())), 2);
    };
    Scenario::new("slots_are_read_in_finishing_order", vec![alone]).verify(no_slot_is_lost)
}

/// A turn that is not finished goes to the same side, and who waits for it is woken.
pub fn unfinished_turn_returns_to_its_side() -> Scenario<HandedOver<1>> {
    let writer = |shared: &HandedOver<1>| {
        drop(taken(shared.pair.write()));
        write(shared, taken(shared.pair.write()), 7);
    };
    let reader = |shared: &HandedOver<1>| {
        drop(taken(shared.pair.read()));
        assert_eq!(read(shared, taken(shared.pair.read())), 7);
    };
    Scenario::new(
        "unfinished_turn_returns_to_its_side",
        vec![writer, reader],
    )
    .verify(no_slot_is_lost)
}

/// A writer is killed: the turn is finished, and then what it wrote is read, or the next writer's. With
/// two processes nobody waits for the other but at a lock.
pub fn writer_death_returns_its_turn(processes: usize) -> Scenario<HandedOver<1>> {
    fn write_with(shared: &HandedOver<1>, timeout: Timeout) {
        if let Ok(turn) = shared.pair.write_with(timeout) {
            write(shared, turn, 1);
        }
    }
    fn read_with(shared: &HandedOver<1>, timeout: Timeout) {
        if let Ok(turn) = shared.pair.read_with(timeout) {
            let seen = read(shared, turn);
            assert!([1, 2].contains(&seen), "{seen} was read");
            shared.seen[0].set(seen);
        }
    }
    let participants: Vec<fn(&HandedOver<1>)> = match processes {
        2 => vec![
            |shared| write_with(shared, Timeout::NonBlocking),
            |shared| read_with(shared, Timeout::NonBlocking),
        ],
        _ => vec![
            |shared| write_with(shared, briefly()),
            |shared| write(shared, taken(shared.pair.write()), 2),
            |shared| {
                read_with(shared, Timeout::Infinite);
                assert_ne!(shared.seen[0].get(), 0, "something was read");
            },
        ],
    };
    Scenario::new("writer_death_returns_its_turn", participants)
        .verify(no_slot_is_lost)
        .choices(10)
        .victims(&[0])
}

/// A reader is killed: it has finished its turn, or another one reads the same.
pub fn reader_death_returns_its_turn() -> Scenario<HandedOver<1>> {
    let reader = |shared: &HandedOver<1>| {
        if let Ok(turn) = shared.pair.read_with(briefly()) {
            shared.seen[0].set(read(shared, turn));
        }
    };
    let writer = |shared: &HandedOver<1>| write(shared, taken(shared.pair.write()), 1);
    let other = |shared: &HandedOver<1>| {
        if let Ok(turn) = shared.pair.read_with(briefly()) {
            shared.seen[1].set(read(shared, turn));
        }
    };
    Scenario::new(
        "reader_death_returns_its_turn",
        vec![reader as fn(&HandedOver<1>), writer, other],
    )
    .verify(|shared| {
        let seen = [shared.seen[0].get(), shared.seen[1].get()];
        assert!(seen.iter().sum::<u64>() <= 1, "read twice: {seen:?}");
        no_slot_is_lost(shared);
    })
    .choices(10)
    .victims(&[0])
}

/// Waiting or not, each takes the turn that there is, and is refused the other side's.
pub fn every_turn_method_takes_a_turn() -> Scenario<HandedOver<1>> {
    let takes = |shared: &HandedOver<1>| {
        let (pair, second) = (&shared.pair, Duration::from_secs(1));
        let none = |turn: Result<RobustTurn<'_, [PairSlot; 1]>, AcquireError>, why| {
            assert_eq!(turn.err(), Some(AcquireError::TimedOut), "{why}");
        };
        none(pair.try_read(), "nothing was written");
        write(shared, taken(pair.try_write()), 1);
        none(pair.try_write(), "nothing was read");
        for timeout in spent() {
            none(pair.write_with(timeout), "nothing was read");
        }
        assert_eq!(read(shared, taken(pair.try_read())), 1);
        write(shared, taken(pair.write_timeout(second)), 2);
        let turn = taken(pair.read_timeout(Duration::MAX));
        none(pair.try_read(), "it is taken");
        assert_eq!(read(shared, turn), 2);
        assert_eq!((pair.slots(), pair.readable()), (1, 0));
    };
    Scenario::new("every_turn_method_takes_a_turn", vec![takes])
}
