//! What a word may hold, for a compare-exchange to begin with.

use super::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// A value that the word may hold: for the first try of a compare-exchange, never to be believed.
///
/// A right guess and a wrong one differ only in a failing compare-exchange, and with one and the
/// same guess every time both come up. A plain load would add nothing and hide executions.
pub fn load_hint(_word: &AtomicU32, otherwise: u32) -> u32 {
    otherwise
}

/// The newest value of the word that is known here. An older one, seen for a while, must do no harm. A plain load could read one,
/// and loom would miss executions where somebody writes the word after it.
#[track_caller]
pub fn load_latest(word: &AtomicU32) -> u32 {
    word.fetch_or(0, Relaxed)
}

/// The same, and what was released with that value is seen.
#[track_caller]
pub fn load_latest_acquire(word: &AtomicU32) -> u32 {
    word.look(Acquire)
}
