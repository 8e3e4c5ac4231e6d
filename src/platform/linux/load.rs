//! What a word may hold, for a compare-exchange to begin with.

use super::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// A value that the word may hold: for the first try of a compare-exchange, never to be believed.
///
/// The caller must do the same whatever this returns, except that its first try may fail. So the
/// model, where a plain load would hide executions, returns `otherwise`.
#[inline]
pub fn load_hint(word: &AtomicU32, _otherwise: u32) -> u32 {
    word.load(Relaxed)
}

/// The newest value of the word that is known here. An older one, seen for a while, must do no harm.
#[inline]
pub fn load_latest(word: &AtomicU32) -> u32 {
    word.load(Relaxed)
}

/// The same, and what was released with that value is seen.
#[inline]
pub fn load_latest_acquire(word: &AtomicU32) -> u32 {
    word.load(Acquire)
}
