//! Loads of a value that is only a hint, and loads of the newest value.

use super::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Loads a hint of the word's value, for the first try of a compare-exchange.
///
/// The only permitted effect of a wrong hint is that this first try fails. So the model, in which a
/// plain load would hide executions, returns `otherwise`.
#[inline]
pub fn load_hint(word: &AtomicU32, _otherwise: u32) -> u32 {
    word.load(Relaxed)
}

/// Loads the newest value of the word that this process can see.
///
/// The caller must tolerate that the function returns an older value for a while.
#[inline]
pub fn load_latest(word: &AtomicU32) -> u32 {
    word.load(Relaxed)
}

/// Loads the newest value like [`load_latest`], and acquires the memory that was released with that
/// value.
#[inline]
pub fn load_latest_acquire(word: &AtomicU32) -> u32 {
    word.load(Acquire)
}
