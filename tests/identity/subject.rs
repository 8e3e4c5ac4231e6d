//! A row of the matrix: a type, and what its owner, the copies and other processes do with it.

use super::owner::Owner;
use interlatch::{Region, RegionName};
use std::time::Duration;

/// What a process found, or what it should have found.
pub type Found = Result<String, String>;

/// A row of the matrix.
pub struct Subject {
    /// The type and the thing that the owner takes.
    pub name: &'static str,
    /// Creates the object, in the process of the test.
    pub prepare: fn(&Scene<'_>),
    /// Takes the thing and passes it to [`Owner::copy`].
    pub own: fn(&Scene<'_>, &Owner),
    /// What another process sees while the owner has the thing.
    pub look: fn(&Scene<'_>) -> Found,
    /// What another process finds after the owner was killed.
    pub after_death: fn(&Scene<'_>) -> Found,
    /// What an assistant, another process, does meanwhile.
    pub assist: Option<fn(&Scene<'_>)>,
}

/// The memory and the name that the processes of a cell share.
pub struct Scene<'a> {
    pub region: &'a Region,
    pub name: &'a RegionName,
    /// The timeout of each wait.
    pub timeout: Duration,
}

/// Returns what was found if `holds`, and fails otherwise.
pub fn found(holds: bool, text: &str) -> Found {
    match holds {
        true => Ok(text.to_owned()),
        false => Err(format!("not so: {text}")),
    }
}
