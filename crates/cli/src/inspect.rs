//! `interlatch inspect NAME`.

use crate::failure::Failure;
use crate::find;
use crate::ls::{unseen, who};
use crate::output;
use crate::report::RegionReport;
use crate::target::Target;
use crate::text::{age, clean, shorten};

pub fn run(target: &Target, json: bool) -> Result<(), Failure> {
    output::print(&look(target, json)?)
}

/// What there is to say, with a line feed at the end.
pub fn look(target: &Target, json: bool) -> Result<String, Failure> {
    let attachments = find::attachments()?;
    let report = find::one(target)?.report(&attachments, true);
    match json {
        true => output::document(&report),
        false => Ok(text(&report)),
    }
}

fn text(region: &RegionReport) -> String {
    let lives = match region.creator_lives {
        Some(true) => "which lives",
        Some(false) => "which has ended",
        None => "of another pid namespace",
    };
    let ago = region.age.map_or("at no possible time".into(), |seconds| {
        format!("{} ago", age(seconds))
    });
    let mut text = format!(
        "{}: {}\n  size      {} bytes\n  made      by process {}, {lives}, {ago}, in {}\n  attached  {}\n",
        clean(&region.name),
        region.state,
        region.size,
        region.creator,
        region.namespace,
        who(region),
    );
    text += &unseen(region.unseen_processes);
    if !region.objects.is_empty() {
        text += "\n";
        text += &objects(region);
    }
    text
}

fn objects(region: &RegionReport) -> String {
    const TYPE: usize = 40;
    let mut table = output::table(&["OBJECT", "TYPE", "BYTES", "NOW"]);
    for object in &region.objects {
        let state = object.state.as_ref();
        table.add_row([
            clean(&object.name),
            shorten(&clean(&object.type_name), TYPE),
            object.size.to_string(),
            state.map_or(String::new(), |state| state.to_string()),
        ]);
    }
    output::lines(&table)
}
