//! Random programs that wait for one word, against an interpreter that runs one operation at a
//! time.
//!
//! The engine must miss no outcome of the interpreter. It reaches more: a wake orders no memory,
//! so a process that has woken a waiter may still read a value that is older than what the waiter
//! saw.

use interlatch_engine::{
    AtomicU32, Ended, History, Limits, Setup, Wake, explore_with, sample_with,
};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Load,
    Store(u32),
    Add(u32),
    CompareExchange(u32, u32),
    Wait(u32),
    WaitOrGiveUp(u32),
    Wake(u32),
}

pub type Program = Vec<Vec<Op>>;

/// The results of the operations of each process, in program order. A process that sleeps for ever
/// has no result for its last operation.
pub type Outcome = Vec<Vec<u32>>;

fn code(wake: Wake) -> u32 {
    match wake {
        Wake::Woken => 100,
        Wake::Changed => 101,
        Wake::GaveUp => 102,
        Wake::Rechecked => unreachable!("no process dies"),
    }
}

fn perform(word: &AtomicU32, op: Op) -> u32 {
    match op {
        Op::Load => word.load(Relaxed),
        Op::Store(value) => {
            word.store(value, Relaxed);
            0
        }
        Op::Add(value) => word.fetch_add(value, Relaxed),
        Op::CompareExchange(expected, new) => {
            match word.compare_exchange(expected, new, Relaxed, Relaxed) {
                Ok(read) | Err(read) => read,
            }
        }
        Op::Wait(expected) => code(word.wait(expected)),
        Op::WaitOrGiveUp(expected) => code(word.wait_or_give_up(expected)),
        Op::Wake(count) => word.wake(count),
    }
}

/// Sets up the program, whose processes write their results to this list.
fn set_up(model: &mut Setup, program: &Program, results: &Rc<RefCell<Outcome>>) {
    *results.borrow_mut() = vec![Vec::new(); program.len()];
    let word = Rc::new(AtomicU32::new(0));
    for (process, ops) in program.iter().cloned().enumerate() {
        let (word, results) = (word.clone(), results.clone());
        model.process(move || {
            for op in ops {
                let result = perform(&word, op);
                results.borrow_mut()[process].push(result);
            }
        });
    }
}

/// Returns the history of an execution that is complete or a deadlock.
fn history(ended: Ended<'_>) -> History {
    match ended {
        Ended::Complete(complete) => complete.history(),
        Ended::Failed(failure) => {
            let text = failure.to_string();
            assert!(text.starts_with("deadlock"), "{text}");
            failure.history.clone()
        }
    }
}

/// Returns the outcomes that the engine reaches, and the number of graphs.
pub fn explored(program: &Program) -> (BTreeSet<Outcome>, u64) {
    let results: Rc<RefCell<Outcome>> = Rc::default();
    let mut outcomes = BTreeSet::new();
    let mut histories = HashSet::new();
    let mut limits = Limits::default();
    limits.samples = 0;
    let report = explore_with(
        limits,
        |model| set_up(model, program, &results),
        |ended| {
            let history = history(ended);
            let text = format!("{history:?}");
            assert!(histories.insert(text), "found twice: {history}");
            outcomes.insert(results.borrow().clone());
            ControlFlow::Continue(())
        },
    );
    (outcomes, report.executions)
}

/// Returns the outcomes of random executions.
pub fn sampled(program: &Program, limits: Limits) -> BTreeSet<Outcome> {
    let results: Rc<RefCell<Outcome>> = Rc::default();
    let mut outcomes = BTreeSet::new();
    sample_with(
        limits,
        |model| set_up(model, program, &results),
        |ended| {
            history(ended);
            outcomes.insert(results.borrow().clone());
            ControlFlow::Continue(())
        },
    );
    outcomes
}

/// A state of the interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    word: u32,
    /// The processes that sleep, and whether each may give up.
    asleep: Vec<(usize, bool)>,
    results: Outcome,
}

fn interpreted(program: &Program) -> BTreeSet<Outcome> {
    let first = State {
        results: vec![Vec::new(); program.len()],
        ..State::default()
    };
    let (mut seen, mut rest) = (HashSet::from([first.clone()]), vec![first]);
    let mut outcomes = BTreeSet::new();
    while let Some(state) = rest.pop() {
        let next: Vec<State> = (0..program.len())
            .flat_map(|process| successors(&state, process, &program[process]))
            .collect();
        if next.is_empty() {
            outcomes.insert(state.results);
        }
        rest.extend(next.into_iter().filter(|next| seen.insert(next.clone())));
    }
    outcomes
}

fn successors(state: &State, process: usize, ops: &[Op]) -> Vec<State> {
    let is_sleeper = |(sleeper, _): &&(usize, bool)| *sleeper == process;
    if let Some((_, gives_up)) = state.asleep.iter().find(is_sleeper) {
        let mut next = state.clone();
        next.asleep.retain(|(sleeper, _)| *sleeper != process);
        next.results[process].push(code(Wake::GaveUp));
        return gives_up.then_some(next).into_iter().collect();
    }
    let Some(op) = ops.get(state.results[process].len()) else {
        return Vec::new();
    };
    let mut next = state.clone();
    let mut result = state.word;
    match *op {
        Op::Load => {}
        Op::Store(value) => (next.word, result) = (value, 0),
        Op::Add(value) => next.word = state.word.wrapping_add(value),
        Op::CompareExchange(expected, new) if state.word == expected => next.word = new,
        Op::CompareExchange(..) => {}
        Op::Wait(expected) | Op::WaitOrGiveUp(expected) => {
            if state.word == expected {
                let gives_up = matches!(op, Op::WaitOrGiveUp(_));
                next.asleep.push((process, gives_up));
                next.asleep.sort_unstable();
                return vec![next];
            }
            result = code(Wake::Changed);
        }
        Op::Wake(count) => return wakes(state, process, count),
    }
    next.results[process].push(result);
    vec![next]
}

/// Returns the states after a wake of each choice of waiters.
fn wakes(state: &State, process: usize, count: u32) -> Vec<State> {
    let waiters = state.asleep.len();
    let count = waiters.min(count as usize);
    let subsets = (0..1u32 << waiters).filter(|subset| subset.count_ones() as usize == count);
    let after = |subset: u32| {
        let mut next = state.clone();
        next.results[process].push(count as u32);
        for (index, (sleeper, _)) in state.asleep.iter().enumerate() {
            if subset >> index & 1 == 1 {
                next.asleep.retain(|(other, _)| other != sleeper);
                next.results[*sleeper].push(code(Wake::Woken));
            }
        }
        next
    };
    subsets.map(after).collect()
}

pub fn random_program(seed: u64) -> Program {
    let mut rng = fastrand::Rng::with_seed(seed);
    let processes = rng.usize(2..=3);
    let process = |rng: &mut fastrand::Rng| {
        let count = rng.usize(1..=if processes == 2 { 4 } else { 3 });
        (0..count).map(|_| random_op(rng)).collect()
    };
    (0..processes).map(|_| process(&mut rng)).collect()
}

fn random_op(rng: &mut fastrand::Rng) -> Op {
    match rng.u32(..12) {
        0 => Op::Load,
        1 | 2 => Op::Store(rng.u32(..2)),
        3 => Op::Add(1),
        4 => Op::CompareExchange(rng.u32(..2), rng.u32(..2)),
        5 | 6 => Op::Wait(rng.u32(..2)),
        7 | 8 => Op::WaitOrGiveUp(rng.u32(..2)),
        _ => Op::Wake(rng.u32(1..=2)),
    }
}

#[test]
fn no_outcome_of_the_interpreter_is_missed() {
    let seed = std::env::var("INTERLATCH_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let count = std::env::var("INTERLATCH_PROGRAMS").map_or(200, |n| n.parse().expect("a number"));
    println!("seeds from {seed} (INTERLATCH_SEED), {count} programs (INTERLATCH_PROGRAMS)");
    let (mut graphs, mut excess) = (0, 0);
    for seed in seed..seed + count {
        let program = random_program(seed);
        let (explored, number) = explored(&program);
        let interpreted = interpreted(&program);
        graphs += number;
        let missed: Vec<_> = interpreted.difference(&explored).collect();
        excess += explored.difference(&interpreted).count();
        assert!(
            missed.is_empty(),
            "seed {seed}: {program:?} misses {missed:?}"
        );
    }
    println!("{graphs} complete executions, {excess} outcomes in excess");
}
