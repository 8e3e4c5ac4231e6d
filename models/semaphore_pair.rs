//! The hand-off between writers and readers.

use interlatch_check::Model;
use interlatch_contract::semaphore_pair as pair;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("pair", build);
    vec![
        model(pair::writer_and_reader_alternate),
        model(|| pair::writer_and_reader_alternate().interruptions(1)).bounded(4),
        model(pair::a_cancelled_turn_is_the_same_sides_again),
        model(pair::an_impatient_reader_takes_nothing_along).bounded(4),
        model(pair::every_way_to_take_a_turn_takes_one),
    ]
}
