//! The buffers that survive the death of their users: by the contract of all buffers, and with deaths.

use interlatch::ShmSafe;
use interlatch::channel::Unregistered;
use interlatch_check::Model;
use interlatch_contract::buffer::{self, RobustBounded, RobustMonitor};
use interlatch_contract::robust_buffer::*;

pub fn models() -> Vec<Model> {
    [
        of::<RobustBounded<1>, RobustBounded<2>>("robust_bounded"),
        of::<RobustMonitor<1>, RobustMonitor<2>>("robust_monitor"),
    ]
    .concat()
}

/// An operation takes three to five times the steps of one of the plain buffers, so more than one
/// process with more than one operation is explored by preemption bounds.
fn of<One, Two>(name: &'static str) -> Vec<Model>
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
    Two: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    let dying = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let dying_in_two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        one(buffer::keeps_order::<One>).bounded(3),
        two(buffer::keeps_order::<Two>).bounded(3),
        one(buffer::never_exceeds_capacity::<One>).bounded(3),
        one(buffer::only_the_last_sender_ends_the_stream::<One>).bounded(3),
        one(buffer::a_closed_buffer_stays_closed::<One>),
        one(buffer::closing_lets_receivers_drain_and_end::<One>).bounded(3),
        one(buffer::closing_wakes_every_receiver::<One>).bounded(2),
        one(buffer::closing_wakes_every_sender::<One>).bounded(2),
        two(buffer::two_receivers_share::<Two>).bounded(2),
        two(buffer::two_senders_are_both_heard::<Two>).bounded(2),
        one(buffer::an_impatient_receiver_takes_nothing_along::<One>).bounded(2),
        one(buffer::an_impatient_sender_leaves_nothing_behind::<One>).bounded(2),
        one(buffer::answers_odd_timeouts::<One>),
        two(buffer::keeps_order_round_after_round::<Two>),
        two(buffer::every_way_to_send_and_receive_passes_items::<Two>),
        dying(|| a_send_is_done_or_not::<One>(2)),
        dying(|| a_send_is_done_or_not::<One>(3)).bounded(2),
        dying_in_two(|| a_send_is_done_or_not::<Two>(3)).bounded(2),
        dying_in_two(a_dead_senders_item_is_not_overtaken::<Two>).bounded(4),
        dying(two_sends_are_done_or_not::<One>).bounded(1),
        dying(|| a_receive_is_done_or_not::<One>(2)),
        dying(|| a_receive_is_done_or_not::<One>(3)).bounded(2),
        dying_in_two(|| a_receive_is_done_or_not::<Two>(2)),
        dying(the_last_sender_that_dies_ends_the_stream::<One>).bounded(2),
        dying(the_last_receiver_that_dies_breaks_the_pipe::<One>).bounded(2),
        dying(a_life_of_sending_ends_the_stream::<One>).bounded(1),
        dying(a_life_of_receiving_leaves_the_rest::<One>).bounded(1),
    ]
}
