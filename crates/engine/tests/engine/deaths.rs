//! Processes that die.

use interlatch_engine::{
    AtomicU32, Ended, FailureKind, Limits, RaceCell, Setup, Verdict, Wake, choose, explore,
    explore_with, local_step, replay,
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

/// Returns whether a process that waits for a lock gets it first, and whether the other holder
/// rechecks, over all executions. The other holder sleeps while it holds the lock.
fn wait_for_a_sleeping_holder(lock: fn(&AtomicU32)) -> BTreeSet<(bool, bool)> {
    let outcomes = Rc::new(RefCell::new(BTreeSet::new()));
    let report = explore(Limits::default(), |model| {
        let words = Rc::new([0, 0, 0].map(AtomicU32::new));
        let [waiter, holder, victim, kernel] = [(); 4].map(|()| words.clone());
        let outcome = Rc::new(Cell::new((false, false)));
        let [of_waiter, of_holder] = [(); 2].map(|()| outcome.clone());
        model.process(move || {
            lock(&waiter[0]);
            let is_first = waiter[2].swap(1, Relaxed) == 0;
            of_waiter.set((is_first, of_waiter.get().1));
            waiter[0].swap(0, Release);
        });
        model.process(move || {
            lock(&holder[0]);
            holder[2].swap(1, Relaxed);
            while holder[1].load(Relaxed) == 0 {
                if holder[1].wait(0) == Wake::Rechecked {
                    of_holder.set((of_holder.get().0, true));
                }
            }
            holder[0].swap(0, Release);
        });
        let wake = move || {
            victim[1].swap(1, Relaxed);
            victim[1].wake(1);
        };
        // The kernel makes the condition true, but wakes nobody.
        model.mortal_process(wake, move || {
            kernel[1].swap(1, Relaxed);
        });
        model.recheck_after_deaths();
        let outcomes = outcomes.clone();
        model.verify(move || {
            outcomes.borrow_mut().insert(outcome.get());
        });
    });
    report.assert_exhaustive();
    outcomes.take()
}

#[test]
fn process_that_waits_reads_what_is_written_after_a_recheck() {
    let by_update = |word: &AtomicU32| {
        word.update_when(Acquire, |value| (value == 0).then_some(1));
    };
    let by_load = |word: &AtomicU32| {
        while word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            word.load_until(Acquire, |value| value == 0);
        }
    };
    let [no, yes] = [false, true];
    let all = BTreeSet::from([(no, no), (no, yes), (yes, no), (yes, yes)]);
    assert_eq!(wait_for_a_sleeping_holder(by_update), all);
    assert_eq!(wait_for_a_sleeping_holder(by_load), all);
}

/// A process that waits for a value which is there can run: in another execution, it has read the
/// value. So no recheck comes before.
#[test]
fn no_recheck_comes_before_a_wait_that_can_end() {
    let lock = |word: &AtomicU32| word.update_when(Acquire, |value| (value == 0).then_some(1));
    let report = explore(Limits::default(), |model| {
        // The lock, what it protects, and the word on which a process sleeps.
        let words = Rc::new([0, 0, 0].map(AtomicU32::new));
        let (setter, sleeper, victim) = (words.clone(), words.clone(), words);
        model.process(move || {
            lock(&setter[0]);
            setter[1].store(1, Relaxed);
            setter[0].swap(0, Release);
            setter[2].swap(1, Relaxed);
            setter[2].wake(1);
        });
        model.process(move || {
            loop {
                lock(&sleeper[0]);
                let is_set = sleeper[1].load(Relaxed) == 1;
                sleeper[0].swap(0, Release);
                if is_set {
                    break;
                }
                assert_ne!(sleeper[2].wait(0), Wake::Rechecked, "the setter can run");
            }
        });
        let die = move || {
            victim[2].fetch_add(0, Relaxed);
        };
        model.mortal_process(die, || {});
        model.recheck_after_deaths();
    });
    report.assert_exhaustive();
}

/// A recheck observes an exchange that failed. The exchange is the last event of its process, and
/// the execution continues after the recheck in more than one way.
#[test]
fn recheck_after_a_failed_exchange_is_repeated() {
    let report = explore(Limits::default(), |model| {
        let words = Rc::new([0, 0].map(AtomicU32::new));
        let (other, sleeper, victim) = (words.clone(), words.clone(), words);
        model.process(move || {
            while sleeper[0].load(Relaxed) == 0 {
                sleeper[0].wait(0);
            }
            sleeper[1].fetch_add(choose(2), Relaxed);
        });
        model.process(move || {
            other[1].compare_exchange(3, 4, Relaxed, Relaxed).ok();
        });
        let kernel = victim.clone();
        let wake = move || {
            victim[0].swap(1, Relaxed);
            victim[0].wake(1);
        };
        model.mortal_process(wake, move || {
            kernel[0].swap(1, Relaxed);
        });
        model.recheck_after_deaths();
    });
    report.assert_exhaustive();
}

/// A living process releases a word after its read of a cell. The kernel, after a death, does not.
/// So what another process writes then races with the read.
#[test]
fn a_process_may_die_after_a_read_of_a_cell() {
    let report = explore(Limits::default(), |model| {
        let shared = Rc::new((AtomicU32::new(0), RaceCell::new(0)));
        let (kernel, other) = (shared.clone(), shared.clone());
        let read = move || {
            shared.1.with(|_| ());
            shared.0.store(1, Release);
        };
        model.mortal_process(read, move || kernel.0.store(1, Relaxed));
        model.process(move || {
            other.0.load_until(Acquire, |value| value == 1);
            other.1.with_mut(|data| *data = 1);
        });
    });
    let Verdict::Failed(failure) = report.verdict else {
        panic!("{report}");
    };
    assert!(
        matches!(failure.kind, FailureKind::DataRace { .. }),
        "{failure}"
    );
}
