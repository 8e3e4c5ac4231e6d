//! Drepper's second mutex ("Futexes Are Tricky", 2011), and its known bugs.

use interlatch_engine::{AtomicU32, FailureKind, Limits, RaceCell, Setup, Verdict, explore};
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

/// The word is 0 if the lock is free, 1 if it is locked, and 2 if processes may wait.
struct Lock {
    word: AtomicU32,
    data: RaceCell<u32>,
}

/// A variant of the lock.
#[derive(Clone, Copy)]
struct Variant {
    acquire: Ordering,
    release: Ordering,
    /// The value that a waiter stores and expects.
    contended: u32,
    wakes: bool,
}

const CORRECT: Variant = Variant {
    acquire: Acquire,
    release: Release,
    contended: 2,
    wakes: true,
};

impl Lock {
    fn lock(&self, variant: Variant) {
        let first = self.word.compare_exchange(0, 1, variant.acquire, Relaxed);
        if first.is_ok() {
            return;
        }
        while self.word.swap(variant.contended, variant.acquire) != 0 {
            self.word.wait(variant.contended);
        }
    }

    fn unlock(&self, variant: Variant) {
        if self.word.swap(0, variant.release) == 2 && variant.wakes {
            self.word.wake(1);
        }
    }
}

/// Explores this number of processes that each lock once.
fn verdict(processes: u32, variant: Variant) -> Verdict {
    let report = explore(Limits::default(), |model: &mut Setup| {
        let lock = Rc::new(Lock {
            word: AtomicU32::new(0),
            data: RaceCell::new(0),
        });
        for _ in 0..processes {
            let lock = lock.clone();
            model.process(move || {
                lock.lock(variant);
                lock.data.with_mut(|data| *data += 1);
                lock.unlock(variant);
            });
        }
        model.verify(move || lock.data.with(|data| assert_eq!(*data, processes)));
    });
    report.verdict
}

fn failure(variant: Variant) -> FailureKind {
    match verdict(2, variant) {
        Verdict::Failed(failure) => failure.kind,
        verdict => panic!("the bug is not found: {verdict}"),
    }
}

#[test]
fn lock_excludes() {
    for processes in 1..=3 {
        let verdict = verdict(processes, CORRECT);
        assert!(matches!(verdict, Verdict::Exhaustive), "{verdict}");
    }
}

#[test]
fn relaxed_lock_is_a_data_race() {
    for (acquire, release) in [(Relaxed, Release), (Acquire, Relaxed)] {
        let kind = failure(Variant {
            acquire,
            release,
            ..CORRECT
        });
        assert!(matches!(kind, FailureKind::DataRace { .. }), "{kind}");
    }
}

#[test]
fn lost_wake_is_a_deadlock() {
    let without_wake = Variant {
        wakes: false,
        ..CORRECT
    };
    let unannounced = Variant {
        contended: 1,
        ..CORRECT
    };
    for variant in [without_wake, unannounced] {
        let kind = failure(variant);
        assert!(matches!(kind, FailureKind::Deadlock { .. }), "{kind}");
    }
}
