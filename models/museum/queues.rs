//! Published bugs in rings, stacks, deques and a rendezvous.

use super::{exhibit, load_latest};
use interlatch::ShmSafe;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch_check::FailureKind::{DataRace, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "ring_index_published_relaxed",
            DataRace,
            ring::<false>,
            ring::<true>,
        ),
        exhibit("treiber_stack_aba", WrongResult, aba::<false>, aba::<true>),
        exhibit(
            "steal_from_stale_buffer",
            WrongResult,
            steal::<false>,
            steal::<true>,
        ),
        exhibit(
            "number_of_a_withdrawn_offer",
            WrongResult,
            offer::<false>,
            offer::<true>,
        ),
    ]
    .concat()
}

#[repr(C)]
#[derive(ShmSafe)]
struct Ring {
    tail: AtomicU32,
    slots: [RaceCell; 2],
}

/// A ring for one producer and one consumer (Lamport, "Specifying Concurrent Program Modules",
/// 1983) without sequential consistency: the consumer may see the new index before it sees the
/// item.
///
/// Fix: the store of the index uses Release, and the load uses Acquire.
fn ring<const FIXED: bool>() -> Scenario<Ring> {
    let produce = |ring: &Ring| {
        let order = if FIXED { Release } else { Relaxed };
        for slot in 0..2 {
            ring.slots[slot as usize].set(7);
            ring.tail.store(slot + 1, order);
        }
    };
    let consume = |ring: &Ring| {
        let published = ring.tail.load(Acquire) as usize;
        for slot in &ring.slots[..published] {
            assert_eq!(slot.get(), 7);
        }
    };
    Scenario::new("ring", vec![produce, consume])
}

/// A stack of two nodes, A on top of B. The head holds the number of a node and, in the upper bits,
/// the number of changes.
#[repr(C)]
#[derive(ShmSafe)]
struct Stack {
    #[shm(initial = AtomicU32::new(A))]
    head: AtomicU32,
    #[shm(initial = [AtomicU32::new(0), AtomicU32::new(B), AtomicU32::new(0)])]
    next: [AtomicU32; 3],
    /// The node that a process popped and did not push back.
    popped: AtomicU32,
}

const A: u32 = 1;
const B: u32 = 2;

impl Stack {
    fn exchange<const FIXED: bool>(&self, head: u32, node: u32) -> bool {
        let changes = if FIXED { (head >> 8) + 1 } else { 0 };
        let new = changes << 8 | node;
        self.head
            .compare_exchange(head, new, AcqRel, Acquire)
            .is_ok()
    }

    fn pop<const FIXED: bool>(&self) -> u32 {
        loop {
            let head = load_latest(&self.head);
            let node = head & 0xFF;
            if node == 0 || self.exchange::<FIXED>(head, load_latest(&self.next[node as usize])) {
                return node;
            }
        }
    }

    fn push<const FIXED: bool>(&self, node: u32) {
        loop {
            let head = load_latest(&self.head);
            self.next[node as usize].swap(head & 0xFF, AcqRel);
            if self.exchange::<FIXED>(head, node) {
                return;
            }
        }
    }
}

/// Treiber's stack ("Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986) without its
/// change counter. A process reads the head A and its successor B. Then a second process pops A and
/// B and pushes A back. The exchange of the first process succeeds and makes B the head, although
/// the second process still has B.
fn aba<const FIXED: bool>() -> Scenario<Stack> {
    let pop = |stack: &Stack| {
        stack.pop::<FIXED>();
    };
    let pop_two_and_push_one = |stack: &Stack| {
        let (first, second) = (stack.pop::<FIXED>(), stack.pop::<FIXED>());
        if (first, second) == (A, B) {
            stack.push::<FIXED>(A);
            stack.popped.swap(B, AcqRel);
        }
    };
    Scenario::new("aba", vec![pop, pop_two_and_push_one]).verify(|stack| {
        let (head, popped) = (stack.head.load(Relaxed) & 0xFF, stack.popped.load(Relaxed));
        assert!(
            popped != B || head != B,
            "B is on the stack although a process has popped it"
        );
    })
}

/// Tasks from `front` to `back` in one of two buffers: the old buffer and the new buffer of the
/// worker.
#[repr(C)]
#[derive(ShmSafe)]
struct Tasks {
    front: AtomicU32,
    #[shm(initial = AtomicU32::new(1))]
    back: AtomicU32,
    buffer: AtomicU32,
    #[shm(initial = [[1, 0].map(AtomicU32::new), [0, 0].map(AtomicU32::new)])]
    slots: [[AtomicU32; 2]; 2],
}

/// crossbeam-deque before 0.8.1 (RUSTSEC-2021-0093): a thief reads a task from a stale buffer after
/// the worker has moved to another buffer and put new tasks there. One task is lost and another is
/// executed twice.
///
/// Fix: the thief checks that the buffer is unchanged before it takes the task.
fn steal<const FIXED: bool>() -> Scenario<Tasks> {
    let thief = |tasks: &Tasks| {
        let buffer = load_latest(&tasks.buffer);
        let (front, back) = (load_latest(&tasks.front), load_latest(&tasks.back));
        if front == back {
            return;
        }
        let task = load_latest(&tasks.slots[buffer as usize][front as usize % 2]);
        if FIXED && load_latest(&tasks.buffer) != buffer {
            return;
        }
        let taken = tasks
            .front
            .compare_exchange(front, front + 1, AcqRel, Acquire);
        if taken.is_ok() {
            assert_eq!(task, front + 1, "the task at {front}");
        }
    };
    let worker = |tasks: &Tasks| {
        let _ = tasks.front.compare_exchange(0, 1, AcqRel, Acquire);
        tasks.buffer.swap(1, AcqRel);
        tasks.slots[1][1].swap(2, AcqRel);
        tasks.back.swap(2, AcqRel);
    };
    Scenario::new("steal", vec![thief, worker])
}

/// The number of the offer with which a sender waits, and what each side reports.
#[repr(C)]
#[derive(ShmSafe)]
struct Offers {
    state: AtomicU32,
    sent: RaceCell,
    received: RaceCell,
}

/// `Rendezvous::accept` of this crate, until November 2026: the receiver finds an offer, and then
/// reads its number. If the sender withdraws in between, the number is that of an idle slot. If the
/// sender also withdraws its next offer while the receiver acknowledges, the receiver takes an item
/// that was not sent.
///
/// Fix: the receiver reads the state once.
fn offer<const FIXED: bool>() -> Scenario<Offers> {
    const IDLE: u32 = 0;
    const TAKEN: u32 = 9;
    fn send(offers: &Offers) {
        for number in [1, 2] {
            offers.state.swap(number, AcqRel);
            let withdrawn = offers.state.compare_exchange(number, IDLE, AcqRel, Acquire);
            if withdrawn.is_err() {
                return offers.sent.set(1);
            }
        }
    }
    fn receive<const FIXED: bool>(offers: &Offers) {
        let found = load_latest(&offers.state);
        if found == IDLE {
            return;
        }
        let number = if FIXED {
            found
        } else {
            load_latest(&offers.state)
        };
        let is_offered = load_latest(&offers.state) != IDLE;
        let taken = || {
            offers
                .state
                .compare_exchange(number, TAKEN, AcqRel, Acquire)
        };
        if is_offered && taken().is_ok() {
            offers.received.set(1);
        }
    }
    Scenario::new("offer", vec![send, receive::<FIXED>])
        .verify(|offers| assert_eq!(offers.received.get(), offers.sent.get()))
}
