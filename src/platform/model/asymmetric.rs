//! The model's barriers that order a store before a load of another word.
//!
//! A load behind the heavy barrier returns the newest value, and from then on every process reads
//! at least the values of that moment. A load behind the light barrier returns the newest value, or
//! any older value that was overwritten since the last heavy barrier. The checker tries each of
//! them. So if two processes each store to their own word and then load the other process's word,
//! and one of them uses the heavy barrier, at least one of them reads the new value. If both use
//! the light barrier, both may read the old value.
//!
//! The values overwritten before the last heavy barrier are forgotten for every word, as if each
//! process executed a full barrier at that moment. Neither load orders any other memory: an access
//! that relies on such an order is a data race. The model is weaker than the machine in two points,
//! so it may report a failure that cannot happen: a light load may return a value that was
//! overwritten before a step which another synchronization orders before the load, and
//! read-modify-writes of the loading process are no barriers.
//!
//! If the kernel refuses the barrier to a process, the heavy barriers of other processes do not
//! reach that process, and its own heavy barrier is a light one.
//!
//! A weakening leaves out the barrier at a site, which makes its load a plain load, or swaps the
//! light and the heavy barrier. A light barrier in place of a heavy one makes a waiter miss a
//! wake-up. A heavy barrier in place of a light one is correct but costs a system call for each
//! item, so [`heavy_barriers`](super::world::heavy_barriers) counts the heavy barriers, and a model
//! checks that an operation that need not wait uses none.

use super::{AtomicU32, AtomicU64, backend, choice, weakening, world};
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;

/// A barrier between an earlier store and a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barrier {
    /// The load may happen before the store.
    None,
    /// The load happens after the store, unless no heavy barrier comes between them.
    Light,
    /// The load happens after the store.
    Heavy,
}

/// Returns whether the kernel grants the barrier to this process.
///
/// Where the scenario allows a refusal, the checker tries both answers for each process.
pub fn register() -> bool {
    let is_refused = world::may_lack_barrier() && choice::choose_bool();
    if is_refused {
        world::refuse_barrier();
    }
    !is_refused
}

/// Loads the word behind a simulated barrier, which pairs with [`load_after_heavy_barrier`].
#[track_caller]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    let barrier = weakening::barrier(Location::caller(), Barrier::Light);
    if backend::is_graphs() {
        fence(barrier);
        return word.load(Relaxed);
    }
    match barrier {
        Barrier::None => word.load(Relaxed),
        Barrier::Light => word.load_newest_or_older(),
        Barrier::Heavy => {
            world::heavy_barrier();
            word.load_latest(Relaxed)
        }
    }
}

/// Loads the word behind a simulated barrier, which pairs with [`load_after_light_barrier`]. The
/// load happens after this process's earlier stores.
#[track_caller]
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    let barrier = weakening::barrier(Location::caller(), Barrier::Heavy);
    if backend::is_graphs() {
        fence(barrier);
        return word.load(Relaxed);
    }
    match barrier {
        Barrier::None => word.load(Relaxed),
        Barrier::Light => word.load_newest_or_older(),
        Barrier::Heavy if world::lacks_barrier() => word.load_newest_or_older(),
        Barrier::Heavy => {
            world::heavy_barrier();
            word.load_latest(Relaxed)
        }
    }
}

/// Executes the barrier as a fence of `interlatch-engine`. A process to which the kernel refuses
/// the barrier has only ordinary code: neither its light nor its heavy fences pair with others.
fn fence(barrier: Barrier) {
    if !world::is_alive() || world::lacks_barrier() {
        return;
    }
    match barrier {
        Barrier::None => {}
        Barrier::Light => world::step(interlatch_engine::light_fence),
        Barrier::Heavy => {
            world::heavy_barrier();
            world::step(interlatch_engine::heavy_fence);
        }
    }
}
