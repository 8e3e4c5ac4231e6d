//! Compares the model platform with a simple interpreter on small random programs.
//!
//! The interpreter executes one operation at a time, in every interleaving. For read-modify-writes
//! and futex calls, this yields all outcomes, so the interpreter and the model platform must reach
//! the same outcomes. A plain load has more outcomes on the model platform. For programs with plain
//! loads, the interpreter's outcomes must be a subset.

use super::Litmus;
use super::execute::outcomes_of_program;
use super::outcomes::Outcomes;
use super::program::{Generator, Operation, Program};
use interlatch_check::{Exploration, FailureKind, Verdict};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus::new(
            "random_updates_and_futex_calls_reach_every_outcome",
            updates,
        ),
        Litmus::new("random_programs_that_miss_an_outcome_are_blind", loads),
        Litmus::new(
            "random_programs_with_companions_reach_every_outcome",
            companions,
        ),
    ]
}

fn updates() -> Result<String, String> {
    let (seed, mut draw) = seeded([4, 3]);
    let (mut ended, mut deadlocked, mut max_outcomes) = (0, 0, 0);
    let drawn = std::iter::repeat_with(|| draw.updates_and_futex_calls()).take(programs());
    for program in handwritten_programs().into_iter().chain(drawn) {
        let differs = |why: &dyn Display| format!("{program}: {why}, INTERLATCH_SEED={seed}");
        match (program.outcomes(), explored(&program)) {
            (Some(expected), Ok((reached, exploration))) => {
                compare(&expected, &reached).map_err(|why| differs(&why))?;
                if exploration.verdict != Verdict::Exhaustive {
                    return Err(differs(&exploration.verdict));
                }
                ended += 1;
                max_outcomes = max_outcomes.max(expected.len());
            }
            (None, Err(why)) if FailureKind::from_message(&why) == FailureKind::Deadlock => {
                deadlocked += 1;
            }
            (None, Ok(_)) => return Err(differs(&"no deadlock found")),
            (_, Err(why)) => return Err(differs(&why)),
        }
    }
    Ok(format!(
        "{ended} programs reach exactly the outcomes of the interpreter, at most {max_outcomes}; \
         {deadlocked} deadlock as expected (INTERLATCH_SEED={seed})"
    ))
}

/// Explores the program. Returns the panic message as an error.
fn explored(program: &Program) -> Result<(Outcomes, Exploration), String> {
    let found = catch_unwind(AssertUnwindSafe(|| outcomes_of_program(program)));
    found.map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.unwrap_or("a panic without a message".into())
    })
}

/// Returns programs of two sleepers and a waker, in several orders. The waker wakes one sleeper
/// first.
fn handwritten_programs() -> Vec<Program> {
    let sleeper = vec![
        Operation::Wait {
            word: 0,
            expected: 0,
        },
        Operation::Add { word: 1, amount: 1 },
    ];
    let timed_sleeper = vec![
        Operation::WaitTimed {
            word: 0,
            expected: 0,
        },
        Operation::Add { word: 1, amount: 1 },
    ];
    let waker = vec![
        Operation::Wake { word: 0, count: 1 },
        Operation::Swap { word: 0, value: 1 },
        Operation::Wake { word: 0, count: 2 },
    ];
    let programs = [
        [&waker, &sleeper, &sleeper],
        [&sleeper, &waker, &sleeper],
        [&sleeper, &sleeper, &waker],
        [&timed_sleeper, &sleeper, &waker],
        [&waker, &timed_sleeper, &sleeper],
    ];
    let processes = programs.map(|program| program.map(Clone::clone).to_vec());
    let with = |interruptions| {
        let programs = processes.clone();
        programs.map(|processes| Program {
            processes,
            interruptions,
            companions: false,
        })
    };
    [with(0), with(1)].concat()
}

fn compare(expected: &Outcomes, reached: &Outcomes) -> Result<(), String> {
    if expected == reached {
        return Ok(());
    }
    let missed: Vec<_> = expected.difference(reached).collect();
    let excess: Vec<_> = reached.difference(expected).collect();
    Err(format!("missed {missed:?}, excess {excess:?}"))
}

fn loads() -> Result<String, String> {
    let (seed, mut draw) = seeded([4, 3]);
    let (mut complete, mut blind, mut missing, mut engine_failures) = (0, 0, 0, 0);
    for _ in 0..programs() {
        let program = draw.loads_stores_and_updates();
        match misses(&program) {
            Ok((true, Verdict::Blind(_))) => missing += 1,
            Ok((false, Verdict::Blind(_))) => blind += 1,
            Ok((false, _)) => complete += 1,
            Err(why) if is_engine_failure(&why) => engine_failures += 1,
            Ok((true, _)) => {
                return Err(format!(
                    "{program}: misses an outcome without a blind verdict, INTERLATCH_SEED={seed}"
                ));
            }
            Err(why) => return Err(format!("{program}: {why}, INTERLATCH_SEED={seed}")),
        }
    }
    let found = format!(
        "{missing} programs miss outcomes and are blind; {blind} are blind and miss none; \
         {complete} are not blind and miss none; the engine fails on {engine_failures} \
         (INTERLATCH_SEED={seed})"
    );
    match engine_failures > programs() / 50 {
        true => Err(found),
        false => Ok(found),
    }
}

/// Returns whether a failure is an assertion in loom's search for the stores that a load may read.
///
/// A comment in loom says that this assertion sometimes fails. `models/broken/model.rs` has such a
/// program.
fn is_engine_failure(why: &str) -> bool {
    why.starts_with("assertion `left != right` failed")
}

fn companions() -> Result<String, String> {
    let (seed, mut draw) = seeded([3, 2]);
    for _ in 0..programs() {
        let program = Program {
            companions: true,
            ..draw.loads_stores_and_updates()
        };
        let found = misses(&program);
        if found != Ok((false, Verdict::Exhaustive)) {
            return Err(format!("{program}: {found:?}, INTERLATCH_SEED={seed}"));
        }
    }
    Ok(format!(
        "{} programs reach every outcome of the interpreter, and none is blind \
         (INTERLATCH_SEED={seed})",
        programs()
    ))
}

/// Returns whether the model platform misses an outcome of the interpreter, and the verdict.
fn misses(program: &Program) -> Result<(bool, Verdict), String> {
    let expected = program.outcomes();
    let expected = expected.ok_or("a program without waits cannot deadlock")?;
    let (reached, exploration) = explored(program)?;
    Ok((!expected.is_subset(&reached), exploration.verdict))
}

/// Returns the number of random programs.
fn programs() -> usize {
    number("INTERLATCH_PROGRAMS").unwrap_or(400) as usize
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seeded(longest: [usize; 2]) -> (u64, Generator) {
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        now.as_nanos() as u64
    });
    (seed, Generator::new(seed, longest))
}
