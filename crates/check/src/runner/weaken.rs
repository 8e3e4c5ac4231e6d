//! Weakens one site (source line) at a time and reports which model fails.

use super::children::{in_parallel, run_child};
use super::cli::Options;
use super::context::Context;
use super::expected::Expected;
use super::output::print_line;
use super::report::{FailureReport, Report};
use super::{source, summary};
use crate::engine::Site;
use crate::{Expectation, FailureKind, Model};
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// Finds the sites (source lines) of the primitives, weakens each site, and prints the table of
/// results.
pub fn main(models: &[&Model], options: &Options, context: &Context) -> ExitCode {
    let expected = match Expected::new(options) {
        Ok(expected) => expected,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let correct: Vec<&Model> = models
        .iter()
        .copied()
        .filter(|model| model.expectation == Expectation::Holds)
        .collect();
    let sites: Vec<(Site, Vec<String>)> = search(&correct, options, &expected);
    let has_site = |folder: &&String| sites.iter().any(|(site, _)| site.file.starts_with(*folder));
    let mut without_site = options.sites_in.iter().filter(|folder| !has_site(folder));
    if let Some(folder) = without_site.next() {
        eprintln!("no model reaches a site in {folder}: the prefix may be wrong");
        return ExitCode::FAILURE;
    }
    let weakenings = in_parallel(&sites, options.jobs, |(site, users)| {
        let weakening = weaken(site, users, expected.reason(site), options);
        eprintln!(
            "{}:{} {}: {}",
            site.file,
            site.line,
            site.change,
            weakening.outcome()
        );
        weakening
    });
    print(&weakenings);
    if let Some(page) = summary::write_weakenings(&weakenings, context) {
        print_line(format_args!("Summary page: {}", page.display()));
    }
    print_totals(&weakenings);
    let problems = expected.problems(&weakenings);
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    match problems.is_empty() && !weakenings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn print_totals(weakenings: &[WeakeningResult]) {
    let (caught, others): (Vec<_>, Vec<_>) = weakenings
        .iter()
        .partition(|weakening| weakening.caught.is_some());
    let excepted = others.iter().filter(|other| other.reason.is_some()).count();
    print_line(format_args!(
        "{} weakenings caught, {} survived, {excepted} excepted",
        caught.len(),
        others.len() - excepted
    ));
}

/// Runs the models with one weakening until a model fails.
///
/// The first runs have few preemptions and little time, because most weakenings fail early. A
/// weakening with an exception gets only these runs.
fn weaken(
    site: &Site,
    users: &[String],
    reason: Option<&str>,
    options: &Options,
) -> WeakeningResult {
    let run = |limits: &[String]| {
        let run = |model: &String| run_weakened(model, site, limits, options.sweep_seconds);
        users.iter().find_map(run)
    };
    let quick = |preemptions: usize| {
        let limits = [
            format!("--preemptions={preemptions}"),
            "--seconds=1".into(),
            "--sweep-seconds=1".into(),
        ];
        run(&limits)
    };
    let full = || {
        let seconds = options.sweep_seconds;
        run(&[
            format!("--seconds={seconds}"),
            format!("--sweep-seconds={seconds}"),
        ])
    };
    let mut caught = (0..=2).find_map(quick);
    if reason.is_none() {
        caught = caught.or_else(full);
    }
    WeakeningResult {
        site: site.clone(),
        source: source::line(&site.file, site.line).unwrap_or_else(|| "?".into()),
        caught,
        reason: reason.map(str::to_owned),
    }
}

/// One weakening, with its result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WeakeningResult {
    pub(super) site: Site,
    pub(super) source: String,
    pub(super) caught: Option<Caught>,
    /// Why no model has to notice the weakening.
    pub(super) reason: Option<String>,
}

impl WeakeningResult {
    fn outcome(&self) -> &str {
        match (&self.caught, &self.reason) {
            (Some(caught), _) => &caught.model,
            (None, Some(_)) => "excepted",
            (None, None) => "NO MODEL",
        }
    }
}

/// The model that failed under a weakening.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Caught {
    pub(super) model: String,
    pub(super) kind: FailureKind,
    pub(super) preemptions: Option<usize>,
    /// The number of executions until the failure, added over all preemption bounds.
    pub(super) executions: u64,
}

fn print(weakenings: &[WeakeningResult]) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "site",
        "source",
        "weakening",
        "caught by",
        "as",
        "preemptions",
        "executions",
    ]);
    for row in weakenings {
        let failure = match &row.caught {
            Some(caught) => [
                caught.kind.to_string(),
                caught
                    .preemptions
                    .map_or("any".into(), |bound| bound.to_string()),
                caught.executions.to_string(),
            ],
            None => ["-", "-", "-"].map(str::to_owned),
        };
        let source = row.source.chars().take(60).collect();
        let head = [
            format!("{}:{}", row.site.file, row.site.line),
            source,
            row.site.change.clone(),
            row.outcome().to_owned(),
        ];
        table.add_row(head.into_iter().chain(failure));
    }
    print_line(format_args!("{}", table.trim_fmt()));
}

/// Returns the sites of the models. If the sites of expected calls are missing, for example on a
/// slow machine, searches a second time and longer.
fn search(models: &[&Model], options: &Options, expected: &Expected) -> Vec<(Site, Vec<String>)> {
    let mut sites = BTreeMap::new();
    for seconds in [2, 10] {
        sites = find_sites(models, options, seconds);
        let found: Vec<&Site> = sites.keys().collect();
        if expected.missing(&found).is_empty() {
            break;
        }
    }
    sites.into_iter().collect()
}

/// Returns the sites (source lines) that the options select. Each site comes with the models that
/// pass it, the fastest model first. Each model runs for at most `seconds`.
fn find_sites(models: &[&Model], options: &Options, seconds: u64) -> BTreeMap<Site, Vec<String>> {
    let mut found = in_parallel(models, options.jobs, |model| {
        let begin = Instant::now();
        let arguments = [
            format!("--exec={}", model.name),
            "--sites".into(),
            "--preemptions=2".into(),
            // A model reaches its sites early, and what it explores later only takes time.
            format!("--seconds={seconds}"),
        ];
        let mut sites = Vec::new();
        run_child(&arguments, options.seconds, |report| {
            if let Report::Sites(found) = report {
                sites = found;
            }
        });
        (begin.elapsed(), model.name.clone(), sites)
    });
    found.sort_by_key(|(duration, ..)| *duration);
    let is_selected = |site: &Site| match options.sites_in.as_slice() {
        [] => !source::is_foreign(&site.file),
        folders => folders.iter().any(|folder| site.file.starts_with(folder)),
    };
    let mut sites: BTreeMap<Site, Vec<String>> = BTreeMap::new();
    for (_, model, found) in found {
        for site in found.into_iter().filter(is_selected) {
            sites.entry(site).or_default().push(model.clone());
        }
    }
    sites
}

/// Runs a model with a weakened site. If the model fails, returns the failure.
fn run_weakened(model: &str, site: &Site, limits: &[String], seconds: u64) -> Option<Caught> {
    let mut arguments = vec![
        format!("--exec={model}"),
        format!("--weaken-site={}:{}:{}", site.file, site.line, site.change),
    ];
    arguments.extend_from_slice(limits);
    let (mut failure, mut executions) = (None, 0);
    run_child(&arguments, seconds, |report| match report {
        Report::Explored(explored) => executions += explored.executions,
        Report::Failure(report) => failure = Some(report),
        Report::Sites(_) | Report::Litmus(_) => {}
    });
    let report: FailureReport = failure?;
    Some(Caught {
        model: model.to_owned(),
        kind: report.failure.kind,
        preemptions: report.preemptions,
        executions: executions + report.failure.executions,
    })
}
