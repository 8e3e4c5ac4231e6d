//! The condition variable on a robust lock: with a waiter or a notifier that is killed.

use interlatch_check::Model;
use interlatch_contract::robust_condvar::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_condvar", build);
    vec![
        model(does_not_lose_wakeup),
        model(an_impatient_waiter_comes_back).bounded(3),
        model(a_waiter_that_gives_up_passes_the_notification_on).bounded(3),
        model(a_dead_waiter_hinders_nobody).bounded(2),
        model(a_dead_notifier_leaves_what_it_changed).bounded(2),
    ]
}
