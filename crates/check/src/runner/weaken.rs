//! Every line earns its place: weakens one site at a time and asks the models whether they notice.

use super::children::{in_parallel, run_child};
use super::cli::Options;
use super::desk::Desk;
use super::output::say;
use super::report::{Failed, Report, Site};
use super::{board, source};
use crate::{Expectation, FailureKind, Model};
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::ExitCode;

#[cfg(loom)]
mod world {
    use super::super::report::{Report, Site, send};
    use interlatch::platform::model::weakening::{self, Change, Weakening};
    use interlatch::platform::model::world;

    /// Sets up what the options of a child ask for.
    pub fn prepare(site: Option<&str>, collect: bool) {
        if collect {
            world::collect_sites();
        }
        let Some(site) = site else { return };
        let mut parts = site.rsplitn(3, ':');
        let change = parts.next().and_then(change);
        let line = parts.next().and_then(|line| line.parse().ok());
        if let (Some(change), Some(line), Some(file)) = (change, line, parts.next()) {
            weakening::set(Weakening {
                file: file.to_owned(),
                line,
                change,
            });
        } else {
            eprintln!("{site:?} is no FILE:LINE:CHANGE");
            std::process::exit(2);
        }
    }

    fn change(name: &str) -> Option<Change> {
        Change::ALL.into_iter().find(|change| change.name() == name)
    }

    pub fn report_sites() {
        let sites = world::findings().sites.into_iter();
        let sites = sites.map(|(file, line, change)| Site {
            file,
            line,
            change: change.name().to_owned(),
        });
        send(&Report::Sites(sites.collect()));
    }
}

#[cfg(not(loom))]
mod world {
    pub fn prepare(site: Option<&str>, collect: bool) {
        if site.is_some() || collect {
            eprintln!("sites can be weakened only under --cfg loom");
            std::process::exit(2);
        }
    }

    pub fn report_sites() {}
}

pub use world::report_sites;

/// In a child: what its options ask for.
pub fn prepare(options: &Options) {
    world::prepare(options.weaken_site.as_deref(), options.sites);
}

/// In the parent: finds the sites, weakens each, prints the table.
pub fn main(models: &[&Model], options: &Options, desk: &Desk) -> ExitCode {
    let sound: Vec<&Model> = models
        .iter()
        .copied()
        .filter(|model| model.expectation == Expectation::Holds)
        .collect();
    let sites: Vec<(Site, Vec<String>)> = find_sites(&sound, options).into_iter().collect();
    let weakened = in_parallel(&sites, options.jobs, |(site, users)| {
        let tries = |model: &String| try_weakened(model, site, options);
        let weakened = Weakened {
            site: format!("{}:{}", site.file, site.line),
            source: source::line(&site.file, site.line).unwrap_or_else(|| "?".into()),
            change: site.change.clone(),
            caught: users.iter().find_map(tries),
        };
        eprintln!("{} {}: {}", weakened.site, weakened.change, weakened.by());
        weakened
    });
    print(&weakened);
    if let Some(page) = board::leave_weakened(&weakened, desk) {
        say(format_args!("The board: {}", page.display()));
    }
    let caught = weakened.iter().filter(|site| site.caught.is_some()).count();
    let survived = weakened.len() - caught;
    say(format_args!(
        "{caught} weakenings caught, {survived} survived"
    ));
    if survived == 0 && caught > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One weakening, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weakened {
    site: String,
    source: String,
    change: String,
    caught: Option<Caught>,
}

impl Weakened {
    fn by(&self) -> &str {
        self.caught
            .as_ref()
            .map_or("NO MODEL", |caught| &caught.model)
    }
}

/// The model that noticed a weakening.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Caught {
    model: String,
    kind: FailureKind,
    preemptions: Option<usize>,
    /// Of all bounds, until it failed.
    executions: u64,
}

fn print(weakened: &[Weakened]) {
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
    for row in weakened {
        let how = match &row.caught {
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
            row.by().to_owned(),
        ];
        table.add_row(head.into_iter().chain(how));
    }
    say(format_args!("{}", table.trim_fmt()));
}

/// The sites that the options choose, each with the models that pass through it.
fn find_sites(models: &[&Model], options: &Options) -> BTreeMap<Site, Vec<String>> {
    let found = in_parallel(models, options.jobs, |model| {
        let arguments = [
            format!("--exec={}", model.name),
            "--sites".into(),
            "--preemptions=2".into(),
        ];
        let mut sites = Vec::new();
        run_child(&arguments, options.seconds, |report| {
            if let Report::Sites(found) = report {
                sites = found;
            }
        });
        (model.name.clone(), sites)
    });
    let ours = |site: &Site| match options.sites_in.as_slice() {
        [] => !source::is_foreign(&site.file),
        folders => folders.iter().any(|folder| site.file.starts_with(folder)),
    };
    let mut sites: BTreeMap<Site, Vec<String>> = BTreeMap::new();
    for (model, found) in found {
        for site in found.into_iter().filter(ours) {
            sites.entry(site).or_default().push(model.clone());
        }
    }
    sites
}

/// How the model failed with this site weakened, if it did.
fn try_weakened(model: &str, site: &Site, options: &Options) -> Option<Caught> {
    let arguments = [
        format!("--exec={model}"),
        format!("--weaken-site={}:{}:{}", site.file, site.line, site.change),
        format!("--seconds={}", options.sweep_seconds),
        format!("--sweep-seconds={}", options.sweep_seconds),
    ];
    let (mut failure, mut executions) = (None, 0);
    run_child(&arguments, options.sweep_seconds, |report| match report {
        Report::Explored(explored) => executions += explored.executions,
        Report::Failed(failed) => failure = Some(failed),
        Report::Sites(_) | Report::Observed(_) => {}
    });
    let failed: Failed = failure?;
    Some(Caught {
        model: model.to_owned(),
        kind: failed.failure.kind,
        preemptions: failed.preemptions,
        executions: executions + failed.failure.executions,
    })
}
