//! The table of complete runs in `docs/verification.md`: one row for each folder.
//!
//! The table is its own record: a run replaces the rows of its folders and keeps the other rows.

use crate::mutant::{Key, Mutant};
use crate::report::Counts;
use crate::run::Outcome;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The page that contains the table.
pub const PAGE: &str = "docs/verification.md";

const BEGIN: &str = "<!-- The rows until the end mark are written by `ci/mutants --report`. -->\n";
const END: &str = "<!-- end of the rows -->\n";
const COLUMNS: [&str; 10] = [
    "folder",
    "mutants",
    "do not compile",
    "exceptions",
    "tried",
    "noticed by models",
    "noticed by tests",
    "of these, by a limit",
    "survived",
    "commit",
];

/// The rows, by folder. Each row contains all cells after the first.
type Rows = BTreeMap<String, Vec<String>>;

/// What one run tells about the mutants that it selected.
pub struct Run<'a> {
    /// The mutants that do not compile.
    pub rejected: Vec<&'a Key>,
    /// The mutants with an exception.
    pub excepted: &'a HashSet<&'a Key>,
    /// The outcomes of the mutants that ran.
    pub outcomes: &'a [Outcome],
    /// The mutants that compile.
    pub mutants: &'a [Mutant],
    /// The commit that was run.
    pub commit: &'a str,
}

impl Run<'_> {
    /// Writes the rows of the folders whose mutants all ran into the page.
    pub fn write(&self, page: &Path) -> Result<(), Box<dyn Error>> {
        let text = fs::read_to_string(page)?;
        let (before, mut rows, after) = split(&text)?;
        rows.extend(self.rows());
        Ok(fs::write(page, [before, &render(&rows), after].concat())?)
    }

    fn rows(&self) -> Rows {
        let outcomes = self.outcomes.iter();
        let ran: HashSet<&Key> = outcomes.map(|outcome| &outcome.mutant.key).collect();
        let all = || self.mutants.iter().map(|mutant| &mutant.key);
        let is_missing = |key: &&Key| !ran.contains(key) && !self.excepted.contains(key);
        let incomplete: HashSet<&str> = all().filter(is_missing).map(folder_of).collect();
        let folders: BTreeSet<&str> = all().map(folder_of).collect();
        let complete = folders.into_iter();
        complete
            .filter(|folder| !incomplete.contains(folder))
            .map(|folder| (folder.to_owned(), self.row(folder)))
            .collect()
    }

    fn row(&self, folder: &str) -> Vec<String> {
        let is_inside = |key: &&&Key| folder_of(key) == folder;
        let rejected = self.rejected.iter().filter(is_inside).count();
        let excepted = self.excepted.iter().filter(is_inside).count();
        let mut counts = Counts::default();
        let outcomes = self.outcomes.iter();
        outcomes
            .filter(|outcome| folder_of(&outcome.mutant.key) == folder)
            .for_each(|outcome| counts.add(outcome));
        let numbers = [
            rejected + excepted + counts.tried,
            rejected,
            excepted,
            counts.tried,
            counts.by_models,
            counts.by_tests,
            counts.by_limits,
            counts.survived(),
        ];
        let numbers = numbers.iter().map(usize::to_string);
        numbers.chain([format!("`{}`", self.commit)]).collect()
    }
}

/// Returns the folder of a mutant's file.
fn folder_of(key: &Key) -> &str {
    key.file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Splits a page into the text before the table, the rows, and the text after the table.
fn split(page: &str) -> Result<(&str, Rows, &str), String> {
    let without_mark = || format!("{PAGE} has no marks around the table of mutants");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(without_mark)?;
    let (table, after) = rest.split_once(END).ok_or_else(without_mark)?;
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let folder = cells.next()?.trim_matches('`').to_owned();
        Some((folder, cells.map(str::to_owned).collect()))
    };
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    Ok((before, rows.filter_map(row).collect(), after))
}

/// Returns the table between its marks.
fn render(rows: &Rows) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(&COLUMNS.map(str::to_owned));
    table += &line(&COLUMNS.map(|_| "---".to_owned()));
    for (folder, cells) in rows {
        let cells = [vec![format!("`{folder}`")], cells.clone()].concat();
        table += &line(&cells);
    }
    format!("{BEGIN}\n{table}\n{END}")
}

/// Returns what is wrong with the table of the page.
pub fn check(page: &str) -> Result<(), String> {
    let (before, rows, after) = split(page)?;
    if [before, &render(&rows), after].concat() != page {
        return Err(format!("{PAGE}: the table of mutants is not as written"));
    }
    for (folder, cells) in &rows {
        let numbers: Option<Vec<usize>> = cells.iter().take(8).map(|it| it.parse().ok()).collect();
        let adds_up = numbers.is_some_and(|numbers| match numbers[..] {
            [
                all,
                rejected,
                excepted,
                tried,
                models,
                tests,
                limits,
                survived,
            ] => {
                all == rejected + excepted + tried
                    && tried == models + tests + survived
                    && limits <= models + tests
            }
            _ => false,
        });
        if !adds_up {
            return Err(format!("{PAGE}: the numbers of {folder} do not add up"));
        }
    }
    Ok(())
}

/// Returns the commit of the workspace, which must not have other changes.
pub fn commit(root: &Path) -> Result<String, Box<dyn Error>> {
    let git = |arguments: &[&str]| -> Result<String, Box<dyn Error>> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(root)
            .output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    };
    if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        return Err("--report names the commit, so commit the changes first".into());
    }
    git(&["rev-parse", "--short=10", "HEAD"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Change;

    fn key(file: &str) -> Key {
        Key {
            file: file.into(),
            function: "f".into(),
            change: Change::Delete,
            source: "g()".into(),
            occurrence: 0,
        }
    }

    fn outcome(file: &str, noticed_by: Option<&str>) -> Outcome {
        Outcome {
            mutant: Mutant {
                number: 1,
                line: 1,
                key: key(file),
            },
            noticed: noticed_by.map(|name| (name.into(), "Deadlock".into())),
            reached_by: 1,
        }
    }

    #[test]
    fn run_replaces_the_rows_of_its_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        let page = folder.path().join("page.md");
        let row = |name: &str| (name.to_owned(), vec!["0".to_owned(); 9]);
        let rows = Rows::from([row("src/a"), row("src/b")]);
        fs::write(&page, format!("Above.\n{}Below.\n", render(&rows))).expect("a file");
        let (file, rejected) = ("src/b/one.rs", key("src/b/two.rs"));
        let outcomes = [Some("model"), Some("tests/lock"), None].map(|it| outcome(file, it));
        let not_run = [outcome("src/a/one.rs", None).mutant];
        let mutants = outcomes.iter().map(|outcome| outcome.mutant.clone());
        let mutants: Vec<Mutant> = mutants.chain(not_run).collect();
        let run = Run {
            mutants: &mutants,
            rejected: vec![&rejected],
            excepted: &HashSet::new(),
            outcomes: &outcomes,
            commit: "abc",
        };
        run.write(&page).expect("the page has marks");
        let text = fs::read_to_string(&page).expect("a page");
        assert!(text.contains("| `src/a` | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |\n"));
        assert!(text.contains("| `src/b` | 4 | 1 | 0 | 3 | 1 | 1 | 0 | 1 | `abc` |\n"));
        assert!(text.starts_with("Above.\n") && text.ends_with("Below.\n"));
        assert_eq!(check(&text), Ok(()));
        assert!(check(&text.replace("| 4 | 1 |", "| 5 | 1 |")).is_err());
        assert!(check(&text.replace("| 4 | 1 |", "|4 | 1 |")).is_err());
    }
}
