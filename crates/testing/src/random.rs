//! Reproducible random numbers, and numbers from environment variables.

/// Returns the number in an environment variable, if the variable is set.
///
/// # Panics
/// Panics if the value is not a number: a mistyped seed must not run with another seed.
pub fn env_number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}={text:?}: expected a number")))
}

/// Returns the seed of this run and prints it; set `INTERLATCH_SEED` to repeat a run.
pub fn seed() -> u64 {
    let seed = env_number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("INTERLATCH_SEED={seed}");
    seed
}
