//! Atomicity of read-modify-writes: nothing comes between the write that is read and the own one.

use super::Allowed::Only;
use super::{BATTY, GENMC, HAND, Row, row};

pub const ROWS: &[Row] = &[
    row(
        "add+add",
        BATTY,
        "x: add x 1 rlx | add x 1 rlx",
        &[0],
        Only(&[&[0, 1, 2], &[1, 0, 2]]),
    ),
    row(
        "add+add+add",
        GENMC,
        "x: add x 1 rlx | add x 1 rlx | add x 1 rlx",
        &[0],
        Only(&[
            &[0, 1, 2, 3],
            &[0, 2, 1, 3],
            &[1, 0, 2, 3],
            &[1, 2, 0, 3],
            &[2, 0, 1, 3],
            &[2, 1, 0, 3],
        ]),
    ),
    row(
        "add+store",
        HAND,
        "x: add x 1 rlx | store x 5 rlx",
        &[0],
        Only(&[&[0, 5], &[5, 6]]),
    ),
    row(
        "swap+swap",
        HAND,
        "x: swap x 1 rlx | swap x 2 rlx",
        &[0],
        Only(&[&[0, 1, 2], &[2, 0, 1]]),
    ),
    row(
        "swap+store",
        HAND,
        "x: swap x 2 rlx | store x 1 rlx",
        &[0],
        Only(&[&[0, 1], &[1, 2]]),
    ),
    // Only one succeeds, and the other cannot read the initial value.
    row(
        "cas+cas",
        BATTY,
        "x: cas x 0 1 rlx rlx | cas x 0 2 rlx rlx",
        &[0],
        Only(&[&[0, 1, 1], &[2, 0, 2]]),
    ),
    row(
        "cas+cas+sc",
        BATTY,
        "x: cas x 0 1 sc sc | cas x 0 2 sc sc",
        &[0],
        Only(&[&[0, 1, 1], &[2, 0, 2]]),
    ),
    row(
        "cas cas+cas",
        HAND,
        "x: cas x 0 1 rlx rlx; cas x 1 2 rlx rlx | cas x 1 3 rlx rlx",
        &[0],
        Only(&[&[0, 1, 0, 2], &[0, 1, 2, 2], &[0, 3, 1, 3]]),
    ),
    // A failed exchange is a read, so the value that it read may be overwritten meanwhile.
    row(
        "failed cas+store",
        HAND,
        "x: cas x 7 8 rlx rlx; store x 1 rlx | store x 2 rlx",
        &[0],
        Only(&[&[0, 1], &[0, 2], &[2, 1]]),
    ),
    // Without read-modify-writes, an update is lost.
    row(
        "load store+load store",
        GENMC,
        "x: load x rlx; store x 1 rlx | load x rlx; store x 2 rlx",
        &[0],
        Only(&[&[0, 0, 1], &[0, 0, 2], &[0, 1, 2], &[2, 0, 1]]),
    ),
    row(
        "load store+swap",
        HAND,
        "x: load x rlx; store x 1 rlx | swap x 2 rlx",
        &[0],
        Only(&[&[0, 0, 1], &[0, 1, 2], &[2, 0, 1]]),
    ),
    row(
        "rii",
        GENMC,
        "x: load x rlx; add x 1 rlx | add x 1 rlx",
        &[],
        Only(&[&[0, 0, 1], &[0, 1, 0], &[1, 1, 0]]),
    ),
    row(
        "ccr",
        GENMC,
        "x: cas x 0 42 rlx rlx | cas x 0 17 rlx rlx; load x rlx",
        &[],
        Only(&[&[0, 42, 42], &[17, 0, 17]]),
    ),
    // The operand `last` is the value before the operation itself.
    row(
        "swap of the value read before",
        HAND,
        "x: load x rlx; swap x last rlx; swap x last rlx | store x 3 rlx",
        &[0],
        // Reads x three times. The first swap writes the loaded value back.
        Only(&[&[0, 0, 0, 3], &[0, 0, 3, 0], &[0, 3, 0, 3], &[3, 3, 3, 3]]),
    ),
    row(
        "inc2w",
        GENMC,
        "x: add x 1 rlx | store x 4 rel | add x 2 rlx",
        &[0],
        // Reads x twice.
        Only(&[
            &[0, 1, 4],
            &[2, 0, 4],
            &[0, 4, 6],
            &[4, 0, 5],
            &[4, 5, 7],
            &[6, 4, 7],
        ]),
    ),
];
