//! The counting semaphore.

use interlatch::Semaphore;
use interlatch_check::Model;
use interlatch_contract::semaphore;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("semaphore", build);
    vec![
        model(semaphore::publishes_writes::<Semaphore>),
        model(|| semaphore::excludes_with_one_permit::<Semaphore>(2)),
        model(|| semaphore::excludes_with_one_permit::<Semaphore>(3)).bounded(3),
        model(|| semaphore::guards_exclude_with_one_permit(2)),
        model(|| semaphore::guards_exclude_with_one_permit(3)).bounded(3),
        model(semaphore::admits_no_more_than_its_permits::<Semaphore>).bounded(3),
        model(semaphore::each_release_wakes_a_waiter::<Semaphore>).bounded(3),
        model(semaphore::concurrent_releases_wake_two_waiters::<Semaphore>).bounded(3),
        model(semaphore::release_of_two_wakes_two_waiters::<Semaphore>).bounded(4),
        model(semaphore::timed_out_acquirer_takes_no_permit::<Semaphore>).bounded(4),
        model(|| semaphore::excludes_with_one_permit::<Semaphore>(2).interruptions(2)),
        model(|| semaphore::each_release_wakes_a_waiter::<Semaphore>().interruptions(1)).bounded(3),
        model(semaphore::later_release_wakes_the_last_waiter::<Semaphore>).bounded(2),
        model(semaphore::acquire_some_leaves_the_rest_to_other_waiters::<Semaphore>).bounded(4),
        model(semaphore::concurrent_acquire_some_takes_each_permit_once::<Semaphore>),
        model(semaphore::counts_each_permit::<Semaphore>),
        model(semaphore::acquire_some_takes_the_available_permits::<Semaphore>),
        Model::new("semaphore", semaphore::every_acquire_method_acquires),
        model(semaphore::acquirer_death_blocks_no_other_acquirer::<Semaphore>).bounded(2),
        model(semaphore::releaser_death_blocks_no_acquirer::<Semaphore>).bounded(2),
        model(semaphore::rejects_overflow::<Semaphore>),
        model(semaphore::handles_extreme_timeouts::<Semaphore>),
    ]
}
