//! Reads the source files that contain sites (source lines that can be weakened).

use std::path::Path;

/// Reads a source file whose path was recorded by the compiler.
///
/// The recorded path is relative to the root of the workspace. The root is the current directory or
/// one of its ancestors.
pub fn text(file: &str) -> Option<String> {
    let current = std::env::current_dir().ok()?;
    let mut paths = current.ancestors().map(|folder| folder.join(file));
    paths.find_map(|path| std::fs::read_to_string(path).ok())
}

/// Returns one line of a source file, without indentation.
pub fn line(file: &str, number: u32) -> Option<String> {
    let text = text(file)?;
    let line = text.lines().nth((number as usize).checked_sub(1)?)?;
    Some(line.trim().to_owned())
}

/// Splits a source position of the form `FILE:LINE` into its file and line.
pub fn split(site: &str) -> (&str, u32) {
    let (file, line) = site.rsplit_once(':').unwrap_or((site, ""));
    (file, line.parse().unwrap_or(0))
}

/// Returns whether a file belongs to a package outside the workspace. The compiler records an
/// absolute path for such a file.
pub fn is_foreign(file: &str) -> bool {
    Path::new(file).is_absolute()
}
