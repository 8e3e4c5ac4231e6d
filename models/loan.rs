//! Items that are written and read where they are.

use interlatch_check::Model;
use interlatch_contract::buffer::RobustBounded;
use interlatch_contract::loan::*;

type One = RobustBounded<1>;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("loan", build);
    vec![
        model(what_is_filled_in_place_is_read_in_place::<One>).bounded(3),
        model(a_loan_that_is_dropped_is_a_place_again::<One>).bounded(4),
        model(a_dead_holder_of_a_loan_gives_it_back::<One>).bounded(3),
        model(a_dead_reader_leaves_the_item::<One>).bounded(2),
        model(the_last_item_that_is_given_back_ends_the_stream::<One>).bounded(3),
        model(what_is_left_is_for_the_next_one),
        model(the_last_item_that_is_left_ends_the_stream).bounded(2),
    ]
}
