//! Asymmetric barriers: a store before a load of another word, with the cost on one side.
//!
//! Two processes that each store to one word and then load the other's may both read the old value,
//! unless each has a full barrier between its two steps. If one side runs often and the other
//! seldom, they can share the cost unequally. The rare side asks the kernel for a barrier in every
//! running thread of every registered process ([`load_after_heavy_barrier`]). The frequent side
//! then only has to keep the compiler from reordering its two steps ([`load_after_light_barrier`]).
//! Two light sides order nothing between each other.
//!
//! **Source.** `membarrier(2)` with `MEMBARRIER_CMD_GLOBAL_EXPEDITED`, since Linux 4.16, the
//! command that reaches other processes. A thread that does not run passed a barrier when it was
//! stopped.

use super::{AtomicU32, AtomicU64};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{compiler_fence, fence};
use rustix::thread::{MembarrierCommand, membarrier};

/// Registers this process with the kernel; returns false if the kernel does not support that here.
///
/// Without registration neither the light nor the heavy loads of this process order anything.
pub fn register() -> bool {
    // Repeated at every call: it is cheap, and a forked child may not be registered.
    membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok()
}

/// Loads after this process's earlier stores, with respect to [`load_after_heavy_barrier`].
///
/// The process has [registered](register).
#[inline]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    // The kernel's barrier in this thread pairs with it: see the module.
    compiler_fence(SeqCst);
    // Relaxed: the caller decides what to acquire.
    word.load(Relaxed)
}

/// Loads after this process's earlier stores, with respect to [`load_after_light_barrier`].
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if membarrier(MembarrierCommand::GlobalExpedited).is_err() {
        // A seccomp filter that came after the registration can forbid the call.
        fence(SeqCst);
    }
    // Relaxed: the caller decides what to acquire.
    word.load(Relaxed)
}
