//! Tests of the futex and the choices that the model platform adds to loom. The futex gives no
//! ordering guarantees.

use super::Litmus;
use super::outcomes::{
    Body, INTERLEAVINGS_ONLY, ScenarioConfig, check_pinned, loom_outcomes, model_outcomes, seen_by,
};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::model::choice;
use interlatch::platform::{AtomicU32, Wake, futex};
use std::cell::Cell;
use std::collections::BTreeSet;

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus::new("sleeping_process_hides_no_execution", sleeper),
        Litmus::new("polling_process_hides_executions", poller),
        Litmus::new("every_choice_is_explored", choices),
        Litmus::new(
            "weak_compare_exchange_fails_where_the_scenario_allows_it",
            weak_exchange,
        ),
    ]
}

#[derive(Debug)]
struct Words {
    x: AtomicU32,
    word: AtomicU32,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            x: AtomicU32::new(0),
            word: AtomicU32::new(0),
        }
    }
}

/// The writer and the sleeper share only `x`. The waker wakes the sleeper.
fn sleeper() -> Result<String, String> {
    let writer: Body<Words> = |words| vec![words.x.swap(1, Relaxed).into()];
    let waker: Body<Words> = |words| {
        words.word.swap(1, Relaxed);
        futex::wake(&words.word, 1);
        vec![]
    };
    let sleeper: Body<Words> = |words| {
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
            &model_outcomes(
                &order,
                ScenarioConfig {
                    choices: 2,
                    ..INTERLEAVINGS_ONLY
                },
            )
            .0,
            sleeps,
        );
        check_pinned(
            &seen,
            &both,
            "the sleeper reads x before and after the write, in each order of the processes",
        )?;
    }
    Ok("the sleeper reads x before and after the write, in each order of the processes".into())
}

/// The same program as [`sleeper`], except that the sleeper polls instead of waiting on a futex.
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
    let outcomes = loom_outcomes(build, &[sleeper, writer, waker]);
    check_pinned(
        &seen_by(&outcomes, 0).len(),
        &1,
        "a polling sleeper reaches 1 of 2 outcomes",
    )
}

fn choices() -> Result<String, String> {
    let chooser: Body<Words> = |_| {
        vec![
            choice::choose(2).into(),
            choice::choose(3).into(),
            choice::choose(4).into(),
        ]
    };
    let idle: Body<Words> = |_| vec![];
    for (bodies, chooses) in [
        (&[chooser][..], 0),
        (&[chooser, idle], 0),
        (&[idle, chooser], 1),
    ] {
        let chosen = seen_by(
            &model_outcomes(
                bodies,
                ScenarioConfig {
                    choices: 6,
                    ..INTERLEAVINGS_ONLY
                },
            )
            .0,
            chooses,
        );
        check_pinned(&chosen.len(), &24, "2 x 3 x 4 choices give 24 outcomes")?;
    }
    Ok("2 x 3 x 4 choices give 24 outcomes, in each process".into())
}

fn weak_exchange() -> Result<String, String> {
    let body: Body<Words> = |words| {
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
        ..INTERLEAVINGS_ONLY
    };
    let never = seen_by(&model_outcomes(&[body], spurious(0)).0, 0);
    check_pinned(
        &never,
        &BTreeSet::from([vec![1]]),
        "no spurious failure without permission of the scenario",
    )?;
    let twice = seen_by(&model_outcomes(&[body], spurious(2)).0, 0);
    let expected = BTreeSet::from([vec![1], vec![2], vec![3]]);
    check_pinned(
        &twice,
        &expected,
        "from zero up to the permitted number of spurious failures",
    )
}
