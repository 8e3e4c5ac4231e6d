//! Tests of the engine, each in a child process of its own, before the models.

use super::child::text_of;
use super::children::{in_parallel, run_child};
use super::cli::Options;
use super::output::say;
use super::report::{Report, send};
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

/// A test of the engine: what it explores and what it does not, pinned.
pub struct Litmus {
    name: &'static str,
    run: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

impl Litmus {
    /// A test with a sentence for a name. It returns what was observed, or in what that differs
    /// from what is pinned.
    pub fn new(
        name: &'static str,
        run: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    /// The name by which it is chosen.
    pub(super) fn name(&self) -> String {
        format!("litmus/{}", self.name)
    }
}

/// What came of one of them: what was observed, or in what it differs from what is pinned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observed {
    name: String,
    result: Result<String, String>,
}

impl Observed {
    /// By which it is chosen.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is as pinned.
    pub fn is_good(&self) -> bool {
        self.result.is_ok()
    }
}

/// Runs them.
pub fn all(tests: &[&Litmus], options: &Options) -> Vec<Observed> {
    in_parallel(tests, options.jobs, |test| {
        let mut result = None;
        let arguments = [format!("--litmus={}", test.name)];
        let problem = run_child(&arguments, options.seconds, |report| {
            if let Report::Observed(observed) = report {
                result = Some(observed);
            }
        });
        let none = || Err(problem.unwrap_or("it reported nothing".into()));
        Observed {
            name: test.name(),
            result: result.unwrap_or_else(none),
        }
    })
}

/// In a child: runs one.
pub fn child(tests: &[Litmus], name: &str) -> ExitCode {
    let Some(test) = tests.iter().find(|test| test.name == name) else {
        eprintln!("no litmus test is called {name:?}");
        return ExitCode::FAILURE;
    };
    // Several of them want models to fail; what they say then is of no interest.
    std::panic::set_hook(Box::new(|_| ()));
    let run = std::panic::catch_unwind(AssertUnwindSafe(&test.run));
    send(&Report::Observed(run.unwrap_or_else(|thrown| {
        Err(format!("it panicked: {}", text_of(&*thrown)))
    })));
    ExitCode::SUCCESS
}

/// A table for a person.
pub fn print(observed: &[Observed]) {
    if observed.is_empty() {
        return;
    }
    say(format_args!(
        "Litmus tests of the engine: what it explores and what it does not, as pinned."
    ));
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["litmus test", "observed"]);
    for Observed { name, result } in observed {
        let text = result
            .clone()
            .unwrap_or_else(|difference| format!("FAILED: {difference}"));
        table.add_row([name, &text]);
    }
    say(format_args!("{}\n", table.trim_fmt()));
}

/// One object a line.
pub fn print_json(observed: &[Observed]) {
    for Observed { name, result } in observed {
        let (good, text) = (result.is_ok(), result.as_ref().unwrap_or_else(|text| text));
        say(format_args!(
            "{}",
            json!({ "litmus": name, "observed": text, "good": good })
        ));
    }
}
