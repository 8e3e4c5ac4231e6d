//! The asymmetric barriers of the model, which order a store before a load of another word.
//!
//! Both loads read the newest value, in a step that loom sees as conflicting with every write of
//! the word. So if two processes each store and then load the other's word, at least one of them
//! sees the other's store. Neither load orders any other memory. A weakening replaces one of the
//! two loads with a plain load, which may happen before the store.
//!
//! The model does not try older values for a light load without a heavy counterpart, so an older
//! value must be harmless for such a load.

use super::{AtomicU32, AtomicU64, weakening};
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;

/// Returns true: the kernel of the model always supports the barrier.
pub fn register() -> bool {
    true
}

/// Loads the word after this process's earlier stores, with respect to
/// [`load_after_heavy_barrier`].
#[track_caller]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    if weakening::is_left_out(Location::caller()) {
        return word.load(Relaxed);
    }
    word.load_latest(Relaxed)
}

/// Loads the word after this process's earlier stores, with respect to
/// [`load_after_light_barrier`].
#[track_caller]
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if weakening::is_left_out(Location::caller()) {
        return word.load(Relaxed);
    }
    word.load_latest(Relaxed)
}
