//! Failures, bad models and limits: each has one sentence with the cause.

use interlatch_engine::{
    AtomicU32, FailureKind, Limit, Limits, RaceCell, Report, Setup, Verdict, choose, explore,
    fence, replay,
};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Duration;

/// Explores a model that fails, and replays the failing execution.
fn failure(model: impl Fn(&mut Setup)) -> FailureKind {
    let Verdict::Failed(failure) = explore(Limits::default(), &model).verdict else {
        panic!("the model does not fail");
    };
    let again = replay(&failure.replay, &model).expect("the text is that of an execution");
    let Verdict::Failed(again) = again.verdict else {
        panic!("the replay does not fail: {failure}");
    };
    assert_eq!(*failure, *again);
    failure.kind
}

fn two_words() -> Rc<[AtomicU32; 2]> {
    Rc::new([AtomicU32::new(0), AtomicU32::new(0)])
}

/// A message that is published with this ordering.
fn publish(model: &mut Setup, ordering: std::sync::atomic::Ordering) {
    let message = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
    let receiver = message.clone();
    model.process(move || {
        message.1.with_mut(|data| *data = 1);
        message.0.store(1, ordering);
    });
    model.process(move || {
        if receiver.0.load(Acquire) == 1 {
            receiver.1.with(|data| assert_eq!(*data, 1));
        }
    });
}

#[test]
fn relaxed_publication_is_a_data_race() {
    let kind = failure(|model| publish(model, Relaxed));
    assert!(matches!(kind, FailureKind::DataRace { .. }), "{kind}");
    explore(Limits::default(), |model| publish(model, Release)).assert_exhaustive();
}

#[test]
fn panic_has_its_message() {
    let kind = failure(|model| {
        let words = two_words();
        let other = words.clone();
        model.process(move || words[0].store(1, Relaxed));
        model.process(move || assert_eq!(other[0].load(Relaxed), 0, "the store is seen"));
    });
    let FailureKind::Panic { message } = kind else {
        panic!("{kind}");
    };
    assert!(message.contains("the store is seen"), "{message}");
}

#[test]
fn verification_reads_the_last_values() {
    let model = |wrong: bool| {
        move |model: &mut Setup| {
            let words = two_words();
            let last = words.clone();
            model.process(move || words[0].store(1, Relaxed));
            model.verify(move || assert_eq!(last[0].load(Relaxed), 1 + u32::from(wrong)));
        }
    };
    explore(Limits::default(), model(false)).assert_exhaustive();
    assert!(matches!(failure(model(true)), FailureKind::Panic { .. }));
}

#[test]
fn value_that_never_comes_is_a_deadlock() {
    let kind = failure(|model| {
        let words = two_words();
        model.process(move || {
            words[0].load_until(Relaxed, |value| value == 1);
        });
    });
    assert!(
        kind.to_string()
            .starts_with("deadlock: process 0 waits at "),
        "{kind}"
    );
}

#[test]
fn waits_for_each_other_are_a_deadlock() {
    failure(|model| {
        let words = two_words();
        for (own, other) in [(0, 1), (1, 0)] {
            let words = words.clone();
            model.process(move || {
                words[own].load_until(Relaxed, |value| value == 1);
                words[other].store(1, Relaxed);
            });
        }
    });
}

#[test]
fn value_that_comes_ends_the_wait() {
    let report = explore(Limits::default(), |model| {
        let words = two_words();
        let other = words.clone();
        model.process(move || {
            for value in 1..=3 {
                words[0].store(value, Relaxed);
            }
        });
        model.process(move || {
            assert!(other[0].load_until(Relaxed, |value| value >= 2) >= 2);
        });
    });
    assert_eq!(report.assert_exhaustive().executions, 2);
}

#[test]
fn loop_without_end_is_a_limit() {
    let mut limits = Limits::default();
    limits.steps = 100;
    let report = explore(limits, |model| {
        let words = two_words();
        model.process(move || while words[0].load(Relaxed) == 0 {});
    });
    let Verdict::Failed(failure) = report.verdict else {
        panic!("{report}");
    };
    assert_eq!(failure.kind, FailureKind::TooManySteps { limit: 100 });
}

#[test]
fn exploration_without_end_is_limited() {
    let model = |model: &mut Setup| {
        let words = two_words();
        for _ in 0..4 {
            let words = words.clone();
            model.process(move || {
                for _ in 0..10 {
                    words[0].fetch_add(1, Relaxed);
                }
            });
        }
    };
    let limited = |limits| match explore(limits, model).verdict {
        Verdict::Limited(limit) => limit,
        verdict => panic!("{verdict:?}"),
    };
    let mut limits = Limits::default();
    limits.graphs = Some(1000);
    assert_eq!(limited(limits), Limit::Graphs);
    let mut limits = Limits::default();
    limits.time = Some(Duration::from_millis(10));
    assert_eq!(limited(limits), Limit::Time);
}

fn fails_as_nondeterministic(report: Report) {
    let Verdict::Failed(failure) = report.verdict else {
        panic!("{report}");
    };
    let kind = failure.kind;
    assert!(
        matches!(kind, FailureKind::NotDeterministic { .. }),
        "{kind}"
    );
}

#[test]
fn nondeterministic_model_is_rejected() {
    let runs = Rc::new(Cell::new(0));
    fails_as_nondeterministic(explore(Limits::default(), |model| {
        let (words, runs) = (two_words(), runs.clone());
        let other = words.clone();
        runs.set(runs.get() + 1);
        model.process(move || {
            words[runs.get() % 2].load(Relaxed);
            words[0].load(Relaxed);
        });
        model.process(move || other[0].store(1, Relaxed));
    }));
}

#[test]
fn model_that_ends_earlier_is_rejected() {
    let runs = Rc::new(Cell::new(0));
    fails_as_nondeterministic(explore(Limits::default(), |model| {
        let (words, runs) = (two_words(), runs.clone());
        runs.set(runs.get() + 1);
        model.process(move || {
            choose(2);
            if runs.get() == 1 {
                words[0].store(1, Relaxed);
                choose(2);
            }
        });
    }));
}

#[test]
fn number_of_processes_is_limited() {
    for (count, is_right) in [(0, false), (1, true), (8, true), (9, false)] {
        let report = explore(Limits::default(), |model| {
            (0..count).for_each(|_| model.process(|| {}));
        });
        assert_eq!(
            matches!(report.verdict, Verdict::Exhaustive),
            is_right,
            "{report}"
        );
    }
}

/// Performs operations when it is dropped.
struct Unlock(Rc<[AtomicU32; 2]>);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0[0].store(0, Release);
        self.0[1].load_until(Relaxed, |value| value == 1);
    }
}

#[test]
fn destructors_of_a_process_that_never_ends_do_nothing() {
    let kind = failure(|model| {
        let words = two_words();
        for _ in 0..2 {
            let words = words.clone();
            model.process(move || {
                let unlock = Unlock(words.clone());
                words[1].load_until(Relaxed, |value| value == 2);
                drop(unlock);
            });
        }
    });
    assert!(matches!(kind, FailureKind::Deadlock { .. }), "{kind}");
}

#[test]
fn destructors_of_a_process_that_never_starts_do_nothing() {
    let kind = failure(|model| {
        let words = two_words();
        let unlock = Unlock(words.clone());
        model.process(|| panic!("the first process panics at once"));
        model.process(move || drop(unlock));
    });
    assert!(matches!(kind, FailureKind::Panic { .. }), "{kind}");
}

#[test]
fn destructor_that_loops_does_not_hang() {
    struct Loop(Rc<[AtomicU32; 2]>);
    impl Drop for Loop {
        fn drop(&mut self) {
            while self.0[0].load(Relaxed) != 1 {}
        }
    }
    let report = explore(Limits::default(), |model| {
        let words = two_words();
        model.process(move || {
            let _looping = Loop(words.clone());
            words[1].load_until(Relaxed, |value| value == 2);
        });
    });
    assert!(matches!(report.verdict, Verdict::Failed(_)), "{report}");
}

#[test]
fn bodies_that_catch_panics_are_abandoned() {
    let report = explore(Limits::default(), |model| {
        let words = two_words();
        model.process(move || {
            for value in 1..=3 {
                let wait = || words[0].load_until(Relaxed, |found| found == value);
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait));
            }
        });
    });
    assert!(matches!(report.verdict, Verdict::Failed(_)), "{report}");
}

#[test]
#[should_panic(expected = "used inside a model only")]
fn atomics_outside_of_a_model_panic() {
    AtomicU32::new(0);
}

#[test]
fn operation_inside_of_a_cell_is_rejected() {
    let kind = failure(|model| {
        let shared = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
        model.process(move || shared.1.with(|_| shared.0.store(1, Relaxed)));
    });
    assert!(
        kind.to_string().contains("inside of an access to a cell"),
        "{kind}"
    );
}

#[test]
fn operation_inside_of_the_function_of_another_is_rejected() {
    let kind = failure(|model| {
        let words = two_words();
        model.process(move || {
            words[0].load_until(Relaxed, |_| words[1].load(Relaxed) == 0);
        });
    });
    assert!(
        kind.to_string().contains("performs no operation itself"),
        "{kind}"
    );
}

#[test]
fn text_that_is_no_execution_is_rejected() {
    for text in [
        "x0",
        "w0",
        "r0<0.0",
        "a1<i",
        "w0;0:0.0 0.0",
        "q0",
        "r0<9.0",
        "r99999999999<i",
        "0:1",
    ] {
        assert!(
            replay(text, |model| model.process(|| {})).is_none(),
            "{text}"
        );
    }
    let report = replay("c0=1 f0", |model| model.process(|| {}));
    fails_as_nondeterministic(report.expect("the text is that of an execution"));
}

/// Dekker's entry with SeqCst fences. An execution in which both processes enter is inconsistent.
#[test]
fn inconsistent_execution_does_not_fail() {
    let report = explore(Limits::default(), |model| {
        let shared = Rc::new((two_words(), RaceCell::new(0)));
        for (own, other) in [(0, 1), (1, 0)] {
            let shared = shared.clone();
            model.process(move || {
                shared.0[own].store(1, Release);
                fence(SeqCst);
                if shared.0[other].load(Acquire) == 0 {
                    shared.1.with_mut(|data| *data += 1);
                }
                shared.0[own].store(0, Release);
            });
        }
    });
    report.assert_exhaustive();
}
