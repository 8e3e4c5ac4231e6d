//! Properties: the number of cases, the seed, and the report of a failure.

use crate::random::{env_number, seed};
use proptest::strategy::Strategy;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner,
};
use std::fmt::Debug;

/// Checks a property with random cases, and reports the smallest failing case.
///
/// `INTERLATCH_CASES` sets the number of cases (default 40), and `INTERLATCH_SEED` repeats a run. A
/// failure is saved in `proptest-regressions`, in a file named after the property, and checked
/// first in later runs.
///
/// # Panics
/// Panics if a case fails.
pub fn check<T: Debug>(
    name: &str,
    strategy: &impl Strategy<Value = T>,
    property: impl Fn(T) -> Result<(), String>,
) {
    let seed = seed();
    let cases = env_number("INTERLATCH_CASES").map_or(40, |cases| cases as u32);
    println!("{name}: {cases} cases");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions(name)))),
        source_file: Some(file!()),
        // Shrinking has a time limit, because each step takes the full timeout if the failing case
        // hangs.
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let run =
        TestRunner::new(config).run(strategy, |case| property(case).map_err(TestCaseError::fail));
    match run {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => {
            panic!(
                "{name} fails: {reason}\nThe smallest case found: {case:?}\nRepeat with INTERLATCH_SEED={seed}"
            )
        }
        Err(TestError::Abort(reason)) => panic!("{name}: {reason}"),
    }
}

/// Returns the file with the saved failures of a property.
fn regressions(name: &str) -> &'static str {
    let stem = name.replace(|c: char| !c.is_alphanumeric(), "_");
    // proptest takes a `&'static str`, so the path is leaked. The leak is small, because a test
    // binary checks few properties.
    format!("proptest-regressions/{stem}.txt").leak()
}
