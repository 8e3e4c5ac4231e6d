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
use interlatch::check::Verdict;
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
        let expected = program.outcomes();
        let found = catch_unwind(AssertUnwindSafe(|| reached_by(&program)));
        match (expected, found) {
            (Some(expected), Ok((reached, exploration))) => {
                compare(&program, &expected, &reached, seed)?;
                if exploration.verdict != Verdict::Exhaustive {
                    return Err(format!("{program}: {}, seed {seed}", exploration.verdict));
                }
                ended += 1;
                most = most.max(expected.len());
            }
            (None, Err(_)) => deadlocked += 1,
            (None, Ok(_)) => return Err(format!("{program}: no deadlock is found, seed {seed}")),
            (Some(_), Err(_)) => return Err(format!("{program}: fails, seed {seed}")),
        }
    }
    Ok(format!(
        "{ended} programs reach exactly the outcomes of plain interleaving, at most {most}; \
         {deadlocked} deadlock, as they should (INTERLATCH_SEED={seed})"
    ))
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

fn compare(
    program: &Program,
    expected: &Outcomes,
    reached: &Outcomes,
    seed: u64,
) -> Result<(), String> {
    if expected == reached {
        return Ok(());
    }
    let missed: Vec<_> = expected.difference(reached).collect();
    let excess: Vec<_> = reached.difference(expected).collect();
    Err(format!(
        "{program}: missed {missed:?}, in excess {excess:?}, INTERLATCH_SEED={seed}"
    ))
}

fn loads() -> Result<String, String> {
    let (seed, mut draw) = seeded([4, 3]);
    let (mut complete, mut blind, mut missing) = (0, 0, 0);
    for _ in 0..programs() {
        let program = draw.loads_stores_and_updates();
        let (misses, verdict) = misses(&program, seed)?;
        match verdict {
            Verdict::Blind(_) if misses => missing += 1,
            Verdict::Blind(_) => blind += 1,
            _ if misses => {
                return Err(format!(
                    "{program}: misses an outcome unnoticed, INTERLATCH_SEED={seed}"
                ));
            }
            _ => complete += 1,
        }
    }
    Ok(format!(
        "{missing} miss outcomes of plain interleaving and are called blind; {blind} are called \
         blind and miss none; {complete} are not and miss none (INTERLATCH_SEED={seed})"
    ))
}

fn companions() -> Result<String, String> {
    let (seed, mut draw) = seeded([3, 2]);
    for _ in 0..programs() {
        let program = Program {
            companions: true,
            ..draw.loads_stores_and_updates()
        };
        let found = misses(&program, seed)?;
        if found != (false, Verdict::Exhaustive) {
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
fn misses(program: &Program, seed: u64) -> Result<(bool, Verdict), String> {
    let expected = program.outcomes();
    let expected = expected.ok_or("a program without sleep cannot deadlock")?;
    let found = catch_unwind(AssertUnwindSafe(|| reached_by(program)));
    let (reached, exploration) =
        found.map_err(|_| format!("{program}: fails, INTERLATCH_SEED={seed}"))?;
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
