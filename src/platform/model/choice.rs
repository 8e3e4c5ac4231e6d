//! Nondeterministic choices: loom explores every outcome of each choice.

use super::event::Action;
use super::{backend, world};
use core::panic::Location;

/// Chooses a number in `0..count`. loom explores every number.
///
/// # Panics
/// Panics if the model has no choices left. Hitting this limit fails the model.
#[track_caller]
pub fn choose(count: u32) -> u32 {
    let mut chosen = 0;
    if backend::is_graphs() {
        chosen = world::step(|| interlatch_engine::choose(count));
    } else {
        while chosen + 1 < count && choose_bool() {
            chosen += 1;
        }
    }
    if count > 1 {
        world::record(Location::caller(), Action::Choice { chosen, count });
    }
    chosen
}

/// Chooses a boolean. loom explores both values.
pub(super) fn choose_bool() -> bool {
    if backend::is_graphs() {
        return world::step(|| interlatch_engine::choose(2)) == 1;
    }
    let (choices, index) = world::next_choice();
    world::step(|| choices.read(index))
}
