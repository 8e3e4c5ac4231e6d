//! `interlatch ls`.

use crate::failure::Failure;
use crate::find::{self, Found, Unreadable};
use crate::output;
use crate::report::{RegionReport, Subject};
use crate::text::{age, clean, pids, shorten};
use serde::Serialize;
use std::path::PathBuf;

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Listing {
    regions: Vec<RegionReport>,
    /// What may be a region, and could not be read.
    unreadable: Vec<Unreadable>,
    /// How many processes could not be looked at.
    unseen_processes: usize,
}

pub fn run(directories: &[PathBuf], json: bool) -> Result<(), Failure> {
    let attachments = find::attachments()?;
    let mut found = Found::named(directories)?;
    found.add_mapped(&attachments);
    let report = |subject: &Subject| subject.report(&attachments, false);
    let listing = Listing {
        regions: found.subjects.iter().map(report).collect(),
        unreadable: found.unreadable,
        unseen_processes: attachments.unseen,
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
            text += &format!("{}: {reason}\n", clean(name));
        }
        text + &unseen(self.unseen_processes)
    }
}

/// A line about them, if there are any.
pub fn unseen(processes: usize) -> String {
    match processes {
        0 => String::new(),
        1 => "1 process could not be looked at, and may have more attached\n".into(),
        many => format!("{many} processes could not be looked at, and may have more attached\n"),
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
        count => format!("{count}: {}", shorten(&clean(&names.join(", ")), NAMES)),
    };
    [
        clean(&region.name),
        region.kind.to_owned(),
        objects,
        region.size.to_string(),
        who(region),
        region.age.map_or("?".into(), age),
        region.state.to_owned(),
    ]
}

/// Who has it attached.
pub fn who(region: &RegionReport) -> String {
    match (region.mappings, &region.attached[..]) {
        (Some(mappings @ 1..), []) => format!("{mappings} mappings"),
        (_, []) => "-".into(),
        (_, attached) => pids(attached),
    }
}
