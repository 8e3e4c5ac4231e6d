//! Coherence: one location has one order of its writes, and all threads agree with it.

use super::Allowed::{AllBut, Only};
use super::{ANY, BATTY, HERD, Row, row};

pub const ROWS: &[Row] = &[
    row(
        "CoWW",
        HERD,
        "x: store x 1 rlx; store x 2 rlx",
        &[0],
        Only(&[&[2]]),
    ),
    row(
        "CoRW1",
        HERD,
        "x: load x rlx; store x 1 rlx",
        &[0],
        Only(&[&[0, 1]]),
    ),
    row(
        "CoRW2",
        HERD,
        "x: load x rlx; store x 1 rlx | store x 2 rlx",
        &[0],
        // Reading 2 puts 2 before 1.
        Only(&[&[0, 1], &[0, 2], &[2, 1]]),
    ),
    row(
        "CoWR",
        HERD,
        "x: store x 1 rlx; load x rlx | store x 2 rlx",
        &[0],
        Only(&[&[1, 1], &[1, 2], &[2, 2]]),
    ),
    row(
        "CoRR+rlx",
        HERD,
        "x: store x 1 rlx; store x 2 rlx | load x rlx; load x rlx",
        &[],
        AllBut(&[&[1, 0], &[2, 0], &[2, 1]]),
    ),
    row(
        "CoRR+sc",
        HERD,
        "x: store x 1 sc; store x 2 sc | load x sc; load x sc",
        &[],
        AllBut(&[&[1, 0], &[2, 0], &[2, 1]]),
    ),
    row(
        "CoRR2",
        BATTY,
        "x: store x 1 rlx | store x 2 rlx | load x rlx; load x rlx | load x rlx; load x rlx",
        &[],
        AllBut(&[
            &[1, 0, ANY, ANY],
            &[2, 0, ANY, ANY],
            &[ANY, ANY, 1, 0],
            &[ANY, ANY, 2, 0],
            &[1, 2, 2, 1],
            &[2, 1, 1, 2],
        ]),
    ),
    row(
        "CoRR across threads",
        BATTY,
        "x y: store x 1 rlx | load x rlx; store y 1 rel | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 1, 0]]),
    ),
    row(
        "CoWR across threads",
        BATTY,
        "x y: store x 1 rlx; store y 1 rel | store x 2 rlx; load y acq; load x rlx",
        &[0],
        // Reads y and x. Behind y = 1, the last of the two writes is visible.
        Only(&[&[0, 1, 1], &[0, 2, 1], &[0, 2, 2], &[1, 1, 1], &[1, 2, 2]]),
    ),
    row(
        "CoRW across threads",
        BATTY,
        "x y: store x 2 rlx | load x rlx; store y 1 rel | load y acq; store x 1 rlx",
        &[0],
        // Reads x and y. Behind the read of 2, the store of 1 is later. A read of the store of 1
        // that is sequenced after the release would be a cycle.
        AllBut(&[&[2, 1, 2], &[1, 1, ANY]]),
    ),
    row(
        "CoWW across threads",
        BATTY,
        "x y: store x 1 rlx; store y 1 rel | load y acq; store x 2 rlx",
        &[0],
        AllBut(&[&[1, 1]]),
    ),
];
