//! The semaphore pair whose turns come back, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::robust_semaphore_pair::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_semaphore_pair", build);
    vec![
        model(writer_and_reader_alternate).bounded(4),
        Model::new("robust_semaphore_pair", slots_are_read_in_finishing_order),
        model(unfinished_turn_returns_to_its_side).bounded(4),
        model(|| writer_death_returns_its_turn(2)),
        model(|| writer_death_returns_its_turn(3)).bounded(2),
        model(reader_death_returns_its_turn).bounded(2),
        model(every_turn_method_takes_a_turn),
    ]
}
