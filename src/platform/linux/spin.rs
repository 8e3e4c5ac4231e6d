//! Waiting a moment without the kernel.

/// How often a contended primitive looks again before it sleeps.
#[inline]
pub fn rounds() -> u32 {
    ROUNDS
}

const ROUNDS: u32 = 7;

/// Pauses `2^round` times: a holder that is about to leave gets the cache line to itself.
#[inline]
pub fn pause(round: u32) {
    for _ in 0..1u32 << round.min(ROUNDS) {
        core::hint::spin_loop();
    }
}

/// Lets others run, here and now: a test asks for it where an intruder would do most harm.
pub fn give_way() {
    std::thread::yield_now();
}
