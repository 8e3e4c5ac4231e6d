//! The page of a failure, which shows the execution as an interactive diagram next to the source.

use super::context::Context;
use super::html::Template;
use super::outcome::Outcome;
use super::source;
use crate::Step;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const TEMPLATE: Template = Template {
    page: include_str!("assets/failure.html"),
    script: include_str!("assets/failure.js"),
};

/// The data that the script of the failure page reads.
#[derive(Serialize)]
struct Execution<'a> {
    model: &'a str,
    verdict: String,
    passed: bool,
    message: &'a str,
    found: String,
    steps: &'a [Step],
    words: &'a [String],
    process_states: &'a [String],
    replay: Option<&'a str>,
    sources: BTreeMap<&'a str, String>,
}

/// Writes the page of a failed model and returns its path.
///
/// Returns `None` if the model has not failed, or if no record of the failing execution exists.
pub fn write(outcome: &Outcome, context: &Context) -> Option<PathBuf> {
    let report = outcome.failure.as_ref()?;
    let failure = &report.failure;
    if failure.steps.is_empty() {
        return None;
    }
    let files = failure.steps.iter().map(|step| source::split(&step.site).0);
    let sources = files.filter_map(|file| Some((file, source::text(file)?)));
    let execution = Execution {
        model: &outcome.name,
        verdict: outcome.verdict(),
        passed: outcome.passed(),
        message: &failure.message,
        found: report.found(),
        steps: &failure.steps,
        words: &failure.words,
        process_states: &failure.process_states,
        replay: outcome.replay.as_deref(),
        sources: sources.collect(),
    };
    let file = context.path_for(&outcome.name, "html");
    let page = TEMPLATE.fill(&outcome.name, &execution).ok()?;
    context.write(&file, &page).then_some(file)
}
