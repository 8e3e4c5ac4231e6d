//! `interlatch rm NAME`.

use crate::error::CliError;
use crate::format::escape;
use crate::output;
use crate::target::Target;
use interlatch::RegionError;
use serde::Serialize;

/// The document of `rm --json`.
#[derive(Debug, Serialize)]
struct Removed {
    removed: String,
}

pub fn run(target: &Target, json: bool) -> Result<(), CliError> {
    let Target::Named(name) = target else {
        return Err(CliError::unnamed(target));
    };
    // Attaching reports the error if the target is not a region. A region of another version can be
    // removed, although this program cannot read it.
    match target.attach() {
        Ok(_) | Err(RegionError::OtherVersion { .. }) => {}
        Err(error) => return Err(CliError::from_region(target, &error)),
    }
    name.remove()
        .map_err(|error| CliError::from_region(target, &error))?;
    let removed = name.to_string();
    output::print(&match json {
        true => output::document(&Removed { removed })?,
        false => format!("removed {}\n", escape(&removed)),
    })
}
