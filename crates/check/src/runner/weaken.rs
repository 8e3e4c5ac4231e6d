//! Weakens one site (source line) at a time and reports which model fails.

use super::children::{in_parallel, run_child};
use super::cli::Options;
use super::context::Context;
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
    let correct: Vec<&Model> = models
        .iter()
        .copied()
        .filter(|model| model.expectation == Expectation::Holds)
        .collect();
    let sites: Vec<(Site, Vec<String>)> = find_sites(&correct, options).into_iter().collect();
    let has_site = |folder: &&String| sites.iter().any(|(site, _)| site.file.starts_with(*folder));
    let mut without_site = options.sites_in.iter().filter(|folder| !has_site(folder));
    if let Some(folder) = without_site.next() {
        eprintln!("no model reaches a site in {folder}: the prefix may be wrong");
        return ExitCode::FAILURE;
    }
    let weakenings = in_parallel(&sites, options.jobs, |(site, users)| {
        let run = |limits: &[String]| {
            let run = |model: &String| run_weakened(model, site, limits, options.sweep_seconds);
            users.iter().find_map(run)
        };
        let quick = ["--preemptions=2", "--seconds=1", "--sweep-seconds=1"].map(String::from);
        let full = [
            format!("--seconds={}", options.sweep_seconds),
            format!("--sweep-seconds={}", options.sweep_seconds),
        ];
        let weakening = WeakeningResult {
            site: format!("{}:{}", site.file, site.line),
            source: source::line(&site.file, site.line).unwrap_or_else(|| "?".into()),
            change: site.change.clone(),
            caught: run(&quick).or_else(|| run(&full)),
        };
        eprintln!(
            "{} {}: {}",
            weakening.site,
            weakening.change,
            weakening.model()
        );
        weakening
    });
    print(&weakenings);
    if let Some(page) = summary::write_weakenings(&weakenings, context) {
        print_line(format_args!("Summary page: {}", page.display()));
    }
    let caught = weakenings.iter().filter(|site| site.caught.is_some());
    let caught = caught.count();
    let survived = weakenings.len() - caught;
    print_line(format_args!(
        "{caught} weakenings caught, {survived} survived"
    ));
    if survived == 0 && caught > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One weakening, with its result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WeakeningResult {
    site: String,
    source: String,
    change: String,
    caught: Option<Caught>,
}

impl WeakeningResult {
    fn model(&self) -> &str {
        self.caught
            .as_ref()
            .map_or("NO MODEL", |caught| &caught.model)
    }
}

/// The model that failed under a weakening.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Caught {
    model: String,
    kind: FailureKind,
    preemptions: Option<usize>,
    /// The number of executions until the failure, added over all preemption bounds.
    executions: u64,
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
            row.site.clone(),
            source,
            row.change.clone(),
            row.model().to_owned(),
        ];
        table.add_row(head.into_iter().chain(failure));
    }
    print_line(format_args!("{}", table.trim_fmt()));
}

/// Returns the sites (source lines) that the options select. Each site comes with the models that
/// pass it, the fastest model first.
fn find_sites(models: &[&Model], options: &Options) -> BTreeMap<Site, Vec<String>> {
    let mut found = in_parallel(models, options.jobs, |model| {
        let begin = Instant::now();
        let arguments = [
            format!("--exec={}", model.name),
            "--sites".into(),
            "--preemptions=2".into(),
            // A model reaches its sites early, and what it explores later only takes time.
            "--seconds=5".into(),
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
