//! Mutation testing with switches.
//!
//! The tool copies the workspace and adds a switch for every mutant (a small change of the source),
//! so one build contains all mutants. Then it runs each mutant: first the models that reach it with
//! few preemptions, then the test binaries, and then the models that reach it up to their own
//! bounds. A mutant that no program notices survives. Either a scenario is missing, or the mutant
//! changes no promise. `ci/mutants.json` lists the mutants of the second kind, with reasons.

mod calls;
mod edit;
mod exceptions;
mod figures;
mod find;
mod mutant;
mod phases;
mod programs;
mod report;
mod run;
mod selection;
mod sites;
mod tree;

use clap::Parser;
use mutant::Mutant;
use phases::Plan;
use selection::Selection;
use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs mutants of the source against the models and the tests.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    selection: Selection,

    /// Print the mutants and run nothing.
    #[arg(long)]
    list: bool,

    /// Only check that each exception names an existing mutant, and the table in
    /// docs/verification.md.
    #[arg(long)]
    check_exceptions: bool,

    /// Only print the calls that `ci/weaken` weakens, and its exceptions, as JSON.
    #[arg(long)]
    sites: bool,

    /// Write the figures of the folders whose mutants all ran into the table in
    /// docs/verification.md.
    #[arg(long, conflicts_with_all = ["models_only", "without_test"])]
    report: bool,

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

    /// Time limit for each model with few preemptions, in seconds. The runs up to the models' own
    /// bounds take the time that they need.
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
    let exceptions = exceptions::read(Path::new(EXCEPTIONS), &options.selection)?;
    let found = tree::mutants(&root, &options.selection)?;
    let groups = sites::read(Path::new(SITE_EXCEPTIONS), &options.selection)?;
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
        figures::check(&std::fs::read_to_string(figures::PAGE)?)?;
        return Ok(stale.is_empty());
    }
    let commit = options.report.then(|| figures::commit(&root)).transpose()?;
    let tree = tree::Tree::new(&root, &options.output.join("tree"), &options.selection)?;
    let excepted: HashSet<_> = exceptions.iter().flat_map(|group| &group.mutants).collect();
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
    let plan = Plan {
        output: &options.output,
        jobs: options.jobs,
        seconds: options.seconds,
        models_only: options.models_only,
        without_test: &options.without_test,
        resume: options.resume,
    };
    let outcomes = plan.run(&tree, chosen)?;
    report::print(&outcomes, tree.rejected.len(), excepted.len());
    if let Some(commit) = &commit {
        let run = figures::Run {
            rejected: tree.rejected.iter().collect(),
            excepted: &excepted,
            outcomes: &outcomes,
            mutants: &tree.mutants,
            commit,
        };
        run.write(Path::new(figures::PAGE))?;
    }
    Ok(outcomes.iter().all(|outcome| outcome.noticed.is_some()))
}

fn is_selected(mutant: &Mutant, only: &[String]) -> bool {
    let text = mutant.to_string();
    only.is_empty() || only.iter().any(|part| text.contains(part))
}
