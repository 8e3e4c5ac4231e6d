//! Which files are mutated.

use clap::Args;

/// Folders and files, as prefixes of paths.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Folders and files to mutate, as prefixes of paths.
    #[arg(long = "in", default_values = ["src/sync/", "src/channel/", "src/region/directory/"])]
    folders: Vec<String>,

    /// Folders and files not to mutate, as prefixes of paths.
    #[arg(long = "not-in")]
    left_out: Vec<String>,
}

impl Selection {
    /// Returns whether the file with this path, relative to the root of the workspace, is mutated.
    pub fn contains(&self, file: &str) -> bool {
        let begins = |prefixes: &[String]| prefixes.iter().any(|prefix| file.starts_with(prefix));
        begins(&self.folders) && !begins(&self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_folder_is_not_selected() {
        let selection = Selection {
            folders: vec!["src/channel/".into()],
            left_out: vec!["src/channel/ring/".into()],
        };
        assert!(selection.contains("src/channel/bounded.rs"));
        assert!(!selection.contains("src/channel/ring/end.rs"));
        assert!(!selection.contains("src/sync/mutex.rs"));
    }
}
