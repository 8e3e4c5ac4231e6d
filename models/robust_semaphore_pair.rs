//! Models of the robust semaphore pair, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::robust_semaphore_pair;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("robust_semaphore_pair")
        .also_interrupted(
            2,
            &[
                "writer_and_reader_alternate",
                "writer_death_returns_its_turn/2",
            ],
        )
        .bounded(
            4,
            &[
                "writer_and_reader_alternate",
                "unfinished_turn_returns_to_its_side",
            ],
        )
        .bounded(
            2,
            &[
                "writers_of_one_slot_alternate",
                "writer_death_returns_its_turn/3",
                "reader_death_returns_its_turn",
            ],
        );
    robust_semaphore_pair::all(&mut models);
    models.finish()
}
