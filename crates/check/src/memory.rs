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

/// About how many bytes each run leaves behind; 0, if what grows is only what the allocator keeps of
/// freed pieces, which does not grow for long.
pub fn left_behind_by(run: impl Fn()) -> usize {
    let mut grown = 0;
    for _ in 0..BATCHES {
        let before = allocated();
        (0..RUNS).for_each(|_| run());
        grown = allocated().saturating_sub(before) / RUNS;
        if grown < MIN {
            return 0;
        }
    }
    grown
}

/// Runs of a batch.
const RUNS: usize = 50;

/// So many batches have to grow, one after the other.
const BATCHES: usize = 8;

/// The smallest piece that can be allocated is twice as large.
const MIN: usize = 16;
