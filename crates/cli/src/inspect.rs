//! `interlatch inspect NAME`.

use crate::discovery;
use crate::error::CliError;
use crate::format::{escape, format_age, truncate};
use crate::ls::{attached, inaccessible_note};
use crate::output;
use crate::report::RegionReport;
use crate::target::Target;

pub fn run(target: &Target, json: bool) -> Result<(), CliError> {
    output::print(&render(target, json)?)
}

/// Returns the output for a region. The output ends with a line feed.
pub fn render(target: &Target, json: bool) -> Result<String, CliError> {
    let attachments = discovery::scan_attachments()?;
    let report = discovery::find_region(target)?.report(&attachments, true);
    match json {
        true => output::document(&report),
        false => Ok(text(&report)),
    }
}

fn text(region: &RegionReport) -> String {
    let alive = match region.creator_alive {
        Some(true) => "alive",
        Some(false) => "ended",
        None => "in another PID namespace",
    };
    let created = region.age.map_or("in the future".into(), |seconds| {
        format!("{} ago", format_age(seconds))
    });
    let owner = region
        .owner
        .map_or("unknown".into(), |owner| format!("user {owner}"));
    let mode = region.mode.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "{}: {}\n  size      {} bytes\n  owner     {owner}, mode {mode}\n  created   by process {} ({alive}), {created}, in {}\n  attached  {}\n",
        escape(&region.name),
        region.state,
        region.size,
        region.creator,
        region.namespace,
        attached(region),
    );
    text += &inaccessible_note(region.inaccessible_processes);
    if !region.objects.is_empty() {
        text += "\n";
        text += &objects(region);
    }
    text
}

fn objects(region: &RegionReport) -> String {
    const TYPE: usize = 40;
    let mut table = output::table(&["OBJECT", "TYPE", "BYTES", "STATE"]);
    for object in &region.objects {
        let state = object.state.as_ref();
        table.add_row([
            escape(&object.name),
            truncate(&escape(&object.type_name), TYPE),
            object.size.to_string(),
            state.map_or(String::new(), |state| state.to_string()),
        ]);
    }
    output::lines(&table)
}
