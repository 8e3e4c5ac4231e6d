//! Detection of models that leak memory.

/// Returns the number of allocated bytes, including the allocator's overhead.
///
/// Returns 0 if the C library does not report it.
pub fn allocated() -> usize {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: `mallinfo2` has no precondition. It reads the allocator's counters under the
        // allocator's own lock.
        let info = unsafe { libc::mallinfo2() };
        info.uordblks + info.hblkhd
    }
    #[cfg(not(target_env = "gnu"))]
    0
}

/// Returns about how many bytes each run leaks.
///
/// The allocator caches freed blocks, so allocation grows during the first batches even without a
/// leak. The result is 0 unless every batch grows.
pub fn leaked_per_run(run: impl Fn()) -> usize {
    let mut grown = 0;
    for _ in 0..BATCHES {
        let before = allocated();
        (0..RUNS).for_each(|_| run());
        grown = allocated().saturating_sub(before) / RUNS;
        if grown < MIN_LEAK {
            return 0;
        }
    }
    grown
}

/// Runs per batch.
const RUNS: usize = 50;

/// Consecutive batches that must grow.
const BATCHES: usize = 8;

/// Smallest leak that is reported: half of the smallest allocation.
const MIN_LEAK: usize = 16;
