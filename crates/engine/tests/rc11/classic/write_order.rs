//! Shapes with an order of two writes: 2+2W, R, S, Z6 and the merges of writes.

use super::Allowed::{AllBut, Only};
use super::{GENMC, HAND, HERD, PAPER, Row, row};

pub const ROWS: &[Row] = &[
    row(
        "2+2W+rlx",
        HERD,
        "x y: store x 1 rlx; store y 2 rlx | store y 1 rlx; store x 2 rlx",
        &[0, 1],
        AllBut(&[]),
    ),
    row(
        "2+2W+rel",
        GENMC,
        "x y: store x 1 rel; store y 2 rel | store y 1 rel; store x 2 rel",
        &[0, 1],
        AllBut(&[]),
    ),
    row(
        "2+2W+sc",
        GENMC,
        "x y: store x 1 sc; store y 2 sc | store y 1 sc; store x 2 sc",
        &[0, 1],
        AllBut(&[&[1, 1]]),
    ),
    row(
        "2+2W+3sc+rel1",
        GENMC,
        "x y: store x 1 sc; store y 2 sc | store y 1 rel; store x 2 sc",
        &[0, 1],
        AllBut(&[]),
    ),
    row(
        "2+2W+3sc+rel2",
        GENMC,
        "x y: store x 1 sc; store y 2 sc | store y 1 sc; store x 2 rel",
        &[0, 1],
        AllBut(&[]),
    ),
    row(
        "2+2W+scfs",
        GENMC,
        "x y: store x 1 rlx; fence sc; store y 2 rlx | store y 1 rlx; fence sc; store x 2 rlx",
        &[0, 1],
        AllBut(&[&[1, 1]]),
    ),
    row(
        "2+2W+2sc+scf",
        GENMC,
        "x y: store x 1 sc; store y 2 sc | store y 1 rlx; fence sc; store x 2 rlx",
        &[0, 1],
        AllBut(&[&[1, 1]]),
    ),
    row(
        "2+2W+acqrelfs",
        HERD,
        "x y: store x 1 rlx; fence acqrel; store y 2 rlx | \
         store y 1 rlx; fence acqrel; store x 2 rlx",
        &[0, 1],
        AllBut(&[]),
    ),
    row(
        "2+2W+swap+sc",
        HAND,
        "x y: swap x 1 sc; swap y 2 sc | swap y 1 sc; swap x 2 sc",
        &[],
        // Reads x, y, y, x. Each pair reads 0 and the other's value.
        Only(&[&[0, 0, 2, 1], &[0, 1, 0, 1], &[2, 1, 0, 0]]),
    ),
    row(
        "2+2W+swap+acqrel",
        HAND,
        "x y: swap x 1 acqrel; swap y 2 acqrel | swap y 1 acqrel; swap x 2 acqrel",
        &[],
        // The fourth order would be a cycle of reads-from and program order.
        Only(&[&[0, 0, 2, 1], &[0, 1, 0, 1], &[2, 1, 0, 0]]),
    ),
    row(
        "R+rlx",
        HERD,
        "x y: store x 1 rlx; store y 1 rlx | store y 2 rlx; load x rlx",
        &[1],
        AllBut(&[]),
    ),
    row(
        "R+rel+acq",
        HERD,
        "x y: store x 1 rel; store y 1 rel | store y 2 rel; load x acq",
        &[1],
        AllBut(&[]),
    ),
    row(
        "R+sc",
        HERD,
        "x y: store x 1 sc; store y 1 sc | store y 2 sc; load x sc",
        &[1],
        AllBut(&[&[0, 2]]),
    ),
    row(
        "R+scfs",
        HERD,
        "x y: store x 1 rlx; fence sc; store y 1 rlx | store y 2 rlx; fence sc; load x rlx",
        &[1],
        AllBut(&[&[0, 2]]),
    ),
    row(
        "R+relf+scf",
        HAND,
        "x y: store x 1 rlx; fence rel; store y 1 rlx | store y 2 rlx; fence sc; load x rlx",
        &[1],
        AllBut(&[]),
    ),
    // A read-modify-write instead of the second store reads the release store and acquires.
    row(
        "R+rel+swap acq",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | swap y 2 acq; load x rlx",
        &[1],
        // Reads y and x.
        Only(&[&[0, 0, 1], &[0, 1, 1], &[1, 1, 2]]),
    ),
    row(
        "S+rlx",
        HERD,
        "x y: store x 2 rlx; store y 1 rlx | load y rlx; store x 1 rlx",
        &[0],
        AllBut(&[]),
    ),
    row(
        "S+rel+acq",
        HERD,
        "x y: store x 2 rlx; store y 1 rel | load y acq; store x 1 rlx",
        &[0],
        AllBut(&[&[1, 2]]),
    ),
    row(
        "S+rel+rlx",
        HERD,
        "x y: store x 2 rlx; store y 1 rel | load y rlx; store x 1 rel",
        &[0],
        AllBut(&[]),
    ),
    row(
        "S+relf+acqf",
        GENMC,
        "x y: store x 2 rlx; fence rel; store y 1 rlx | load y rlx; fence acq; store x 1 rlx",
        &[0],
        AllBut(&[&[1, 2]]),
    ),
    row(
        "S+scfs",
        HERD,
        "x y: store x 2 rlx; fence sc; store y 1 rlx | load y rlx; fence sc; store x 1 rlx",
        &[0],
        AllBut(&[&[1, 2]]),
    ),
    row(
        "S+rels+acq",
        GENMC,
        "x y: store x 2 rlx; store y 1 rel; store y 2 rlx | load y acq; store x 1 rlx",
        &[0],
        AllBut(&[&[1, 2]]),
    ),
    row(
        "Z6+scf+acq+scf",
        GENMC,
        "x y z: store x 1 rlx; fence sc; store y 1 rlx | load y acq; store z 1 rlx | \
         store z 2 rlx; fence sc; load x rlx",
        &[2],
        // Reads y and x.
        AllBut(&[&[1, 0, 2]]),
    ),
    row(
        "Z6+rel+acq+scf",
        HERD,
        "x y z: store x 1 rlx; store y 1 rel | load y acq; store z 1 rel | \
         store z 2 rlx; fence sc; load x acq",
        &[2],
        AllBut(&[]),
    ),
    // The figure of the paper: read-modify-write 1, load 3, load 0 is allowed, because the path
    // from store x to the read-modify-write ends at its own location. Reads y, y, x.
    row(
        "Z6.U",
        PAPER,
        "x y: store x 1 sc; store y 1 rel | add y 1 sc; load y rlx | store y 3 sc; load x sc",
        &[],
        Only(&[
            &[0, 1, 0],
            &[0, 1, 1],
            &[0, 3, 0],
            &[0, 3, 1],
            &[1, 2, 0],
            &[1, 2, 1],
            &[1, 3, 0],
            &[1, 3, 1],
            &[3, 1, 0],
            &[3, 1, 1],
            &[3, 4, 0],
            &[3, 4, 1],
        ]),
    ),
    // With a SeqCst store of another location at its end, the path puts store x before store z 1.
    row(
        "Z6+sc+acq+sc",
        HAND,
        "x y z: store x 1 sc; store y 1 rel | load y acq; store z 1 sc | store z 2 sc; load x sc",
        &[2],
        AllBut(&[&[1, 0, 2]]),
    ),
    // WWmerge2 allows everything. It is WWmerge1 with its two stores merged, so WWmerge1 has to
    // allow everything as well. Therefore the path from the first store over the second one, to the
    // same location, puts no order between store x and load y.
    row(
        "WWmerge1",
        HAND,
        "x y: load x acq; load y sc | store x 1 sc; store x 2 sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "WWmerge2",
        GENMC,
        "x y: load x acq; load y sc | store x 2 sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[]),
    ),
];
