//! `interlatch ls`.

use crate::discovery::{self, Discovery, Unreadable};
use crate::error::CliError;
use crate::format::{escape, format_age, format_pids, truncate};
use crate::output;
use crate::report::{RegionReport, Subject};
use serde::Serialize;
use std::path::PathBuf;

/// The document of `ls --json`.
#[derive(Debug, Serialize)]
struct Listing {
    regions: Vec<RegionReport>,
    /// Objects that may be regions but cannot be read.
    unreadable: Vec<Unreadable>,
    /// The number of processes that could not be inspected.
    inaccessible_processes: usize,
}

pub fn run(directories: &[PathBuf], json: bool) -> Result<(), CliError> {
    let attachments = discovery::scan_attachments()?;
    let mut found = Discovery::named(directories)?;
    found.add_mapped(&attachments);
    let report = |subject: &Subject| subject.report(&attachments, false);
    let listing = Listing {
        regions: found.subjects.iter().map(report).collect(),
        unreadable: found.unreadable,
        inaccessible_processes: attachments.inaccessible,
    };
    output::print(&match json {
        true => output::document(&listing)?,
        false => listing.text(),
    })
}

impl Listing {
    fn text(&self) -> String {
        let heads = [
            "NAME", "KIND", "OBJECTS", "SIZE", "ATTACHED", "AGE", "STATE",
        ];
        let mut table = output::table(&heads);
        for region in &self.regions {
            table.add_row(row(region));
        }
        let mut text = output::lines(&table);
        for Unreadable { name, reason } in &self.unreadable {
            text += &format!("{}: {reason}\n", escape(name));
        }
        text + &inaccessible_note(self.inaccessible_processes)
    }
}

/// Returns a line about inaccessible processes, if there are any.
pub fn inaccessible_note(processes: usize) -> String {
    match processes {
        0 => String::new(),
        1 => "1 process could not be inspected and may have regions attached\n".into(),
        many => format!("{many} processes could not be inspected and may have regions attached\n"),
    }
}

fn row(region: &RegionReport) -> [String; 7] {
    const NAMES: usize = 32;
    let names: Vec<&str> = region
        .objects
        .iter()
        .map(|object| &object.name[..])
        .collect();
    let objects = match names.len() {
        0 => "0".to_owned(),
        count => format!("{count}: {}", truncate(&escape(&names.join(", ")), NAMES)),
    };
    [
        escape(&region.name),
        region.kind.to_owned(),
        objects,
        region.size.to_string(),
        attached(region),
        region.age.map_or("?".into(), format_age),
        region.state.to_owned(),
    ]
}

/// Returns the processes that have the region attached.
pub fn attached(region: &RegionReport) -> String {
    match (region.mappings, &region.attached[..]) {
        (Some(mappings @ 1..), []) => format!("{mappings} mappings"),
        (_, []) => "-".into(),
        (_, attached) => format_pids(attached),
    }
}
