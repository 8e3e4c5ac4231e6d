//! Loads of a value that is only a hint, and loads of the newest value.

use super::{AtomicU32, backend};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Returns `otherwise` as a hint for the first try of a compare-exchange.
///
/// A wrong hint only causes one failed compare-exchange. The constant `otherwise` is right in some
/// executions and wrong in others, so the model explores both cases. A plain load would add no
/// behaviour, but would make loom miss executions.
#[track_caller]
pub fn load_hint(word: &AtomicU32, otherwise: u32) -> u32 {
    match backend::is_graphs() {
        true => word.load(Relaxed),
        false => otherwise,
    }
}

/// Loads the newest value of the word, in a step that loom sees.
///
/// The model does not use a plain load here. With a plain load, loom would miss executions in which
/// a process writes the word after the load.
#[track_caller]
pub fn load_latest(word: &AtomicU32) -> u32 {
    match backend::is_graphs() {
        true => word.load(Relaxed),
        false => word.fetch_or(0, Relaxed),
    }
}

/// Loads the newest value like [`load_latest`], and acquires the memory that was released with that
/// value.
#[track_caller]
pub fn load_latest_acquire(word: &AtomicU32) -> u32 {
    word.load_latest(Acquire)
}
