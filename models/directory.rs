//! The directory of a region, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::directory::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::new("directory", || one_process_creates_and_all_find(2)),
        Model::new("directory", || one_process_creates_and_all_find(3)).bounded(2),
        Model::new("directory", unbuilt_object_is_not_found),
        Model::new("directory", || one_process_builds_and_all_see_it(2)),
        Model::new("directory", || one_process_builds_and_all_see_it(3)).bounded(2),
        Model::new("directory", half_built_object_is_not_visible),
        Model::new("directory", errors_say_why_creation_failed),
    ]
}
