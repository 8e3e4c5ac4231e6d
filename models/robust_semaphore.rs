//! Models of the robust semaphore, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::robust_semaphore;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("robust_semaphore")
        .also_interrupted(
            2,
            &[
                "excludes_with_one_permit/2",
                "holder_death_releases_its_permit/2",
            ],
        )
        .bounded(
            2,
            &[
                "excludes_with_one_permit/3",
                "admits_no_more_than_its_permits",
                "timed_out_acquirer_takes_no_permit",
                "holder_death_releases_its_permit/3",
            ],
        )
        .bounded(1, &["two_holder_deaths_release_the_permit"]);
    robust_semaphore::all(&mut models);
    models.finish()
}
