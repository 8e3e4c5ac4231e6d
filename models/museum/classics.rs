//! Mutual exclusion by loads and stores, and circles of waiting.

use super::{exhibit, look, swept};
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
        exhibit("hyman", DataRace, hyman::<false>, hyman::<true>),
        exhibit(
            "bakery_without_choosing",
            DataRace,
            bakery::<false>,
            bakery::<true>,
        ),
        swept(exhibit(
            "dining_philosophers",
            Deadlock,
            dine::<false>,
            dine::<true>,
        )),
        swept(exhibit(
            "both_pipes_full",
            Deadlock,
            converse::<false>,
            converse::<true>,
        )),
    ]
    .concat()
}

/// Two that want in, whose turn it is, and what they want to change.
#[repr(C)]
#[derive(ShmSafe)]
struct Room {
    wants: [AtomicU32; 2],
    turn: AtomicU32,
    number: RaceCell,
}

impl Room {
    fn leave(&self, me: usize) {
        self.wants[me].store(0, Release);
    }
}

/// Dekker's flags (Dijkstra, EWD 35, 1962): each raises its own and looks at the other's. A store
/// may still be on its way when the load after it is done, so both may see the other's flag down;
/// only a full fence between the two keeps one of them out. (Who sees a flag gives up here; the
/// whole algorithm takes turns.)
fn dekker<const MENDED: bool>() -> Scenario<Room> {
    fn enter<const ME: usize, const MENDED: bool>(room: &Room) {
        room.wants[ME].store(1, Release);
        if MENDED {
            fence(SeqCst);
        }
        if room.wants[1 - ME].load(Acquire) == 0 {
            room.number.increment();
        }
        room.leave(ME);
    }
    Scenario::new("dekker", vec![enter::<0, MENDED>, enter::<1, MENDED>])
}

/// Peterson, "Myths about the mutual exclusion problem", 1981: as above, with a word that says who is
/// to wait if both want in. Mended as Williams did ("Peterson's lock with C++0x atomics", 2008): the
/// turn is exchanged, so that the second one to do so has seen all that the first one did. A fence
/// after a plain store of the turn is not enough; the checker found that here.
fn peterson<const MENDED: bool>() -> Scenario<Room> {
    fn enter<const ME: usize, const MENDED: bool>(room: &Room) {
        room.wants[ME].store(1, Release);
        if MENDED {
            room.turn.swap(1 - ME as u32, AcqRel);
        } else {
            room.turn.store(1 - ME as u32, Release);
        }
        let other_wants = room.wants[1 - ME].load(Acquire) == 1;
        if !other_wants || look(&room.turn) == ME as u32 {
            room.number.increment();
        }
        room.leave(ME);
    }
    Scenario::new("peterson", vec![enter::<0, MENDED>, enter::<1, MENDED>])
}

/// Hyman's letter to the CACM of January 1966, a shorter solution for two that Knuth refuted in May:
/// between finding the other away and taking the turn, the other may come and find the turn its
/// own. Wrong in every memory model, so all accesses here are strong.
fn hyman<const MENDED: bool>() -> Scenario<Room> {
    fn enter<const ME: usize, const MENDED: bool>(room: &Room) {
        room.wants[ME].swap(1, AcqRel);
        let may_enter = if MENDED {
            look(&room.wants[1 - ME]) == 0
        } else if look(&room.turn) == ME as u32 {
            true
        } else if look(&room.wants[1 - ME]) == 0 {
            room.turn.swap(ME as u32, AcqRel);
            look(&room.turn) == ME as u32
        } else {
            false
        };
        if may_enter {
            room.number.increment();
        }
        room.wants[ME].swap(0, AcqRel);
    }
    Scenario::new("hyman", vec![enter::<0, MENDED>, enter::<1, MENDED>])
}

#[repr(C)]
#[derive(ShmSafe)]
struct Bakery {
    choosing: [AtomicU32; 2],
    ticket: [AtomicU32; 2],
    number: RaceCell,
}

/// Lamport's bakery ("A New Solution of Dijkstra's Concurrent Programming Problem", 1974) without
/// the word that says who is choosing a ticket: one has seen that no ticket is out, another takes
/// the same number and is served, and then the first one has the smaller name. (Who is not first
/// gives up here.)
fn bakery<const MENDED: bool>() -> Scenario<Bakery> {
    fn enter<const ME: usize, const MENDED: bool>(bakery: &Bakery) {
        let other = 1 - ME;
        bakery.choosing[ME].swap(1, AcqRel);
        let mine = look(&bakery.ticket[other]) + 1;
        bakery.ticket[ME].swap(mine, AcqRel);
        bakery.choosing[ME].swap(0, AcqRel);
        let may_be_smaller = MENDED && look(&bakery.choosing[other]) == 1;
        let theirs = look(&bakery.ticket[other]);
        if !may_be_smaller && (theirs == 0 || (mine, ME) < (theirs, other)) {
            bakery.number.increment();
        }
        bakery.ticket[ME].swap(0, AcqRel);
    }
    Scenario::new("bakery", vec![enter::<0, MENDED>, enter::<1, MENDED>])
}

#[repr(C)]
#[derive(ShmSafe)]
struct Table {
    forks: [RawMutex; 3],
}

/// Dijkstra's dining quintuple (EWD 310, 1971), with three: each takes the fork on the left, then
/// waits for the one on the right. Mended by his order: always the fork with the lower number first.
fn dine<const MENDED: bool>() -> Scenario<Table> {
    fn eat<const ME: usize, const MENDED: bool>(table: &Table) {
        let (left, right) = (ME, (ME + 1) % 3);
        let (first, second) = if MENDED && right < left {
            (right, left)
        } else {
            (left, right)
        };
        let _first = table.forks[first].lock();
        let _second = table.forks[second].lock();
    }
    Scenario::new(
        "dine",
        vec![eat::<0, MENDED>, eat::<1, MENDED>, eat::<2, MENDED>],
    )
    .choices(4)
}

#[repr(C)]
#[derive(ShmSafe)]
struct TwoWay {
    there: Bounded<1>,
    back: Bounded<1>,
}

/// The trap of every two-way pipe (the notes' sockets and filters; Python's `subprocess` warns of
/// it): both sides write more than fits before they read, so both wait for room for ever.
fn converse<const MENDED: bool>() -> Scenario<TwoWay> {
    fn talk<const MENDED: bool>(out: &Bounded<1>, input: &Bounded<1>) {
        let send = |item| assert_eq!(out.send_unregistered(item, Timeout::Infinite), Ok(()));
        let receive = |item| assert_eq!(input.recv_unregistered(Timeout::Infinite), Ok(item));
        if MENDED {
            (0..2).for_each(|item| {
                send(item);
                receive(item);
            });
        } else {
            (0..2).for_each(send);
            (0..2).for_each(receive);
        }
    }
    let one = |pipes: &TwoWay| talk::<MENDED>(&pipes.there, &pipes.back);
    let other = |pipes: &TwoWay| talk::<MENDED>(&pipes.back, &pipes.there);
    Scenario::new("converse", vec![one, other])
}
