//! Random executions: each is one that the exploration reaches, and many of them reach them all.

use crate::waits;
use core::ops::ControlFlow;
use interlatch_engine::{
    AtomicU32, Ended, FailureKind, GRAPHS_BEFORE_SAMPLES, Limits, RaceCell, Report, Setup, Verdict,
    Wake, choose, explore, explore_with, fence, heavy_fence, light_fence, replay, sample_with,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

fn samples(count: u64) -> Limits {
    let mut limits = Limits::default();
    limits.samples = count;
    limits
}

/// A model that writes its results to a list: the process, and the result.
type Model = fn(&mut Setup, Results);

type Results = Rc<RefCell<Vec<(u32, u32)>>>;

/// How an execution ended, and its results.
type Outcome = (String, Vec<(u32, u32)>);

/// Collects the outcomes of the executions that `run` passes to its observer.
fn outcomes(
    model: Model,
    run: impl FnOnce(&dyn Fn(&mut Setup), &mut dyn FnMut(Ended<'_>) -> ControlFlow<()>) -> Report,
) -> BTreeSet<Outcome> {
    let results = Results::default();
    let mut outcomes = BTreeSet::new();
    let set_up = |setup: &mut Setup| {
        results.borrow_mut().clear();
        model(setup, results.clone());
    };
    let mut observe = |ended: Ended<'_>| {
        let end = match ended {
            Ended::Complete(_) => String::new(),
            Ended::Failed(failure) => failure.kind.to_string(),
        };
        let mut results = results.borrow().clone();
        results.sort_unstable();
        outcomes.insert((end, results));
        ControlFlow::Continue(())
    };
    run(&set_up, &mut observe);
    outcomes
}

/// Checks that random executions have exactly the outcomes of the exploration.
#[track_caller]
fn assert_samples_reach(model: Model, expected: usize) {
    let explored = outcomes(model, |model, observe| {
        explore_with(samples(0), model, observe)
    });
    assert_eq!(explored.len(), expected, "{explored:?}");
    let sampled = outcomes(model, |model, observe| {
        sample_with(samples(3_000), model, observe)
    });
    assert_eq!(sampled, explored);
}

fn words() -> Rc<[AtomicU32; 3]> {
    Rc::new([0, 0, 0].map(AtomicU32::new))
}

/// Adds two processes that each store to a word, execute their fence, and load the other word.
fn store_and_load(setup: &mut Setup, results: &Results, fences: [fn(); 2]) {
    let words = words();
    for (own, fence) in fences.into_iter().enumerate() {
        let (words, results) = (words.clone(), results.clone());
        setup.process(move || {
            words[own].store(1, Relaxed);
            fence();
            let read = words[1 - own].load(Relaxed);
            results.borrow_mut().push((own as u32, read));
        });
    }
}

#[test]
fn loads_return_old_values_unless_fences_forbid_it() {
    assert_samples_reach(
        |setup, results| store_and_load(setup, &results, [|| {}; 2]),
        4,
    );
    let sequential: Model = |setup, results| {
        store_and_load(setup, &results, [|| fence(SeqCst); 2]);
    };
    assert_samples_reach(sequential, 3);
    let asymmetric: Model = |setup, results| {
        store_and_load(setup, &results, [|| light_fence(), || heavy_fence()]);
    };
    assert_samples_reach(asymmetric, 3);
    let light: Model = |setup, results| store_and_load(setup, &results, [|| light_fence(); 2]);
    assert_samples_reach(light, 4);
}

/// In an interleaving, not both first stores are the last ones of their words.
#[test]
fn stores_take_each_position() {
    assert_samples_reach(
        |setup, results| {
            let words = words();
            for own in 0..2 {
                let words = words.clone();
                setup.process(move || {
                    words[own].store(1, Relaxed);
                    words[1 - own].store(2, Relaxed);
                });
            }
            setup.verify(move || {
                let last = (words[0].load(Relaxed), words[1].load(Relaxed));
                results.borrow_mut().push(last);
            });
        },
        4,
    );
}

#[test]
fn choices_have_each_result() {
    assert_samples_reach(
        |setup, results| {
            setup.process(move || {
                let result = (choose(3), choose(2));
                results.borrow_mut().push(result);
            });
        },
        6,
    );
}

/// The first process waits for a value that another process may store, or overwrite.
#[test]
fn process_waits_for_a_later_write_or_for_ever() {
    assert_samples_reach(
        |setup, results| {
            let words = words();
            let others = words.clone();
            setup.process(move || {
                let read = words[0].load_until(Acquire, |value| value > 0);
                let other = words[1].load(Relaxed);
                results.borrow_mut().push((read, other));
            });
            setup.process(move || {
                if choose(2) == 0 {
                    others[1].store(1, Relaxed);
                    others[0].store(1, Release);
                    others[0].store(2, Relaxed);
                }
            });
        },
        4,
    );
}

/// A process joins the queue of a word, and another one changes the word and may die before it
/// wakes the waiter, which then rechecks.
#[test]
fn processes_die_and_sleepers_recheck() {
    assert_samples_reach(
        |setup, results| {
            let words = words();
            let waiter = words.clone();
            let kernel = words.clone();
            setup.mortal_process(
                move || {
                    words[0].store(1, Relaxed);
                    words[0].wake(1);
                    words[1].store(1, Relaxed);
                },
                move || kernel[1].store(2, Relaxed),
            );
            setup.process(move || {
                let wake = match waiter[0].wait_watching(0, &[]) {
                    Wake::Woken => 0,
                    Wake::Changed => 1,
                    Wake::GaveUp => 2,
                    Wake::Rechecked => 3,
                };
                let read = waiter[1].load(Relaxed);
                results.borrow_mut().push((wake, read));
            });
            setup.recheck_after_deaths();
        },
        8,
    );
}

#[test]
fn waits_and_wakes_have_the_outcomes_of_the_exploration() {
    const SMALL: usize = 6;
    for seed in 1..=60 {
        let program = waits::random_program(seed);
        let (explored, _) = waits::explored(&program);
        let mut limits = samples(200);
        let mut sampled = waits::sampled(&program, limits);
        while explored.len() <= SMALL && sampled != explored && limits.seed < 200 {
            limits.seed += 1;
            sampled.extend(waits::sampled(&program, limits));
        }
        let excess: Vec<_> = sampled.difference(&explored).collect();
        assert!(excess.is_empty(), "seed {seed}: {program:?}: {excess:?}");
        let missed: Vec<_> = explored.difference(&sampled).collect();
        let may_miss = explored.len() > SMALL;
        assert!(
            missed.is_empty() || may_miss,
            "seed {seed}: {program:?}: {missed:?}"
        );
    }
}

/// Two processes that publish messages without an order, and a third one that reads them.
fn race(setup: &mut Setup) {
    let shared = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
    for _ in 0..2 {
        let shared = shared.clone();
        setup.process(move || {
            shared.0.fetch_add(1, Relaxed);
            shared.0.fetch_add(1, Relaxed);
        });
    }
    let reader = shared.clone();
    setup.process(move || {
        shared.1.with_mut(|data| *data = 1);
        shared.0.fetch_add(1, Relaxed);
    });
    setup.process(move || {
        if reader.0.load(Acquire) == 3 {
            reader.1.with(|_| ());
        }
    });
}

#[test]
fn failures_of_random_executions_are_replayed() {
    let mut failures = Vec::new();
    sample_with(samples(300), race, |ended| {
        if let Ended::Failed(failure) = ended {
            failures.push(failure.clone());
        }
        ControlFlow::Continue(())
    });
    assert!(!failures.is_empty());
    for failure in failures {
        assert!(matches!(failure.kind, FailureKind::DataRace { .. }));
        let again = replay(&failure.replay, race).expect("the text is that of an execution");
        let Verdict::Failed(again) = again.verdict else {
            panic!("the replay does not fail: {failure}");
        };
        assert_eq!(*again, failure);
    }
}

#[test]
fn a_seed_repeats_the_random_executions() {
    let histories = |seed| {
        let mut histories = Vec::new();
        let mut limits = samples(20);
        limits.seed = seed;
        let report = sample_with(limits, race, |ended| {
            histories.push(match ended {
                Ended::Complete(complete) => complete.history(),
                Ended::Failed(failure) => failure.history.clone(),
            });
            ControlFlow::Continue(())
        });
        assert_eq!((report.sampled, report.executions), (20, 0));
        histories
    };
    assert_eq!(histories(1), histories(1));
    assert_ne!(histories(1), histories(2));
}

/// Adds processes that increment the first word. There is one execution for each order.
fn increment(setup: &mut Setup, words: Rc<[AtomicU32; 3]>, processes: usize, times: u32) {
    for _ in 0..processes {
        let words = words.clone();
        setup.process(move || {
            for _ in 0..times {
                words[0].fetch_add(1, Relaxed);
            }
        });
    }
}

#[test]
fn random_executions_change_no_other_figure() {
    let report = |samples_, processes| {
        let report = explore(samples(samples_), |setup| {
            increment(setup, words(), processes, 2)
        });
        report.assert_exhaustive()
    };
    let (without, with) = (report(0, 4), report(50, 4));
    assert!(without.executions > GRAPHS_BEFORE_SAMPLES);
    assert_eq!((without.sampled, with.sampled), (0, 50));
    let figures = |report: &Report| {
        let counts = (report.executions, report.blocked, report.dead_ends);
        (counts, report.max_events)
    };
    assert_eq!(figures(&without), figures(&with));
    assert_eq!(report(50, 2).sampled, 0, "a small model ends before");
}

/// A model that is too large to be explored. It fails if the first process runs last, which the
/// exploration tries late.
#[test]
fn exploration_begins_with_random_executions() {
    let model = |setup: &mut Setup| {
        let words = words();
        let first = words.clone();
        setup.process(move || {
            let before = first[0].fetch_add(1, Relaxed);
            assert!(before < 20, "the first process runs last");
            for _ in 1..10 {
                first[0].fetch_add(1, Relaxed);
            }
        });
        increment(setup, words, 2, 10);
    };
    let mut limits = samples(0);
    limits.graphs = Some(3 * GRAPHS_BEFORE_SAMPLES);
    let verdict = explore(limits, model).verdict;
    assert!(matches!(verdict, Verdict::Limited(_)), "{verdict}");
    limits.samples = 1_000;
    let verdict = explore(limits, model).verdict;
    assert!(matches!(verdict, Verdict::Failed(_)), "{verdict}");
}
