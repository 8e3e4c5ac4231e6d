//! Litmus tests with the complete set of outcomes that RC11 allows.
//!
//! An outcome lists the values of all reads in the order of the program text, and then the final
//! values of the locations in `finals`. The sets come from the literature and from derivations by
//! hand, never from the oracle. Names are those of herd7 where it has the shape: `MP+rel+acq` is
//! message passing with a release store and an acquire load.

mod buffering;
mod coherence;
mod message_passing;
mod several_copies;
mod updates;
mod write_order;

use crate::axioms::{Model, Part, RC11};
use crate::execution::Execution;
use crate::oracle::executions_under;
use crate::program::{Op, Program, Value};
use std::collections::BTreeSet;

/// Alglave, Maranget, Tautschnig: Herding Cats, TOPLAS 2014 (the shapes and their names), with the
/// outcomes of `rc11.cat` in herd7.
const HERD: &str = "herd7";
/// Batty, Owens, Sarkar, Sewell, Weber: Mathematizing C++ Concurrency, POPL 2011, and cppmem's
/// tests.
const BATTY: &str = "Batty et al., POPL 2011";
/// Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing Sequential Consistency in C/C++11, PLDI 2017.
const PAPER: &str = "Lahav et al., PLDI 2017";
/// GenMC 0.11, `tests/correct/litmus`, the test of the same name.
const GENMC: &str = "GenMC";
/// Boehm, Giroux, Vafeiadis: Weaken Release Sequences, P0982, adopted in C++20.
const P0982: &str = "P0982";
/// Derived by hand from the definitions in `axioms.rs`.
const HAND: &str = "by hand";

/// Any value of a location, in a pattern of outcomes.
const ANY: u64 = u64::MAX;

pub struct Row {
    pub name: &'static str,
    pub source: &'static str,
    pub program: &'static str,
    /// Locations whose final value is part of the outcome, by index.
    pub finals: &'static [usize],
    pub allowed: Allowed,
}

pub enum Allowed {
    Only(&'static [&'static [u64]]),
    /// Every combination of 0 (for reads) and the values written to each location, except those
    /// that match a pattern.
    AllBut(&'static [&'static [u64]]),
}

const fn row(
    name: &'static str,
    source: &'static str,
    program: &'static str,
    finals: &'static [usize],
    allowed: Allowed,
) -> Row {
    Row {
        name,
        source,
        program,
        finals,
        allowed,
    }
}

pub fn rows() -> impl Iterator<Item = &'static Row> {
    let tables = [
        coherence::ROWS,
        buffering::ROWS,
        message_passing::ROWS,
        several_copies::ROWS,
        write_order::ROWS,
        updates::ROWS,
    ];
    tables.into_iter().flatten()
}

type Outcomes = BTreeSet<Vec<u64>>;

impl Row {
    pub fn program(&self) -> Program {
        self.program
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The outcomes that RC11 allows.
    pub fn allowed(&self) -> Outcomes {
        match self.allowed {
            Allowed::Only(outcomes) => outcomes.iter().map(|outcome| outcome.to_vec()).collect(),
            Allowed::AllBut(patterns) => {
                let matches = |outcome: &[u64], pattern: &[u64]| {
                    assert_eq!(outcome.len(), pattern.len(), "{}: {pattern:?}", self.name);
                    let mut pairs = outcome.iter().zip(pattern);
                    pairs.all(|(value, expected)| value == expected || *expected == ANY)
                };
                let mut outcomes = self.combinations();
                outcomes
                    .retain(|outcome| !patterns.iter().any(|pattern| matches(outcome, pattern)));
                outcomes
            }
        }
    }

    /// The outcome of one execution.
    pub fn outcome(&self, program: &Program, execution: &Execution) -> Vec<u64> {
        let finals = execution.final_values(program);
        let reads = execution
            .values_read(program)
            .into_iter()
            .flatten()
            .flatten();
        reads
            .chain(self.finals.iter().map(|&location| finals[location]))
            .collect()
    }

    pub fn outcomes_under(&self, model: Model) -> Outcomes {
        let program = self.program();
        let executions = executions_under(&program, model);
        executions
            .iter()
            .map(|execution| self.outcome(&program, execution))
            .collect()
    }

    /// Every combination of values that appear in the program.
    fn combinations(&self) -> Outcomes {
        let program = self.program();
        let reads = program.threads.iter().flatten().filter(|op| op.reads());
        let reads = reads.map(|op| values_of(&program, op.location().unwrap(), true));
        let finals = self
            .finals
            .iter()
            .map(|&location| values_of(&program, location, false));
        let mut outcomes = vec![vec![]];
        for values in reads.chain(finals) {
            let extend = |outcome: &Vec<u64>| {
                let outcome = outcome.clone();
                let with = |value: &u64| [&outcome[..], &[*value]].concat();
                values.iter().map(with).collect::<Vec<_>>()
            };
            outcomes = outcomes.iter().flat_map(extend).collect();
        }
        outcomes.into_iter().collect()
    }
}

/// The constants that a program writes to a location, and 0 for its initial value.
fn values_of(program: &Program, location: usize, initial: bool) -> BTreeSet<u64> {
    let ops = program.threads.iter().flatten();
    let written = ops
        .filter(|op| op.location() == Some(location))
        .filter_map(|op| match *op {
            Op::Load { .. } | Op::FetchAdd { addend: 0, .. } => None,
            Op::CompareExchange { new: value, .. }
            | Op::Store {
                value: Value::Constant(value),
                ..
            }
            | Op::Swap {
                value: Value::Constant(value),
                ..
            } => Some(value),
            _ => panic!("the values of \"{op}\" are not constants: use Allowed::Only"),
        });
    initial.then_some(0).into_iter().chain(written).collect()
}

#[test]
fn oracle_yields_exactly_the_allowed_outcomes() {
    let mut failures = vec![];
    for row in rows() {
        let (expected, actual) = (row.allowed(), row.outcomes_under(RC11));
        if expected != actual {
            let missed: Vec<_> = expected.difference(&actual).collect();
            let excess: Vec<_> = actual.difference(&expected).collect();
            failures.push(format!(
                "{} ({}): {}\n  missed {missed:?}, in excess {excess:?}",
                row.name, row.source, row.program
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn rows_are_distinct_and_name_their_sources() {
    let names: BTreeSet<&str> = rows().map(|row| row.name).collect();
    let programs: BTreeSet<(String, &[usize])> = rows()
        .map(|row| (row.program().to_string(), row.finals))
        .collect();
    assert_eq!(names.len(), rows().count());
    assert_eq!(programs.len(), rows().count());
    assert!(rows().all(|row| !row.source.is_empty()));
    assert!(rows().count() >= 60, "{} rows", rows().count());
}

#[test]
fn each_part_of_the_model_is_needed_by_a_row() {
    for part in Part::ALL {
        let model = Model {
            without: Some(part),
        };
        let needs = |row: &&Row| row.outcomes_under(model) != row.allowed();
        let names: Vec<&str> = rows().filter(needs).map(|row| row.name).collect();
        println!("{part:?}: {} rows: {}", names.len(), names.join(", "));
        assert!(!names.is_empty(), "no row needs {part:?}");
    }
}
