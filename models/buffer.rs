//! Both bounded buffers, by one contract.

use interlatch::Buffer;
use interlatch::ShmSafe;
use interlatch_check::Model;
use interlatch_contract::buffer::{self, Bounded, Monitor};

pub fn models() -> Vec<Model> {
    let mut models = of::<Bounded<1>, Bounded<2>>("bounded");
    models.push(Model::new("bounded<1>", buffer::keeps_order::<Bounded<1>>));
    models.push(Model::new("bounded<2>", buffer::keeps_order::<Bounded<2>>));
    models.push(Model::new(
        "bounded<1>",
        buffer::items_of_both_senders_arrive::<Bounded<1>>,
    ));
    models.extend(of::<Monitor<1>, Monitor<2>>("monitor"));
    models.push(Model::new("monitor<1>", buffer::keeps_order::<Monitor<1>>).bounded(5));
    models.push(Model::new("monitor<2>", buffer::keeps_order::<Monitor<2>>));
    models.push(
        Model::new(
            "monitor<1>",
            buffer::items_of_both_senders_arrive::<Monitor<1>>,
        )
        .bounded(3),
    );
    // With two places, one step back is one step on.
    let round = buffer::keeps_order_across_wraparounds::<Bounded<3>>;
    models.push(Model::new("bounded<3>", round));
    let round = buffer::keeps_order_across_wraparounds::<Monitor<3>>;
    models.push(Model::new("monitor<3>", round));
    models.push(Model::new("buffers", buffer::rejects_invalid_capacities));
    models
}

/// Capacity 1 shows every wait; capacity 2 shows that places go round.
fn of<One, Two>(name: &'static str) -> Vec<Model>
where
    One: Buffer<Item = u64> + ShmSafe + 'static,
    Two: Buffer<Item = u64> + ShmSafe + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        one(|| buffer::keeps_order::<One>().interruptions(1)).bounded(3),
        one(buffer::never_exceeds_capacity::<One>),
        two(buffer::never_exceeds_capacity::<Two>),
        one(buffer::dropping_one_of_two_senders_keeps_the_buffer_open::<One>).bounded(4),
        one(buffer::closed_buffer_stays_closed::<One>),
        one(buffer::closed_buffer_can_be_drained::<One>).bounded(4),
        two(buffer::items_of_both_senders_arrive::<Two>).bounded(3),
        one(buffer::two_receivers_share_the_items::<One>).bounded(3),
        two(buffer::two_receivers_share_the_items::<Two>).bounded(3),
        one(buffer::closing_wakes_every_receiver::<One>).bounded(3),
        one(buffer::closing_wakes_every_sender::<One>).bounded(3),
        one(buffer::every_receiver_sees_disconnection::<One>).bounded(3),
        one(buffer::every_sender_sees_disconnection::<One>).bounded(3),
        one(buffer::timed_out_receiver_takes_no_item::<One>).bounded(3),
        one(buffer::timed_out_sender_keeps_its_item::<One>).bounded(3),
        one(buffer::handles_extreme_timeouts::<One>),
        one(buffer::keeps_order_across_wraparounds::<One>),
        two(buffer::keeps_order_across_wraparounds::<Two>),
        two(buffer::every_send_and_receive_method_passes_items::<Two>),
        one(buffer::delivers_each_once::<One>).bounded(3),
        one(buffer::batch_keeps_order::<One>).bounded(3),
        two(buffer::batch_keeps_order::<Two>).bounded(5),
        one(buffer::batch_wakes_every_receiver::<One>).bounded(3),
        two(buffer::batch_wakes_every_receiver::<Two>).bounded(3),
        two(buffer::batch_receive_wakes_every_sender::<Two>).bounded(3),
        one(buffer::every_batch_receiver_sees_disconnection::<One>).bounded(3),
        two(buffer::every_batch_receiver_sees_disconnection::<Two>).bounded(3),
        two(buffer::failed_batch_send_keeps_its_items::<Two>),
        one(buffer::timed_out_batch_loses_no_item::<One>).bounded(4),
        two(buffer::timed_out_batch_loses_no_item::<Two>),
        two(buffer::every_batch_method_passes_items::<Two>),
    ]
}
