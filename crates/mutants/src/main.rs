//! Mutation testing with switches.
//!
//! The tool copies the workspace and adds a switch for every mutant (a small change of the source),
//! so one build contains all mutants. Then it runs each mutant: first the models that reach it, and
//! then the test binaries. A mutant that no program notices survives. Either a scenario is missing,
//! or the mutant changes no promise. `ci/mutants.json` lists the mutants of the second kind, with
//! reasons.

mod calls;
mod edit;
mod exceptions;
mod find;
mod mutant;
mod programs;
mod report;
mod run;
mod sites;
mod tree;

use clap::Parser;
use mutant::Mutant;
use run::{Journal, Outcome};
use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

/// Runs mutants of the source against the models and the tests.
#[derive(Parser)]
struct Options {
    /// Folders and files to mutate, as prefixes of paths.
    #[arg(long = "in", default_values = ["src/sync/", "src/channel/", "src/region/directory/"])]
    folders: Vec<String>,

    /// Print the mutants and run nothing.
    #[arg(long)]
    list: bool,

    /// Only check that each exception names an existing mutant.
    #[arg(long)]
    check_exceptions: bool,

    /// Only print the calls that `ci/weaken` weakens, and its exceptions, as JSON.
    #[arg(long)]
    sites: bool,

    /// Run only this number of mutants, chosen by the seed.
    #[arg(long)]
    sample: Option<usize>,

    /// The seed of the sample.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Run only mutants whose description contains one of these texts.
    #[arg(long)]
    only: Vec<String>,

    /// Run the models only, not the tests.
    #[arg(long)]
    models_only: bool,

    /// Leave out the test binaries whose names contain one of these texts.
    #[arg(long)]
    without_test: Vec<String>,

    /// Keep the results of the last run, which was interrupted.
    #[arg(long)]
    resume: bool,

    /// Number of mutants that run in parallel.
    #[arg(long, default_value_t = 2)]
    jobs: usize,

    /// Time limit for each model, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,

    /// The folder of the copy, the build and the results.
    #[arg(long, default_value = "target/mutants")]
    output: PathBuf,
}

/// The list of exceptions.
const EXCEPTIONS: &str = "ci/mutants.json";
/// The list of exceptions that only `ci/weaken` has.
const SITE_EXCEPTIONS: &str = "ci/weaken.json";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether there is nothing to mend.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let root = std::env::current_dir()?;
    let exceptions = exceptions::read(Path::new(EXCEPTIONS), &options.folders)?;
    let found = tree::mutants(&root, &options.folders)?;
    let groups = sites::read(Path::new(SITE_EXCEPTIONS), &options.folders)?;
    let sites = sites::list(&found, &exceptions, &groups)?;
    if options.sites {
        println!("{}", serde_json::to_string(&sites)?);
        return Ok(true);
    }
    let all: Vec<Mutant> = found.into_iter().flat_map(|file| file.mutants).collect();
    if options.list {
        all.iter().for_each(|mutant| println!("{mutant}"));
        println!("{} mutants", all.len());
        return Ok(true);
    }
    let stale = exceptions::stale(&exceptions, &all);
    for key in &stale {
        println!(
            "{EXCEPTIONS} names a mutant that does not exist: {}",
            serde_json::to_string(key)?
        );
    }
    if options.check_exceptions || !stale.is_empty() {
        return Ok(stale.is_empty());
    }
    let tree = tree::Tree::new(&root, &options.output.join("tree"), &options.folders)?;
    let excepted: HashSet<_> = exceptions.iter().flat_map(|group| &group.mutants).collect();
    let excepted_count = excepted.len();
    let rejected = tree.rejected;
    let mut chosen: Vec<Mutant> = tree.mutants.clone();
    chosen.retain(|mutant| !excepted.contains(&mutant.key) && is_selected(mutant, &options.only));
    if let Some(count) = options.sample {
        fastrand::Rng::with_seed(options.seed).shuffle(&mut chosen);
        chosen.truncate(count);
        println!(
            "a sample of {} mutants, seed {}",
            chosen.len(),
            options.seed
        );
    }
    if chosen.is_empty() {
        return Err("no mutant is selected: see --list".into());
    }
    let outcomes = test(options, &tree, chosen)?;
    report::print(&outcomes, rejected, excepted_count);
    Ok(outcomes.iter().all(|outcome| outcome.noticed.is_some()))
}

fn is_selected(mutant: &Mutant, only: &[String]) -> bool {
    let text = mutant.to_string();
    only.is_empty() || only.iter().any(|part| text.contains(part))
}

/// Runs the mutants against the models, and the survivors against the tests.
fn test(
    options: &Options,
    tree: &tree::Tree,
    mutants: Vec<Mutant>,
) -> Result<Vec<Outcome>, Box<dyn Error>> {
    if !options.resume {
        for name in ["models.jsonl", "tests.jsonl"] {
            std::fs::write(options.output.join(name), "")?;
        }
    }
    let models = run::measure(programs::models(&tree.root, options.seconds)?, options.jobs);
    let file = options.output.join("models.jsonl");
    let mut outcomes = run_all(&models, mutants, options.jobs, &file)?;
    if !options.models_only {
        let (noticed, survivors): (Vec<_>, Vec<_>) = outcomes
            .into_iter()
            .partition(|outcome| outcome.noticed.is_some());
        let survivors = survivors
            .into_iter()
            .map(|outcome| outcome.mutant)
            .collect();
        // The tests use the whole machine and names of regions, so they run one at a time.
        let mut tests = programs::tests(&tree.root)?;
        let is_left_out = |name: &str| options.without_test.iter().any(|part| name.contains(part));
        tests.retain(|test| !is_left_out(&test.name));
        let tests = run::measure(tests, 1);
        let file = options.output.join("tests.jsonl");
        outcomes = noticed;
        outcomes.extend(run_all(&tests, survivors, 1, &file)?);
    }
    Ok(outcomes)
}

/// Runs the mutants that the journal does not contain yet. Returns all outcomes.
fn run_all(
    programs: &[programs::Program],
    mutants: Vec<Mutant>,
    jobs: usize,
    journal: &Path,
) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let (journal, known) = Journal::open(journal)?;
    let wanted: HashSet<_> = mutants.iter().map(|mutant| mutant.key.clone()).collect();
    let known: Vec<Outcome> = known
        .into_iter()
        .filter(|outcome| wanted.contains(&outcome.mutant.key))
        .collect();
    let done: HashSet<_> = known
        .iter()
        .map(|outcome| outcome.mutant.key.clone())
        .collect();
    let rest: Vec<Mutant> = mutants
        .into_iter()
        .filter(|mutant| !done.contains(&mutant.key))
        .collect();
    let count = rest.len();
    let (outcomes, failure) = (Mutex::new(known), Mutex::new(None));
    run::in_parallel(rest, jobs, |mutant| {
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
