//! Barriers that order a store before a load of another word, and of which one is much cheaper.
//!
//! Two processes each store to their own word and then load the word of the other process. Both may
//! read the old value, unless each process has a full barrier between its store and its load. If
//! one process does this often and the other seldom, the first process can use a cheap barrier and
//! the second process an expensive one. The second process asks the kernel for a barrier in every
//! running thread of every registered process ([`load_after_heavy_barrier`]). The first process
//! then only has to keep the compiler from reordering its store and its load
//! ([`load_after_light_barrier`]). If both processes use the light barrier, both may still read the
//! old value.
//!
//! **Source.** `membarrier(2)` with `MEMBARRIER_CMD_GLOBAL_EXPEDITED` (since Linux 4.16), the
//! command that reaches other processes. A thread that is not running needs no new barrier, because
//! it executed one when the kernel stopped running it.

use super::{AtomicU32, AtomicU64};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{compiler_fence, fence};
use rustix::thread::{MembarrierCommand, membarrier};

/// Registers this process with the kernel. Returns false if the kernel does not support the
/// barrier.
///
/// Without registration neither the light nor the heavy loads of this process order anything.
pub fn register() -> bool {
    // The registration is repeated on every call, because it is cheap and a forked child may not be
    // registered.
    membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok()
}

/// Loads the word behind a cheap barrier, which pairs with [`load_after_heavy_barrier`]. The
/// barrier orders this process's earlier stores before the load.
///
/// The process must have [registered](register) before.
#[inline]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    // This compiler fence pairs with the barrier that the kernel executes in this thread. The
    // documentation of the module explains the pairing.
    compiler_fence(SeqCst);
    // Relaxed: the barrier orders the load after the earlier stores. A caller that needs Acquire
    // adds a fence.
    word.load(Relaxed)
}

/// Loads the word behind an expensive barrier, which pairs with [`load_after_light_barrier`]. The
/// barrier orders this process's earlier stores before the load.
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if membarrier(MembarrierCommand::GlobalExpedited).is_err() {
        // `membarrier` fails if a seccomp filter that was installed after the registration forbids
        // it.
        fence(SeqCst);
    }
    // Relaxed: the barrier orders the load after the earlier stores. A caller that needs Acquire
    // adds a fence.
    word.load(Relaxed)
}
