//! Random small programs, run by the model world and by a plain interpreter that tries every
//! interleaving: what the second one reaches, the first one has to reach too.
//!
//! The interpreter executes one operation at a time in a program order of its own choosing, which
//! is all that read-modify-writes and futex calls can show. A plain load can show more; of those
//! only the other direction is claimed.

use super::Litmus;
use super::perform::reached_by;
use super::program::{Draw, Operation, Program};
use super::reach::Outcomes;
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
        Litmus::new(
            "random_programs_that_miss_an_outcome_are_called_blind",
            loads,
        ),
        Litmus::new(
            "random_programs_with_companions_reach_every_outcome",
            companions,
        ),
    ]
}

fn updates() -> Result<String, String> {
    let (seed, mut draw) = seeded([4, 3]);
    let (mut ended, mut deadlocked, mut most) = (0, 0, 0);
    let drawn = std::iter::repeat_with(|| draw.updates_and_futex_calls()).take(programs());
    for program in by_hand().into_iter().chain(drawn) {
        let differs = |how: &dyn Display| format!("{program}: {how}, INTERLATCH_SEED={seed}");
        match (program.outcomes(), explored(&program)) {
            (Some(expected), Ok((reached, exploration))) => {
                compare(&expected, &reached).map_err(|how| differs(&how))?;
                if exploration.verdict != Verdict::Exhaustive {
                    return Err(differs(&exploration.verdict));
                }
                ended += 1;
                most = most.max(expected.len());
            }
            (None, Err(why)) if FailureKind::of_message(&why) == FailureKind::Deadlock => {
                deadlocked += 1;
            }
            (None, Ok(_)) => return Err(differs(&"no deadlock is found")),
            (_, Err(why)) => return Err(differs(&why)),
        }
    }
    Ok(format!(
        "{ended} programs reach exactly the outcomes of plain interleaving, at most {most}; \
         {deadlocked} deadlock, as they should (INTERLATCH_SEED={seed})"
    ))
}

/// What the model world reaches, or with which words it fails.
fn explored(program: &Program) -> Result<(Outcomes, Exploration), String> {
    let found = catch_unwind(AssertUnwindSafe(|| reached_by(program)));
    found.map_err(|thrown| {
        let text = thrown.downcast_ref::<String>().cloned();
        text.unwrap_or("a panic without a message".into())
    })
}

/// Two that may sleep, in every position, and one that wakes one of them and looks who it was.
fn by_hand() -> Vec<Program> {
    let sleeper = vec![
        Operation::Wait {
            word: 0,
            expected: 0,
        },
        Operation::Add { word: 1, amount: 1 },
    ];
    let impatient = vec![
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
        [&impatient, &sleeper, &waker],
        [&waker, &impatient, &sleeper],
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
    Err(format!("missed {missed:?}, in excess {excess:?}"))
}

fn loads() -> Result<String, String> {
    let (seed, mut draw) = seeded([4, 3]);
    let (mut complete, mut blind, mut missing, mut given_up) = (0, 0, 0, 0);
    for _ in 0..programs() {
        let program = draw.loads_stores_and_updates();
        match misses(&program) {
            Ok((true, Verdict::Blind(_))) => missing += 1,
            Ok((false, Verdict::Blind(_))) => blind += 1,
            Ok((false, _)) => complete += 1,
            Err(why) if is_of_the_engine(&why) => given_up += 1,
            Ok((true, _)) => {
                return Err(format!(
                    "{program}: misses an outcome unnoticed, INTERLATCH_SEED={seed}"
                ));
            }
            Err(why) => return Err(format!("{program}: {why}, INTERLATCH_SEED={seed}")),
        }
    }
    let found = format!(
        "{missing} miss outcomes of plain interleaving and are called blind; {blind} are called \
         blind and miss none; {complete} are not and miss none; at {given_up} the engine fails \
         (INTERLATCH_SEED={seed})"
    );
    match given_up > programs() / 50 {
        true => Err(found),
        false => Ok(found),
    }
}

/// One of loom's own assertions, where it looks for the stores that a load may read; its author says
/// there that it sometimes fails. `broken/model_that_the_engine_fails_at` is a program of this kind.
fn is_of_the_engine(why: &str) -> bool {
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
        "{} programs reach every outcome of plain interleaving, and none is called blind \
         (INTERLATCH_SEED={seed})",
        programs()
    ))
}

/// Whether the program misses an outcome of plain interleaving, and what its verdict is.
fn misses(program: &Program) -> Result<(bool, Verdict), String> {
    let expected = program.outcomes();
    let expected = expected.ok_or("a program without sleep cannot deadlock")?;
    let (reached, exploration) = explored(program)?;
    Ok((!expected.is_subset(&reached), exploration.verdict))
}

/// How many are drawn.
fn programs() -> usize {
    number("INTERLATCH_PROGRAMS").unwrap_or(400) as usize
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seeded(longest: [usize; 2]) -> (u64, Draw) {
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        now.as_nanos() as u64
    });
    (seed, Draw::new(seed, longest))
}
