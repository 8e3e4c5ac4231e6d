//! Asymmetric barriers, which order a store before a load of another word at the cost of one side.
//!
//! Two processes that each store to one word and then load the other's may both read the old value,
//! unless each has a full barrier between its two steps. If one side runs often and the other
//! seldom, they can share the cost unequally. The rare side asks the kernel for a barrier in every
//! running thread of every registered process ([`load_after_heavy_barrier`]). The frequent side
//! then only has to keep the compiler from reordering its two steps ([`load_after_light_barrier`]).
//! Two light loads are not ordered with respect to each other.
//!
//! **Source.** `membarrier(2)` with `MEMBARRIER_CMD_GLOBAL_EXPEDITED` (since Linux 4.16), the
//! command that reaches other processes. A thread that is not running executed a barrier when the
//! kernel switched away from it.

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

/// Loads the word after this process's earlier stores, with respect to
/// [`load_after_heavy_barrier`].
///
/// The process must have [registered](register) before.
#[inline]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    // This compiler fence pairs with the barrier that the kernel executes in this thread: see the
    // module.
    compiler_fence(SeqCst);
    // Relaxed: the barrier orders the load, and a caller that needs an Acquire adds one.
    word.load(Relaxed)
}

/// Loads the word after this process's earlier stores, with respect to
/// [`load_after_light_barrier`].
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if membarrier(MembarrierCommand::GlobalExpedited).is_err() {
        // A seccomp filter that was installed after the registration can forbid the call.
        fence(SeqCst);
    }
    // Relaxed: the barrier orders the load, and a caller that needs an Acquire adds one.
    word.load(Relaxed)
}
