//! The table of results.

use crate::mutant::Change;
use crate::run::Outcome;
use comfy_table::Table;
use std::collections::BTreeMap;

/// Failures that say only that a mutant exceeds a limit: of the model, of the engine, or of time.
const LIMITS: [&str; 3] = ["LimitHit", "Engine", "does not end"];

/// Numbers of mutants by outcome.
#[derive(Default)]
pub struct Counts {
    /// Mutants that ran.
    pub tried: usize,
    /// Mutants that a model noticed.
    pub by_models: usize,
    /// Mutants that a test noticed.
    pub by_tests: usize,
    /// Noticed mutants whose failure says only that they exceed a limit.
    pub by_limits: usize,
    unreached: usize,
}

impl Counts {
    /// Adds an outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.tried += 1;
        let failure = outcome.noticed.as_ref().map(|(_, failure)| &**failure);
        self.by_limits += usize::from(failure.is_some_and(|failure| LIMITS.contains(&failure)));
        match &outcome.noticed {
            Some((name, _)) if name.starts_with("tests/") => self.by_tests += 1,
            Some(_) => self.by_models += 1,
            None if outcome.reached_by == 0 => self.unreached += 1,
            None => {}
        }
    }

    /// Mutants that no program noticed.
    pub fn survived(&self) -> usize {
        self.tried - self.by_models - self.by_tests
    }

    fn row(&self, name: String) -> [String; 7] {
        let numbers = [
            self.tried,
            self.by_models,
            self.by_tests,
            self.by_limits,
            self.survived(),
            self.unreached,
        ];
        let [tried, models, tests, limits, survived, unreached] =
            numbers.map(|count| count.to_string());
        [name, tried, models, tests, limits, survived, unreached]
    }
}

/// Prints the survivors, and the numbers per change and per folder.
pub fn print(outcomes: &[Outcome], rejected: usize, excepted: usize) {
    let mut survivors: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| outcome.noticed.is_none())
        .collect();
    survivors.sort_by(|one, other| one.mutant.key.cmp(&other.mutant.key));
    for outcome in survivors {
        println!(
            "SURVIVED (reached by {}) {}",
            outcome.reached_by, outcome.mutant
        );
    }
    let mut per_change: BTreeMap<Change, Counts> = BTreeMap::new();
    let mut per_file: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut all = Counts::default();
    for outcome in outcomes {
        let key = &outcome.mutant.key;
        per_change.entry(key.change).or_default().add(outcome);
        per_file.entry(&key.file).or_default().add(outcome);
        all.add(outcome);
    }
    let changes = per_change
        .iter()
        .map(|(change, counts)| counts.row(change.to_string()));
    print_table("change", changes);
    let files = per_file
        .iter()
        .map(|(file, counts)| counts.row((*file).to_owned()));
    print_table("file", files.chain([all.row("all".into())]));
    println!("{rejected} further mutants do not compile, and {excepted} are exceptions");
}

fn print_table(name: &str, rows: impl Iterator<Item = [String; 7]>) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        name,
        "tried",
        "noticed by models",
        "noticed by tests",
        "of these, by a limit",
        "survived",
        "of these, unreached",
    ]);
    for row in rows {
        table.add_row(row);
    }
    println!("{}\n", table.trim_fmt());
}
