//! Robust primitives whose sleepers do not recheck. If a process dies before its wake call, the
//! wake-up is lost.
//!
//! The kernel wakes one waiter of a lock whose owner died. The kernel sends no wake-up for any
//! other word, so sleepers recheck at an interval. Without rechecks, each of these models
//! deadlocks.

use interlatch::Semaphore;
use interlatch::sync::RawRobustMutex;
use interlatch_check::FailureKind::Deadlock;
use interlatch_check::Model;
use interlatch_contract::{
    buffer, raw_robust_mutex, robust_buffer, robust_condvar, robust_semaphore,
    robust_semaphore_pair, semaphore,
};

pub fn models() -> Vec<Model> {
    vec![
        // A third process acquires the lock before the waiter that the kernel woke.
        Model::broken("raw_robust_mutex_without_rechecks", Deadlock, || {
            raw_robust_mutex::survives_owner_death::<RawRobustMutex>(3).without_rechecks()
        }),
        Model::broken("semaphore_without_rechecks", Deadlock, || {
            semaphore::acquirer_death_blocks_no_other_acquirer::<Semaphore>().without_rechecks()
        }),
        Model::broken("robust_monitor_without_rechecks", Deadlock, || {
            type Buffer = buffer::RobustMonitor<1>;
            robust_buffer::death_of_last_sender_disconnects_receivers::<Buffer>().without_rechecks()
        }),
        Model::broken("robust_semaphore_pair_without_rechecks", Deadlock, || {
            robust_semaphore_pair::writer_death_returns_its_turn(3).without_rechecks()
        }),
        Model::broken("robust_semaphore_without_rechecks", Deadlock, || {
            robust_semaphore::holder_death_releases_its_permit(2).without_rechecks()
        }),
        Model::broken(
            "robust_condvar_without_rechecks_after_waiter_death",
            Deadlock,
            || robust_condvar::waiter_death_blocks_no_other_waiter().without_rechecks(),
        ),
        Model::broken(
            "condvar_without_rechecks_after_waiter_death",
            Deadlock,
            || robust_condvar::waiter_death_blocks_no_waiter_that_sleeps_on().without_rechecks(),
        ),
        Model::broken(
            "robust_condvar_without_rechecks_after_notifier_death",
            Deadlock,
            || robust_condvar::change_of_killed_notifier_is_seen().without_rechecks(),
        ),
    ]
}
