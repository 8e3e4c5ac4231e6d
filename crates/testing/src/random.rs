//! Reproducible random numbers.

/// Returns the number in an environment variable, if it is set and valid.
pub fn env_number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Returns the seed of this run and prints it; set `INTERLATCH_SEED` to repeat a run.
pub fn seed() -> u64 {
    let seed = env_number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("INTERLATCH_SEED={seed}");
    seed
}
