//! Litmus tests of the engine. Each test runs in its own child process, before the models run.

use super::child::panic_message;
use super::children::{in_parallel, run_child};
use super::cli::Options;
use super::output::print_line;
use super::report::{Report, send};
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

/// A litmus test, which compares the executions that the engine explores with a pinned (expected)
/// result.
pub struct Litmus {
    name: &'static str,
    run: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

impl Litmus {
    /// Creates a litmus test.
    ///
    /// `run` returns a description of the observed result. If this result differs from the pinned
    /// (expected) result, `run` returns an error that describes the difference.
    pub fn new(
        name: &'static str,
        run: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    /// Returns the name of the test, which the filters select by.
    pub(super) fn name(&self) -> String {
        format!("litmus/{}", self.name)
    }
}

/// The result of a litmus test: a description, or the difference from the pinned (expected) result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LitmusResult {
    name: String,
    result: Result<String, String>,
}

impl LitmusResult {
    /// Returns the name of the test, which the filters select by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the observed result equals the pinned (expected) result.
    pub fn passed(&self) -> bool {
        self.result.is_ok()
    }
}

/// Runs all given litmus tests in child processes.
pub fn all(tests: &[&Litmus], options: &Options) -> Vec<LitmusResult> {
    in_parallel(tests, options.jobs, |test| {
        let mut result = None;
        let arguments = [format!("--litmus={}", test.name)];
        let problem = run_child(&arguments, options.seconds, |report| {
            if let Report::Litmus(observed) = report {
                result = Some(observed);
            }
        });
        let none = || Err(problem.unwrap_or("the test reported nothing".into()));
        LitmusResult {
            name: test.name(),
            result: result.unwrap_or_else(none),
        }
    })
}

/// Runs one litmus test in this process.
pub fn child(tests: &[Litmus], name: &str) -> ExitCode {
    let Some(test) = tests.iter().find(|test| test.name == name) else {
        eprintln!("no litmus test has the name {name:?}");
        return ExitCode::FAILURE;
    };
    // Several litmus tests run models that fail as expected. The panic messages of these models
    // would confuse the reader.
    std::panic::set_hook(Box::new(|_| ()));
    let run = std::panic::catch_unwind(AssertUnwindSafe(&test.run));
    send(&Report::Litmus(run.unwrap_or_else(|payload| {
        Err(format!("the test panicked: {}", panic_message(&*payload)))
    })));
    ExitCode::SUCCESS
}

/// Prints the results of the litmus tests as a table.
pub fn print(results: &[LitmusResult]) {
    if results.is_empty() {
        return;
    }
    print_line(format_args!(
        "Litmus tests of the engine: what it explores and what it misses."
    ));
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["litmus test", "observed"]);
    for LitmusResult { name, result } in results {
        let text = result
            .clone()
            .unwrap_or_else(|difference| format!("FAILED: {difference}"));
        table.add_row([name, &text]);
    }
    print_line(format_args!("{}\n", table.trim_fmt()));
}

/// Prints the results of the litmus tests as JSON, one object per line.
pub fn print_json(results: &[LitmusResult]) {
    for LitmusResult { name, result } in results {
        let (passed, text) = (result.is_ok(), result.as_ref().unwrap_or_else(|text| text));
        print_line(format_args!(
            "{}",
            json!({ "litmus": name, "observed": text, "passed": passed })
        ));
    }
}
