//! The list of mutants that change no promise, with reasons.

use crate::mutant::{Key, Mutant};
use crate::selection::Selection;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::Path;

/// A group of mutants that change no promise for one reason.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exception {
    /// Why no promise changes.
    pub reason: String,
    /// The mutants.
    pub mutants: Vec<Key>,
}

/// Reads the exceptions in the selected files.
pub fn read(file: &Path, selection: &Selection) -> Result<Vec<Exception>, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut exceptions: Vec<Exception> = serde_json::from_str(&text)?;
    for exception in &mut exceptions {
        exception
            .mutants
            .retain(|key| selection.contains(&key.file));
    }
    Ok(exceptions)
}

/// Returns the keys of the list that no mutant has.
pub fn stale<'a>(exceptions: &'a [Exception], mutants: &[Mutant]) -> Vec<&'a Key> {
    let current: HashSet<&Key> = mutants.iter().map(|mutant| &mutant.key).collect();
    let all = exceptions.iter().flat_map(|exception| &exception.mutants);
    all.filter(|key| !current.contains(key)).collect()
}
