//! Whether threads may see writes in different orders: IRIW, WRC, ISA2, RWC, W+RWC.

use super::Allowed::AllBut;
use super::{BATTY, GENMC, HAND, HERD, PAPER, Row, row};

pub const ROWS: &[Row] = &[
    row(
        "IRIW+rlx",
        HERD,
        "x y: store x 1 rlx | store y 1 rlx | load x rlx; load y rlx | load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "IRIW+rel+acq",
        BATTY,
        "x y: store x 1 rel | store y 1 rel | load x acq; load y acq | load y acq; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "IRIW+sc",
        BATTY,
        "x y: store x 1 sc | store y 1 sc | load x sc; load y sc | load y sc; load x sc",
        &[],
        AllBut(&[&[1, 0, 1, 0]]),
    ),
    row(
        "IRIW-acq-sc",
        PAPER,
        "x y: store x 1 sc | store y 1 sc | load x acq; load y sc | load y acq; load x sc",
        &[],
        AllBut(&[]),
    ),
    // Loads with SeqCst do not help if the stores are weaker.
    row(
        "IRIW+rel+sc",
        HAND,
        "x y: store x 1 rel | store y 1 rel | load x sc; load y sc | load y sc; load x sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "IRIW+scfs",
        PAPER,
        "x y: store x 1 rlx | store y 1 rlx | load x rlx; fence sc; load y rlx | \
         load y rlx; fence sc; load x rlx",
        &[],
        AllBut(&[&[1, 0, 1, 0]]),
    ),
    row(
        "IRIW+rel+acq+scfs",
        PAPER,
        "x y: store x 1 rel | store y 1 rel | load x acq; fence sc; load y acq | \
         load y acq; fence sc; load x acq",
        &[],
        AllBut(&[&[1, 0, 1, 0]]),
    ),
    row(
        "IRIW+rel+acq+scf",
        HAND,
        "x y: store x 1 rel | store y 1 rel | load x acq; fence sc; load y acq | \
         load y acq; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "IRIW+acqrelfs",
        HERD,
        "x y: store x 1 rlx | store y 1 rlx | load x rlx; fence acqrel; load y rlx | \
         load y rlx; fence acqrel; load x rlx",
        &[],
        AllBut(&[]),
    ),
    // One pair of loads with SeqCst fences and the other with SeqCst loads: the fence has no order
    // with the release stores, and the SeqCst loads none with each other's stores.
    row(
        "IRIW+rel+scf+sc",
        HAND,
        "x y: store x 1 rel | store y 1 rel | load x rlx; fence sc; load y rlx | \
         load y sc; load x sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "WRC+rlx",
        HERD,
        "x y: store x 1 rlx | load x rlx; store y 1 rlx | load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "WRC+rel+acq",
        BATTY,
        "x y: store x 1 rel | load x acq; store y 1 rel | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 1, 0]]),
    ),
    row(
        "WRC+rlx+rlx+acq",
        HAND,
        "x y: store x 1 rel | load x acq; store y 1 rlx | load y acq; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "WRC+acqrelfs",
        HERD,
        "x y: store x 1 rlx | load x rlx; fence acqrel; store y 1 rlx | \
         load y rlx; fence acqrel; load x rlx",
        &[],
        AllBut(&[&[1, 1, 0]]),
    ),
    row(
        "ISA2+rlx",
        HERD,
        "x y z: store x 1 rlx; store y 1 rlx | load y rlx; store z 1 rlx | load z rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "ISA2+rel+acq",
        GENMC,
        "x y z: store x 1 rlx; store y 1 rel | load y acq; store z 1 rel | load z acq; load x rlx",
        &[],
        AllBut(&[&[1, 1, 0]]),
    ),
    row(
        "ISA2+rel+rlx+acq",
        HAND,
        "x y z: store x 1 rlx; store y 1 rel | load y rlx; store z 1 rel | load z acq; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "ISA2+rel+acqrelf+acq",
        HAND,
        "x y z: store x 1 rlx; store y 1 rel | load y rlx; fence acqrel; store z 1 rlx | \
         load z acq; load x rlx",
        &[],
        AllBut(&[&[1, 1, 0]]),
    ),
    row(
        "RWC+rel+acq",
        BATTY,
        "x y: store x 1 rel | load x acq; load y acq | store y 1 rel; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "RWC+sc",
        HERD,
        "x y: store x 1 sc | load x sc; load y sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[&[1, 0, 0]]),
    ),
    // A read of a store that is not SeqCst puts nothing into the order of SeqCst.
    row(
        "RWC+sc after a release store",
        HAND,
        "x y: store x 1 rel | load x sc; load y sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "RWC+syncs",
        PAPER,
        "x y: store x 1 rlx | load x rlx; fence sc; load y rlx | \
         store y 1 rlx; fence sc; load x rlx",
        &[],
        AllBut(&[&[1, 0, 0]]),
    ),
    row(
        "RWC+acq+scf",
        HAND,
        "x y: store x 1 rel | load x acq; load y acq | store y 1 rlx; fence sc; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "W+RWC+scfs",
        PAPER,
        "x y z: store x 1 rlx; store z 1 rel | load z acq; fence sc; load y rlx | \
         store y 1 rlx; fence sc; load x rlx",
        &[],
        AllBut(&[&[1, 0, 0]]),
    ),
    row(
        "W+RWC+rel+acq",
        HERD,
        "x y z: store x 1 rlx; store z 1 rel | load z acq; load y acq | store y 1 rel; load x acq",
        &[],
        AllBut(&[]),
    ),
    // SeqCst accesses at both ends of a happens-before path whose first and last steps go to
    // another location are ordered: store x before load y.
    row(
        "W+RWC+sc",
        HAND,
        "x y z: store x 1 sc; store z 1 rel | load z acq; load y sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[&[1, 0, 0]]),
    ),
    row(
        "W+RWC+sc without synchronization",
        HAND,
        "x y z: store x 1 sc; store z 1 rlx | load z acq; load y sc | store y 1 sc; load x sc",
        &[],
        AllBut(&[]),
    ),
];
