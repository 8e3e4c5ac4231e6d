//! The summary page, which shows the latest results of all models.
//!
//! There are two kinds of runs: runs of the models and runs of the weakenings. Each run saves its
//! own results. It then renders the page from the latest saved results of both kinds.

use super::context::Context;
use super::html::Template;
use super::litmus::LitmusResult;
use super::outcome::Outcome;
use super::weaken::WeakeningResult;
use crate::IS_EXHAUSTIVE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const TEMPLATE: Template = Template {
    page: include_str!("assets/summary.html"),
    script: include_str!("assets/summary.js"),
};

/// The data that the script of the summary page reads.
#[derive(Serialize)]
struct Summary {
    package: String,
    run: Option<SavedRun>,
    weakenings: Option<Saved<Vec<WeakeningResult>>>,
    /// Whether the run of the models and the run of the weakenings used the same build of the
    /// program.
    is_of_one_build: bool,
}

type SavedRun = Saved<RunResults>;

/// The results of a run, and the build of the program that produced them.
#[derive(Serialize, Deserialize)]
struct Saved<T> {
    build: String,
    results: T,
}

#[derive(Serialize, Deserialize)]
struct RunResults {
    /// The number of all models and litmus tests, including those that the filters exclude.
    all: usize,
    models: Vec<ModelRow>,
    litmus: Vec<LitmusResult>,
}

/// The table row of one model.
#[derive(Serialize, Deserialize)]
struct ModelRow {
    name: String,
    processes: usize,
    verdict: String,
    passed: bool,
    is_bug: bool,
    #[serde(default)]
    crash_points: u64,
    executions: u64,
    all_executions: u64,
    seconds: f64,
    remarks: Vec<String>,
    page: Option<String>,
}

impl ModelRow {
    fn from_outcome(outcome: &Outcome) -> Self {
        let (executions, seconds) = outcome.cost();
        let remarks = outcome.conclusion().map(|last| last.remarks.clone());
        let page = outcome.page.as_ref().and_then(|page| page.file_name());
        Self {
            name: outcome.name.clone(),
            processes: outcome.processes,
            verdict: outcome.verdict(),
            passed: outcome.passed(),
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

/// Saves the results of a run of models and renders the page. Returns the path of the page.
///
/// If the run was a stress test on threads, this function saves nothing.
pub fn write_run(
    outcomes: &[Outcome],
    litmus: &[LitmusResult],
    all: usize,
    context: &Context,
) -> Option<PathBuf> {
    if !IS_EXHAUSTIVE {
        return None;
    }
    let results = RunResults {
        all,
        models: outcomes.iter().map(ModelRow::from_outcome).collect(),
        litmus: litmus.to_vec(),
    };
    save("run", results, context);
    render(context)
}

/// Saves the results of a run of weakenings and renders the page. Returns the path of the page.
pub fn write_weakenings(weakenings: &[WeakeningResult], context: &Context) -> Option<PathBuf> {
    save("weakenings", weakenings, context);
    render(context)
}

fn save(name: &str, results: impl Serialize, context: &Context) {
    let build = build_id();
    if let Ok(text) = serde_json::to_string(&Saved { build, results }) {
        context.write(&path(name, context), &text);
    }
}

fn load<T: DeserializeOwned>(name: &str, context: &Context) -> Option<T> {
    let text = std::fs::read_to_string(path(name, context)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Returns the path of a file with saved results.
///
/// The file name of a model contains a dash in place of the slash. The names of saved results
/// contain no dash, so they do not clash with the file names of models.
fn path(name: &str, context: &Context) -> PathBuf {
    context.folder.join(name).with_extension("json")
}

/// Returns a text that identifies this build of the program.
fn build_id() -> String {
    let program = std::env::current_exe().and_then(std::fs::metadata);
    let changed = program.and_then(|file| Ok((file.len(), file.modified()?)));
    format!("{changed:?}")
}

fn render(context: &Context) -> Option<PathBuf> {
    let run: Option<SavedRun> = load("run", context);
    let weakenings: Option<Saved<Vec<WeakeningResult>>> = load("weakenings", context);
    let is_of_one_build = match (&run, &weakenings) {
        (Some(run), Some(weakenings)) => run.build == weakenings.build,
        _ => true,
    };
    let summary = Summary {
        package: std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "models".into()),
        run,
        weakenings,
        is_of_one_build,
    };
    let title = format!("{}: results of the models", summary.package);
    let page = context.folder.join("index.html");
    let text = TEMPLATE.fill(&title, &summary).ok()?;
    context.write(&page, &text).then_some(page)
}
