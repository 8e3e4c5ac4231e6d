//! What a word may hold, for a compare-exchange to begin with.

use super::AtomicU32;

/// A value that the word may hold: for the first try of a compare-exchange, never to be believed.
///
/// A right guess and a wrong one differ only in a failing compare-exchange, and with one and the
/// same guess every time both come up. A plain load would add nothing and hide executions.
pub fn guess(_word: &AtomicU32, otherwise: u32) -> u32 {
    otherwise
}
