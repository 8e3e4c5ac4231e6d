//! Published bugs in mutual exclusion with loads and stores, and deadlocks by circular waits.

use super::{bounded, exhibit, load_latest};
use interlatch::ShmSafe;
use interlatch::channel::Unregistered;
use interlatch::platform::Ordering::{AcqRel, Acquire, Release, SeqCst};
use interlatch::platform::{AtomicU32, fence};
use interlatch::sync::{RawMutex, Timeout};
use interlatch_check::FailureKind::{DataRace, Deadlock};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};
use interlatch_contract::buffer::Bounded;

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "dekker_without_fences",
            DataRace,
            dekker::<false>,
            dekker::<true>,
        ),
        exhibit(
            "peterson_without_fences",
            DataRace,
            peterson::<false>,
            peterson::<true>,
        ),
        exhibit("hymans_algorithm", DataRace, hyman::<false>, hyman::<true>),
        exhibit(
            "bakery_without_choosing_flags",
            DataRace,
            bakery::<false>,
            bakery::<true>,
        ),
        bounded(exhibit(
            "dining_philosophers",
            Deadlock,
            dine::<false>,
            dine::<true>,
        )),
        bounded(exhibit(
            "both_pipes_full",
            Deadlock,
            converse::<false>,
            converse::<true>,
        )),
    ]
    .concat()
}

/// Flags, turn and protected number of a critical section for two processes.
#[repr(C)]
#[derive(ShmSafe)]
struct Section {
    wants: [AtomicU32; 2],
    turn: AtomicU32,
    number: RaceCell,
}

impl Section {
    fn leave(&self, me: usize) {
        self.wants[me].store(0, Release);
    }
}

/// Dekker's algorithm (Dijkstra, EWD 35, 1962): each process sets its own flag and then loads the
/// flag of the other process. The load may overtake the store, so both processes may read a cleared
/// flag. Only a full fence between the store and the load ensures that at least one process reads a
/// set flag.
///
/// In this model a process that reads a set flag gives up. In the complete algorithm, the processes
/// take turns.
fn dekker<const FIXED: bool>() -> Scenario<Section> {
    fn enter<const INDEX: usize, const FIXED: bool>(section: &Section) {
        section.wants[INDEX].store(1, Release);
        if FIXED {
            fence(SeqCst);
        }
        if section.wants[1 - INDEX].load(Acquire) == 0 {
            section.number.increment();
        }
        section.leave(INDEX);
    }
    Scenario::new("dekker", vec![enter::<0, FIXED>, enter::<1, FIXED>])
}

/// Peterson's algorithm ("Myths about the mutual exclusion problem", 1981): it uses Dekker's flags
/// and a turn. If both flags are set, the process that the turn names enters, and the other waits.
/// It fails in the same way as Dekker's algorithm.
///
/// Fix, by Williams ("Peterson's lock with C++0x atomics", 2008): each process sets the turn with a
/// swap. The second swap then acquires everything before the first swap. A fence after a plain
/// store of the turn is not enough, as this checker found.
fn peterson<const FIXED: bool>() -> Scenario<Section> {
    fn enter<const INDEX: usize, const FIXED: bool>(section: &Section) {
        section.wants[INDEX].store(1, Release);
        if FIXED {
            section.turn.swap(1 - INDEX as u32, AcqRel);
        } else {
            section.turn.store(1 - INDEX as u32, Release);
        }
        let other_wants = section.wants[1 - INDEX].load(Acquire) == 1;
        if !other_wants || load_latest(&section.turn) == INDEX as u32 {
            section.number.increment();
        }
        section.leave(INDEX);
    }
    Scenario::new("peterson", vec![enter::<0, FIXED>, enter::<1, FIXED>])
}

/// Hyman's algorithm (letter to the CACM, January 1966), refuted by Knuth in May 1966.
///
/// After a process has read a cleared flag, and before it takes the turn, the other process may
/// enter because it still has the turn. The algorithm is wrong in every memory model, so all
/// accesses here are read-modify-writes.
fn hyman<const FIXED: bool>() -> Scenario<Section> {
    fn enter<const INDEX: usize, const FIXED: bool>(section: &Section) {
        section.wants[INDEX].swap(1, AcqRel);
        let may_enter = if FIXED {
            load_latest(&section.wants[1 - INDEX]) == 0
        } else if load_latest(&section.turn) == INDEX as u32 {
            true
        } else if load_latest(&section.wants[1 - INDEX]) == 0 {
            section.turn.swap(INDEX as u32, AcqRel);
            load_latest(&section.turn) == INDEX as u32
        } else {
            false
        };
        if may_enter {
            section.number.increment();
        }
        section.wants[INDEX].swap(0, AcqRel);
    }
    Scenario::new("hyman", vec![enter::<0, FIXED>, enter::<1, FIXED>])
}

#[repr(C)]
#[derive(ShmSafe)]
struct Bakery {
    choosing: [AtomicU32; 2],
    ticket: [AtomicU32; 2],
    number: RaceCell,
}

/// Lamport's bakery algorithm ("A New Solution of Dijkstra's Concurrent Programming Problem", 1974)
/// without the flags which say that a process is choosing a ticket.
///
/// A process reads that no process has a ticket. Before this process stores its number, another
/// process takes the same number and enters. Then the first process also enters, because its index
/// is smaller. In this model a process that is not first gives up.
fn bakery<const FIXED: bool>() -> Scenario<Bakery> {
    fn enter<const INDEX: usize, const FIXED: bool>(bakery: &Bakery) {
        let other = 1 - INDEX;
        bakery.choosing[INDEX].swap(1, AcqRel);
        let own = load_latest(&bakery.ticket[other]) + 1;
        bakery.ticket[INDEX].swap(own, AcqRel);
        bakery.choosing[INDEX].swap(0, AcqRel);
        let may_be_smaller = FIXED && load_latest(&bakery.choosing[other]) == 1;
        let theirs = load_latest(&bakery.ticket[other]);
        if !may_be_smaller && (theirs == 0 || (own, INDEX) < (theirs, other)) {
            bakery.number.increment();
        }
        bakery.ticket[INDEX].swap(0, AcqRel);
    }
    Scenario::new("bakery", vec![enter::<0, FIXED>, enter::<1, FIXED>])
}

#[repr(C)]
#[derive(ShmSafe)]
struct Table {
    forks: [RawMutex; 3],
}

/// Dijkstra's dining philosophers (EWD 310, 1971), with three philosophers. Each philosopher locks
/// the left fork, then waits for the right fork.
///
/// Fix, by Dijkstra: each philosopher locks the fork with the lower number first.
fn dine<const FIXED: bool>() -> Scenario<Table> {
    fn eat<const INDEX: usize, const FIXED: bool>(table: &Table) {
        let (left, right) = (INDEX, (INDEX + 1) % 3);
        let (first, second) = if FIXED && right < left {
            (right, left)
        } else {
            (left, right)
        };
        let _first = table.forks[first].lock();
        let _second = table.forks[second].lock();
    }
    Scenario::new(
        "dine",
        vec![eat::<0, FIXED>, eat::<1, FIXED>, eat::<2, FIXED>],
    )
    .choices(4)
}

#[repr(C)]
#[derive(ShmSafe)]
struct TwoWay {
    there: Bounded<1>,
    back: Bounded<1>,
}

/// A deadlock of two-way pipes: both sides write more than fits before they read, so both wait for
/// free space forever. The course notes show this deadlock with sockets and filters, and the
/// documentation of Python's `subprocess` warns of it.
fn converse<const FIXED: bool>() -> Scenario<TwoWay> {
    fn talk<const FIXED: bool>(out: &Bounded<1>, input: &Bounded<1>) {
        let send = |item| assert_eq!(out.send_unregistered(item, Timeout::Infinite), Ok(()));
        let receive = |item| assert_eq!(input.recv_unregistered(Timeout::Infinite), Ok(item));
        if FIXED {
            (0..2).for_each(|item| {
                send(item);
                receive(item);
            });
        } else {
            (0..2).for_each(send);
            (0..2).for_each(receive);
        }
    }
    let one = |pipes: &TwoWay| talk::<FIXED>(&pipes.there, &pipes.back);
    let other = |pipes: &TwoWay| talk::<FIXED>(&pipes.back, &pipes.there);
    Scenario::new("converse", vec![one, other])
}
