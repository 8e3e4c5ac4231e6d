//! The classic shapes: the outcomes that Rust's memory model allows, and those that are reached.

use super::Litmus;
use super::perform::reached_by;
use super::program::{Operation, Program};
use super::reach::{Body, ORDER_ALONE, Outcomes, ours};
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use interlatch::platform::{AtomicU32, fence};
use interlatch_check::Verdict;
use std::collections::BTreeSet;

/// A program, and its outcomes: what each process has seen, one after the other.
struct Shape {
    name: &'static str,
    bodies: &'static [Body<MemoryReader>],
    /// What the memory model allows.
    allowed: Vec<Vec<u64>>,
    /// Of these, what is not reached.
    missed: Vec<Vec<u64>>,
    /// What is reached although it is not allowed.
    excess: Vec<Vec<u64>>,
    /// Whether it is called blind.
    blind: bool,
}

pub fn all() -> Vec<Litmus> {
    let shapes = [messages(), buffers(), coherence(), iriw(), updates()];
    let shapes = shapes.into_iter().flatten();
    let litmus = |shape: Shape| Litmus::new(shape.name, move || compare(&shape));
    shapes.map(litmus).chain(counters()).collect()
}

fn compare(shape: &Shape) -> Result<String, String> {
    let (outcomes, exploration) = ours(shape.bodies, ORDER_ALONE);
    let reached: BTreeSet<Vec<u64>> = outcomes.iter().map(|outcome| outcome.concat()).collect();
    let allowed: BTreeSet<Vec<u64>> = shape.allowed.iter().cloned().collect();
    let missed: Vec<Vec<u64>> = allowed.difference(&reached).cloned().collect();
    let excess: Vec<Vec<u64>> = reached.difference(&allowed).cloned().collect();
    let blind = matches!(exploration.verdict, Verdict::Blind(_));
    let text = describe(&allowed, &missed, &excess, blind);
    if (&missed, &excess, blind) == (&shape.missed, &shape.excess, shape.blind) {
        return Ok(text);
    }
    let (missed, excess) = (&shape.missed, &shape.excess);
    Err(format!(
        "{text}; pinned were missed {missed:?}, in excess {excess:?}, blind: {}",
        shape.blind
    ))
}

fn describe(
    allowed: &BTreeSet<Vec<u64>>,
    missed: &[Vec<u64>],
    excess: &[Vec<u64>],
    blind: bool,
) -> String {
    let mut text = format!(
        "{} of {} allowed outcomes",
        allowed.len() - missed.len(),
        allowed.len()
    );
    if !missed.is_empty() {
        text += &format!(", not {missed:?}");
    }
    if !excess.is_empty() {
        text += &format!(", and forbidden ones: {excess:?}");
    }
    text + if blind { "; called blind" } else { "" }
}

impl Shape {
    fn new<const N: usize>(
        name: &'static str,
        bodies: &'static [Body<MemoryReader>],
        allowed: &[[u64; N]],
    ) -> Self {
        Self {
            name,
            bodies,
            allowed: allowed.iter().map(|outcome| outcome.to_vec()).collect(),
            missed: vec![],
            excess: vec![],
            blind: false,
        }
    }

    fn but_misses<const N: usize>(self, missed: [u64; N]) -> Self {
        Self {
            missed: vec![missed.to_vec()],
            ..self
        }
    }

    fn but_reaches<const N: usize>(self, excess: [u64; N]) -> Self {
        Self {
            excess: vec![excess.to_vec()],
            ..self
        }
    }

    fn but_is_called_blind(self) -> Self {
        Self {
            blind: true,
            ..self
        }
    }
}

#[derive(Debug)]
struct MemoryReader {
    x: AtomicU32,
    y: AtomicU32,
}

impl Default for MemoryReader {
    fn default() -> Self {
        Self {
            x: AtomicU32::new(0),
            y: AtomicU32::new(0),
        }
    }
}

fn number(word: u32) -> u64 {
    word.into()
}

const ALL: [[u64; 2]; 4] = [[0, 0], [0, 1], [1, 0], [1, 1]];

/// One writes `x`, then `y`; the other reads `y`, then `x`. Stale is 1, 0.
fn messages() -> Vec<Shape> {
    const SENT: [[u64; 2]; 3] = [[0, 0], [0, 1], [1, 1]];
    let relaxed: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Relaxed);
            vec![]
        },
        |words| vec![number(words.y.load(Relaxed)), number(words.x.load(Relaxed))],
    ];
    let released: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Release);
            vec![]
        },
        |words| vec![number(words.y.load(Acquire)), number(words.x.load(Relaxed))],
    ];
    let fenced: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            fence(Release);
            words.y.store(1, Relaxed);
            vec![]
        },
        |words| {
            let told = words.y.load(Relaxed);
            fence(Acquire);
            vec![number(told), number(words.x.load(Relaxed))]
        },
    ];
    vec![
        Shape::new("message_passing_relaxed", relaxed, &ALL),
        Shape::new("message_passing_by_release_and_acquire", released, &SENT),
        Shape::new("message_passing_by_fences", fenced, &SENT),
    ]
}

/// Each writes one word and reads the other, or the other way round.
fn buffers() -> Vec<Shape> {
    const NOT_BOTH_STALE: [[u64; 2]; 3] = [[0, 1], [1, 0], [1, 1]];
    let stores: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Release);
            vec![number(words.y.load(Acquire))]
        },
        |words| {
            words.y.store(1, Release);
            vec![number(words.x.load(Acquire))]
        },
    ];
    let sequential: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, SeqCst);
            vec![number(words.y.load(SeqCst))]
        },
        |words| {
            words.y.store(1, SeqCst);
            vec![number(words.x.load(SeqCst))]
        },
    ];
    let fenced: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            fence(SeqCst);
            vec![number(words.y.load(Relaxed))]
        },
        |words| {
            words.y.store(1, Relaxed);
            fence(SeqCst);
            vec![number(words.x.load(Relaxed))]
        },
    ];
    let loads: &[Body<MemoryReader>] = &[
        |words| {
            let seen = words.x.load(Relaxed);
            words.y.store(1, Relaxed);
            vec![number(seen)]
        },
        |words| {
            let seen = words.y.load(Relaxed);
            words.x.store(1, Relaxed);
            vec![number(seen)]
        },
    ];
    vec![
        Shape::new("store_buffering", stores, &ALL),
        Shape::new("store_buffering_seq_cst", sequential, &NOT_BOTH_STALE).but_reaches([0, 0]),
        Shape::new("store_buffering_by_fences", fenced, &NOT_BOTH_STALE),
        Shape::new("load_buffering", loads, &ALL).but_misses([1, 1]),
    ]
}

/// One word alone has one order, which nobody sees run backwards.
fn coherence() -> Vec<Shape> {
    let two_reads: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            vec![]
        },
        |words| vec![number(words.x.load(Relaxed)), number(words.x.load(Relaxed))],
    ];
    let own_write: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            vec![number(words.x.load(Relaxed))]
        },
        |words| {
            words.x.store(2, Relaxed);
            vec![]
        },
    ];
    let two_plus_two: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.store(2, Relaxed);
            vec![number(words.y.load(Relaxed))]
        },
        |words| {
            words.y.store(1, Relaxed);
            words.x.store(2, Relaxed);
            vec![number(words.x.load(Relaxed))]
        },
    ];
    vec![
        Shape::new(
            "coherence_of_two_reads",
            two_reads,
            &[[0, 0], [0, 1], [1, 1]],
        ),
        Shape::new("coherence_after_an_own_write", own_write, &[[1], [2]]),
        Shape::new(
            "two_plus_two_writes",
            two_plus_two,
            &[[1, 1], [1, 2], [2, 1], [2, 2]],
        ),
    ]
}

/// Two writers, and two readers that may disagree on who was first.
fn iriw() -> Vec<Shape> {
    let weak: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Release);
            vec![]
        },
        |words| {
            words.y.store(1, Release);
            vec![]
        },
        |words| vec![number(words.x.load(Acquire)), number(words.y.load(Acquire))],
        |words| vec![number(words.y.load(Acquire)), number(words.x.load(Acquire))],
    ];
    let sequential: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, SeqCst);
            vec![]
        },
        |words| {
            words.y.store(1, SeqCst);
            vec![]
        },
        |words| vec![number(words.x.load(SeqCst)), number(words.y.load(SeqCst))],
        |words| vec![number(words.y.load(SeqCst)), number(words.x.load(SeqCst))],
    ];
    let each = |bits: u64| [bits >> 3, bits >> 2 & 1, bits >> 1 & 1, bits & 1];
    let all: Vec<[u64; 4]> = (0..16).map(each).collect();
    let disagree = [1, 0, 1, 0];
    let agree: Vec<[u64; 4]> = all
        .iter()
        .copied()
        .filter(|seen| *seen != disagree)
        .collect();
    vec![
        // Two processes load each word: that may hide a load, though here it hides none.
        Shape::new("independent_reads_of_independent_writes", weak, &all).but_is_called_blind(),
        Shape::new(
            "independent_reads_of_independent_writes_seq_cst",
            sequential,
            &agree,
        )
        .but_reaches(disagree)
        .but_is_called_blind(),
    ]
}

/// Updates in between carry a release on; a store in between ends it.
fn updates() -> Vec<Shape> {
    let after_store: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Release);
            vec![]
        },
        |words| vec![number(words.y.fetch_add(1, Relaxed))],
        |words| {
            vec![
                number(words.y.fetch_add(0, Acquire)),
                number(words.x.load(Relaxed)),
            ]
        },
    ];
    let chain: &[Body<MemoryReader>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.fetch_add(1, Release);
            vec![]
        },
        |words| vec![number(words.y.fetch_add(1, Relaxed))],
        |words| {
            vec![
                number(words.y.fetch_add(0, AcqRel)),
                number(words.x.load(Relaxed)),
            ]
        },
    ];
    const REACHED_BEFORE: [[u64; 3]; 6] = [
        [0, 0, 0],
        [0, 0, 1],
        [0, 1, 0],
        [0, 1, 1],
        [1, 0, 0],
        [1, 0, 1],
    ];
    let with = |more: &[[u64; 3]]| [&REACHED_BEFORE, more].concat();
    vec![
        Shape::new(
            "release_sequence",
            after_store,
            &with(&[[1, 1, 1], [1, 2, 1]]),
        ),
        Shape::new(
            "chain_of_updates",
            chain,
            &with(&[[1, 1, 1], [1, 2, 1], [0, 2, 1]]),
        ),
    ]
}

/// Processes that load a counter and then exchange it for one more, if it is still the same.
fn counters() -> Vec<Litmus> {
    let load = Operation::Load { word: 0 };
    let increment = vec![load, Operation::Increment { word: 0 }];
    let counter = move |processes: usize, companions: bool| Program {
        processes: vec![increment.clone(); processes],
        companions,
        ..Program::NONE
    };
    let litmus = |name, program: Program| Litmus::new(name, move || counted(&program));
    vec![
        litmus("counter_loaded_then_exchanged_by_two", counter(2, false)),
        litmus("counter_loaded_then_exchanged_by_three", counter(3, false)),
        litmus("counter_with_a_companion_by_two", counter(2, true)),
        litmus("counter_with_a_companion_by_three", counter(3, true)),
    ]
}

/// A counter that has a companion reaches everything; without one it is called blind.
fn counted(program: &Program) -> Result<String, String> {
    let expected: Outcomes = program.outcomes().ok_or("it cannot deadlock")?;
    let (reached, exploration) = reached_by(program);
    let text = format!(
        "{} of {} outcomes of plain interleaving; {}",
        expected.intersection(&reached).count(),
        expected.len(),
        exploration.verdict
    );
    let as_it_should = match exploration.verdict {
        Verdict::Blind(_) => !program.companions,
        Verdict::Exhaustive => program.companions && expected.is_subset(&reached),
        _ => false,
    };
    if as_it_should { Ok(text) } else { Err(text) }
}
