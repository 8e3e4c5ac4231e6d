//! Invalid models. The checker must reject each model with a message that names the cause.

use interlatch::ShmSafe;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::Relaxed;
use interlatch_check::FailureKind::{BadModel, Crash, Engine, LimitHit, WrongResult};
use interlatch_check::Model;
use interlatch_check::Scenario;
use std::collections::HashSet;
use std::hint::black_box;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken("model_that_never_ends", LimitHit, never_ends),
        Model::broken(
            "model_with_too_many_processes",
            BadModel,
            too_many_processes,
        ),
        Model::broken("model_without_a_process", BadModel, || {
            Scenario::<Word>::new("no_process", vec![])
        }),
        Model::broken(
            "model_that_is_not_deterministic",
            BadModel,
            not_deterministic,
        ),
        Model::broken(
            "model_with_more_choices_than_declared",
            LimitHit,
            too_many_choices,
        ),
        Model::broken("model_that_leaks", BadModel, leaks),
        Model::broken("model_that_leaks_rarely", BadModel, leaks_rarely),
        Model::broken("model_that_aborts", Crash, aborts),
        Model::broken("model_that_breaks_the_engine", Engine, stores_of_one_age),
        Model::broken("model_that_cannot_be_built", WrongResult, cannot_be_built),
    ]
}

#[repr(C)]
#[derive(ShmSafe)]
struct Word(AtomicU32);

/// A process spins until a word has a value that no process writes, so the execution never ends.
fn never_ends() -> Scenario<Word> {
    let spin = |word: &Word| while word.0.fetch_add(0, Relaxed) == 0 {};
    Scenario::new("never_ends", vec![spin])
}

/// A model with five participants, one more than loom supports.
fn too_many_processes() -> Scenario<Word> {
    let touch = |word: &Word| {
        word.0.swap(1, Relaxed);
    };
    Scenario::new("too_many_processes", vec![touch; 5])
}

/// A model that depends on the iteration order of a `HashSet`, which differs between executions.
fn not_deterministic() -> Scenario<Word> {
    let touch = |word: &Word| {
        let numbers: HashSet<u32> = (0..8).collect();
        for number in numbers.iter().take(4) {
            match number % 2 {
                0 => drop(word.0.swap(*number, Relaxed)),
                _ => drop(word.0.load(Relaxed)),
            }
        }
    };
    Scenario::new("not_deterministic", vec![touch, touch])
}

/// A wake call must choose one of two sleepers, but the scenario declares no choices.
fn too_many_choices() -> Scenario<Word> {
    let sleep = |word: &Word| {
        interlatch::platform::futex::wait(&word.0, 0, None);
    };
    let wake = |word: &Word| {
        word.0.swap(1, Relaxed);
        interlatch::platform::futex::wake(&word.0, 1);
        interlatch::platform::futex::wake(&word.0, 1);
    };
    Scenario::new("too_many_choices", vec![sleep, sleep, wake])
}

/// A model that leaks a few bytes in each execution.
fn leaks() -> Scenario<Word> {
    let leak = |_: &Word| std::mem::forget(black_box(Box::new(7)));
    Scenario::new("leaks", vec![leak])
}

/// A model that leaks many bytes in each execution in which the other process runs first.
fn leaks_rarely() -> Scenario<Word> {
    let leak = |word: &Word| {
        if word.0.swap(1, Relaxed) == 2 {
            std::mem::forget(black_box(vec![7_u8; 100_000]));
        }
    };
    let lead = |word: &Word| {
        word.0.swap(2, Relaxed);
    };
    Scenario::new("leaks_rarely", vec![leak, lead])
}

/// A model that aborts the process, so no panic hook runs.
fn aborts() -> Scenario<Word> {
    let abort = |_: &Word| std::process::abort();
    Scenario::new("aborts", vec![abort])
}

/// A model in which an assertion inside loom fails.
///
/// loom orders the stores of a word by comparing which threads have seen each store. loom asserts
/// that no two stores have been seen by the same threads. If a model loads, stores and exchanges
/// one word, this assertion may fail.
fn stores_of_one_age() -> Scenario<Word> {
    let one = |Word(word): &Word| {
        word.store(1, Relaxed);
        word.load(Relaxed);
    };
    let two = |Word(word): &Word| {
        let _ = word.compare_exchange(1, 2, Relaxed, Relaxed);
        let found = word.load(Relaxed);
        let _ = word.compare_exchange(found, found + 1, Relaxed, Relaxed);
    };
    let three = |Word(word): &Word| {
        let _ = word.compare_exchange(0, 1, Relaxed, Relaxed);
        word.swap(1, Relaxed);
        word.load(Relaxed);
    };
    Scenario::new("stores_of_one_age", vec![one, two, three])
}

fn cannot_be_built() -> Scenario<Word> {
    panic!("the scenario cannot be built")
}
