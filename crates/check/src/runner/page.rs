//! The page of a failure: its execution as a picture to step through, beside the source.

use super::desk::Desk;
use super::html::Template;
use super::outcome::Outcome;
use super::source;
use crate::Step;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const TEMPLATE: Template = Template {
    page: include_str!("assets/page.html"),
    script: include_str!("assets/page.js"),
};

/// What the script of the page reads.
#[derive(Serialize)]
struct Execution<'a> {
    model: &'a str,
    verdict: String,
    is_expected: bool,
    message: &'a str,
    found: String,
    steps: &'a [Step],
    words: &'a [String],
    standing: &'a [String],
    replay: Option<&'a str>,
    sources: BTreeMap<&'a str, String>,
}

/// Leaves the page of a model that has failed with a record of its execution.
pub fn leave_for(outcome: &Outcome, desk: &Desk) -> Option<PathBuf> {
    let failed = outcome.failed.as_ref()?;
    let failure = &failed.failure;
    if failure.steps.is_empty() {
        return None;
    }
    let files = failure.steps.iter().map(|step| source::split(&step.site).0);
    let sources = files.filter_map(|file| Some((file, source::text(file)?)));
    let execution = Execution {
        model: &outcome.name,
        verdict: outcome.verdict(),
        is_expected: outcome.is_good(),
        message: &failure.message,
        found: failed.found(),
        steps: &failure.steps,
        words: &failure.words,
        standing: &failure.standing,
        replay: outcome.replay.as_deref(),
        sources: sources.collect(),
    };
    let file = desk.file_of(&outcome.name, "html");
    let page = TEMPLATE.fill(&outcome.name, &execution).ok()?;
    desk.leave(&file, &page).then_some(file)
}
