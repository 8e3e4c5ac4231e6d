//! Where a run leaves its files, and how a person starts it.

use std::path::{Path, PathBuf};

/// Where a run leaves its files, and how a person starts it.
pub struct Desk {
    /// The folder of the pages and of what replays an execution.
    pub folder: PathBuf,
    /// What a command begins with.
    pub command: String,
}

impl Desk {
    /// Where what belongs to this model is left.
    pub fn file_of(&self, model: &str, extension: &str) -> PathBuf {
        let name = model.replace(|letter: char| !letter.is_alphanumeric(), "-");
        self.folder.join(name).with_extension(extension)
    }

    /// Makes the folder if it is not there; a warning, if that fails.
    pub fn make_folder(&self) -> bool {
        let made = std::fs::create_dir_all(&self.folder);
        if let Err(error) = &made {
            eprintln!("cannot make {}: {error}", self.folder.display());
        }
        made.is_ok()
    }

    /// Leaves a file in the folder; a warning, if that fails.
    pub fn leave(&self, file: &Path, content: &str) -> bool {
        if !self.make_folder() {
            return false;
        }
        let left = std::fs::write(file, content);
        if let Err(error) = &left {
            eprintln!("cannot write {}: {error}", file.display());
        }
        left.is_ok()
    }
}
