//! The semaphore pair whose turns come back, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::robust_semaphore_pair::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("recoverable_pair", build);
    vec![
        model(writer_and_reader_alternate).bounded(4),
        Model::new("recoverable_pair", what_is_written_first_is_read_first),
        model(an_unfinished_turn_is_the_same_sides_again).bounded(4),
        model(|| a_dead_writers_turn_comes_back(2)),
        model(|| a_dead_writers_turn_comes_back(3)).bounded(2),
        model(a_dead_readers_turn_comes_back).bounded(2),
        model(every_way_to_take_a_turn_takes_one),
    ]
}
