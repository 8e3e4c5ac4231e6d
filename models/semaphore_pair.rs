//! The hand-off between writers and readers.

use interlatch_check::Model;
use interlatch_contract::semaphore_pair;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("semaphore_pair", build);
    vec![
        model(semaphore_pair::writer_and_reader_alternate),
        model(|| semaphore_pair::writer_and_reader_alternate().interruptions(1)).bounded(4),
        model(semaphore_pair::cancelled_turn_returns_to_its_side),
        model(semaphore_pair::timed_out_reader_takes_no_turn).bounded(4),
        model(semaphore_pair::every_turn_method_takes_a_turn),
    ]
}
