//! The output folder of a run, and the command that starts the program.

use std::path::{Path, PathBuf};

/// The output folder of a run, and the command that starts the program.
pub struct Context {
    /// The folder for the HTML pages and the replay files.
    pub folder: PathBuf,
    /// The command prefix that starts this program. Reports print commands with this prefix.
    pub command: String,
}

impl Context {
    /// Returns the path of a model's file with this extension.
    pub fn path_for(&self, model: &str, extension: &str) -> PathBuf {
        let name = model.replace(|letter: char| !letter.is_alphanumeric(), "-");
        self.folder.join(name).with_extension(extension)
    }

    /// Creates the output folder. If this fails, prints a warning and returns `false`.
    pub fn create_folder(&self) -> bool {
        let created = std::fs::create_dir_all(&self.folder);
        if let Err(error) = &created {
            eprintln!("cannot create {}: {error}", self.folder.display());
        }
        created.is_ok()
    }

    /// Writes a file into the output folder. If this fails, prints a warning and returns `false`.
    pub fn write(&self, file: &Path, content: &str) -> bool {
        if !self.create_folder() {
            return false;
        }
        let written = std::fs::write(file, content);
        if let Err(error) = &written {
            eprintln!("cannot write {}: {error}", file.display());
        }
        written.is_ok()
    }
}
