//! The engine against the oracle.

use crate::classic;
use crate::execution::Execution;
use crate::program::{Op, Program, Value};
use crate::random::{check, compare, program};
use core::ops::ControlFlow;
use interlatch_engine::{
    Action, AtomicU64, Ended, History, Limits, Setup, Verdict, explore_with, fence, sample_with,
};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Returns the executions of a program that the engine finds.
fn executions(program: &Program) -> Vec<Execution> {
    let mut found = Vec::new();
    let report = explore_with(
        Limits::default(),
        |model| set_up(model, program),
        |ended| {
            match ended {
                Ended::Complete(complete) => found.push(canonical(&complete.history(), program)),
                Ended::Failed(failure) => panic!("{failure}"),
            }
            ControlFlow::Continue(())
        },
    );
    assert!(matches!(report.verdict, Verdict::Exhaustive), "{report}");
    assert_eq!(report.blocked, 0, "no operation waits");
    found
}

/// Returns the executions that random ones find.
fn sampled(program: &Program, limits: Limits) -> BTreeSet<Execution> {
    let mut found = BTreeSet::new();
    sample_with(
        limits,
        |model| set_up(model, program),
        |ended| {
            match ended {
                Ended::Complete(complete) => found.insert(canonical(&complete.history(), program)),
                Ended::Failed(failure) => panic!("{failure}"),
            };
            ControlFlow::Continue(())
        },
    );
    found
}

fn set_up(model: &mut Setup, program: &Program) {
    let words = (0..program.locations).map(|_| AtomicU64::new(0));
    let words: Rc<[AtomicU64]> = words.collect();
    for ops in &program.threads {
        let (ops, words) = (ops.clone(), words.clone());
        model.process(move || {
            ops.iter()
                .fold(0, |last_read, op| perform(op, &words, last_read));
        });
    }
}

/// Performs an operation. Returns the result of the latest operation that reads.
fn perform(op: &Op, words: &[AtomicU64], last_read: u64) -> u64 {
    let value = |value: Value| match value {
        Value::Constant(value) => value,
        Value::LastRead => last_read,
    };
    match *op {
        Op::Load { location, ordering } => words[location].load(ordering),
        Op::Store {
            location,
            ordering,
            value: stored,
        } => {
            words[location].store(value(stored), ordering);
            last_read
        }
        Op::FetchAdd {
            location,
            ordering,
            addend,
        } => words[location].fetch_add(addend, ordering),
        Op::Swap {
            location,
            ordering,
            value: stored,
        } => words[location].swap(value(stored), ordering),
        Op::CompareExchange {
            location,
            success,
            failure,
            expected,
            new,
        } => match words[location].compare_exchange(expected, new, success, failure) {
            Ok(read) | Err(read) => read,
        },
        Op::Fence { ordering } => {
            fence(ordering);
            last_read
        }
    }
}

/// Returns the canonical form of an execution of the engine.
fn canonical(history: &History, program: &Program) -> Execution {
    let source = |action: &Action| match action {
        Action::Access { read, .. } => read.map(|(write, _)| write),
        _ => None,
    };
    let of_process = |operations: &Vec<interlatch_engine::Operation>| {
        operations
            .iter()
            .map(|operation| source(&operation.action))
            .collect()
    };
    let mut modification_order = history.modification_order.clone();
    modification_order.resize(program.locations, Vec::new());
    Execution {
        reads_from: history.processes.iter().map(of_process).collect(),
        modification_order,
    }
}

#[test]
fn engine_and_oracle_agree_on_litmus_tests() {
    for row in classic::rows() {
        let program = row.program();
        let result = compare(&program, executions(&program));
        assert!(result.is_ok(), "{}: {}", row.name, result.unwrap_err());
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn engine_and_oracle_agree_on_random_programs() {
    let first = number("INTERLATCH_SEED", 1);
    let count = number("INTERLATCH_PROGRAMS", 60);
    println!("seeds from {first} (INTERLATCH_SEED), {count} programs (INTERLATCH_PROGRAMS)");
    for seed in first..first + count {
        if let Err(difference) = check(seed, executions) {
            panic!("{difference}");
        }
    }
}

/// In small programs, the random executions also miss none.
#[test]
fn random_executions_are_those_of_the_exploration() {
    const SMALL: usize = 20;
    let first = number("INTERLATCH_SEED", 1);
    let count = number("INTERLATCH_PROGRAMS", 100);
    println!("seeds from {first} (INTERLATCH_SEED), {count} programs (INTERLATCH_PROGRAMS)");
    for seed in first..first + count {
        let program = program(seed);
        let explored: BTreeSet<Execution> = executions(&program).into_iter().collect();
        let mut limits = Limits::default();
        limits.samples = 200;
        let mut found = sampled(&program, limits);
        while explored.len() <= SMALL && found != explored && limits.seed < 500 {
            limits.seed += 1;
            found.extend(sampled(&program, limits));
        }
        let excess: Vec<_> = found.difference(&explored).collect();
        assert!(excess.is_empty(), "seed {seed}: {program}: {excess:?}");
        let missed: Vec<_> = explored.difference(&found).collect();
        let may_miss = explored.len() > SMALL;
        assert!(
            missed.is_empty() || may_miss,
            "seed {seed}: {program}: {missed:?}"
        );
    }
}
