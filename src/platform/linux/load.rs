//! Loads of a value that is only a hint, and loads of the newest value.

use super::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Loads a hint of the word's value, for the first try of a compare-exchange.
///
/// The caller must use the hint so that a wrong hint only makes the first try fail. On Linux,
/// `otherwise` is ignored. The model returns `otherwise`, because a plain load would make loom miss
/// executions.
#[inline]
pub fn load_hint(word: &AtomicU32, _otherwise: u32) -> u32 {
    word.load(Relaxed)
}

/// Loads the newest value of the word that this process can see.
///
/// The processor may delay other processes' writes, so the caller must tolerate an older value for
/// a short time.
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
