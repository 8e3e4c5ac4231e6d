//! A store, and behind it a load of another word, where one side pays for the order of both: `membarrier(2)`.
//!
//! Two processes that each write a word and then read the other's may both read the old value, unless a full
//! barrier is between the two steps of each. One that does this often and one that does it seldom can
//! share the cost unequally: the seldom one asks the kernel for a barrier in every thread that runs of every
//! registered process ([`load_after_heavy_barrier`]), and the other one needs to keep only the compiler from turning its
//! two steps round ([`load_after_light_barrier`]). Two light ones order nothing between each other.
//!
//! **Source.** `membarrier(2)`: `MEMBARRIER_CMD_GLOBAL_EXPEDITED`, since Linux 4.16, the one that reaches other
//! processes. A thread that does not run has passed a barrier when it was stopped.

use super::{AtomicU32, AtomicU64};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{compiler_fence, fence};
use rustix::thread::{MembarrierCommand, membarrier};

/// Registers this process with the kernel. False, if the kernel does not do this here: then nobody may rely
/// on light loads of this process, nor on its heavy ones.
pub fn is_granted() -> bool {
    // Again every time: that is cheap, and the child of a fork need not know whether it was registered.
    membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok()
}

/// A load after what this process has stored before, as seen by those who use [`load_after_heavy_barrier`]. The process
/// is registered.
#[inline]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    compiler_fence(SeqCst);
    word.load(Relaxed)
}

/// A load after what this process has stored before, as seen by those who use [`load_after_light_barrier`].
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if membarrier(MembarrierCommand::GlobalExpedited).is_err() {
        // Granted, and then forbidden: a filter of system calls came in between.
        fence(SeqCst);
    }
    word.load(Relaxed)
}
