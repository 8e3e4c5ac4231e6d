//! Rings and stacks.

use super::{exhibit, look};
use interlatch::ShmSafe;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch_check::FailureKind::{DataRace, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "ring_published_relaxed",
            DataRace,
            ring::<false>,
            ring::<true>,
        ),
        exhibit(
            "aba_on_a_treiber_stack",
            WrongResult,
            aba::<false>,
            aba::<true>,
        ),
        exhibit(
            "steals_from_an_old_buffer",
            WrongResult,
            steal::<false>,
            steal::<true>,
        ),
    ]
    .concat()
}

#[repr(C)]
#[derive(ShmSafe)]
struct Ring {
    tail: AtomicU32,
    places: [RaceCell; 2],
}

/// A ring for one producer and one consumer (Lamport, "Specifying Concurrent Program Modules", 1983) in
/// a memory that is not sequentially consistent: the index may be seen before the item. Mended by
/// Release and Acquire.
fn ring<const MENDED: bool>() -> Scenario<Ring> {
    let produce = |ring: &Ring| {
        let order = if MENDED { Release } else { Relaxed };
        for place in 0..2 {
            ring.places[place as usize].set(7);
            ring.tail.store(place + 1, order);
        }
    };
    let consume = |ring: &Ring| {
        let published = ring.tail.load(Acquire) as usize;
        for place in &ring.places[..published] {
            assert_eq!(place.get(), 7);
        }
    };
    Scenario::new("ring", vec![produce, consume])
}

/// Two nodes, A on B. The head holds the number of a node, and above it how often it was changed.
#[repr(C)]
#[derive(ShmSafe)]
struct Stack {
    #[shm(initial = AtomicU32::new(A))]
    head: AtomicU32,
    #[shm(initial = [AtomicU32::new(0), AtomicU32::new(B), AtomicU32::new(0)])]
    next: [AtomicU32; 3],
    /// The node that one process has popped and not pushed back.
    kept: AtomicU32,
}

const A: u32 = 1;
const B: u32 = 2;

impl Stack {
    fn exchange<const MENDED: bool>(&self, head: u32, node: u32) -> bool {
        let changes = if MENDED { (head >> 8) + 1 } else { 0 };
        let new = changes << 8 | node;
        self.head
            .compare_exchange(head, new, AcqRel, Acquire)
            .is_ok()
    }

    fn pop<const MENDED: bool>(&self) -> u32 {
        loop {
            let head = look(&self.head);
            let node = head & 0xFF;
            if node == 0 || self.exchange::<MENDED>(head, look(&self.next[node as usize])) {
                return node;
            }
        }
    }

    fn push<const MENDED: bool>(&self, node: u32) {
        loop {
            let head = look(&self.head);
            self.next[node as usize].swap(head & 0xFF, AcqRel);
            if self.exchange::<MENDED>(head, node) {
                return;
            }
        }
    }
}

/// Treiber's stack ("Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986) without the
/// count that it has there: one has read the head A and its next B; meanwhile another pops A and B
/// and pushes A back; the exchange succeeds and makes B the head, which the other one still has.
fn aba<const MENDED: bool>() -> Scenario<Stack> {
    let pop = |stack: &Stack| {
        stack.pop::<MENDED>();
    };
    let pop_two_and_push_one = |stack: &Stack| {
        let (first, second) = (stack.pop::<MENDED>(), stack.pop::<MENDED>());
        if (first, second) == (A, B) {
            stack.push::<MENDED>(A);
            stack.kept.swap(B, AcqRel);
        }
    };
    Scenario::new("aba", vec![pop, pop_two_and_push_one]).verify(|stack| {
        let (head, kept) = (stack.head.load(Relaxed) & 0xFF, stack.kept.load(Relaxed));
        assert!(
            kept != B || head != B,
            "B is on the stack, and somebody has it"
        );
    })
}

/// Tasks from `front` to `back`, in one of two buffers: the old one, and one that the worker moves to.
#[repr(C)]
#[derive(ShmSafe)]
struct Tasks {
    front: AtomicU32,
    #[shm(initial = AtomicU32::new(1))]
    back: AtomicU32,
    buffer: AtomicU32,
    #[shm(initial = [[1, 0].map(AtomicU32::new), [0, 0].map(AtomicU32::new)])]
    places: [[AtomicU32; 2]; 2],
}

/// crossbeam-deque before 0.8.1 (RUSTSEC-2021-0093): a thief reads a task from the buffer that it knew,
/// while the worker has moved to another and put its new tasks there. One task is lost, and another
/// comes twice. Mended: the thief looks whether the buffer is still the same before it takes the task.
fn steal<const MENDED: bool>() -> Scenario<Tasks> {
    let thief = |tasks: &Tasks| {
        let buffer = look(&tasks.buffer);
        let (front, back) = (look(&tasks.front), look(&tasks.back));
        if front == back {
            return;
        }
        let task = look(&tasks.places[buffer as usize][front as usize % 2]);
        if MENDED && look(&tasks.buffer) != buffer {
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
        tasks.places[1][1].swap(2, AcqRel);
        tasks.back.swap(2, AcqRel);
    };
    Scenario::new("steal", vec![thief, worker])
}
