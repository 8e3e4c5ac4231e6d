//! Random programs, and the comparison of an engine's executions with the oracle's.

use crate::classic;
use crate::execution::Execution;
use crate::oracle;
use crate::program::{Op, Program, Value};
use core::fmt::Write as _;
use core::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};
use fastrand::Rng;
use std::collections::BTreeSet;

/// The most operations of a thread.
const OPERATIONS: usize = 4;

/// The random program of a seed: with an even seed one that is random as a whole, with an odd seed
/// a variant of a litmus test.
///
/// Random programs rarely have the shape in which one rule of the model decides, and litmus tests
/// are such shapes.
pub fn program(seed: u64) -> Program {
    let mut rng = Rng::with_seed(seed);
    if seed.is_multiple_of(2) {
        from_scratch(rng)
    } else {
        variant(&mut rng)
    }
}

/// 2 or 3 threads with 1 to 4 operations, and 1 to 3 locations, in a random style.
fn from_scratch(mut rng: Rng) -> Program {
    let locations = [1, 2, 2, 2, 2, 3][rng.usize(..6)];
    let threads = [2, 3, 3][rng.usize(..3)];
    let mut generator = Generator {
        locations,
        seq_cst: [10, 40, 80][rng.usize(..3)],
        updates: [5, 30, 60][rng.usize(..3)],
        fences: [0, 40, 90][rng.usize(..3)],
        rng,
    };
    Program {
        locations,
        threads: (0..threads).map(|_| generator.thread()).collect(),
    }
}

/// A litmus test with up to 3 changes.
fn variant(rng: &mut Rng) -> Program {
    let rows: Vec<Program> = classic::rows().map(|row| row.program()).collect();
    let mut program = rows[rng.usize(..rows.len())].clone();
    let mut generator = Generator {
        locations: program.locations,
        seq_cst: 50,
        updates: 30,
        fences: 30,
        rng: rng.fork(),
    };
    for _ in 0..rng.usize(..=3) {
        let thread = rng.usize(..program.threads.len());
        generator.change(&mut program.threads[thread]);
    }
    program
}

struct Generator {
    rng: Rng,
    locations: usize,
    /// Percentage of operations with SeqCst.
    seq_cst: u32,
    /// Percentage of accesses that are read-modify-writes.
    updates: u32,
    /// Percentage of fences among the operations that follow an access.
    fences: u32,
}

impl Generator {
    fn thread(&mut self) -> Vec<Op> {
        let mut ops: Vec<Op> = vec![];
        for _ in 0..[1, 2, 3, 3, 3, OPERATIONS][self.rng.usize(..6)] {
            let after_access = ops.last().is_some_and(|op| op.location().is_some());
            let fence = after_access && self.percent(self.fences);
            ops.push(if fence { self.fence() } else { self.access() });
        }
        // A fence at the end orders nothing.
        ops.pop_if(|op| op.location().is_none());
        ops
    }

    /// Adds an operation, or replaces one, with the same location or with any.
    fn change(&mut self, ops: &mut Vec<Op>) {
        let index = self.rng.usize(..ops.len());
        if ops.len() < OPERATIONS && self.percent(self.fences) {
            let op = if self.rng.bool() {
                self.fence()
            } else {
                self.access()
            };
            return ops.insert(index, op);
        }
        ops[index] = match ops[index].location() {
            Some(location) if self.percent(80) => self.access_to(location),
            Some(_) => self.access(),
            None => self.fence(),
        };
    }

    fn percent(&mut self, percentage: u32) -> bool {
        self.rng.u32(..100) < percentage
    }

    fn fence(&mut self) -> Op {
        Op::Fence {
            ordering: self.ordering(&[Acquire, Release, AcqRel]),
        }
    }

    fn access(&mut self) -> Op {
        let location = self.rng.usize(..self.locations);
        self.access_to(location)
    }

    fn access_to(&mut self, location: usize) -> Op {
        if self.percent(self.updates) {
            return self.update(location);
        }
        if self.rng.bool() {
            return Op::Load {
                location,
                ordering: self.ordering(&[Relaxed, Acquire]),
            };
        }
        Op::Store {
            location,
            ordering: self.ordering(&[Relaxed, Release]),
            value: self.value(),
        }
    }

    fn update(&mut self, location: usize) -> Op {
        let ordering = self.ordering(&[Relaxed, Acquire, Release, AcqRel]);
        match self.rng.u32(..3) {
            0 => Op::FetchAdd {
                location,
                ordering,
                addend: self.rng.u64(..3),
            },
            1 => Op::Swap {
                location,
                ordering,
                value: self.value(),
            },
            _ => Op::CompareExchange {
                location,
                success: ordering,
                failure: self.ordering(&[Relaxed, Acquire]),
                expected: self.rng.u64(..3),
                new: self.rng.u64(1..4),
            },
        }
    }

    fn ordering(&mut self, weak: &[Ordering]) -> Ordering {
        if self.percent(self.seq_cst) {
            return SeqCst;
        }
        weak[self.rng.usize(..weak.len())]
    }

    fn value(&mut self) -> Value {
        match self.rng.u64(..5) {
            0 => Value::LastRead,
            value => Value::Constant(value % 3 + 1),
        }
    }
}

/// Compares the executions that an engine found with those that RC11 allows.
///
/// The error lists the executions that the engine missed, found although they are not allowed, and
/// found more than once, with the program.
pub fn compare(program: &Program, executions_of_engine: Vec<Execution>) -> Result<(), String> {
    let expected: BTreeSet<Execution> = oracle::executions(program).into_iter().collect();
    let found: BTreeSet<Execution> = executions_of_engine.iter().cloned().collect();
    let mut sorted = executions_of_engine;
    sorted.sort();
    let doubled = sorted
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| &pair[0]);
    let mut differences = String::new();
    list(&mut differences, "missed", expected.difference(&found));
    list(&mut differences, "in excess", found.difference(&expected));
    list(&mut differences, "doubled", doubled);
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{program}\n{} executions are allowed\n{differences}",
        expected.len()
    ))
}

/// Appends the number of the executions and the first few of them.
fn list<'a>(text: &mut String, what: &str, executions: impl Iterator<Item = &'a Execution>) {
    const SHOWN: usize = 5;
    let executions: Vec<&Execution> = executions.collect();
    if executions.is_empty() {
        return;
    }
    writeln!(text, "{what}: {}", executions.len()).expect("a String takes all text");
    for execution in executions.iter().take(SHOWN) {
        writeln!(text, "  {execution}").expect("a String takes all text");
    }
}

/// Compares an engine with the oracle on the random program of a seed, and shrinks a difference.
pub fn check(seed: u64, engine: impl Fn(&Program) -> Vec<Execution>) -> Result<(), String> {
    let differs = |program: &Program| compare(program, engine(program)).is_err();
    let program = program(seed);
    let Err(difference) = compare(&program, engine(&program)) else {
        return Ok(());
    };
    let small = shrink(&program, differs);
    let in_small = compare(&small, engine(&small)).expect_err("shrinking keeps the difference");
    Err(format!("seed {seed}: {difference}\nshrunk: {in_small}"))
}

/// Removes threads and operations as long as the program still `differs`.
pub fn shrink(program: &Program, differs: impl Fn(&Program) -> bool) -> Program {
    let mut small = program.clone();
    while let Some(smaller) = smaller(&small).into_iter().find(&differs) {
        small = smaller;
    }
    small
}

/// The programs with one thread or one operation less, the ones without a thread first.
fn smaller(program: &Program) -> Vec<Program> {
    let mut programs = vec![];
    for thread in 0..program.threads.len() {
        let mut smaller = program.clone();
        smaller.threads.remove(thread);
        programs.push(smaller);
    }
    for (thread, ops) in program.threads.iter().enumerate() {
        for index in 0..ops.len() {
            let mut smaller = program.clone();
            smaller.threads[thread].remove(index);
            programs.push(smaller);
        }
    }
    programs
}
