//! Models of the condition variable on a robust mutex, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::robust_condvar;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("robust_condvar")
        .bounded(
            3,
            &[
                "waiter_returns_at_its_timeout",
                "waiter_without_lock_passes_its_notification_on",
            ],
        )
        .bounded(
            2,
            &[
                "notification_ends_no_later_wait",
                "waiter_death_blocks_no_other_waiter",
                "waiter_death_blocks_no_waiter_that_sleeps_on",
                "change_of_killed_notifier_is_seen",
            ],
        );
    robust_condvar::all(&mut models);
    let interrupted = Model::new("robust_condvar", || {
        robust_condvar::loop_of_timed_waits_ends().interruptions(2)
    });
    models.finish().into_iter().chain([interrupted]).collect()
}
