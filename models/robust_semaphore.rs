//! The semaphore whose permits come back, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::robust_semaphore::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("recoverable", build);
    vec![
        model(|| excludes_with_one_permit(2)),
        model(|| excludes_with_one_permit(3)).bounded(2),
        Model::new("recoverable", admits_no_more_than_its_permits).bounded(2),
        model(an_impatient_acquirer_takes_nothing_along).bounded(2),
        model(answers_odd_timeouts),
        model(|| a_dead_holder_gives_its_permit_back(2)),
        model(|| a_dead_holder_gives_its_permit_back(3)).bounded(2),
        Model::new("recoverable", two_dead_holders_give_their_permit_back).bounded(1),
    ]
}
