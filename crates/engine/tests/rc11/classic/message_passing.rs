//! Message passing (MP): what a release makes visible to an acquire, through fences and release
//! sequences.

use super::Allowed::{AllBut, Only};
use super::{ANY, BATTY, GENMC, HAND, HERD, P0982, Row, row};

pub const ROWS: &[Row] = &[
    row(
        "MP+rlx",
        HERD,
        "x y: store x 1 rlx; store y 1 rlx | load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+rel+acq",
        HERD,
        "x y: store x 1 rlx; store y 1 rel | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+rel+rlx",
        HERD,
        "x y: store x 1 rlx; store y 1 rel | load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+rlx+acq",
        HERD,
        "x y: store x 1 rlx; store y 1 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[]),
    ),
    // Release and acquire on the data instead of the flag.
    row(
        "MP+rel+acq on the wrong word",
        HAND,
        "x y: store x 1 rel; store y 1 rlx | load y rlx; load x acq",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+sc",
        HERD,
        "x y: store x 1 sc; store y 1 sc | load y sc; load x sc",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+sc stores+rlx loads",
        HAND,
        "x y: store x 1 sc; store y 1 sc | load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+rlx stores+sc loads",
        HAND,
        "x y: store x 1 rlx; store y 1 rlx | load y sc; load x sc",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+sc flag",
        HAND,
        "x y: store x 1 rlx; store y 1 sc | load y sc; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+relf+acq",
        GENMC,
        "x y: store x 1 rlx; fence rel; store y 1 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+rel+acqf",
        GENMC,
        "x y: store x 1 rlx; store y 1 rel | load y rlx; fence acq; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+relf+acqf",
        GENMC,
        "x y: store x 1 rlx; fence rel; store y 1 rlx | load y rlx; fence acq; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+scfs",
        HERD,
        "x y: store x 1 rlx; fence sc; store y 1 rlx | load y rlx; fence sc; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+acqrelfs",
        HERD,
        "x y: store x 1 rlx; fence acqrel; store y 1 rlx | load y rlx; fence acqrel; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    row(
        "MP+acqf in the writer",
        HAND,
        "x y: store x 1 rlx; fence acq; store y 1 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+relf in the reader",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | load y rlx; fence rel; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+scf in the writer only",
        HAND,
        "x y: store x 1 rlx; fence sc; store y 1 rlx | load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+scf in the reader only",
        HAND,
        "x y: store x 1 rlx; store y 1 rlx | load y rlx; fence sc; load x rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+fences on the wrong side of the flag",
        HAND,
        "x y: store x 1 rlx; store y 1 rlx; fence rel | fence acq; load y rlx; load x rlx",
        &[],
        AllBut(&[]),
    ),
    // Since C++20, a later relaxed store of the thread does not continue the release sequence.
    row(
        "MP+rel then rlx+acq",
        P0982,
        "x y: store x 1 rlx; store y 1 rel; store y 2 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    // A release fence covers all later stores.
    row(
        "MP+relf then two stores+acq",
        HAND,
        "x y: store x 1 rlx; fence rel; store y 1 rlx; store y 2 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 0], &[2, 0]]),
    ),
    row(
        "MP+rel then rlx of another thread+acq",
        BATTY,
        "x y: store x 1 rlx; store y 1 rel | store y 2 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, 0]]),
    ),
    // A relaxed read-modify-write continues the sequence. Reads y, y, x.
    row(
        "MP+rel then swap+acq",
        BATTY,
        "x y: store x 1 rlx; store y 1 rel | swap y 2 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[2, ANY, ANY], &[ANY, 1, 0], &[1, 2, 0]]),
    ),
    row(
        "MP+relf then swap+acqf",
        GENMC,
        "x y: store x 1 rlx; fence rel; store y 1 rlx | swap y 2 rlx | \
         load y rlx; fence acq; load x rlx",
        &[],
        AllBut(&[&[2, ANY, ANY], &[ANY, 1, 0], &[1, 2, 0]]),
    ),
    // The thread's own relaxed read-modify-write continues the sequence as well. Reads y, y, x.
    row(
        "MP+rel then own swap+acq",
        P0982,
        "x y: store x 1 rlx; store y 1 rel; swap y 2 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[0, ANY, ANY], &[2, ANY, ANY], &[ANY, 1, 0], &[ANY, 2, 0]]),
    ),
    // A read-modify-write of a store that continues no sequence is in none. Reads y, y, x.
    row(
        "MP+rel then rlx then swap+acq",
        P0982,
        "x y: store x 1 rlx; store y 1 rel; store y 2 rlx | swap y 3 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[3, ANY, ANY], &[ANY, 1, 0], &[1, 3, 0]]),
    ),
    // A chain of two. Reads y by both exchanges, and then y and x: 2 and 3 appear only if the
    // exchanges succeed.
    row(
        "MP+rel then cas then cas+acq",
        GENMC,
        "x y: store x 1 rlx; store y 1 rel | cas y 2 3 rlx rlx | cas y 1 2 rlx rlx | \
         load y acq; load x rlx",
        &[],
        AllBut(&[
            &[3, ANY, ANY, ANY],
            &[ANY, 2, ANY, ANY],
            &[ANY, 3, ANY, ANY],
            &[2, 0, ANY, ANY],
            &[ANY, 0, 2, ANY],
            &[0, ANY, 3, ANY],
            &[1, ANY, 3, ANY],
            &[ANY, ANY, 1, 0],
            &[ANY, ANY, 2, 0],
            &[ANY, ANY, 3, 0],
        ]),
    ),
    // The reader is a read-modify-write. Reads y and x.
    row(
        "MP+rel+swap acq",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | swap y 2 acq; load x rlx",
        &[],
        AllBut(&[&[2, ANY], &[1, 0]]),
    ),
    row(
        "MP+rel+swap rel",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | swap y 2 rel; load x rlx",
        &[],
        AllBut(&[&[2, ANY]]),
    ),
    row(
        "MP+swap rel+acq",
        HAND,
        "x y: store x 1 rlx; swap y 1 rel | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, ANY, ANY], &[0, 1, 0]]),
    ),
    row(
        "MP+swap acq+acq",
        HAND,
        "x y: store x 1 rlx; swap y 1 acq | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, ANY, ANY]]),
    ),
    // A failed compare-exchange has the ordering of the failure and writes nothing.
    row(
        "MP+rel+failed cas, failure acq",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | cas y 2 3 rlx acq; load x rlx",
        &[],
        AllBut(&[&[3, ANY], &[1, 0]]),
    ),
    row(
        "MP+rel+failed cas, success acq",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | cas y 2 3 acqrel rlx; load x rlx",
        &[],
        AllBut(&[&[3, ANY]]),
    ),
    row(
        "MP+rel+cas, success acq",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | cas y 1 2 acq rlx; load x rlx",
        &[],
        AllBut(&[&[2, ANY], &[1, 0]]),
    ),
    row(
        "MP+rel+cas, failure acq",
        HAND,
        "x y: store x 1 rlx; store y 1 rel | cas y 1 2 rlx acq; load x rlx",
        &[],
        AllBut(&[&[2, ANY]]),
    ),
    // A release exchange that fails releases nothing and does not continue a sequence. Reads y, y
    // and x; the exchange reads 0.
    row(
        "MP+failed cas rel+acq",
        HAND,
        "x y: store x 1 rlx; cas y 5 6 rel rlx; store y 1 rlx | load y acq; load x rlx",
        &[],
        AllBut(&[&[1, ANY, ANY], &[6, ANY, ANY], &[ANY, 6, ANY]]),
    ),
    // The old value of a read-modify-write, and a failed one, need not be the newest.
    row(
        "MP+rlx+add",
        HAND,
        "x y: store x 1 rlx; store y 1 rlx | load y rlx; add x 0 rlx",
        &[],
        AllBut(&[]),
    ),
    row(
        "MP+rlx+failed cas",
        HAND,
        "x y: store x 1 rlx; store y 1 rlx | load y rlx; cas x 5 6 rlx rlx",
        &[],
        AllBut(&[&[ANY, 6]]),
    ),
    // The value is passed on, without order.
    row(
        "MP+rel+acq with data",
        HAND,
        "x y z: store x 1 rlx; store y 1 rel | load y acq; load x rlx; store z last rlx",
        &[2],
        Only(&[&[0, 0, 0], &[0, 1, 1], &[1, 1, 1]]),
    ),
];
