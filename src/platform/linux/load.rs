//! Loads whose value is only a hint, or needs to be the newest.

use super::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Loads a hint of the word's value, for the first try of a compare-exchange.
///
/// A wrong hint may only make that first try fail; the caller behaves the same otherwise. So the
/// model, where a plain load would hide executions, returns `otherwise`.
#[inline]
pub fn load_hint(word: &AtomicU32, _otherwise: u32) -> u32 {
    word.load(Relaxed)
}

/// Loads the newest value of the word that this process can see.
///
/// The caller tolerates that the value is older for a while.
#[inline]
pub fn load_latest(word: &AtomicU32) -> u32 {
    word.load(Relaxed)
}

/// As [`load_latest`], and acquires what was released with that value.
#[inline]
pub fn load_latest_acquire(word: &AtomicU32) -> u32 {
    word.load(Acquire)
}
