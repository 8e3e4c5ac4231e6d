//! The meeting of senders and receivers: among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::rendezvous::*;
use interlatch_contract::{buffer, robust_buffer};

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("rendezvous", build);
    let of_buffer = |build: fn() -> _| Model::new("rendezvous", build);
    let dying = |build: fn() -> _| Model::new("rendezvous", build);
    vec![
        model(send_returns_after_the_item_is_received::<SmallRendezvous>),
        model(|| item_is_received_or_returned::<SmallRendezvous>(2)).bounded(4),
        model(|| item_of_killed_sender_is_received_or_withdrawn::<SmallRendezvous>(2)).bounded(3),
        model(|| item_of_killed_sender_is_received_or_withdrawn::<SmallRendezvous>(3)).bounded(2),
        model(non_blocking_send_reaches_a_waiting_receiver::<SmallRendezvous>),
        model(two_non_blocking_peers_do_not_meet::<SmallRendezvous>),
        model(killed_receive_completes_or_has_no_effect::<SmallRendezvous>).bounded(2),
        model(sender_waits_for_the_acknowledgement).bounded(4),
        model(item_is_acknowledged_or_returned).bounded(4),
        model(unacknowledged_item_is_delivered_again).bounded(2),
        model(two_waiting_receivers_get_one_item_each::<SmallRendezvous>).bounded(2),
        model(acknowledgement_applies_to_its_own_item).bounded(2),
        model(dropped_delivery_wakes_another_receiver).bounded(2),
        of_buffer(buffer::keeps_order::<SmallRendezvous>).bounded(3),
        of_buffer(buffer::never_exceeds_capacity::<SmallRendezvous>),
        of_buffer(buffer::items_of_both_senders_arrive::<SmallRendezvous>).bounded(2),
        of_buffer(buffer::closed_buffer_stays_closed::<SmallRendezvous>),
        dying(robust_buffer::death_of_last_sender_disconnects_receivers::<SmallRendezvous>)
            .bounded(2),
        dying(robust_buffer::death_of_last_receiver_disconnects_senders::<SmallRendezvous>)
            .bounded(2),
        dying(robust_buffer::surviving_receiver_gets_the_remaining_items::<SmallRendezvous>)
            .bounded(1),
    ]
}
