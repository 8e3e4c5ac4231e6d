//! How much memory is allocated: to find models that leave some behind.

/// Bytes that are allocated now, with what the allocator keeps for itself; 0 where the C library does
/// not tell.
pub fn allocated() -> usize {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it only reads counters of the allocator, under the allocator's own lock.
        let info = unsafe { libc::mallinfo2() };
        info.uordblks + info.hblkhd
    }
    #[cfg(not(target_env = "gnu"))]
    0
}

/// The fewest bytes by which a run lets the allocated memory grow, of several runs in a row: what
/// the allocator keeps does not grow each time, what is left behind does.
pub fn left_behind_by(run: impl Fn()) -> usize {
    let growth = || {
        let before = allocated();
        run();
        allocated().saturating_sub(before)
    };
    (0..RUNS).map(|_| growth()).min().unwrap_or(0)
}

/// More than the allocator keeps freed pieces of one size for.
const RUNS: usize = 8;
