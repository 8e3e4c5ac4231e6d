//! The model's barriers that order a store before a load of another word.
//!
//! Both functions load the newest value, in a step that loom sees as conflicting with every write
//! of the word. If two processes each store to their own word and then load the other process's
//! word with these functions, at least one of them reads the new value. Neither load orders any
//! other memory. A weakening replaces one of the two loads with a plain load, which may happen
//! before the store.
//!
//! If no process uses the heavy load, a light load may return an older value on Linux. The model
//! does not try that value, so that value must be harmless.

use super::{AtomicU32, AtomicU64, weakening};
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;

/// Returns true: the kernel of the model always supports the barrier.
pub fn register() -> bool {
    true
}

/// Loads the word behind a simulated barrier, which pairs with [`load_after_heavy_barrier`]. The
/// load happens after this process's earlier stores.
#[track_caller]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    if weakening::is_left_out(Location::caller()) {
        return word.load(Relaxed);
    }
    word.load_latest(Relaxed)
}

/// Loads the word behind a simulated barrier, which pairs with [`load_after_light_barrier`]. The
/// load happens after this process's earlier stores.
#[track_caller]
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if weakening::is_left_out(Location::caller()) {
        return word.load(Relaxed);
    }
    word.load_latest(Relaxed)
}
