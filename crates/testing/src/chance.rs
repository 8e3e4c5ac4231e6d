//! Random numbers that can be had again.

/// A number of the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The seed of this run, which is printed: `INTERLATCH_SEED` repeats it.
pub fn seed() -> u64 {
    let seed = number("INTERLATCH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("INTERLATCH_SEED={seed}");
    seed
}
