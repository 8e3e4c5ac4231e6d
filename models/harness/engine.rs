//! The litmus tests of the engine, each in a child process of its own, before the models.

use super::cli::Options;
use super::report::{Failed, Report, send};
use super::run::{in_parallel, run_child};
use crate::litmus::{self, Litmus};
use comfy_table::Table;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

/// What came of one of them: what was observed, or in what it differs from what is pinned.
pub struct Observed {
    name: String,
    result: Result<String, String>,
}

impl Observed {
    /// Whether it is as pinned.
    pub fn is_good(&self) -> bool {
        self.result.is_ok()
    }
}

/// Those that the options choose.
pub fn chosen(options: &Options) -> Vec<Litmus> {
    let chooses = |test: &Litmus| options.chooses(&name(test));
    litmus::all().into_iter().filter(chooses).collect()
}

/// The name by which one is chosen.
pub fn name(test: &Litmus) -> String {
    format!("litmus/{}", test.name)
}

/// Runs them.
pub fn all(tests: &[Litmus], options: &Options) -> Vec<Observed> {
    in_parallel(tests, options.jobs, |test| {
        let mut result = None;
        let problem = run_child(
            &[format!("--litmus={}", test.name)],
            options.seconds,
            |report| match report {
                Report::Observed(observation) => result = Some(Ok(observation)),
                Report::Failed(failed) => result = Some(Err(failed.message)),
                _ => {}
            },
        );
        let none = || Err(problem.unwrap_or("it reported nothing".into()));
        Observed {
            name: name(test),
            result: result.unwrap_or_else(none),
        }
    })
}

/// In a child: runs one.
pub fn child(name: &str) -> ExitCode {
    if name == litmus::ABORTS {
        litmus::abort();
        return ExitCode::SUCCESS;
    }
    let Some(test) = litmus::all().into_iter().find(|test| test.name == name) else {
        eprintln!("no litmus test is called {name:?}");
        return ExitCode::FAILURE;
    };
    // Several of them want models to fail; what they say then is of no interest.
    std::panic::set_hook(Box::new(|_| ()));
    let run = std::panic::catch_unwind(AssertUnwindSafe(test.run));
    match run.unwrap_or_else(|_| Err("it panicked".into())) {
        Ok(observation) => {
            send(&Report::Observed(observation));
            ExitCode::SUCCESS
        }
        Err(message) => {
            let failed = Failed {
                message,
                ..Failed::default()
            };
            send(&Report::Failed(failed));
            ExitCode::FAILURE
        }
    }
}

/// A table for a person.
pub fn print(observed: &[Observed]) {
    if observed.is_empty() {
        return;
    }
    println!("Litmus tests of the engine: what it explores and what it does not, as pinned.");
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["litmus test", "observed"]);
    for Observed { name, result } in observed {
        let text = result
            .clone()
            .unwrap_or_else(|difference| format!("FAILED: {difference}"));
        table.add_row([name, &text]);
    }
    println!("{}\n", table.trim_fmt());
}

/// One object a line.
pub fn print_json(observed: &[Observed]) {
    for Observed { name, result } in observed {
        let (good, text) = (result.is_ok(), result.as_ref().unwrap_or_else(|text| text));
        println!(
            "{}",
            json!({ "litmus": name, "observed": text, "good": good })
        );
    }
}
