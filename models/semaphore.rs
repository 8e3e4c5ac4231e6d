//! Models of the counting semaphore.

use crate::collector::Collector;
use interlatch::Semaphore;
use interlatch_check::Model;
use interlatch_contract::semaphore::{self, each_release_wakes_a_waiter, excludes_with_one_permit};

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("semaphore")
        .bounded(
            4,
            &[
                "release_of_two_wakes_two_waiters",
                "timed_out_acquirer_takes_no_permit",
                "acquire_some_leaves_the_rest_to_other_waiters",
            ],
        )
        .bounded(
            3,
            &[
                "excludes_with_one_permit/3",
                "guards_exclude_with_one_permit/3",
                "admits_no_more_than_its_permits",
                "each_release_wakes_a_waiter",
                "concurrent_releases_wake_two_waiters",
            ],
        )
        .bounded(
            2,
            &[
                "later_release_wakes_the_last_waiter",
                "acquirer_death_blocks_no_other_acquirer",
                "releaser_death_blocks_no_acquirer",
            ],
        );
    semaphore::all::<Semaphore>(&mut models);
    semaphore::all_of_semaphore(&mut models);
    let model = |build: fn() -> _| Model::new("semaphore", build);
    let interrupted = [
        model(|| excludes_with_one_permit::<Semaphore>(2).interruptions(2)),
        model(|| each_release_wakes_a_waiter::<Semaphore>().interruptions(1)).bounded(3),
    ];
    models.finish().into_iter().chain(interrupted).collect()
}
