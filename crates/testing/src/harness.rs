//! A test harness that runs all tests in the main thread.
//!
//! A program with one thread can fork safely. libtest starts a thread for each test; libtest-mimic
//! runs the tests in the main thread if it is told to use one thread.

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// A test, which fails by panicking.
pub struct Test(Trial);

impl Test {
    /// Creates a test with this name. Filters on the command line select tests by their names.
    pub fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        Self(Trial::test(name, move || {
            run();
            Ok(())
        }))
    }
}

/// Runs the tests that the command line selects, with the options and the output of libtest.
pub fn run(tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let tests = tests.into_iter().map(|test| test.0).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}
