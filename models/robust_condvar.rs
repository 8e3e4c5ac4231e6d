//! The condition variable on a robust lock: with a waiter or a notifier that is killed.

use interlatch_check::Model;
use interlatch_contract::robust_condvar::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_condvar", build);
    vec![
        model(does_not_lose_wakeup),
        model(waiter_returns_at_its_timeout).bounded(3),
        model(waiter_without_lock_passes_its_notification_on).bounded(3),
        model(waiter_death_blocks_no_other_waiter).bounded(2),
        model(change_of_killed_notifier_is_seen).bounded(2),
    ]
}
