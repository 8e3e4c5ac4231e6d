//! The semaphore whose permits come back, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::robust_semaphore::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_semaphore", build);
    vec![
        model(|| excludes_with_one_permit(2)),
        model(|| excludes_with_one_permit(3)).bounded(2),
        Model::new("robust_semaphore", admits_no_more_than_its_permits).bounded(2),
        model(timed_out_acquirer_takes_no_permit).bounded(2),
        model(handles_extreme_timeouts),
        model(|| holder_death_releases_its_permit(2)),
        model(|| holder_death_releases_its_permit(3)).bounded(2),
        Model::new("robust_semaphore", two_holder_deaths_release_the_permit).bounded(1),
    ]
}
