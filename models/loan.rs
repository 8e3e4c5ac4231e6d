//! Items that are written and read where they are.

use interlatch_check::Model;
use interlatch_contract::buffer::RobustBounded;
use interlatch_contract::loan::*;

type One = RobustBounded<1>;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("loan", build);
    vec![
        model(item_written_in_place_is_read_in_place::<One>).bounded(3),
        model(dropped_loan_frees_its_slot::<One>).bounded(4),
        model(sender_death_frees_its_loan::<One>).bounded(3),
        model(reader_death_keeps_the_item::<One>).bounded(2),
        model(returning_the_last_item_disconnects_receivers::<One>).bounded(3),
        model(left_item_is_received_next),
        model(left_item_is_received_before_disconnection).bounded(2),
    ]
}
