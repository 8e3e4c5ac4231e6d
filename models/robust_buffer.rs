//! The buffers that survive the death of their users: by the contract of all buffers, and with deaths.

use interlatch::{Buffer, ShmSafe};
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
    One: Buffer<Item = u64> + ShmSafe + 'static,
    Two: Buffer<Item = u64> + ShmSafe + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    let dying = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let dying_in_two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        one(buffer::keeps_order::<One>).bounded(3),
        two(buffer::keeps_order::<Two>).bounded(3),
        one(buffer::never_exceeds_capacity::<One>).bounded(3),
        one(buffer::dropping_one_of_two_senders_keeps_the_buffer_open::<One>).bounded(3),
        one(buffer::closed_buffer_stays_closed::<One>),
        one(buffer::closed_buffer_can_be_drained::<One>).bounded(3),
        one(buffer::closing_wakes_every_receiver::<One>).bounded(2),
        one(buffer::closing_wakes_every_sender::<One>).bounded(2),
        two(buffer::two_receivers_share_the_items::<Two>).bounded(2),
        two(buffer::items_of_both_senders_arrive::<Two>).bounded(2),
        one(buffer::timed_out_receiver_takes_no_item::<One>).bounded(2),
        one(buffer::timed_out_sender_keeps_its_item::<One>).bounded(2),
        one(buffer::handles_extreme_timeouts::<One>),
        two(buffer::keeps_order_across_wraparounds::<Two>),
        two(buffer::every_send_and_receive_method_passes_items::<Two>),
        dying(|| killed_send_completes_or_has_no_effect::<One>(2)),
        dying(|| killed_send_completes_or_has_no_effect::<One>(3)).bounded(2),
        dying_in_two(|| killed_send_completes_or_has_no_effect::<Two>(3)).bounded(2),
        dying_in_two(item_of_killed_sender_is_not_overtaken::<Two>).bounded(4),
        dying(two_killed_sends_complete_or_have_no_effect::<One>).bounded(1),
        dying(|| killed_receive_completes_or_has_no_effect::<One>(2)),
        dying(|| killed_receive_completes_or_has_no_effect::<One>(3)).bounded(2),
        dying_in_two(|| killed_receive_completes_or_has_no_effect::<Two>(2)),
        dying(death_of_last_sender_disconnects_receivers::<One>).bounded(2),
        dying(death_of_last_receiver_disconnects_senders::<One>).bounded(2),
        dying(sender_death_loses_no_sent_item::<One>).bounded(1),
        dying(surviving_receiver_gets_the_remaining_items::<One>).bounded(1),
    ]
}
