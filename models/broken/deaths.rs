//! What would be lost with a dead process if sleepers did not look again by themselves.

use interlatch::Semaphore;
use interlatch::sync::RawRobustMutex;
use interlatch_check::FailureKind::Deadlock;
use interlatch_check::Model;
use interlatch_contract::{
    buffer, robust_buffer, robust_condvar, robust_lock, robust_semaphore, robust_semaphore_pair,
    semaphore,
};

pub fn models() -> Vec<Model> {
    vec![
        // A third process takes the lock before the wake-up that the dead one owed.
        Model::broken("robust_lock_without_rechecks", Deadlock, || {
            robust_lock::survives_a_death::<RawRobustMutex>(3).without_rechecks()
        }),
        Model::broken("semaphore_without_rechecks", Deadlock, || {
            semaphore::a_dead_acquirer_hinders_nobody::<Semaphore>().without_rechecks()
        }),
        Model::broken("dead_sender_without_rechecks", Deadlock, || {
            type Buffer = buffer::RobustMonitor<1>;
            robust_buffer::the_last_sender_that_dies_ends_the_stream::<Buffer>().without_rechecks()
        }),
        Model::broken("turn_of_the_dead_without_rechecks", Deadlock, || {
            robust_semaphore_pair::a_dead_writers_turn_comes_back(3).without_rechecks()
        }),
        Model::broken("permit_of_the_dead_without_rechecks", Deadlock, || {
            robust_semaphore::a_dead_holder_gives_its_permit_back(2).without_rechecks()
        }),
        Model::broken("condvar_without_rechecks", Deadlock, || {
            robust_condvar::a_dead_waiter_hinders_nobody().without_rechecks()
        }),
        Model::broken(
            "condvar_without_rechecks_of_a_dead_notifier",
            Deadlock,
            || robust_condvar::a_dead_notifier_leaves_what_it_changed().without_rechecks(),
        ),
    ]
}
