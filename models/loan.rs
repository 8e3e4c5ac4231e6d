//! Models of items that are written and read in their slots.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::loan;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("loan")
        .also_interrupted(
            1,
            &[
                "item_written_in_place_is_read_in_place",
                "returning_the_last_item_disconnects_receivers",
            ],
        )
        .bounded(4, &["dropped_loan_frees_its_slot"])
        .bounded(
            3,
            &[
                "item_written_in_place_is_read_in_place",
                "sender_death_frees_its_loan",
            ],
        )
        .bounded(
            2,
            &[
                "returning_the_last_item_disconnects_receivers",
                "reader_death_keeps_the_item",
                "send_by_value_reuses_the_slot_of_a_dead_loan",
                "receive_by_value_gets_the_item_of_a_dead_borrower",
                "loans_and_values_share_a_slot",
            ],
        )
        .bounded(1, &["left_item_is_received_before_disconnection"]);
    loan::all_with_one_slot(&mut models);
    let mut two = Collector::new("loan<2>").bounded(
        2,
        &[
            "item_written_in_place_is_read_in_place",
            "sender_death_frees_its_loan",
            "reader_death_keeps_the_item",
            "loans_and_values_share_a_slot",
            "loan_of_killed_sender_is_not_overtaken",
        ],
    );
    loan::all_with_two_slots(&mut two);
    [models.finish(), two.finish()].concat()
}
