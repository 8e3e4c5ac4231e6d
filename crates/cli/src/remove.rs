//! `interlatch rm NAME`.

use crate::failure::Failure;
use crate::output;
use crate::target::Target;
use crate::text::clean;
use serde::Serialize;

/// What was removed.
#[derive(Debug, Serialize)]
struct Removed {
    removed: String,
}

pub fn run(target: &Target, json: bool) -> Result<(), Failure> {
    let Target::Named(name) = target else {
        return Err(Failure::unnamed(target));
    };
    // Says what it is if it is no region.
    drop(
        target
            .attach()
            .map_err(|error| Failure::of(target, &error))?,
    );
    name.remove().map_err(|error| Failure::of(target, &error))?;
    let removed = name.to_string();
    output::print(&match json {
        true => output::document(&Removed { removed })?,
        false => format!("removed {}\n", clean(&removed)),
    })
}
