//! A test harness for a program that must have one thread when it starts processes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A test: its name and what it does. It fails by a panic.
pub struct Test {
    pub name: String,
    pub run: Box<dyn Fn()>,
}

impl Test {
    pub fn new(name: impl Into<String>, run: impl Fn() + 'static) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// Runs the tests that the command line chooses, as libtest would.
pub fn run(tests: Vec<Test>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let chosen = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|filter| {
                if exact {
                    name == filter.as_str()
                } else {
                    name.contains(filter.as_str())
                }
            })
    };
    let all = tests.len();
    let tests: Vec<Test> = tests
        .into_iter()
        .filter(|test| chosen(&test.name))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        tests
            .iter()
            .for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    let filtered = all - tests.len();
    let begin = Instant::now();
    let failed: Vec<&str> = tests
        .iter()
        .filter(|test| !passes(test))
        .map(|test| test.name.as_str())
        .collect();
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!(
        "test result: {}. {} passed; {} failed; 0 ignored; 0 measured; {filtered} filtered out; \
         finished in {:.2}s",
        if failed.is_empty() { "ok" } else { "FAILED" },
        tests.len() - failed.len(),
        failed.len(),
        begin.elapsed().as_secs_f64(),
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn passes(test: &Test) -> bool {
    let begin = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(&test.run)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    println!(
        "test {} ... {word} ({:.2} s)",
        test.name,
        begin.elapsed().as_secs_f64()
    );
    passed
}
