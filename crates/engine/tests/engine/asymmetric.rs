//! Asymmetric fences: two processes each store to a word, and then load the word of the other.

use interlatch_engine::{
    AtomicU32, Ended, Limits, Setup, explore_with, fence, heavy_fence, light_fence,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

type Fence = fn();

/// Returns the values that the two loads may return.
fn outcomes(fences: [Fence; 2]) -> BTreeSet<[u32; 2]> {
    let read = Rc::new(RefCell::new([0; 2]));
    let mut outcomes = BTreeSet::new();
    let report = explore_with(
        Limits::default(),
        |model: &mut Setup| {
            let words = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
            for (own, fence) in fences.into_iter().enumerate() {
                let (words, read) = (words.clone(), read.clone());
                model.process(move || {
                    words[own].store(1, Relaxed);
                    fence();
                    read.borrow_mut()[own] = words[1 - own].load(Relaxed);
                });
            }
        },
        |ended| {
            assert!(matches!(ended, Ended::Complete(_)));
            outcomes.insert(*read.borrow());
            ControlFlow::Continue(())
        },
    );
    report.assert_exhaustive();
    outcomes
}

#[test]
fn only_a_heavy_fence_orders_a_light_one() {
    let none: Fence = || {};
    let light: Fence = || light_fence();
    let heavy: Fence = || heavy_fence();
    let sequential: Fence = || fence(SeqCst);
    let all = BTreeSet::from([[0, 0], [0, 1], [1, 0], [1, 1]]);
    let ordered = BTreeSet::from([[0, 1], [1, 0], [1, 1]]);
    let cases = [
        (light, heavy, &ordered),
        (heavy, heavy, &ordered),
        (sequential, heavy, &ordered),
        (sequential, sequential, &ordered),
        (light, light, &all),
        (light, sequential, &all),
        (none, heavy, &all),
        (none, none, &all),
    ];
    for (index, (one, other, expected)) in cases.into_iter().enumerate() {
        assert_eq!(outcomes([one, other]), *expected, "case {index}");
        assert_eq!(outcomes([other, one]).len(), expected.len(), "case {index}");
    }
}
