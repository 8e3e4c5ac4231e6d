//! Properties of the oracle on random programs: theorems about RC11, and the machinery of the
//! comparison.

use crate::axioms::{Model, Part, RC11};
use crate::execution::Execution;
use crate::oracle::{executions, executions_of_complete_candidates, executions_under};
use crate::program::{Op, Program};
use crate::random::{check, compare, program, shrink};
use crate::{events, interleaving};
use core::sync::atomic::Ordering::{self, Relaxed, SeqCst};
use std::collections::BTreeSet;

/// The seeds that each test tries. A debug build is 20 times slower.
const SEEDS: u64 = if cfg!(debug_assertions) { 30 } else { 300 };

/// The largest number of candidates of a program that a test tries.
const MAX_CANDIDATES: usize = if cfg!(debug_assertions) {
    10_000
} else {
    usize::MAX
};

/// The programs of the first seeds.
fn programs(count: u64) -> impl Iterator<Item = Program> {
    let programs = (0..count).map(program);
    programs.filter(|program| candidates(program) <= MAX_CANDIDATES)
}

fn set(executions: Vec<Execution>) -> BTreeSet<Execution> {
    executions.into_iter().collect()
}

/// The program with other orderings.
fn with_orderings(program: &Program, change: impl Fn(Ordering) -> Ordering) -> Program {
    let mut program = program.clone();
    for op in program.threads.iter_mut().flatten() {
        match op {
            Op::Load { ordering, .. }
            | Op::Store { ordering, .. }
            | Op::FetchAdd { ordering, .. }
            | Op::Swap { ordering, .. } => *ordering = change(*ordering),
            Op::CompareExchange {
                success, failure, ..
            } => (*success, *failure) = (change(*success), change(*failure)),
            Op::Fence { .. } => {}
        }
    }
    program
}

/// The program with a SeqCst fence between all operations.
fn with_fences(program: &Program) -> Program {
    let fence = Op::Fence { ordering: SeqCst };
    let fenced = |ops: &Vec<Op>| ops.iter().flat_map(|op| [*op, fence]).collect();
    Program {
        locations: program.locations,
        threads: program.threads.iter().map(fenced).collect(),
    }
}

/// Lahav et al., section 4: programs with only SeqCst accesses have only the executions of
/// sequential consistency.
#[test]
fn programs_with_only_seq_cst_accesses_are_sequentially_consistent() {
    for program in programs(SEEDS) {
        let program = with_orderings(&program, |_| SeqCst);
        assert_eq!(
            set(executions(&program)),
            interleaving::executions(&program),
            "{program}"
        );
    }
}

/// Lahav et al., section 4: so have programs with SeqCst fences between all accesses.
#[test]
fn programs_with_fences_between_accesses_are_sequentially_consistent() {
    for program in programs(SEEDS).filter(|program| candidates(program) <= 3_000) {
        let program = with_fences(&with_orderings(&program, |_| Relaxed));
        assert_eq!(
            set(executions(&program)),
            interleaving::executions(&program),
            "{program}"
        );
    }
}

/// The executions of sequential consistency are among those of each program, and stronger
/// orderings allow no new ones.
#[test]
fn stronger_orderings_allow_fewer_executions() {
    for program in programs(SEEDS) {
        let weak = set(executions(&with_orderings(&program, |_| Relaxed)));
        let all = set(executions(&program));
        assert!(all.is_subset(&weak), "{program}");
        assert!(
            interleaving::executions(&program).is_subset(&all),
            "{program}"
        );
    }
}

/// The number of complete candidates of a program, at most.
fn candidates(program: &Program) -> usize {
    let events = events::Events::new(program, &[]);
    let reads = (0..events.count()).filter(|event| events.sets.reads & (1 << event) != 0);
    let sources = |read: usize| events.writes_to(events.location[read].unwrap()).count();
    let factorial = |count: usize| (1..=count).product::<usize>();
    let orders =
        (0..program.locations).map(|location| factorial(events.writes_to(location).count()));
    reads
        .map(sources)
        .chain(orders)
        .fold(1, usize::saturating_mul)
}

#[test]
fn dropping_incomplete_candidates_loses_no_execution() {
    let small = programs(SEEDS).filter(|program| candidates(program) <= 200);
    for program in small {
        for part in Part::ALL.into_iter().map(Some).chain([None]) {
            let model = Model { without: part };
            let complete = executions_of_complete_candidates(&program, model);
            assert_eq!(
                executions_under(&program, model),
                complete,
                "{part:?}: {program}"
            );
        }
    }
}

#[test]
fn oracle_lists_no_execution_twice() {
    for program in programs(SEEDS) {
        let list = executions(&program);
        assert_eq!(compare(&program, list), Ok(()));
    }
}

/// An engine that lacks a part of the model is caught by a small program of the first seeds.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long in a debug build")]
fn comparison_catches_each_missing_part() {
    for part in Part::ALL {
        let model = Model {
            without: Some(part),
        };
        let engine = |program: &Program| executions_under(program, model);
        let mut seeds = (0..1_000).filter(|&seed| candidates(&program(seed)) <= 600);
        let difference = seeds.find_map(|seed| check(seed, engine).err());
        let difference =
            difference.unwrap_or_else(|| panic!("no seed shows that {part:?} is missing"));
        println!("{part:?}: {difference}");
    }
}

#[test]
fn comparison_names_what_is_missed_in_excess_and_doubled() {
    let program: Program = "x: store x 1 rlx | load x rlx".parse().unwrap();
    let mut list = executions_under(&program, RC11);
    assert_eq!(compare(&program, list.clone()), Ok(()));

    let mut wrong = list[0].clone();
    wrong.modification_order[0].clear();
    let text = compare(&program, vec![list[1].clone(), list[1].clone(), wrong]).unwrap_err();
    for expected in [
        "x: store x 1 rlx | load x rlx",
        "missed: 1",
        "in excess: 1",
        "doubled: 1",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    list.pop();
    assert!(compare(&program, list).unwrap_err().contains("missed: 1"));
}

#[test]
fn shrinking_keeps_the_difference() {
    let program: Program =
        "x y: load y rlx; store x 1 rlx | add x 1 rlx; load x rlx | load x sc; swap y 2 rlx"
            .parse()
            .unwrap();
    let has_add_and_swap = |program: &Program| {
        let ops = || program.threads.iter().flatten();
        ops().any(|op| matches!(op, Op::FetchAdd { .. }))
            && ops().any(|op| matches!(op, Op::Swap { .. }))
    };
    let small = shrink(&program, has_add_and_swap);
    assert_eq!(small.to_string(), "x y: add x 1 rlx | swap y 2 rlx");
}
