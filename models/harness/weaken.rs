//! Every line earns its place: weakens one site at a time and asks the models whether they notice.

use super::cli::Options;
use super::report::{Report, Site};
use super::run::run_child;
use comfy_table::Table;
use interlatch::check::{Expectation, Model};
use std::collections::BTreeMap;
use std::process::ExitCode;

#[cfg(loom)]
mod world {
    use super::super::report::{Report, Site, send};
    use interlatch::platform::model::weakening::{self, Change, Weakening};
    use interlatch::platform::model::world::{self, SiteKind};

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
        match name {
            "relax" => Some(Change::Relax),
            "drop-wake" => Some(Change::DropWake),
            "wake-one" => Some(Change::WakeOne),
            _ => None,
        }
    }

    pub fn report_sites() {
        let sites = world::findings()
            .sites
            .into_iter()
            .map(|(file, line, kind)| Site {
                file,
                line,
                changes: match kind {
                    SiteKind::Ordering(_) => vec!["relax".into()],
                    SiteKind::Wake { all: false } => vec!["drop-wake".into()],
                    SiteKind::Wake { all: true } => vec!["drop-wake".into(), "wake-one".into()],
                },
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
pub fn main(models: &[&Model], options: &Options) -> ExitCode {
    let sound: Vec<&Model> = models
        .iter()
        .copied()
        .filter(|model| model.expectation == Expectation::Holds)
        .collect();
    let sites = find_sites(&sound);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "site",
        "source",
        "weakening",
        "caught by",
        "as",
        "preemptions",
    ]);
    let (mut caught, mut survived) = (0, 0);
    for (site, users) in &sites {
        for change in &site.changes {
            let place = format!("{}:{}", site.file, site.line);
            let found = users.iter().find_map(|model| {
                try_weakened(model, &format!("{place}:{change}"), options).map(|how| (model, how))
            });
            let row = match found {
                Some((model, (kind, preemptions))) => {
                    caught += 1;
                    [model.clone(), kind, preemptions]
                }
                None => {
                    survived += 1;
                    ["NO MODEL".into(), "-".into(), "-".into()]
                }
            };
            eprintln!("{place} {change}: {}", row[0]);
            let head = [place, source_line(site), change.clone()];
            table.add_row(head.into_iter().chain(row));
        }
    }
    println!("{}", table.trim_fmt());
    println!("{caught} weakenings caught, {survived} survived");
    if survived == 0 && caught > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The sites of `src/sync` and `src/buffer`, each with the models that pass through it.
fn find_sites(models: &[&Model]) -> BTreeMap<Site, Vec<String>> {
    let mut sites: BTreeMap<Site, Vec<String>> = BTreeMap::new();
    for model in models {
        let arguments = [
            format!("--exec={}", model.name),
            "--sites".into(),
            "--preemptions=2".into(),
        ];
        run_child(&arguments, 30, |report| {
            let Report::Sites(found) = report else { return };
            let ours =
                |site: &Site| site.file.contains("src/sync/") || site.file.contains("src/buffer/");
            for site in found.into_iter().filter(ours) {
                sites.entry(site).or_default().push(model.name.clone());
            }
        });
    }
    sites
}

/// How the model failed with this site weakened, and with how many preemptions.
fn try_weakened(model: &str, weakened: &str, options: &Options) -> Option<(String, String)> {
    let arguments = [
        format!("--exec={model}"),
        format!("--weaken-site={weakened}"),
        format!("--seconds={}", options.sweep_seconds),
        format!("--sweep-seconds={}", options.sweep_seconds),
    ];
    let mut failure = None;
    run_child(&arguments, options.sweep_seconds, |report| {
        if let Report::Failed(failed) = report {
            let preemptions = failed
                .preemptions
                .map_or("any".into(), |bound| bound.to_string());
            failure = Some((failed.kind, preemptions));
        }
    });
    failure
}

fn source_line(site: &Site) -> String {
    let text = std::fs::read_to_string(&site.file).unwrap_or_default();
    let line = text.lines().nth(site.line as usize - 1).unwrap_or("?");
    line.trim().chars().take(60).collect()
}
