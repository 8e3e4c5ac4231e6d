//! Store buffering (SB), load buffering (LB) and their forms with read-modify-writes.

use super::Allowed::{AllBut, Only};
use super::{GENMC, HAND, HERD, PAPER, Row, row};

pub const ROWS: &[Row] = &[
    row(
        "SB+rlx",
        HERD,
        "x y: store x 1 rlx; load y rlx | store y 1 rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+rel+acq",
        GENMC,
        "x y: store x 1 rel; load y acq | store y 1 rel; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+sc",
        HERD,
        "x y: store x 1 sc; load y sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[&[0, 0]]),
    ),
    row(
        "SB+3sc+acq",
        GENMC,
        "x y: store x 1 sc; load y sc | store y 1 sc; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+3sc+rel",
        GENMC,
        "x y: store x 1 sc; load y sc | store y 1 rel; load x sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+scfs",
        HERD,
        "x y: store x 1 rlx; fence sc; load y rlx | store y 1 rlx; fence sc; load x rlx",
        &[],
        AllBut(&[&[0, 0]]),
    ),
    row(
        "SB+scf",
        HAND,
        "x y: store x 1 rlx; fence sc; load y rlx | store y 1 rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+acqrelfs",
        HERD,
        "x y: store x 1 rlx; fence acqrel; load y rlx | store y 1 rlx; fence acqrel; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+scf+acqrelf",
        HAND,
        "x y: store x 1 sc; fence sc; load y sc | store y 1 rel; fence acqrel; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+2sc+scf",
        GENMC,
        "x y: store x 1 sc; load y sc | store y 1 rlx; fence sc; load x rlx",
        &[],
        AllBut(&[&[0, 0]]),
    ),
    // The load of the thread's own release store puts no order between the store and the load.
    row(
        "SB+rfis",
        GENMC,
        "x y: store x 1 rel; load x sc; load y sc | store y 1 rel; load y sc; load x sc",
        &[],
        Only(&[&[1, 0, 1, 0], &[1, 0, 1, 1], &[1, 1, 1, 0], &[1, 1, 1, 1]]),
    ),
    // Exchanges in place of the stores. The old values are always 0.
    row(
        "SB+swap+sc",
        HAND,
        "x y: swap x 1 sc; load y sc | swap y 1 sc; load x sc",
        &[],
        Only(&[&[0, 0, 0, 1], &[0, 1, 0, 0], &[0, 1, 0, 1]]),
    ),
    row(
        "SB+swap+acqrel",
        HAND,
        "x y: swap x 1 acqrel; load y acq | swap y 1 acqrel; load x acq",
        &[],
        Only(&[&[0, 0, 0, 0], &[0, 0, 0, 1], &[0, 1, 0, 0], &[0, 1, 0, 1]]),
    ),
    // Read-modify-writes in place of the loads: each may precede the other's store.
    row(
        "SB+add+acqrel",
        HAND,
        "x y: store x 1 rlx; add y 0 acqrel | store y 1 rlx; add x 0 acqrel",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+add+sc after relaxed stores",
        HAND,
        "x y: store x 1 rlx; add y 0 sc | store y 1 rlx; add x 0 sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "SB+add+sc after SeqCst stores",
        HAND,
        "x y: store x 1 sc; add y 0 sc | store y 1 sc; add x 0 sc",
        &[],
        AllBut(&[&[0, 0]]),
    ),
    // A read-modify-write of a common location between store and load is a fence: one of the two
    // reads the other. Reads z, y, z, x.
    row(
        "SB+rmw as a fence",
        HAND,
        "x y z: store x 1 rlx; add z 1 acqrel; load y rlx | \
         store y 1 rlx; add z 1 acqrel; load x rlx",
        &[],
        Only(&[&[0, 0, 1, 1], &[0, 1, 1, 1], &[1, 1, 0, 0], &[1, 1, 0, 1]]),
    ),
    row(
        "SB+relaxed rmw is no fence",
        HAND,
        "x y z: store x 1 rlx; add z 1 rlx; load y rlx | store y 1 rlx; add z 1 rlx; load x rlx",
        &[],
        Only(&[
            &[0, 0, 1, 0],
            &[0, 0, 1, 1],
            &[0, 1, 1, 0],
            &[0, 1, 1, 1],
            &[1, 0, 0, 0],
            &[1, 0, 0, 1],
            &[1, 1, 0, 0],
            &[1, 1, 0, 1],
        ]),
    ),
    // Stores of a common location are no fences: they do not read each other.
    row(
        "SB+store as a fence",
        HAND,
        "x y z: store x 1 rel; store z 1 rel; load y acq | \
         store y 1 rel; store z 2 rel; load x acq",
        &[2],
        AllBut(&[]),
    ),
    row(
        "LB+rlx",
        PAPER,
        "x y: load x rlx; store y 1 rlx | load y rlx; store x 1 rlx",
        &[],
        AllBut(&[&[1, 1]]),
    ),
    row(
        "LB+acq+rel",
        HERD,
        "x y: load x acq; store y 1 rel | load y acq; store x 1 rel",
        &[],
        AllBut(&[&[1, 1]]),
    ),
    row(
        "LB+sc",
        HERD,
        "x y: load x sc; store y 1 sc | load y sc; store x 1 sc",
        &[],
        AllBut(&[&[1, 1]]),
    ),
    row(
        "LB+datas (out of thin air)",
        PAPER,
        "x y: load x rlx; store y last rlx | load y rlx; store x last rlx",
        &[0, 1],
        Only(&[&[0, 0, 0, 0]]),
    ),
    row(
        "LB+data",
        PAPER,
        "x y: load x rlx; store y last rlx | load y rlx; store x 1 rlx",
        &[1],
        Only(&[&[0, 0, 0], &[1, 0, 1]]),
    ),
    row(
        "LB3+rlx",
        GENMC,
        "x y z: load x rlx; store y 1 rlx | load y rlx; store z 1 rlx | load z rlx; store x 1 rlx",
        &[],
        AllBut(&[&[1, 1, 1]]),
    ),
    row(
        "LB+add",
        HAND,
        "x y: load x rlx; add y 1 rlx | load y rlx; add x 1 rlx",
        &[],
        Only(&[&[0, 0, 0, 0], &[0, 0, 1, 0], &[1, 0, 0, 0]]),
    ),
];
