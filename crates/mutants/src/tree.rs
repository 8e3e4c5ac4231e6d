//! A copy of the workspace in which every mutant has a switch.

use crate::edit::{mutants_at, render};
use crate::find::{Found, find};
use crate::mutant::{Key, Mutant};
use crate::selection::Selection;
use serde_json::Value;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Reads the active mutant from the environment. The copy of the crate contains this module, and
/// the constant `MUTANTS` that it uses.
const SWITCH: &str = include_str!("switch.rs");

/// Returns the mutants of the selected files.
pub fn mutants(root: &Path, selection: &Selection) -> Result<Vec<Found>, Box<dyn Error>> {
    find_all(root, selection, &|_| false)
}

fn find_all(
    root: &Path,
    selection: &Selection,
    left_out: &dyn Fn(&Key) -> bool,
) -> Result<Vec<Found>, Box<dyn Error>> {
    let mut all: Vec<Found> = Vec::new();
    for file in tracked_files(root)? {
        if file.ends_with(".rs") && selection.contains(&file) {
            let text = fs::read_to_string(root.join(&file))?;
            let first = 1 + all.iter().map(|found| found.mutants.len()).sum::<usize>();
            let found = find(&file, text, first, left_out);
            all.push(found.map_err(|error| format!("{file}: {error}"))?);
        }
    }
    Ok(all)
}

/// Returns the files of the workspace that git tracks, relative to its root.
fn tracked_files(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut git = Command::new("git");
    let output = git.args(["ls-files", "-z"]).current_dir(root).output()?;
    if !output.status.success() {
        return Err("git ls-files failed: run this in a clone of the repository".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut files: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    files.sort();
    Ok(files)
}

/// A copy of the workspace with switches, which compiles.
pub struct Tree {
    /// The root of the copy.
    pub root: PathBuf,
    /// The mutants that have a switch.
    pub mutants: Vec<Mutant>,
    /// The mutants that do not compile.
    pub rejected: BTreeSet<Key>,
}

impl Tree {
    /// Copies the workspace, adds the switches, and removes mutants until the copy compiles.
    pub fn new(from: &Path, to: &Path, selection: &Selection) -> Result<Self, Box<dyn Error>> {
        let all = mutants(from, selection)?;
        let count: usize = all.iter().map(|found| found.mutants.len()).sum();
        for file in tracked_files(from)? {
            if !selection.contains(&file) {
                let mut text = fs::read(from.join(&file))?;
                if file == "src/lib.rs" {
                    text.extend(SWITCH.bytes());
                    // The numbers of the mutants begin at 1.
                    text.extend(format!("const MUTANTS: usize = {};\n", count + 1).bytes());
                }
                write_if_changed(&to.join(&file), &text)?;
            }
        }
        let mut rejected: BTreeSet<Key> = BTreeSet::new();
        loop {
            let found = find_all(from, selection, &|key| rejected.contains(key))?;
            for file in &found {
                let text = render(&file.text, 0..file.text.len(), &file.edits);
                write_if_changed(&to.join(&file.file), text.as_bytes())?;
            }
            let mutants: Vec<Mutant> = found.into_iter().flat_map(|file| file.mutants).collect();
            let faulty = faulty_mutants(to, &mutants)?;
            if faulty.is_empty() {
                return Ok(Self {
                    root: to.to_owned(),
                    mutants,
                    rejected,
                });
            }
            eprintln!("{} mutants do not compile", faulty.len());
            rejected.extend(faulty);
        }
    }
}

fn write_if_changed(file: &Path, text: &[u8]) -> io::Result<()> {
    if fs::read(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

/// Compiles the library for the models and for programs. Returns the mutants with errors.
fn faulty_mutants(root: &Path, mutants: &[Mutant]) -> Result<Vec<Key>, Box<dyn Error>> {
    for flags in ["--cfg loom", ""] {
        let mut cargo = Command::new("cargo");
        cargo.args([
            "check",
            "--package=interlatch",
            "--lib",
            "--message-format=json",
            "--quiet",
        ]);
        cargo.env("RUSTFLAGS", format!("{flags} --cap-lints=allow"));
        let output = cargo.current_dir(root).output()?;
        let messages = String::from_utf8_lossy(&output.stdout);
        let mut faulty = BTreeSet::new();
        for message in messages.lines() {
            faulty.extend(faulty_in_message(root, &serde_json::from_str(message)?));
        }
        if !output.status.success() && faulty.is_empty() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(
                format!("the copy does not compile, with no mutant at fault: {text}").into(),
            );
        }
        if !faulty.is_empty() {
            let is_faulty = |mutant: &&Mutant| faulty.contains(&mutant.number);
            let faulty = mutants.iter().filter(is_faulty);
            return Ok(faulty.map(|mutant| mutant.key.clone()).collect());
        }
    }
    Ok(Vec::new())
}

/// Returns the numbers of the mutants to which an error of the compiler belongs.
fn faulty_in_message(root: &Path, message: &Value) -> Vec<usize> {
    let message = &message["message"];
    if message["level"] != "error" {
        return Vec::new();
    }
    let spans = message["spans"].as_array().into_iter().flatten();
    let (primary, others): (Vec<&Value>, Vec<&Value>) =
        spans.partition(|span| span["is_primary"] == true);
    let mutants_of = |spans: &[&Value]| -> Vec<usize> {
        let mutants = spans.iter().filter_map(|span| {
            let text = fs::read_to_string(root.join(span["file_name"].as_str()?)).ok()?;
            let position = usize::try_from(span["byte_start"].as_u64()?).ok()?;
            culprit(&mutants_at(&text, position))
        });
        mutants.collect()
    };
    // An error may be at the use of a variable that a mutant does not assign.
    match mutants_of(&primary) {
        mutants if mutants.is_empty() => mutants_of(&others),
        mutants => mutants,
    }
}

/// Returns which of the mutants around an error, the innermost first, caused it.
///
/// The text of an exchange contains its statements in the old order, within the marks of all its
/// mutants, and in a new order for each mutant, within a second mark of that mutant.
fn culprit(around: &[usize]) -> Option<usize> {
    let innermost = around.first();
    let is_twice = |mutant: &&usize| around.iter().filter(|other| other == mutant).count() > 1;
    around.iter().find(is_twice).or(innermost).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Change;

    #[test]
    fn error_in_the_new_order_belongs_to_the_exchange() {
        assert_eq!(culprit(&[3, 1, 2, 1]), Some(1));
        assert_eq!(culprit(&[3, 1, 2]), Some(3));
        assert_eq!(culprit(&[]), None);
    }

    #[test]
    fn keys_of_a_file_are_distinct() {
        let text = "fn f() { a(); a(); }".to_owned();
        let found = find("src/f.rs", text, 1, &|_| false).expect("valid source");
        let deleted = |mutant: &&Mutant| mutant.key.change == Change::Delete;
        let keys: Vec<_> = found.mutants.iter().filter(deleted).collect();
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0].key, keys[1].key);
    }
}
