//! Models of the promises that the guards of a robust mutex add to those of the raw lock.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::robust_mutex;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("robust_mutex")
        .also_interrupted(2, &["every_repair_sees_the_data_of_the_dead_owner"])
        .bounded(
            3,
            &["dropped_inconsistent_guard_is_unrecoverable_for_all/3"],
        )
        .bounded(
            2,
            &[
                "dropped_inconsistent_guard_is_unrecoverable_for_all/4",
                "every_repair_sees_the_data_of_the_dead_owner",
            ],
        );
    robust_mutex::all(&mut models);
    models.finish()
}
