//! Models of the semaphore pair.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::semaphore_pair;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("semaphore_pair")
        .bounded(4, &["timed_out_reader_takes_no_turn"])
        .bounded(2, &["single_and_batched_turns_alternate"]);
    semaphore_pair::all(&mut models);
    let interrupted = Model::new("semaphore_pair", || {
        semaphore_pair::writer_and_reader_alternate().interruptions(1)
    });
    [models.finish(), vec![interrupted.bounded(4)]].concat()
}
