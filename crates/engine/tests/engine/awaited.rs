//! Waits until one of several words satisfies a condition.

use interlatch_engine::{
    AtomicU32, AwaitedWord, FailureKind, Limits, RaceCell, Report, Setup, Verdict, explore,
    wait_until_any,
};
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

fn is_at_least(word: &AtomicU32, least: u32) -> AwaitedWord {
    AwaitedWord::new(word, move |value| value >= least)
}

fn words<const N: usize>() -> Rc<[AtomicU32; N]> {
    Rc::new(core::array::from_fn(|_| AtomicU32::new(0)))
}

fn explored(model: impl Fn(&mut Setup)) -> Report {
    explore(Limits::default(), model)
}

fn kind(report: &Report) -> &FailureKind {
    match &report.verdict {
        Verdict::Failed(failure) => &failure.kind,
        verdict => panic!("the model does not fail: {verdict:?}"),
    }
}

/// One process adds 1 three times, and another waits until the word is at least `least`.
fn wait_for_a_count(model: &mut Setup, least: u32) {
    let word = words::<1>();
    let counter = word.clone();
    model.process(move || {
        for _ in 0..3 {
            counter[0].fetch_add(1, Relaxed);
        }
    });
    model.process(move || {
        wait_until_any(&[is_at_least(&word[0], least)]);
    });
}

#[test]
fn wait_ends_at_each_value_that_satisfies_the_condition() {
    for (least, ends) in [(0, 4), (1, 3), (3, 1)] {
        let report = explored(|model| wait_for_a_count(model, least));
        let report = report.assert_exhaustive();
        assert_eq!((report.executions, report.blocked), (ends, 0), "{least}");
    }
}

#[test]
fn wait_for_a_value_that_never_comes_is_a_deadlock() {
    let report = explored(|model| wait_for_a_count(model, 4));
    let kind = kind(&report);
    assert!(matches!(kind, FailureKind::Deadlock { .. }), "{kind}");
}

/// One process waits for either of two words, and another stores 1 in these words.
fn wait_for_either(model: &mut Setup, written: &'static [usize]) {
    let words = words::<2>();
    let writer = words.clone();
    model.process(move || {
        let awaited = [is_at_least(&words[0], 1), is_at_least(&words[1], 1)];
        let index = wait_until_any(&awaited);
        assert!(written.contains(&index), "word {index} has no value");
    });
    model.process(move || {
        for index in written {
            writer[*index].fetch_add(1, Relaxed);
        }
    });
}

#[test]
fn either_word_ends_the_wait() {
    for (written, ends) in [(&[0][..], 1), (&[1], 1), (&[0, 1], 2)] {
        let report = explored(|model| wait_for_either(model, written));
        assert_eq!(report.assert_exhaustive().executions, ends, "{written:?}");
    }
    let report = explored(|model| wait_for_either(model, &[]));
    let kind = kind(&report);
    assert!(matches!(kind, FailureKind::Deadlock { .. }), "{kind}");
}

/// Two processes each wait for a permit, take one of two, and wait again if the other process was
/// faster.
#[test]
fn waiter_that_finds_nothing_waits_again() {
    let report = explored(|model| {
        let word = words::<1>();
        for _ in 0..2 {
            let word = word.clone();
            model.process(move || {
                let take = || word[0].fetch_update(Relaxed, Relaxed, |value| value.checked_sub(1));
                wait_until_any(&[is_at_least(&word[0], 1)]);
                while take().is_err() {
                    wait_until_any(&[is_at_least(&word[0], 1)]);
                }
            });
        }
        let last = word.clone();
        model.process(move || {
            for _ in 0..2 {
                word[0].fetch_add(1, Relaxed);
            }
        });
        model.verify(move || assert_eq!(last[0].load(Relaxed), 0, "a permit is left"));
    });
    report.assert_exhaustive();
}

/// Two processes each write one word and then look at the other one. In each order of these steps,
/// one process sees the write of the other. With relaxed loads, both may miss it.
#[test]
fn checks_of_two_processes_are_ordered() {
    let report = explored(|model| {
        let words = words::<3>();
        for own in 0..2 {
            let words = words.clone();
            model.process(move || {
                words[own].fetch_add(1, Relaxed);
                let other = is_at_least(&words[1 - own], 0);
                wait_until_any(&[other]);
                let looked = words[1 - own].load(Relaxed);
                words[2].fetch_add(looked, Relaxed);
            });
        }
        let last = words.clone();
        model.verify(move || assert_ne!(last[2].load(Relaxed), 0, "no process saw a write"));
    });
    report.assert_exhaustive();
}

/// Explores a process that waits for a message and reads it, and may acquire it in between.
fn received(acquires: bool) -> Report {
    explored(|model| {
        let message = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
        let receiver = message.clone();
        model.process(move || {
            message.1.with_mut(|data| *data = 1);
            message.0.fetch_add(1, Release);
        });
        model.process(move || {
            wait_until_any(&[is_at_least(&receiver.0, 1)]);
            if acquires {
                receiver.0.fetch_add(1, Acquire);
            }
            receiver.1.with(|data| assert_eq!(*data, 1));
        });
    })
}

#[test]
fn wait_orders_no_memory() {
    let report = received(false);
    let kind = kind(&report);
    assert!(matches!(kind, FailureKind::DataRace { .. }), "{kind}");
}

#[test]
fn acquire_after_a_wait_orders_memory() {
    received(true).assert_exhaustive();
}
