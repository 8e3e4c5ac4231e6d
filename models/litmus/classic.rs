//! The classic litmus tests: the outcomes that Rust's memory model allows, and the outcomes that
//! loom reaches.

use super::Litmus;
use super::execute::outcomes_of_program;
use super::outcomes::{Body, INTERLEAVINGS_ONLY, Outcomes, model_outcomes};
use super::program::{Operation, Program};
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use interlatch::platform::{AtomicU32, fence};
use interlatch_check::Verdict;
use std::collections::BTreeSet;

/// A program and its outcomes. An outcome lists the observations of all processes in order.
struct Shape {
    name: &'static str,
    bodies: &'static [Body<Words>],
    /// The outcomes that the memory model allows.
    allowed: Vec<Vec<u64>>,
    /// Allowed outcomes that loom does not reach.
    missed: Vec<Vec<u64>>,
    /// Outcomes that loom reaches although they are not allowed.
    excess: Vec<Vec<u64>>,
    /// Whether loom's exploration of the program ends with [`Verdict::Blind`].
    blind: bool,
}

pub fn all() -> Vec<Litmus> {
    let shapes = [
        message_passing(),
        buffering(),
        coherence(),
        iriw(),
        updates(),
    ];
    let shapes = shapes.into_iter().flatten();
    let litmus = |shape: Shape| Litmus::new(shape.name, move || compare(&shape));
    shapes.map(litmus).chain(counters()).collect()
}

fn compare(shape: &Shape) -> Result<String, String> {
    let (outcomes, exploration) = model_outcomes(shape.bodies, INTERLEAVINGS_ONLY);
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
        "{text}; pinned: missed {missed:?}, excess {excess:?}, blind: {}",
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
        text += &format!(", missed {missed:?}");
    }
    if !excess.is_empty() {
        text += &format!(", forbidden outcomes: {excess:?}");
    }
    text + if blind { "; reported as blind" } else { "" }
}

impl Shape {
    fn new<const N: usize>(
        name: &'static str,
        bodies: &'static [Body<Words>],
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

    fn misses<const N: usize>(self, missed: [u64; N]) -> Self {
        Self {
            missed: vec![missed.to_vec()],
            ..self
        }
    }

    fn reaches_forbidden<const N: usize>(self, excess: [u64; N]) -> Self {
        Self {
            excess: vec![excess.to_vec()],
            ..self
        }
    }

    fn reported_as_blind(self) -> Self {
        Self {
            blind: true,
            ..self
        }
    }
}

#[derive(Debug)]
struct Words {
    x: AtomicU32,
    y: AtomicU32,
}

impl Default for Words {
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

/// Message passing: one process writes `x` and then `y`, and the other process reads `y` and then
/// `x`. In the outcome 1, 0, the value of `x` is stale.
fn message_passing() -> Vec<Shape> {
    const SENT: [[u64; 2]; 3] = [[0, 0], [0, 1], [1, 1]];
    let relaxed: &[Body<Words>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Relaxed);
            vec![]
        },
        |words| vec![number(words.y.load(Relaxed)), number(words.x.load(Relaxed))],
    ];
    let released: &[Body<Words>] = &[
        |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Release);
            vec![]
        },
        |words| vec![number(words.y.load(Acquire)), number(words.x.load(Relaxed))],
    ];
    let fenced: &[Body<Words>] = &[
        |words| {
            words.x.store(1, Relaxed);
            fence(Release);
            words.y.store(1, Relaxed);
            vec![]
        },
        |words| {
            let signaled = words.y.load(Relaxed);
            fence(Acquire);
            vec![number(signaled), number(words.x.load(Relaxed))]
        },
    ];
    vec![
        Shape::new("message_passing_relaxed", relaxed, &ALL),
        Shape::new("message_passing_release_acquire", released, &SENT),
        Shape::new("message_passing_fences", fenced, &SENT),
    ]
}

/// Store buffering and load buffering: each process writes one word and reads the other.
fn buffering() -> Vec<Shape> {
    const NOT_BOTH_STALE: [[u64; 2]; 3] = [[0, 1], [1, 0], [1, 1]];
    let stores: &[Body<Words>] = &[
        |words| {
            words.x.store(1, Release);
            vec![number(words.y.load(Acquire))]
        },
        |words| {
            words.y.store(1, Release);
            vec![number(words.x.load(Acquire))]
        },
    ];
    let sequential: &[Body<Words>] = &[
        |words| {
            words.x.store(1, SeqCst);
            vec![number(words.y.load(SeqCst))]
        },
        |words| {
            words.y.store(1, SeqCst);
            vec![number(words.x.load(SeqCst))]
        },
    ];
    let fenced: &[Body<Words>] = &[
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
    let loads: &[Body<Words>] = &[
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
        Shape::new("store_buffering_seq_cst", sequential, &NOT_BOTH_STALE)
            .reaches_forbidden([0, 0]),
        Shape::new("store_buffering_fences", fenced, &NOT_BOTH_STALE),
        Shape::new("load_buffering", loads, &ALL).misses([1, 1]),
    ]
}

/// Coherence: all processes agree on the modification order of one word.
fn coherence() -> Vec<Shape> {
    let two_reads: &[Body<Words>] = &[
        |words| {
            words.x.store(1, Relaxed);
            vec![]
        },
        |words| vec![number(words.x.load(Relaxed)), number(words.x.load(Relaxed))],
    ];
    let own_write: &[Body<Words>] = &[
        |words| {
            words.x.store(1, Relaxed);
            vec![number(words.x.load(Relaxed))]
        },
        |words| {
            words.x.store(2, Relaxed);
            vec![]
        },
    ];
    let two_plus_two: &[Body<Words>] = &[
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
        Shape::new("coherence_read_read", two_reads, &[[0, 0], [0, 1], [1, 1]]),
        Shape::new("coherence_write_read", own_write, &[[1], [2]]),
        Shape::new(
            "two_plus_two_writes",
            two_plus_two,
            &[[1, 1], [1, 2], [2, 1], [2, 2]],
        ),
    ]
}

/// Independent reads of independent writes: two readers may disagree on the order of two writes.
fn iriw() -> Vec<Shape> {
    let weak: &[Body<Words>] = &[
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
    let sequential: &[Body<Words>] = &[
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
        // The verdict is blind because two processes load each word, so loom may hide a load from a
        // write. In this program, loom hides no load.
        Shape::new("independent_reads_of_independent_writes", weak, &all).reported_as_blind(),
        Shape::new(
            "independent_reads_of_independent_writes_seq_cst",
            sequential,
            &agree,
        )
        .reaches_forbidden(disagree)
        .reported_as_blind(),
    ]
}

/// Release sequences: an acquire load that reads the value of a read-modify-write may synchronize
/// with an earlier release store.
fn updates() -> Vec<Shape> {
    let after_store: &[Body<Words>] = &[
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
    let chain: &[Body<Words>] = &[
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
            "release_sequence_of_updates",
            chain,
            &with(&[[1, 1, 1], [1, 2, 1], [0, 2, 1]]),
        ),
    ]
}

/// Processes that load a counter and then increment it with a compare-exchange.
fn counters() -> Vec<Litmus> {
    let load = Operation::Load { word: 0 };
    let increment = vec![load, Operation::Increment { word: 0 }];
    let counter = move |processes: usize, companions: bool| Program {
        processes: vec![increment.clone(); processes],
        companions,
        ..Program::EMPTY
    };
    let litmus = |name, program: Program| Litmus::new(name, move || check_counter(&program));
    vec![
        litmus("load_then_exchange_by_two_processes", counter(2, false)),
        litmus("load_then_exchange_by_three_processes", counter(3, false)),
        litmus(
            "load_then_exchange_with_companion_by_two_processes",
            counter(2, true),
        ),
        litmus(
            "load_then_exchange_with_companion_by_three_processes",
            counter(3, true),
        ),
    ]
}

/// Checks that loom reaches all outcomes with a companion word, and that the verdict is blind
/// without it.
fn check_counter(program: &Program) -> Result<String, String> {
    let expected: Outcomes = program.outcomes().ok_or("the program cannot deadlock")?;
    let (reached, exploration) = outcomes_of_program(program);
    let text = format!(
        "{} of {} outcomes of plain interleaving; {}",
        expected.intersection(&reached).count(),
        expected.len(),
        exploration.verdict
    );
    let is_as_expected = match exploration.verdict {
        Verdict::Blind(_) => !program.companions,
        Verdict::Exhaustive => program.companions && expected.is_subset(&reached),
        _ => false,
    };
    if is_as_expected { Ok(text) } else { Err(text) }
}
