//! Processes that die.

use interlatch_engine::{
    AtomicU32, Ended, FailureKind, Limits, RaceCell, Setup, Verdict, Wake, explore, explore_with,
    local_step, replay,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Returns the final values of two words, over all executions.
fn final_values(model: impl Fn(&mut Setup, Rc<[AtomicU32; 2]>)) -> BTreeSet<[u32; 2]> {
    let values = Rc::new(RefCell::new(BTreeSet::new()));
    let report = explore(Limits::default(), |setup| {
        let words = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        model(setup, words.clone());
        let values = values.clone();
        setup.verify(move || {
            let last = words.each_ref().map(|word| word.load(Relaxed));
            values.borrow_mut().insert(last);
        });
    });
    report.assert_exhaustive();
    values.take()
}

fn write_both(words: &[AtomicU32; 2]) {
    words[0].store(1, Relaxed);
    words[1].store(1, Relaxed);
}

#[test]
fn a_process_may_die_before_each_step() {
    let values =
        final_values(|model, words| model.mortal_process(move || write_both(&words), || {}));
    assert_eq!(values, [[0, 0], [1, 0], [1, 1]].into());
}

#[test]
fn the_kernel_runs_in_place_of_the_dead_process() {
    let values = final_values(|model, words| {
        let kernel = words.clone();
        let body = move || write_both(&words);
        model.mortal_process(body, move || assert_eq!(kernel[0].swap(7, Relaxed) / 2, 0));
    });
    assert_eq!(values, [[7, 0], [7, 0], [1, 1]].into());
}

#[test]
fn a_process_may_die_around_a_local_step() {
    let states = Rc::new(RefCell::new(BTreeSet::new()));
    let report = explore(Limits::default(), |model| {
        let step = Rc::new(Cell::new(0));
        let (kernel, states) = (step.clone(), states.clone());
        let body = move || {
            for number in 1..=2 {
                local_step();
                step.set(number);
            }
            local_step();
        };
        model.mortal_process(body, move || {
            states.borrow_mut().insert(kernel.get());
        });
    });
    assert_eq!(report.assert_exhaustive().executions, 4);
    assert_eq!(states.take(), [0, 1, 2].into());
}

/// The word is 0, the number of its owner, or the number of a dead owner plus 10.
struct RobustLock {
    word: AtomicU32,
    data: RaceCell<u32>,
}

fn lock_and_add(lock: &RobustLock, process: u32) {
    loop {
        match lock.word.compare_exchange(0, process, Acquire, Relaxed) {
            Ok(_) => break,
            Err(owner) if owner > 10 => {
                if lock
                    .word
                    .compare_exchange(owner, process, Acquire, Relaxed)
                    .is_ok()
                {
                    break;
                }
            }
            Err(owner) => {
                lock.word.wait(owner);
            }
        }
    }
    lock.data.with_mut(|data| *data += 1);
    lock.word.store(0, Release);
    lock.word.wake(1);
}

/// What the kernel does after the death of a process that may hold the lock, or may have released
/// it without a wake.
fn release_as_kernel(lock: &RobustLock, process: u32, wakes: bool) {
    let mark = lock
        .word
        .compare_exchange(process, process + 10, Release, Relaxed);
    if wakes || mark.is_ok() {
        lock.word.wake(1);
    }
}

fn robust_lock(wakes: bool) -> Verdict {
    let report = explore(Limits::default(), |model| {
        let lock = Rc::new(RobustLock {
            word: AtomicU32::new(0),
            data: RaceCell::new(0),
        });
        for process in 1..=2 {
            let (of_body, of_kernel) = (lock.clone(), lock.clone());
            let body = move || lock_and_add(&of_body, process);
            if process == 1 {
                let kernel = move || release_as_kernel(&of_kernel, process, wakes);
                model.mortal_process(body, kernel);
            } else {
                model.process(body);
            }
        }
    });
    report.verdict
}

#[test]
fn a_lock_survives_the_death_of_its_owner() {
    let verdict = robust_lock(true);
    assert!(matches!(verdict, Verdict::Exhaustive), "{verdict:?}");
}

#[test]
fn a_death_between_release_and_wake_is_a_deadlock() {
    let Verdict::Failed(failure) = robust_lock(false) else {
        panic!("the deadlock is not found");
    };
    assert!(
        matches!(failure.kind, FailureKind::Deadlock { .. }),
        "{failure}"
    );
}

/// A process that announces a value, but may die before it wakes the waiter.
fn announce(model: &mut Setup, watches: bool, rechecks: bool) {
    let words = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let waiter = words.clone();
    let body = move || {
        words[0].store(1, Relaxed);
        words[1].store(1, Relaxed);
        words[0].wake(1);
    };
    model.mortal_process(body, || {});
    model.process(move || {
        let wake = match watches {
            true => waiter[0].wait_watching(0, &[]),
            false => waiter[0].wait(0),
        };
        if wake == Wake::Rechecked {
            // Time makes the writes visible.
            assert!(waiter[0].load(Relaxed) == 1 || !watches);
        }
    });
    if rechecks {
        model.recheck_after_deaths();
    }
}

#[test]
fn recheck_ends_a_sleep_after_a_death() {
    let verdict = |watches, rechecks| {
        let report = explore(Limits::default(), |model| {
            announce(model, watches, rechecks)
        });
        report.verdict
    };
    let is_deadlock = |verdict| match verdict {
        Verdict::Failed(failure) => matches!(failure.kind, FailureKind::Deadlock { .. }),
        _ => false,
    };
    assert!(is_deadlock(verdict(false, false)));
    assert!(matches!(verdict(false, true), Verdict::Exhaustive));
    // If the process dies before it writes, no watched word changes.
    assert!(is_deadlock(verdict(true, true)));
}

#[test]
fn recheck_orders_no_memory() {
    let model = |model: &mut Setup| {
        let shared = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
        let waiter = shared.clone();
        let body = move || {
            shared.1.with_mut(|data| *data = 1);
            shared.0.store(1, Relaxed);
            shared.0.wake(1);
        };
        model.mortal_process(body, || {});
        model.process(move || {
            while waiter.0.load(Relaxed) == 0 {
                if waiter.0.wait(0) == Wake::Rechecked && waiter.0.load(Relaxed) == 1 {
                    waiter.1.with(|_| ());
                }
            }
        });
        model.recheck_after_deaths();
    };
    let mut races = Vec::new();
    explore_with(Limits::default(), model, |ended| {
        if let Ended::Failed(failure) = ended
            && matches!(failure.kind, FailureKind::DataRace { .. })
        {
            races.push(failure.clone());
        }
        ControlFlow::Continue(())
    });
    let failure = races.first().expect("an access after a recheck is a race");
    let again = replay(&failure.replay, model).expect("the text is that of an execution");
    let Verdict::Failed(again) = again.verdict else {
        panic!("the replay does not fail: {failure}");
    };
    assert_eq!(*again, *failure);
}

#[test]
fn a_process_may_die_around_each_access_to_a_cell() {
    let states = Rc::new(RefCell::new(BTreeSet::new()));
    let report = explore(Limits::default(), |model| {
        let shared = Rc::new((AtomicU32::new(0), [RaceCell::new(0), RaceCell::new(0)]));
        let (kernel, states) = (shared.clone(), states.clone());
        let body = move || {
            shared.0.store(1, Relaxed);
            shared
                .1
                .iter()
                .for_each(|cell| cell.with_mut(|data| *data = 1));
            shared.0.store(2, Relaxed);
        };
        model.mortal_process(body, move || {
            let data = kernel.1.each_ref().map(|cell| cell.with(|data| *data));
            states.borrow_mut().insert((kernel.0.load(Relaxed), data));
        });
    });
    report.assert_exhaustive();
    let expected = [(0, [0, 0]), (1, [0, 0]), (1, [1, 0]), (1, [1, 1])];
    assert_eq!(states.take(), expected.into());
}

/// A sleeper that rechecks and finds nothing sleeps again. The next recheck comes only after a
/// write.
#[test]
fn rechecks_without_a_change_end() {
    let report = explore(Limits::default(), |model| {
        let words = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let waiter = words.clone();
        let body = move || {
            words[0].store(1, Relaxed);
            words[0].wake(1);
        };
        model.mortal_process(body, || {});
        model.process(move || {
            while waiter[0].load(Relaxed) == 0 {
                waiter[0].wait(0);
            }
        });
        model.recheck_after_deaths();
    });
    let Verdict::Failed(failure) = report.verdict else {
        panic!("{report}");
    };
    assert!(
        matches!(failure.kind, FailureKind::Deadlock { .. }),
        "{failure}"
    );
}
