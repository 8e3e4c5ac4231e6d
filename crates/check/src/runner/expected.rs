//! The calls that must be sites in a run of weakenings, and the weakenings that no model has to
//! notice.

use super::cli::Options;
use super::weaken::WeakeningResult;
use crate::engine::Site;
use serde::Deserialize;

/// The content of the file that `--expected` names.
#[derive(Debug, Default, Deserialize)]
pub struct Expected {
    /// Calls that at least one model must run.
    calls: Vec<Call>,
    /// Weakenings that break no promise, and calls that no model runs.
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Call {
    file: String,
    line: u32,
    /// Weakenings that the call must have.
    #[serde(default)]
    changes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(flatten)]
    site: Site,
    reason: String,
}

/// The change of an exception for a call that no model runs.
const UNREACHED: &str = "unreached";

impl Expected {
    /// Reads the file that the options name, if any.
    pub fn new(options: &Options) -> Result<Self, String> {
        let Some(file) = &options.expected else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let expected = text.and_then(|text| Self::parse(&text, &options.sites_in));
        expected.map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Parses the content of a file. Keeps only what is about source files whose paths begin with
    /// one of the folders.
    fn parse(text: &str, folders: &[String]) -> Result<Self, String> {
        let mut expected: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_inside = |file: &String| {
            folders.is_empty() || folders.iter().any(|folder| file.starts_with(folder))
        };
        expected.calls.retain(|call| is_inside(&call.file));
        let exceptions = &mut expected.exceptions;
        exceptions.retain(|exception| is_inside(&exception.site.file));
        Ok(expected)
    }

    /// Returns the reason why no model has to notice a weakening.
    pub fn reason(&self, site: &Site) -> Option<&str> {
        let found = self.exceptions.iter().find(|other| other.site == *site)?;
        Some(&found.reason)
    }

    /// Returns the sites that the calls must have and that are not among these sites.
    ///
    /// The result is empty if no file was given.
    pub fn missing(&self, sites: &[&Site]) -> Vec<Site> {
        let missing = self.calls.iter().flat_map(|call| call.missing(sites));
        missing.filter(|site| self.reason(site).is_none()).collect()
    }

    /// Describes each weakening that no model notices, each call that no model runs, each site that
    /// is no call of the list, and each exception that is not needed.
    pub fn problems(&self, weakenings: &[WeakeningResult]) -> Vec<String> {
        let sites: Vec<&Site> = weakenings.iter().map(|weakening| &weakening.site).collect();
        let survivors = weakenings.iter().filter(|weakening| {
            weakening.caught.is_none() && self.reason(&weakening.site).is_none()
        });
        let survivors =
            survivors.map(|weakening| problem(&weakening.site, "no model notices the weakening"));
        let missing = self.missing(&sites).into_iter();
        let missing = missing.map(|site| problem(&site, "no model runs this call"));
        let is_listed = |site: &Site| self.calls.iter().any(|call| call.is_at(site));
        let unlisted = sites
            .iter()
            .filter(|site| !self.calls.is_empty() && !is_listed(site));
        let unlisted = unlisted.map(|site| problem(site, "the list of calls lacks this site"));
        let stale = self
            .exceptions
            .iter()
            .filter_map(|Exception { site, .. }| Some(problem(site, &stale(site, weakenings)?)));
        survivors
            .chain(missing)
            .chain(unlisted)
            .chain(stale)
            .collect()
    }
}

impl Call {
    fn is_at(&self, site: &Site) -> bool {
        (&site.file, site.line) == (&self.file, self.line)
    }

    /// Returns the sites that the call must have and that are not among these sites.
    fn missing(&self, sites: &[&Site]) -> Vec<Site> {
        let site = |change: &str| Site {
            file: self.file.clone(),
            line: self.line,
            change: change.to_owned(),
        };
        if !sites.iter().any(|site| self.is_at(site)) {
            return vec![site(UNREACHED)];
        }
        let expected = self.changes.iter().map(|change| site(change));
        expected.filter(|site| !sites.contains(&site)).collect()
    }
}

fn problem(Site { file, line, change }: &Site, what: &str) -> String {
    format!("{file}:{line}: {change}: {what}")
}

/// Returns why an exception is not needed, or `None` if it is.
fn stale(site: &Site, weakenings: &[WeakeningResult]) -> Option<String> {
    if site.change == UNREACHED {
        let is_at = |other: &Site| (&other.file, other.line) == (&site.file, site.line);
        let is_reached = weakenings.iter().any(|weakening| is_at(&weakening.site));
        return is_reached.then(|| "this is an exception, and a model runs this call".into());
    }
    let found = weakenings.iter().find(|weakening| weakening.site == *site);
    match found.map(|weakening| &weakening.caught) {
        Some(Some(caught)) => Some(format!(
            "this is an exception, and {} notices the weakening",
            caught.model
        )),
        Some(None) => None,
        None => Some("this is an exception, and no model has this site".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;
    use crate::runner::weaken::Caught;

    const EXPECTED: &str = r#"{
        "calls": [
            {"file": "src/a.rs", "line": 1, "changes": ["wake-one"]},
            {"file": "src/a.rs", "line": 2},
            {"file": "src/b.rs", "line": 1}
        ],
        "exceptions": [
            {"file": "src/a.rs", "line": 1, "change": "wake-one", "reason": "one waiter"},
            {"file": "src/a.rs", "line": 2, "change": "unreached", "reason": "needs a pipe"}
        ]
    }"#;

    fn result(line: u32, change: &str, is_caught: bool) -> WeakeningResult {
        let caught = is_caught.then(|| Caught {
            model: "a_model".into(),
            kind: FailureKind::Deadlock,
            preemptions: Some(1),
            executions: 1,
        });
        let site = Site {
            file: "src/a.rs".into(),
            line,
            change: change.into(),
        };
        WeakeningResult {
            site,
            source: String::new(),
            caught,
            reason: None,
        }
    }

    fn problems(results: &[WeakeningResult]) -> Vec<String> {
        let expected = Expected::parse(EXPECTED, &["src/a".into()]).expect("valid JSON");
        expected.problems(results)
    }

    #[test]
    fn excepted_survivor_is_no_problem() {
        let results = [result(1, "drop-wake", true), result(1, "wake-one", false)];
        assert_eq!(problems(&results), [] as [&str; 0]);
    }

    #[test]
    fn survivor_without_exception_is_a_problem() {
        let results = [result(1, "drop-wake", false), result(1, "wake-one", false)];
        assert_eq!(
            problems(&results),
            ["src/a.rs:1: drop-wake: no model notices the weakening"]
        );
    }

    #[test]
    fn call_that_no_model_runs_is_a_problem() {
        assert_eq!(
            problems(&[]),
            [
                "src/a.rs:1: unreached: no model runs this call",
                "src/a.rs:1: wake-one: this is an exception, and no model has this site",
            ]
        );
    }

    #[test]
    fn site_that_the_list_lacks_is_a_problem() {
        let results = [result(1, "wake-one", false), result(3, "relax", true)];
        assert_eq!(
            problems(&results),
            ["src/a.rs:3: relax: the list of calls lacks this site"]
        );
        let no_file = Expected::default();
        assert_eq!(no_file.problems(&results[1..]), [] as [&str; 0]);
    }

    #[test]
    fn missing_change_is_a_problem() {
        let text = r#"{"calls": [{"file": "a", "line": 1, "changes": ["wake-one"]}],
            "exceptions": []}"#;
        let expected = Expected::parse(text, &[]).expect("valid JSON");
        let mut weakening = result(1, "drop-wake", true);
        weakening.site.file = "a".into();
        assert_eq!(
            expected.problems(&[weakening]),
            ["a:1: wake-one: no model runs this call"]
        );
    }

    #[test]
    fn exception_that_is_not_needed_is_a_problem() {
        let results = [result(1, "wake-one", true), result(2, "drop-wake", true)];
        assert_eq!(
            problems(&results),
            [
                "src/a.rs:1: wake-one: this is an exception, and a_model notices the weakening",
                "src/a.rs:2: unreached: this is an exception, and a model runs this call",
            ]
        );
    }
}
