//! Runs mutants, and reports which program notices each.

use crate::mutant::Mutant;
use crate::programs::{End, Program};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// What happened to a mutant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The mutant.
    pub mutant: Mutant,
    /// The program that noticed the mutant, and the failure. `None` if no program noticed it.
    pub noticed: Option<(String, String)>,
    /// How many programs reach the mutant.
    pub reached_by: usize,
}

/// Applies `work` to each item on `jobs` threads.
pub fn in_parallel<T: Send>(items: Vec<T>, jobs: usize, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(items.into_iter());
    let next = || queue.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| std::iter::from_fn(next).for_each(&work));
        }
    });
}

/// Runs all programs without a mutant. Returns the passing programs, the fastest first.
pub fn measure(programs: Vec<Program>, jobs: usize) -> Vec<Program> {
    let measured = Mutex::new(Vec::new());
    in_parallel(programs, jobs, |mut program| {
        match program.measure(Duration::from_secs(600)) {
            Ok(End::Passed) => measured
                .lock()
                .into_iter()
                .for_each(|mut all| all.push(program.clone())),
            Ok(End::Failed(failure)) => {
                eprintln!(
                    "{} fails without a mutant ({failure}), so it is left out",
                    program.name
                );
            }
            Err(error) => eprintln!("{}: {error}", program.name),
        }
    });
    let mut measured = measured.into_inner().unwrap_or_default();
    measured.sort_by_key(|program| program.duration);
    measured
}

/// Runs the programs that reach a mutant, until one notices it.
pub fn run(mutant: Mutant, programs: &[Program]) -> Result<Outcome, Box<dyn Error>> {
    let reaching: Vec<&Program> = programs
        .iter()
        .filter(|program| program.reached.contains(&mutant.number))
        .collect();
    let reached_by = reaching.len();
    let mut noticed = None;
    for program in reaching {
        let limit = program.duration * 5 + Duration::from_secs(5);
        if let End::Failed(failure) = program.run(&mutant, limit)? {
            noticed = Some((program.name.clone(), failure));
            break;
        }
    }
    Ok(Outcome {
        mutant,
        noticed,
        reached_by,
    })
}

/// The outcomes so far, one JSON object per line in a file. An interrupted run goes on from it.
pub struct Journal(Mutex<File>);

impl Journal {
    /// Opens the journal, and returns it with its outcomes.
    pub fn open(file: &Path) -> Result<(Self, Vec<Outcome>), Box<dyn Error>> {
        let mut options = OpenOptions::new();
        let journal = options.create(true).append(true).read(true).open(file)?;
        let lines = BufReader::new(journal.try_clone()?).lines();
        let outcomes = lines
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect::<Result<_, Box<dyn Error>>>()?;
        Ok((Self(Mutex::new(journal)), outcomes))
    }

    /// Adds an outcome.
    pub fn add(&self, outcome: &Outcome) -> Result<(), Box<dyn Error>> {
        let line = format!("{}\n", serde_json::to_string(outcome)?);
        let mut file = self
            .0
            .lock()
            .map_err(|_| "a writer of the journal panicked")?;
        Ok(file.write_all(line.as_bytes())?)
    }
}
