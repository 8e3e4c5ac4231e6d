//! The source files that sites are in.

use std::path::Path;

/// The text of a file that the compiler has named. Such a path is relative to the folder in which
/// cargo was started for the workspace: this one, or one above it.
pub fn text(file: &str) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    let mut places = here.ancestors().map(|folder| folder.join(file));
    places.find_map(|place| std::fs::read_to_string(place).ok())
}

/// A line of it, without indentation.
pub fn line(file: &str, number: u32) -> Option<String> {
    let text = text(file)?;
    let line = text.lines().nth((number as usize).checked_sub(1)?)?;
    Some(line.trim().to_owned())
}

/// File and line of a site, `FILE:LINE`.
pub fn split(site: &str) -> (&str, u32) {
    let (file, line) = site.rsplit_once(':').unwrap_or((site, ""));
    (file, line.parse().unwrap_or(0))
}

/// Whether the file belongs to another package: its path begins at the root.
pub fn is_foreign(file: &str) -> bool {
    Path::new(file).is_absolute()
}
