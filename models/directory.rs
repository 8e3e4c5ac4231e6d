//! Models of the directory of a region, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::directory;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("directory")
        .also_interrupted(
            2,
            &[
                "one_process_creates_and_all_find/2",
                "objects_do_not_overlap",
            ],
        )
        .bounded(
            2,
            &[
                "one_process_creates_and_all_find/3",
                "one_process_builds_and_all_see_it/3",
                "objects_do_not_overlap",
            ],
        );
    directory::all(&mut models);
    models.finish()
}
