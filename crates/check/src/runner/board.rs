//! The board: what is known of all models, on one page.
//!
//! A run of the models and a run of the weakenings each leave what they found, and whichever ends
//! draws the page from both.

use super::desk::Desk;
use super::html::Template;
use super::litmus::Observed;
use super::outcome::Outcome;
use super::weaken::Weakened;
use crate::IS_EXHAUSTIVE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const TEMPLATE: Template = Template {
    page: include_str!("assets/board.html"),
    script: include_str!("assets/board.js"),
};

/// What the script of the page reads.
#[derive(Serialize)]
struct Board {
    package: String,
    run: Option<Run>,
    weakened: Option<Found<Vec<Weakened>>>,
    /// The weakenings are of the program that the run is of.
    is_of_one_build: bool,
}

type Run = Found<Results>;

/// What a run has found, and which program it was.
#[derive(Serialize, Deserialize)]
struct Found<T> {
    build: String,
    found: T,
}

#[derive(Serialize, Deserialize)]
struct Results {
    /// How many models and tests there are, with those that were not chosen.
    all: usize,
    models: Vec<Row>,
    litmus: Vec<Observed>,
}

/// One model.
#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    processes: usize,
    verdict: String,
    is_good: bool,
    is_bug: bool,
    #[serde(default)]
    crash_points: u64,
    executions: u64,
    all_executions: u64,
    seconds: f64,
    remarks: Vec<String>,
    page: Option<String>,
}

impl Row {
    fn of(outcome: &Outcome) -> Self {
        let (executions, seconds) = outcome.cost();
        let remarks = outcome.conclusion().map(|last| last.remarks.clone());
        let page = outcome.page.as_ref().and_then(|page| page.file_name());
        Self {
            name: outcome.name.clone(),
            processes: outcome.processes,
            verdict: outcome.verdict(),
            is_good: outcome.is_good(),
            is_bug: outcome.expected.is_some(),
            crash_points: outcome.crash_points(),
            executions,
            all_executions: outcome.executions(),
            seconds,
            remarks: remarks.unwrap_or_default(),
            page: page.map(|name| name.to_string_lossy().into_owned()),
        }
    }
}

/// After a run of models: where the page is. A stress test with threads leaves none: it has nothing
/// to show.
pub fn leave_run(
    outcomes: &[Outcome],
    observed: &[Observed],
    all: usize,
    desk: &Desk,
) -> Option<PathBuf> {
    if !IS_EXHAUSTIVE {
        return None;
    }
    let results = Results {
        all,
        models: outcomes.iter().map(Row::of).collect(),
        litmus: observed.to_vec(),
    };
    keep("run", results, desk);
    draw(desk)
}

/// After a run of weakenings: where the page is.
pub fn leave_weakened(weakened: &[Weakened], desk: &Desk) -> Option<PathBuf> {
    keep("weakened", weakened, desk);
    draw(desk)
}

fn keep(name: &str, found: impl Serialize, desk: &Desk) {
    let build = build();
    if let Ok(text) = serde_json::to_string(&Found { build, found }) {
        desk.leave(&file(name, desk), &text);
    }
}

fn kept<T: DeserializeOwned>(name: &str, desk: &Desk) -> Option<T> {
    let text = std::fs::read_to_string(file(name, desk)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Names that no model has: theirs have a slash, which becomes a dash.
fn file(name: &str, desk: &Desk) -> PathBuf {
    desk.folder.join(name).with_extension("json")
}

/// Tells this program from an earlier build of it.
fn build() -> String {
    let program = std::env::current_exe().and_then(std::fs::metadata);
    let changed = program.and_then(|file| Ok((file.len(), file.modified()?)));
    format!("{changed:?}")
}

fn draw(desk: &Desk) -> Option<PathBuf> {
    let run: Option<Run> = kept("run", desk);
    let weakened: Option<Found<Vec<Weakened>>> = kept("weakened", desk);
    let is_of_one_build = match (&run, &weakened) {
        (Some(run), Some(weakened)) => run.build == weakened.build,
        _ => true,
    };
    let board = Board {
        package: std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "models".into()),
        run,
        weakened,
        is_of_one_build,
    };
    let title = format!("{}: what was checked", board.package);
    let page = desk.folder.join("index.html");
    let text = TEMPLATE.fill(&title, &board).ok()?;
    desk.leave(&page, &text).then_some(page)
}
