//! What a semaphore pair promises whose turns come back from the dead.

use super::{RaceCell, Scenario, Stage, spent};
use interlatch::platform::ShmSafe;
use interlatch::sync::{AcquireError, PairSlot, RobustSemaphorePair, RobustTurn, Timeout};
use std::time::Duration;

/// A pair, what its slots are about, and what was read.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct HandedOver<const N: usize> {
    pair: RobustSemaphorePair<[PairSlot; N]>,
    numbers: [RaceCell; N],
    seen: [RaceCell; 2],
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    stage.run(writer_and_reader_alternate());
    stage.run(what_is_written_first_is_read_first());
    stage.run(an_unfinished_turn_is_the_same_sides_again());
    stage.run(a_dead_writers_turn_comes_back(2));
    stage.run(a_dead_writers_turn_comes_back(3));
    stage.run(a_dead_readers_turn_comes_back());
    stage.run(every_way_to_take_a_turn_takes_one());
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
pub fn what_is_written_first_is_read_first() -> Scenario<HandedOver<2>> {
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
    Scenario::new("what_is_written_first_is_read_first", vec![alone]).verify(no_slot_is_lost)
}

/// A turn that is not finished goes to the same side, and who waits for it is woken.
pub fn an_unfinished_turn_is_the_same_sides_again() -> Scenario<HandedOver<1>> {
    let writer = |shared: &HandedOver<1>| {
        drop(taken(shared.pair.write()));
        write(shared, taken(shared.pair.write()), 7);
    };
    let reader = |shared: &HandedOver<1>| {
        drop(taken(shared.pair.read()));
        assert_eq!(read(shared, taken(shared.pair.read())), 7);
    };
    Scenario::new(
        "an_unfinished_turn_is_the_same_sides_again",
        vec![writer, reader],
    )
    .verify(no_slot_is_lost)
}

/// A writer is killed: the turn is finished, and then what it wrote is read, or the next writer's. With
/// two processes nobody waits for the other but at a lock.
pub fn a_dead_writers_turn_comes_back(processes: usize) -> Scenario<HandedOver<1>> {
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
    Scenario::new("a_dead_writers_turn_comes_back", participants)
        .verify(no_slot_is_lost)
        .choices(10)
        .victims(&[0])
}

/// A reader is killed: it has finished its turn, or another one reads the same.
pub fn a_dead_readers_turn_comes_back() -> Scenario<HandedOver<1>> {
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
        "a_dead_readers_turn_comes_back",
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
pub fn every_way_to_take_a_turn_takes_one() -> Scenario<HandedOver<1>> {
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
    Scenario::new("every_way_to_take_a_turn_takes_one", vec![takes])
}
