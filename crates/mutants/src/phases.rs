//! The phases of a run: models with few preemptions, tests, and models up to their own bounds.

use crate::mutant::Mutant;
use crate::programs::{self, Program};
use crate::run::{self, Journal, Outcome};
use crate::tree::Tree;
use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a run does, besides the choice of mutants.
pub struct Plan<'a> {
    /// The folder of the journals.
    pub output: &'a Path,
    /// Number of mutants that run in parallel, except in the tests.
    pub jobs: usize,
    /// Time limit for each model in the first phase, in seconds.
    pub seconds: u64,
    /// Whether the tests are left out.
    pub models_only: bool,
    /// Parts of the names of test binaries to leave out.
    pub without_test: &'a [String],
    /// Whether the outcomes of an interrupted run are kept.
    pub resume: bool,
}

impl Plan<'_> {
    /// Runs the mutants. The mutants that no program of a phase notices meet the next phase.
    pub fn run(&self, tree: &Tree, mutants: Vec<Mutant>) -> Result<Vec<Outcome>, Box<dyn Error>> {
        if !self.resume {
            for phase in ["models", "tests", "bounds"] {
                std::fs::write(self.journal(phase), "")?;
            }
        }
        let models = programs::models(&tree.root, self.seconds)?;
        let models = run::measure(models, self.jobs);
        let mut outcomes = self.run_phase("models", &models, mutants, self.jobs)?;
        if !self.models_only {
            let survivors = take_survivors(&mut outcomes);
            // The tests use the whole machine and names of regions, so they run one at a time.
            let mut tests = programs::tests(&tree.root)?;
            let is_left_out = |name: &str| self.without_test.iter().any(|part| name.contains(part));
            tests.retain(|test| !survivors.is_empty() && !is_left_out(&test.name));
            let tests = run::measure(tests, 1);
            outcomes.extend(self.run_phase("tests", &tests, survivors, 1)?);
        }
        // Last, because a survivor takes minutes here: a primitive has up to hundreds of models.
        let survivors = take_survivors(&mut outcomes);
        let models = self.at_own_bounds(models, &survivors);
        outcomes.extend(self.run_phase("bounds", &models, survivors, self.jobs)?);
        Ok(outcomes)
    }

    /// Returns the models that reach a survivor and explore more executions with their own bounds
    /// than in the first phase, with these bounds.
    fn at_own_bounds(&self, models: Vec<Program>, survivors: &[Mutant]) -> Vec<Program> {
        let reaches = |model: &Program| {
            let mut survivors = survivors.iter();
            survivors.any(|mutant| model.reached.contains(&mutant.number))
        };
        let reaching: Vec<Program> = models.into_iter().filter(reaches).collect();
        let complete = reaching.iter().map(Program::at_own_bound).collect();
        let mut complete = run::measure(complete, self.jobs);
        complete.retain(|model| {
            let mut before = reaching.iter();
            before.any(|before| before.name == model.name && before.executions < model.executions)
        });
        complete
    }

    fn journal(&self, phase: &str) -> PathBuf {
        self.output.join(format!("{phase}.jsonl"))
    }

    /// Runs the mutants that the journal of the phase does not contain yet. Returns all outcomes.
    fn run_phase(
        &self,
        phase: &str,
        programs: &[Program],
        mutants: Vec<Mutant>,
        jobs: usize,
    ) -> Result<Vec<Outcome>, Box<dyn Error>> {
        let (journal, known) = Journal::open(&self.journal(phase))?;
        let wanted: HashSet<_> = mutants.iter().map(|mutant| mutant.key.clone()).collect();
        let known = known.into_iter();
        let known: Vec<Outcome> = known
            .filter(|outcome| wanted.contains(&outcome.mutant.key))
            .collect();
        let done: HashSet<_> = known.iter().map(|known| known.mutant.key.clone()).collect();
        let rest = mutants.into_iter();
        let rest: Vec<Mutant> = rest.filter(|mutant| !done.contains(&mutant.key)).collect();
        eprintln!(
            "{phase}: {} mutants, {} programs",
            rest.len(),
            programs.len()
        );
        let mut outcomes = known;
        outcomes.extend(run_all(programs, rest, jobs, &journal)?);
        Ok(outcomes)
    }
}

/// Removes the outcomes of mutants that no program noticed, and returns their mutants.
fn take_survivors(outcomes: &mut Vec<Outcome>) -> Vec<Mutant> {
    let (noticed, survivors): (Vec<_>, Vec<_>) = core::mem::take(outcomes)
        .into_iter()
        .partition(|outcome| outcome.noticed.is_some());
    *outcomes = noticed;
    let survivors = survivors.into_iter();
    survivors.map(|outcome| outcome.mutant).collect()
}

fn run_all(
    programs: &[Program],
    mutants: Vec<Mutant>,
    jobs: usize,
    journal: &Journal,
) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let count = mutants.len();
    let (outcomes, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
    run::in_parallel(mutants, jobs, |mutant| {
        let outcome = run::run(mutant, programs);
        let added = outcome.and_then(|outcome| {
            journal.add(&outcome)?;
            let mut outcomes = outcomes.lock().map_err(|_| "a worker panicked")?;
            outcomes.push(outcome);
            if outcomes.len() % 100 == 0 {
                eprintln!("{} of {count} mutants", outcomes.len());
            }
            Ok(())
        });
        if let (Err(error), Ok(mut failure)) = (added, failure.lock()) {
            *failure = Some(error.to_string());
        }
    });
    match failure.into_inner()? {
        Some(failure) => Err(failure.into()),
        None => Ok(outcomes.into_inner()?),
    }
}
