//! The robust lock with data: what the guards add to the lock.

use interlatch_check::Model;
use interlatch_contract::robust_mutex::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_mutex", build);
    vec![
        model(panic_counts_as_owner_death),
        model(|| dropped_inconsistent_guard_is_unrecoverable_for_all(3)).bounded(3),
        model(|| dropped_inconsistent_guard_is_unrecoverable_for_all(4)).bounded(2),
        model(handles_extreme_timeouts),
        model(relocking_returns_already_held),
    ]
}
