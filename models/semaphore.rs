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
        model(semaphore::each_release_lets_one_go::<Semaphore>).bounded(3),
        model(semaphore::releases_by_two_let_two_go::<Semaphore>).bounded(3),
        model(semaphore::a_release_of_many_lets_many_go::<Semaphore>).bounded(4),
        model(semaphore::a_timed_out_acquirer_takes_nothing_along::<Semaphore>).bounded(4),
        model(|| semaphore::excludes_with_one_permit::<Semaphore>(2).interruptions(2)),
        model(|| semaphore::each_release_lets_one_go::<Semaphore>().interruptions(1)).bounded(3),
        model(semaphore::later_releases_find_the_last_waiter::<Semaphore>).bounded(2),
        model(semaphore::some_leave_the_rest_to_others::<Semaphore>).bounded(4),
        model(semaphore::those_who_want_some_get_all_together::<Semaphore>),
        model(semaphore::counts_each_permit::<Semaphore>),
        model(semaphore::takes_as_many_as_there_are::<Semaphore>),
        Model::new("semaphore", semaphore::every_way_to_acquire_acquires),
        model(semaphore::a_dead_acquirer_hinders_nobody::<Semaphore>).bounded(2),
        model(semaphore::a_dead_releaser_hinders_nobody::<Semaphore>).bounded(2),
        model(semaphore::refuses_to_overflow::<Semaphore>),
        model(semaphore::answers_odd_timeouts::<Semaphore>),
    ]
}
