//! A store, and behind it a load of another word, as `membarrier(2)` orders them.
//!
//! Both kinds of load read the newest value, in a step that loom sees as conflicting with every write of the
//! word. So of two processes that each store and then load the other's word, one sees what the other one has
//! stored; and that is all: neither load orders any other memory. Left out,
//! either is a plain load, which may be early. What this does not try are older values for a light load that no heavy
//! one has anything to do with: such a value must do no harm.

use super::{AtomicU32, AtomicU64, weakening};
use core::panic::Location;
use core::sync::atomic::Ordering::Relaxed;

/// The kernel of the model does.
pub fn is_granted() -> bool {
    true
}

/// A load after what this process has stored before, as seen by those who use [`load_after_heavy_barrier`].
#[track_caller]
pub fn load_after_light_barrier(word: &AtomicU32) -> u32 {
    if weakening::leaves_out(Location::caller()) {
        return word.load(Relaxed);
    }
    word.look(Relaxed)
}

/// A load after what this process has stored before, as seen by those who use [`load_after_light_barrier`].
#[track_caller]
pub fn load_after_heavy_barrier(word: &AtomicU64) -> u64 {
    if weakening::leaves_out(Location::caller()) {
        return word.load(Relaxed);
    }
    word.look(Relaxed)
}
