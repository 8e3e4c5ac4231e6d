//! Detects models that leak memory.

/// Returns the number of allocated bytes, including the allocator's overhead.
///
/// Returns 0 if the C library does not report the number of allocated bytes.
pub fn allocated() -> usize {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: `mallinfo2` has no precondition. The function reads the allocator's counters
        // while holding the allocator's lock.
        let info = unsafe { libc::mallinfo2() };
        info.uordblks + info.hblkhd
    }
    #[cfg(not(target_env = "gnu"))]
    0
}

/// Returns the approximate number of bytes that each call of `run` leaks.
///
/// The allocator caches freed blocks. Even without a leak, the allocated memory therefore grows
/// during the first batches of calls. The result is 0 unless the memory grows in every batch.
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

/// The number of calls per batch.
const RUNS: usize = 50;

/// The number of consecutive batches. A leak must increase the allocated memory in each of them.
const BATCHES: usize = 8;

/// The smallest number of leaked bytes per call that is reported: half the size of the smallest
/// allocation.
const MIN_LEAK: usize = 16;
