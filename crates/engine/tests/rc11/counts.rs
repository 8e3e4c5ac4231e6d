//! Programs whose number of RC11 executions is known.
//!
//! The counts of GenMC are from its own tests (version 0.11.0, `tests/correct`, model `rc11`, with
//! modification orders). They were produced by another algorithm in another language, so each one
//! checks the oracle and the engine as a whole. GenMC's tests with branches or assumptions are left
//! out, because the language has none.

use crate::axioms::{Model, Part};
use crate::oracle::{executions, executions_under};
use crate::program::Program;

pub struct Known {
    pub name: &'static str,
    pub program: &'static str,
    pub executions: usize,
}

const fn known(name: &'static str, executions: usize, program: &'static str) -> Known {
    Known {
        name,
        program,
        executions,
    }
}

/// Tests in `litmus` of GenMC, with its names.
pub const GENMC: &[Known] = &[
    known(
        "2+2W",
        4,
        "x y: store x 1 rel; store y 2 rel | store y 1 rel; store x 2 rel",
    ),
    known(
        "2+2W+2sc+scf",
        3,
        "x y: store x 1 sc; store y 2 sc | store y 1 rlx; fence sc; store x 2 rlx",
    ),
    known(
        "2+2W+3sc+rel1",
        4,
        "x y: store x 1 sc; store y 2 sc | store y 1 rel; store x 2 sc",
    ),
    known(
        "2+2W+3sc+rel2",
        4,
        "x y: store x 1 sc; store y 2 sc | store y 1 sc; store x 2 rel",
    ),
    known(
        "2+2W+4sc",
        3,
        "x y: store x 1 sc; store y 2 sc | store y 1 sc; store x 2 sc",
    ),
    known(
        "2+2W+scfs",
        3,
        "x y: store x 1 rlx; fence sc; store y 2 rlx | store y 1 rlx; fence sc; store x 2 rlx",
    ),
    known(
        "2CoWR",
        4,
        "x y: load y acq | load x acq | store x 1 rel | store y 1 rel",
    ),
    known(
        "CoRR",
        6,
        "x: store x 1 rel; store x 2 rel | load x acq; load x acq",
    ),
    known("CoRR0", 4, "x: store x 1 rel | load x acq | load x acq"),
    known(
        "CoRR1",
        36,
        "x: store x 1 rel | store x 2 rel | load x acq; load x acq | load x acq",
    ),
    known(
        "CoRR2",
        72,
        "x: store x 1 rel | store x 2 rel | load x acq; load x acq | load x acq; load x acq",
    ),
    known("CoRW", 3, "x: load x acq; store x 1 rel | store x 2 rel"),
    known("CoWR", 3, "x: store x 1 rel; load x acq | store x 2 rel"),
    known(
        "IRIW-acq-sc",
        16,
        "x y: store x 1 sc | load x acq; load y sc | load y acq; load x sc | store y 1 sc",
    ),
    known(
        "IRIWish",
        28,
        "x y: store x 1 rlx | load x rlx; store y last rel | \
         load x rlx; fence acqrel; load y rlx | load y rlx; fence acqrel; load x rlx",
    ),
    known(
        "JLT",
        8,
        "x y: store x 1 rel; load y acq; load x acq | store x 2 rel; load x acq | store y 3 rel",
    ),
    known(
        "LB+acq",
        3,
        "x y: load x acq; store y 1 rlx | load y acq; store x 1 rlx",
    ),
    known(
        "LB+fr-fr-data+data",
        18,
        "x y: load x rlx; store y 1 rlx | load y rlx; load y rlx; store x 1 rlx | store y 2 rlx",
    ),
    known(
        "LB+incMPs",
        15,
        "x y z w: load x acq; add z 1 acqrel | add z 1 acqrel; store y 1 rel | \
         load y acq; add w 1 acqrel | add w 1 acqrel; store x 1 rel",
    ),
    known(
        "LB+rel",
        3,
        "x y: load x rlx; store y 1 rel | load y rlx; store x 1 rel",
    ),
    known(
        "LB",
        3,
        "x y: load y acq; store x 1 rel | load x acq; store y 1 rel",
    ),
    known(
        "LB2",
        3,
        "x y: load x rlx; store y 1 rlx | load y rlx; store x 1 rlx",
    ),
    known(
        "LB3",
        7,
        "x y z: load x rlx; store y 1 rlx | load y rlx; store z 1 rlx | load z rlx; store x 1 rlx",
    ),
    known(
        "MCP-rrw",
        6,
        "x: store x 1 rel | store x 2 rel | load x acq",
    ),
    known(
        "MP+incMP",
        7,
        "x y z: load y acq; add z 1 acqrel | add z 1 acqrel; load x acq | \
         store x 1 rel; store y 1 rel",
    ),
    known(
        "MP",
        3,
        "x y: store x 1 rel; store y 1 rel | load y acq; load x acq",
    ),
    known(
        "MP2",
        9,
        "x y z w: store x 1 rlx; store z 1 rlx; fence acqrel; store y 1 rlx; store w 1 rlx | \
         load y rlx; fence acqrel; load x rlx | load w rlx; fence acqrel; load z rlx",
    ),
    known(
        "RWC+syncs",
        7,
        "x y: store x 1 rlx | load x rlx; fence sc; load y rlx | \
         store y 1 rlx; fence sc; load x rlx",
    ),
    known(
        "S",
        4,
        "x y: store x 2 rlx; store y 1 rlx | load y rlx; store x 1 rlx",
    ),
    known(
        "SB+2sc+scf",
        3,
        "x y: store x 1 sc; load y sc | store y 1 rlx; fence sc; load x rlx",
    ),
    known(
        "SB+3sc+acq",
        4,
        "x y: store x 1 sc; load y sc | store y 1 sc; load x acq",
    ),
    known(
        "SB+3sc+rel",
        4,
        "x y: store x 1 sc; load y sc | store y 1 rel; load x sc",
    ),
    known(
        "SB+4sc",
        3,
        "x y: store x 1 sc; load y sc | store y 1 sc; load x sc",
    ),
    known(
        "SB+rfis",
        4,
        "x y: store x 1 rel; load x sc; load y sc | store y 1 rel; load y sc; load x sc",
    ),
    known(
        "SB+scfs",
        3,
        "x y: store x 1 rlx; fence sc; load y rlx | store y 1 rlx; fence sc; load x rlx",
    ),
    known(
        "SB",
        4,
        "x y: store x 1 rel; load y acq | store y 1 rel; load x acq",
    ),
    known(
        "TC1",
        3,
        "x y: load x rlx; store y 1 rlx | load y rlx; store x last rlx",
    ),
    known(
        "W+RRR+W",
        20,
        "x: store x 1 rlx | load x rlx; load x rlx; load x rlx | store x 2 rlx",
    ),
    known(
        "W+RWC",
        7,
        "x y z: store x 1 rlx; store z 1 rel | load z acq; fence sc; load y rlx | \
         store y 1 rlx; fence sc; load x rlx",
    ),
    known(
        "WWmerge2",
        8,
        "x y: load x acq; load y sc | store x 2 sc | store y 1 sc; load x sc",
    ),
    known(
        "Z6+acq",
        7,
        "x y z: store x 1 rlx; fence sc; store y 1 rlx | load y acq; store z 1 rlx | \
         store z 2 rlx; fence sc; load x rlx",
    ),
    known(
        "atomicpo",
        4,
        "x y: store y 1 rlx; fence acqrel; store x 1 rlx | swap x 1 rlx; swap y 1 rlx",
    ),
    known(
        "ccr",
        2,
        "x: cas x 0 42 rlx rlx | cas x 0 17 rlx rlx; load x rlx",
    ),
    known("cii", 6, "x: cas x 1 2 rlx rlx | add x 1 rlx | add x 1 rlx"),
    known(
        "cumul-release",
        8,
        "x y z: store x 1 rlx; store y 1 rel | load y rlx; store z last rlx | \
         load z rlx; fence acqrel; load x rlx",
    ),
    known(
        "default",
        12,
        "x: load x acq; load x acq | store x 1 rel | store x 2 rel",
    ),
    known(
        "fr+w+w+w+reads",
        210,
        "x: store x 1 rlx | store x 2 rlx | store x 3 rlx | \
         load x rlx; load x rlx; load x rlx; load x rlx",
    ),
    known(
        "inc+inc+RR+W+RR",
        600,
        "x: add x 1 rlx | add x 1 rlx | load x rlx; load x rlx | store x 42 rlx | \
         load x rlx; load x rlx",
    ),
    known("inc2w", 6, "x: add x 1 rlx | store x 4 rel | add x 2 rlx"),
    known(
        "isa2",
        7,
        "x y z: store x 1 rlx; store y 1 rel | load y acq; store z 1 rel | load z acq; load x rlx",
    ),
    known(
        "peterZ",
        7,
        "x y z: store x 1 rlx; fence sc; load y rlx | store y 1 rlx; store z 1 rel | \
         load z acq; fence sc; load x rlx",
    ),
    known(
        "po-loc",
        3,
        "x y: load y rlx; fence acqrel; load x rlx; store x 1 rlx | load x rlx; store y last rlx",
    ),
    known(
        "rel-B-cumul-acq",
        16,
        "x y z: store x 1 rlx; store y 1 rel | load y rlx; store z last rlx | \
         load z rlx; fence acqrel; load x rlx | load y acq",
    ),
    known(
        "rel-pporf",
        3,
        "x y z: load x rlx; swap z 1 rel; store y 1 rel | load y rlx; store x 1 rlx",
    ),
    known(
        "rel-pporf with a store",
        3,
        "x y z: load x rlx; store z 1 rel; store y 1 rel | load y rlx; store x 1 rlx",
    ),
    known(
        "relacq-B-cumul",
        8,
        "x y z: store x 1 rlx; store y 1 rel | load y acq; store z 1 rlx | \
         load z rlx; fence acqrel; load x rlx",
    ),
    known(
        "relseq",
        20,
        "x y: store x 1 rlx; store y 1 rel; store y 2 rlx | swap y 3 rlx | \
         load y rlx; fence acqrel; load x rlx",
    ),
    known(
        "rfi-preserved",
        3,
        "x y z: load x rlx; store y 1 rel; load y rlx; store z last rlx | \
         load z rlx; store x last rlx",
    ),
    known("rii", 3, "x: load x rlx; add x 1 rlx | add x 1 rlx"),
    known("rinc+wr", 3, "x: add x 1 rlx | store x 2 rlx; load x rlx"),
    known(
        "riwi",
        3,
        "x y: load y rlx; add x 1 rlx | add x 1 rlx; store y 1 rel",
    ),
    known(
        "small0",
        9,
        "x: load x acq | load x acq; store x 1 rel | store x 2 rel",
    ),
    known(
        "small1",
        8,
        "x y z: load y acq; load z acq; load x acq | store x 1 rel | store y 1 rel; store z 1 rel",
    ),
    known(
        "viktor-relseq",
        180,
        "x: add x 1 acq; add x 1 rlx | add x 1 rlx; add x 1 rlx | add x 1 rel | add x 1 rlx",
    ),
    known(
        "wcii",
        24,
        "x: store x 5 rel | cas x 1 2 rlx rlx | add x 1 rlx | add x 1 rlx",
    ),
    known(
        "wrw(2)",
        22,
        "x: store x 1 rel | load x rlx; store x 2 rel | load x rlx; store x 3 rel",
    ),
    known(
        "wrw(3)",
        300,
        "x: store x 1 rel | load x rlx; store x 2 rel | load x rlx; store x 3 rel | \
         load x rlx; store x 4 rel",
    ),
];

/// Tests of GenMC in which it counts fewer executions than the definitions of the paper allow,
/// with the count of the paper.
///
/// Its counts are those of a model with `sb ; hb ; sb` in scb, as in C++20's
/// strongly-happens-before (P0668), in place of the paper's `sb|≠loc ; hb ; sb|≠loc`. In both
/// tests the path from the SeqCst store to x goes over another access of the same location.
pub const STRONGER_IN_GENMC: &[(Known, usize)] = &[
    (
        known(
            "Z6.U",
            22,
            "x y: store x 1 sc; store y 1 rel | add y 1 sc; load y rlx | store y 3 sc; load x sc",
        ),
        24,
    ),
    (
        known(
            "WWmerge1",
            17,
            "x y: load x acq; load y sc | store x 1 sc; store x 2 sc | store y 1 sc; load x sc",
        ),
        18,
    ),
];

/// A program of `threads` threads, each with the operations that `thread` returns for its number,
/// and the number of its executions.
pub struct Family {
    pub name: &'static str,
    pub thread: fn(usize) -> String,
    pub locations: &'static str,
    /// The executions with 2, 3, 4, ... threads.
    pub executions: &'static [usize],
}

/// Tests in `synthetic` of GenMC, with its counts.
pub const FAMILIES: &[Family] = &[
    // n! orders of the read-modify-writes.
    Family {
        name: "ainc",
        thread: |_| "add x 1 rlx".to_string(),
        locations: "x",
        executions: &[2, 6, 24, 120, 720, 5_040],
    },
    // (n!)²: in each of the n! orders of the stores, the load before the k-th store reads one of
    // the k writes before it. The values play no part, so constants replace the test's sums.
    Family {
        name: "inc",
        thread: |number| format!("load x rlx; store x {} rel", 1 << number),
        locations: "x",
        executions: &[4, 36, 576],
    },
    // (n!)³: the three locations are independent.
    Family {
        name: "cinc",
        thread: |_| "add x 1 rlx; add y 1 rlx; add z 1 rlx".to_string(),
        locations: "x y z",
        executions: &[8, 216, 13_824],
    },
    Family {
        name: "casrot",
        thread: |number| format!("cas x {number} {} rlx rlx", number + 1),
        locations: "x",
        executions: &[2, 5, 14, 43, 144, 523],
    },
];

impl Family {
    pub fn program(&self, threads: usize) -> Program {
        let ops: Vec<String> = (0..threads).map(self.thread).collect();
        format!("{}: {}", self.locations, ops.join(" | "))
            .parse()
            .expect("the text is valid")
    }
}

#[test]
fn oracle_finds_the_executions_of_genmc() {
    for known in GENMC {
        let program: Program = known.program.parse().unwrap();
        assert_eq!(
            executions(&program).len(),
            known.executions,
            "{}",
            known.name
        );
    }
}

#[test]
fn oracle_differs_from_genmc_by_the_locations_in_scb() {
    let genmc = Model {
        without: Some(Part::ScbOtherLocation),
    };
    for (known, paper) in STRONGER_IN_GENMC {
        let program: Program = known.program.parse().unwrap();
        assert_eq!(executions(&program).len(), *paper, "{}", known.name);
        assert_eq!(
            executions_under(&program, genmc).len(),
            known.executions,
            "{}",
            known.name
        );
    }
    for known in GENMC {
        let program: Program = known.program.parse().unwrap();
        assert_eq!(
            executions_under(&program, genmc).len(),
            known.executions,
            "{}",
            known.name
        );
    }
}

fn check_families(is_meant: impl Fn(usize) -> bool) {
    for family in FAMILIES {
        for (threads, &count) in (2..).zip(family.executions) {
            if is_meant(count) {
                let found = executions(&family.program(threads)).len();
                assert_eq!(found, count, "{}({threads})", family.name);
            }
        }
    }
}

#[test]
fn oracle_finds_the_executions_of_small_families() {
    check_families(|count| count <= 250);
}

#[test]
#[ignore = "takes some seconds in a release build"]
fn oracle_finds_the_executions_of_large_families() {
    check_families(|count| count > 250);
}
