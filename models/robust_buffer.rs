//! Models of the robust buffers. They run the contract of all buffers and the scenarios with
//! deaths.

use crate::buffer::{CLOSING_AND_TIMEOUTS, mixed, refused};
use crate::collector::{Collector, finish_sizes};
use interlatch::ShmSafe;
use interlatch::channel::Unregistered;
use interlatch_check::Model;
use interlatch_contract::buffer::{RobustBounded, RobustMonitor};
use interlatch_contract::{buffer, large_items, robust_buffer};

pub fn models() -> Vec<Model> {
    [
        sizes::<RobustBounded<1>, RobustBounded<2>>("robust_bounded"),
        sizes::<RobustMonitor<1>, RobustMonitor<2>>("robust_monitor"),
        vec![refused::<RobustMonitor<1>>("robust_monitor")],
        deaths::<RobustBounded<1>, RobustBounded<2>>("robust_bounded"),
        deaths::<RobustMonitor<1>, RobustMonitor<2>>("robust_monitor"),
        three_slots::<RobustBounded<3>>("robust_bounded"),
        three_slots::<RobustMonitor<3>>("robust_monitor"),
        large_items(),
    ]
    .concat()
}

/// Returns the models of the contract of all buffers.
///
/// An operation of a robust buffer takes three to five times as many steps as an operation of a
/// plain buffer. The preemption bounds of these models are therefore lower.
fn sizes<One, Two>(name: &str) -> Vec<Model>
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
    Two: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let mut one = Collector::new(&format!("{name}<1>"))
        .also_interrupted(
            2,
            &[
                "keeps_order",
                "closing_wakes_every_sender",
                "timed_operations_lose_no_item",
            ],
        )
        .bounded(
            3,
            &[
                "keeps_order",
                "never_exceeds_capacity",
                "dropping_one_of_two_senders_keeps_the_buffer_open",
                "closed_buffer_can_be_drained",
            ],
        )
        .bounded(
            2,
            &[
                "items_of_both_senders_arrive",
                "two_receivers_share_the_items",
                "closing_wakes_every_receiver",
                "closing_wakes_every_sender",
                "every_receiver_sees_disconnection",
                "every_sender_sees_disconnection",
                "timed_out_receiver_takes_no_item",
                "timed_out_sender_keeps_its_item",
                "batch_keeps_order",
                "batch_wakes_every_receiver",
                "every_batch_receiver_sees_disconnection",
                "timed_out_batch_loses_no_item",
                "timed_operations_lose_no_item",
            ],
        )
        .bounded(1, &["delivers_each_once"])
        .at_another_size(&["batch_receive_wakes_every_sender"]);
    buffer::all_of::<One>(&mut one);
    let mut two = Collector::new(&format!("{name}<2>"))
        .bounded(3, &["keeps_order", "never_exceeds_capacity"])
        .bounded(
            2,
            &[
                "items_of_both_senders_arrive",
                "two_receivers_share_the_items",
                "batch_keeps_order",
                "batch_wakes_every_receiver",
                "batch_receive_wakes_every_sender",
                "every_batch_receiver_sees_disconnection",
                "timed_out_batch_loses_no_item",
                "timed_operations_lose_no_item",
            ],
        )
        .at_another_size(&CLOSING_AND_TIMEOUTS);
    buffer::all_of::<Two>(&mut two);
    [finish_sizes([one, two]), vec![mixed::<One>(name)]].concat()
}

/// Returns the models in which a process is killed.
fn deaths<One, Two>(name: &str) -> Vec<Model>
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
    Two: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let mut one = Collector::new(&format!("{name}<1>"))
        .also_interrupted(
            2,
            &[
                "killed_send_completes_or_has_no_effect/2",
                "killed_receive_completes_or_has_no_effect/2",
            ],
        )
        .bounded(
            2,
            &[
                "killed_batch_leaves_a_prefix",
                "killed_send_completes_or_has_no_effect/3",
                "killed_receive_completes_or_has_no_effect/3",
                "death_of_last_sender_disconnects_receivers",
                "death_of_last_receiver_disconnects_senders",
            ],
        )
        .bounded(
            1,
            &[
                "two_killed_sends_complete_or_have_no_effect",
                "sender_death_loses_no_sent_item",
                "surviving_receiver_gets_the_remaining_items",
            ],
        )
        .at_another_size(&["item_of_killed_sender_is_not_overtaken"]);
    robust_buffer::all_of::<One>(&mut one);
    let mut two = Collector::new(&format!("{name}<2>"))
        .bounded(4, &["item_of_killed_sender_is_not_overtaken"])
        .bounded(2, &["killed_send_completes_or_has_no_effect/3"])
        .at_another_size(&[
            "killed_batch_leaves_a_prefix",
            "killed_send_completes_or_has_no_effect/2",
            "two_killed_sends_complete_or_have_no_effect",
            "killed_receive_completes_or_has_no_effect/3",
            "death_of_last_sender_disconnects_receivers",
            "death_of_last_receiver_disconnects_senders",
            "sender_death_loses_no_sent_item",
            "surviving_receiver_gets_the_remaining_items",
        ]);
    robust_buffer::all_of::<Two>(&mut two);
    finish_sizes([one, two])
}

/// Returns the models of a buffer whose items are not in the order of their slots in memory.
fn three_slots<Three>(name: &str) -> Vec<Model>
where
    Three: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let mut three = Collector::new(&format!("{name}<3>"))
        .bounded(1, &["two_deaths_keep_the_order_of_the_items"]);
    robust_buffer::all_with_three_slots::<Three>(&mut three);
    buffer::wraparounds_of::<Three>(&mut three);
    three.finish()
}

/// Returns the models of items that are copied without the lock.
fn large_items() -> Vec<Model> {
    let mut models = Collector::new("robust_bounded_of_large_items").bounded(
        2,
        &[
            "keeps_order",
            "closing_wakes_every_sender",
            "timed_operations_lose_no_item",
            "killed_send_completes_or_has_no_effect",
            "item_of_killed_sender_is_not_overtaken",
        ],
    );
    large_items::all(&mut models);
    models.finish()
}
