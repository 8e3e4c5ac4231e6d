//! What our model world adds to loom: a futex that promises nothing, and choices.

use super::Litmus;
use super::reach::{Body, ORDER_ALONE, ScenarioConfig, ours, pinned, seen_by, stock};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::model::choice;
use interlatch::platform::{AtomicU32, Wake, futex};
use std::cell::Cell;
use std::collections::BTreeSet;

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus::new("a_sleeper_hides_no_execution", sleeper),
        Litmus::new("a_sleeper_that_polls_would_hide_some", poller),
        Litmus::new("every_choice_is_made", choices),
        Litmus::new("a_weak_exchange_fails_where_it_may", weak_exchange),
    ]
}

#[derive(Debug)]
struct MemoryReader {
    x: AtomicU32,
    word: AtomicU32,
}

impl Default for MemoryReader {
    fn default() -> Self {
        Self {
            x: AtomicU32::new(0),
            word: AtomicU32::new(0),
        }
    }
}

/// Nothing but `x` and the sleep connects the first process with the third.
fn sleeper() -> Result<String, String> {
    let writer: Body<MemoryReader> = |words| vec![words.x.swap(1, Relaxed).into()];
    let waker: Body<MemoryReader> = |words| {
        words.word.swap(1, Relaxed);
        futex::wake(&words.word, 1);
        vec![]
    };
    let sleeper: Body<MemoryReader> = |words| {
        while words.word.fetch_add(0, Relaxed) == 0 {
            if futex::wait(&words.word, 0, None) == Wake::TimedOut {
                return vec![9];
            }
        }
        vec![words.x.fetch_add(0, Relaxed).into()]
    };
    let both = BTreeSet::from([vec![0], vec![1]]);
    let orders = [
        ([writer, waker, sleeper], 2),
        ([sleeper, writer, waker], 0),
        ([waker, sleeper, writer], 1),
    ];
    for (order, sleeps) in orders {
        let seen = seen_by(
            &ours(
                &order,
                ScenarioConfig {
                    choices: 2,
                    ..ORDER_ALONE
                },
            )
            .0,
            sleeps,
        );
        pinned(
            &seen,
            &both,
            "reads x before and after it is written, in each order of processes",
        )?;
    }
    Ok("reads x before and after it is written, in each order of processes".into())
}

/// The same with a sleeper that asks again and again whether it was woken.
fn poller() -> Result<String, String> {
    struct Flagged {
        x: loom::sync::atomic::AtomicU32,
        woken: Cell<bool>,
    }
    let build = || Flagged {
        x: loom::sync::atomic::AtomicU32::new(0),
        woken: Cell::new(false),
    };
    let sleeper: Body<Flagged> = |shared| {
        while !shared.woken.get() {
            loom::thread::yield_now();
        }
        vec![shared.x.fetch_add(0, Relaxed).into()]
    };
    let writer: Body<Flagged> = |shared| vec![shared.x.swap(1, Relaxed).into()];
    let waker: Body<Flagged> = |shared| {
        shared.woken.set(true);
        vec![]
    };
    let outcomes = stock(build, &[sleeper, writer, waker]);
    pinned(&seen_by(&outcomes, 0).len(), &1, "reaches 1 of 2 outcomes")
}

fn choices() -> Result<String, String> {
    let chooser: Body<MemoryReader> = |_| {
        vec![
            choice::choose(2).into(),
            choice::choose(3).into(),
            choice::choose(4).into(),
        ]
    };
    let idle: Body<MemoryReader> = |_| vec![];
    for (bodies, chooses) in [
        (&[chooser][..], 0),
        (&[chooser, idle], 0),
        (&[idle, chooser], 1),
    ] {
        let chosen = seen_by(
            &ours(
                bodies,
                ScenarioConfig {
                    choices: 6,
                    ..ORDER_ALONE
                },
            )
            .0,
            chooses,
        );
        pinned(&chosen.len(), &24, "2 x 3 x 4 choices give 24 outcomes")?;
    }
    Ok("2 x 3 x 4 choices give 24 outcomes, in each process".into())
}

fn weak_exchange() -> Result<String, String> {
    let body: Body<MemoryReader> = |words| {
        let mut tries = 1;
        while words
            .x
            .compare_exchange_weak(0, 1, Relaxed, Relaxed)
            .is_err()
        {
            tries += 1;
        }
        vec![tries]
    };
    let spurious = |spurious_failures| ScenarioConfig {
        spurious_failures,
        ..ORDER_ALONE
    };
    let never = seen_by(&ours(&[body], spurious(0)).0, 0);
    pinned(
        &never,
        &BTreeSet::from([vec![1]]),
        "never, if the model does not ask for it",
    )?;
    let twice = seen_by(&ours(&[body], spurious(2)).0, 0);
    let expected = BTreeSet::from([vec![1], vec![2], vec![3]]);
    pinned(
        &twice,
        &expected,
        "at most as often as the model asks for, and not at all",
    )
}
