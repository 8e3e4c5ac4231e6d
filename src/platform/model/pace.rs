//! Pausing changes no outcome, only how long it takes.

use super::world;

/// How often a contended primitive looks again before it sleeps: once between two processes,
/// which shows all that a round can do; not at all between more, to keep their models small.
pub fn rounds() -> u32 {
    u32::from(world::population() <= 2)
}

/// No more, however well it goes.
pub fn most_rounds() -> u32 {
    rounds()
}

/// Time passes only by choice, and spinning changes no outcome: no wait was short.
#[derive(Debug)]
pub struct Watch(());

impl Watch {
    /// It begins now.
    pub fn start() -> Self {
        Self(())
    }

    /// Never.
    pub fn was_short(&self) -> bool {
        false
    }
}

/// A thread of a model has no core.
pub fn only_core() -> Option<u32> {
    None
}

/// Time passes only by choice: a pause is nothing.
pub fn pause(_round: u32) {}
