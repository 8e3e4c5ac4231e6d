//! The list that `ci/weaken` compares with the sites of the models.

use crate::calls::{self, Call, CallKey};
use crate::exceptions::Exception;
use crate::find::Found;
use crate::mutant::{Change, Key};
use crate::selection::Selection;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs;
use std::path::Path;

/// The calls that must be sites, and the weakenings that no model has to notice.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sites {
    calls: Vec<ExpectedCall>,
    exceptions: Vec<SiteException>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Line {
    file: String,
    line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ExpectedCall {
    #[serde(flatten)]
    line: Line,
    /// The names of weakenings that the call must have.
    changes: &'static [&'static str],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SiteException {
    #[serde(flatten)]
    line: Line,
    change: String,
    reason: String,
}

/// A group of weakenings that have the same reason, in a file of exceptions.
#[derive(Debug, Deserialize)]
pub struct Group {
    reason: String,
    sites: Vec<Excepted>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Excepted {
    /// The name of a weakening, or `unreached` if no model runs the call.
    change: String,
    #[serde(flatten)]
    call: CallKey,
}

/// Reads the exceptions in the selected files.
pub fn read(file: &Path, selection: &Selection) -> Result<Vec<Group>, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut groups: Vec<Group> = serde_json::from_str(&text)?;
    let is_inside = |site: &Excepted| selection.contains(&site.call.file);
    groups
        .iter_mut()
        .for_each(|group| group.sites.retain(is_inside));
    Ok(groups)
}

/// Lists the calls of the files, with the exceptions of both kinds.
///
/// # Errors
/// Fails if a file is not valid Rust, or if a group names a call that does not exist.
pub fn list(
    files: &[Found],
    mutants: &[Exception],
    groups: &[Group],
) -> Result<Sites, Box<dyn Error>> {
    let mut calls = Vec::new();
    for found in files {
        calls.extend(calls::find(&found.file, &found.text)?);
    }
    let mut exceptions = excepted_mutants(files, mutants, &calls);
    for group in groups {
        for site in &group.sites {
            let call = calls.iter().find(|call| call.key == site.call);
            let call = call.ok_or_else(|| {
                let site = serde_json::to_string(site).unwrap_or_default();
                format!("ci/weaken.json names a call that does not exist: {site}")
            })?;
            exceptions.push(SiteException {
                line: line_of(call),
                change: site.change.clone(),
                reason: group.reason.clone(),
            });
        }
    }
    let expected = |call: &Call| ExpectedCall {
        line: line_of(call),
        changes: match call.wakes_several {
            true => &["wake-one"],
            false => &[],
        },
    };
    let calls = calls.iter().map(expected).collect();
    Ok(Sites { calls, exceptions })
}

fn line_of(call: &Call) -> Line {
    Line {
        file: call.key.file.clone(),
        line: call.line,
    }
}

/// Returns the exceptions for weakenings that do the same as an excepted mutant.
fn excepted_mutants(files: &[Found], mutants: &[Exception], calls: &[Call]) -> Vec<SiteException> {
    let reason = |key: &Key| {
        let exception = mutants.iter().find(|group| group.mutants.contains(key))?;
        Some(exception.reason.clone())
    };
    let mutants = files.iter().flat_map(|found| &found.mutants);
    let exceptions = mutants.filter_map(|mutant| {
        let change = match mutant.key.change {
            Change::Delete => "drop-wake",
            Change::NotifyOne => "wake-one",
            _ => return None,
        };
        let is_at = |call: &&Call| call.key.file == mutant.key.file && call.line == mutant.line;
        let call = calls.iter().find(is_at)?;
        Some(SiteException {
            line: line_of(call),
            change: change.to_owned(),
            reason: reason(&mutant.key)?,
        })
    });
    exceptions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<Found> {
        let found = crate::find::find("src/f.rs", text.to_owned(), 1, &|_| false);
        vec![found.expect("valid source")]
    }

    fn exception(line: usize, change: &str) -> SiteException {
        SiteException {
            line: Line {
                file: "src/f.rs".into(),
                line,
            },
            change: change.into(),
            reason: "why".into(),
        }
    }

    const TEXT: &str = "fn f() {\n    a.notify_one();\n    a.notify_one();\n}";

    #[test]
    fn excepted_deletion_is_an_excepted_wake() {
        let files = files(TEXT);
        let is_second = |key: &&Key| key.change == Change::Delete && key.occurrence == 1;
        let keys = files[0].mutants.iter().map(|mutant| &mutant.key);
        let exceptions = [Exception {
            reason: "why".into(),
            mutants: keys.filter(is_second).cloned().collect(),
        }];
        let sites = list(&files, &exceptions, &[]).expect("no group");
        assert_eq!(sites.calls.len(), 2);
        assert_eq!(sites.exceptions, [exception(3, "drop-wake")]);
    }

    #[test]
    fn group_names_its_calls() {
        let group = |function: &str| {
            let text = format!(
                r#"[{{"reason": "why", "sites": [{{"change": "unreached", "file": "src/f.rs",
                    "function": "{function}", "source": "a.notify_one()", "occurrence": 1}}]}}]"#
            );
            serde_json::from_str::<Vec<Group>>(&text).expect("valid JSON")
        };
        let sites = list(&files(TEXT), &[], &group("f")).expect("the call exists");
        assert_eq!(sites.exceptions, [exception(3, "unreached")]);
        let error = list(&files(TEXT), &[], &group("g")).expect_err("no function `g` exists");
        assert!(error.to_string().contains("does not exist"), "{error}");
    }
}
