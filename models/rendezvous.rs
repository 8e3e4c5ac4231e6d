//! The meeting of senders and receivers: among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::rendezvous::*;
use interlatch_contract::{buffer, robust_buffer};

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("rendezvous", build);
    let of_buffer = |build: fn() -> _| Model::new("rendezvous", build);
    let dying = |build: fn() -> _| Model::new("rendezvous", build);
    vec![
        model(a_send_returns_when_the_item_is_taken::<Meeting>),
        model(|| an_item_is_taken_or_given_back::<Meeting>(2)).bounded(4),
        model(|| a_dead_senders_item_is_taken_or_withdrawn::<Meeting>(2)).bounded(3),
        model(|| a_dead_senders_item_is_taken_or_withdrawn::<Meeting>(3)).bounded(2),
        model(a_receiver_that_waits_is_given_an_item::<Meeting>),
        model(nobody_is_given_an_item_who_does_not_wait::<Meeting>),
        model(a_dead_receiver_has_taken_or_not::<Meeting>).bounded(2),
        model(the_sender_waits_for_the_acknowledgement).bounded(4),
        model(an_item_is_acknowledged_or_given_back).bounded(4),
        model(what_is_not_acknowledged_is_for_the_next_one).bounded(2),
        model(each_of_two_that_wait_is_given_an_item::<Meeting>).bounded(2),
        model(an_acknowledgement_is_for_its_own_item).bounded(2),
        model(a_dropped_delivery_wakes_the_next_one).bounded(2),
        of_buffer(buffer::keeps_order::<Meeting>).bounded(3),
        of_buffer(buffer::never_exceeds_capacity::<Meeting>),
        of_buffer(buffer::two_senders_are_both_heard::<Meeting>).bounded(2),
        of_buffer(buffer::a_closed_buffer_stays_closed::<Meeting>),
        dying(robust_buffer::the_last_sender_that_dies_ends_the_stream::<Meeting>).bounded(2),
        dying(robust_buffer::the_last_receiver_that_dies_breaks_the_pipe::<Meeting>).bounded(2),
        dying(robust_buffer::a_life_of_receiving_leaves_the_rest::<Meeting>).bounded(1),
    ]
}
