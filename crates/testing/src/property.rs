//! Running a property: how many cases, from which seed, and what a failure prints.

use proptest::strategy::Strategy;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner,
};
use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

/// Checks that many cases of a property; a failure is shrunk, printed, and kept for the next run.
///
/// # Panics
/// If a case fails.
pub fn check<T: Debug>(
    name: &str,
    strategy: &impl Strategy<Value = T>,
    property: impl Fn(T) -> Result<(), String>,
) {
    let seed = number_from("INTERLATCH_SEED").unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        now.as_nanos() as u64
    });
    let cases = number_from("INTERLATCH_CASES").map_or(40, |cases| cases as u32);
    println!("{name}: {cases} cases, INTERLATCH_SEED={seed}");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/worlds.txt",
        ))),
        source_file: Some(file!()),
        // A case that hangs takes its whole timeout each time.
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

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text:?}: expected a number")),
    )
}
