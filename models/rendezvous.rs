//! Models of the rendezvous, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::rendezvous;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("rendezvous")
        .also_interrupted(
            1,
            &[
                "keeps_order",
                "item_is_received_or_returned/2",
                "acknowledgement_wakes_its_sender",
                "closing_wakes_every_receiver",
                "dropped_delivery_wakes_another_receiver",
            ],
        )
        .bounded(
            4,
            &[
                "item_is_received_or_returned/2",
                "non_blocking_send_reaches_a_waiting_receiver",
                "sender_waits_for_the_acknowledgement",
                "item_is_acknowledged_or_returned",
                // A receiver that leaves its request before it copies the item needs this bound.
                "two_receivers_share_handed_items",
            ],
        )
        .bounded(
            3,
            &[
                "item_of_killed_sender_is_received_or_withdrawn/2",
                "acknowledgement_applies_to_its_own_item",
                "two_senders_without_a_receiver_keep_their_items",
                "keeps_order",
            ],
        )
        .bounded(
            2,
            &[
                "item_is_received_or_returned/3",
                "item_of_killed_sender_is_received_or_withdrawn/3",
                "killed_receive_completes_or_has_no_effect",
                "unacknowledged_item_is_delivered_again",
                "two_waiting_receivers_get_one_item_each",
                "dropped_delivery_wakes_another_receiver",
                "non_blocking_send_passes_an_acceptor",
                "every_accept_method_delivers",
                "acknowledgement_wakes_its_sender",
                "items_of_both_senders_arrive",
                "two_receivers_share_the_items",
                "closing_wakes_every_receiver",
                "closing_wakes_every_sender",
                "every_receiver_sees_disconnection",
                "every_sender_sees_disconnection",
                "timed_out_receiver_takes_no_item",
                "death_of_last_sender_disconnects_receivers",
                "death_of_last_receiver_disconnects_senders",
            ],
        )
        .bounded(
            1,
            &[
                "item_of_killed_acceptor_is_received_by_value",
                "delivers_each_once",
                "sender_death_loses_no_sent_item",
                "surviving_receiver_gets_the_remaining_items",
            ],
        );
    rendezvous::all(&mut models);
    models.finish()
}
