//! The directory of a region, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::directory::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::new("directory", || one_creates_and_all_find(2)),
        Model::new("directory", || one_creates_and_all_find(3)).bounded(2),
        Model::new("directory", nobody_finds_what_is_not_built),
        Model::new("directory", || one_builds_and_all_see_it(2)),
        Model::new("directory", || one_builds_and_all_see_it(3)).bounded(2),
        Model::new("directory", nobody_sees_what_is_half_built),
        Model::new("directory", says_why_nothing_was_created),
    ]
}
