//! Models of the bounded buffer on semaphores and of the bounded buffer on condition variables.

use crate::collector::{Collector, finish_sizes};
use interlatch::ShmSafe;
use interlatch::channel::Unregistered;
use interlatch_check::Model;
use interlatch_contract::buffer::{self, Bounded, Monitor};

pub fn models() -> Vec<Model> {
    let monitor = |one: Collector| {
        one.bounded(5, &["keeps_order"])
            .bounded(3, &["items_of_both_senders_arrive"])
    };
    let mut models = sizes::<Bounded<1>, Bounded<2>>("bounded", |one| one);
    models.extend(sizes::<Monitor<1>, Monitor<2>>("monitor", monitor));
    models.push(refused::<Monitor<1>>("monitor"));
    models.extend(three_slots::<Bounded<3>>("bounded"));
    models.extend(three_slots::<Monitor<3>>("monitor"));
    models.push(Model::new("buffers", buffer::rejects_invalid_capacities));
    models
}

/// Returns the models at two capacities. Capacity 1 makes every operation wait. Capacity 2 checks
/// that the operations use one slot after the other.
fn sizes<One, Two>(name: &str, limit_one: fn(Collector) -> Collector) -> Vec<Model>
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
    Two: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let one = Collector::new(&format!("{name}<1>"))
        .bounded(
            4,
            &[
                "dropping_one_of_two_senders_keeps_the_buffer_open",
                "closed_buffer_can_be_drained",
                "timed_out_batch_loses_no_item",
                "timed_operations_lose_no_item",
            ],
        )
        .bounded(
            3,
            &[
                "delivers_each_once",
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
            ],
        )
        .at_another_size(&["batch_receive_wakes_every_sender"]);
    let mut one = limit_one(one);
    buffer::all_of::<One>(&mut one);
    let mut two = Collector::new(&format!("{name}<2>"))
        .bounded(5, &["batch_keeps_order"])
        .bounded(
            3,
            &[
                "items_of_both_senders_arrive",
                "two_receivers_share_the_items",
                "timed_operations_lose_no_item",
                "batch_wakes_every_receiver",
                "batch_receive_wakes_every_sender",
                "every_batch_receiver_sees_disconnection",
            ],
        )
        .at_another_size(&CLOSING_AND_TIMEOUTS);
    buffer::all_of::<Two>(&mut two);
    let interrupted = Model::new(&format!("{name}<1>"), || {
        buffer::keeps_order::<One>().interruptions(1)
    });
    let mixed = mixed::<One>(name);
    [
        finish_sizes([one, two]),
        vec![interrupted.bounded(3), mixed],
    ]
    .concat()
}

/// Returns the models that need three slots.
fn three_slots<Three>(name: &str) -> Vec<Model>
where
    Three: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let mut models = Collector::new(&format!("{name}<3>"));
    buffer::wraparounds_of::<Three>(&mut models);
    models.finish()
}

/// Returns the model of single items beside batches, which capacity 1 makes wait for each other.
pub fn mixed<One>(name: &str) -> Model
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let scenario = buffer::single_items_and_batches_share_a_slot::<One>;
    Model::new(&format!("{name}<1>"), scenario).bounded(2)
}

/// Returns the model of a receiver that times out at the internal lock of a buffer on condition
/// variables.
pub fn refused<One>(name: &str) -> Model
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let scenario = buffer::refused_receiver_passes_its_notification_on::<One>;
    Model::new(&format!("{name}<1>"), scenario).bounded(2)
}

/// Scenarios in which a second slot adds executions, but no new way to wait.
pub const CLOSING_AND_TIMEOUTS: [&str; 9] = [
    "delivers_each_once",
    "dropping_one_of_two_senders_keeps_the_buffer_open",
    "closed_buffer_can_be_drained",
    "closing_wakes_every_receiver",
    "closing_wakes_every_sender",
    "every_receiver_sees_disconnection",
    "every_sender_sees_disconnection",
    "timed_out_receiver_takes_no_item",
    "timed_out_sender_keeps_its_item",
];
