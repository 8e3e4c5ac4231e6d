//! Both bounded buffers, by one contract.

use interlatch::ShmSafe;
use interlatch::channel::Unregistered;
use interlatch_check::Model;
use interlatch_contract::buffer::{self, Bounded, Monitor};

pub fn models() -> Vec<Model> {
    let mut models = of::<Bounded<1>, Bounded<2>>("bounded");
    models.push(Model::new("bounded<1>", buffer::keeps_order::<Bounded<1>>));
    models.push(Model::new("bounded<2>", buffer::keeps_order::<Bounded<2>>));
    models.push(Model::new(
        "bounded<1>",
        buffer::two_senders_are_both_heard::<Bounded<1>>,
    ));
    models.extend(of::<Monitor<1>, Monitor<2>>("monitor"));
    models.push(Model::new("monitor<1>", buffer::keeps_order::<Monitor<1>>).bounded(5));
    models.push(Model::new("monitor<2>", buffer::keeps_order::<Monitor<2>>));
    models.push(
        Model::new(
            "monitor<1>",
            buffer::two_senders_are_both_heard::<Monitor<1>>,
        )
        .bounded(3),
    );
    // With two places, one step back is one step on.
    let round = buffer::keeps_order_round_after_round::<Bounded<3>>;
    models.push(Model::new("bounded<3>", round));
    let round = buffer::keeps_order_round_after_round::<Monitor<3>>;
    models.push(Model::new("monitor<3>", round));
    models.push(Model::new("buffers", buffer::refuses_impossible_capacities));
    models
}

/// Capacity 1 shows every wait; capacity 2 shows that places go round.
fn of<One, Two>(name: &'static str) -> Vec<Model>
where
    One: Unregistered<Item = u64> + ShmSafe + 'static,
    Two: Unregistered<Item = u64> + ShmSafe + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        one(|| buffer::keeps_order::<One>().interruptions(1)).bounded(3),
        one(buffer::never_exceeds_capacity::<One>),
        two(buffer::never_exceeds_capacity::<Two>),
        one(buffer::only_the_last_sender_ends_the_stream::<One>).bounded(4),
        one(buffer::a_closed_buffer_stays_closed::<One>),
        one(buffer::closing_lets_receivers_drain_and_end::<One>).bounded(4),
        two(buffer::two_senders_are_both_heard::<Two>).bounded(3),
        one(buffer::two_receivers_share::<One>).bounded(3),
        two(buffer::two_receivers_share::<Two>).bounded(3),
        one(buffer::closing_wakes_every_receiver::<One>).bounded(3),
        one(buffer::closing_wakes_every_sender::<One>).bounded(3),
        one(buffer::every_receiver_hears_of_the_end::<One>).bounded(3),
        one(buffer::every_sender_hears_of_the_end::<One>).bounded(3),
        one(buffer::an_impatient_receiver_takes_nothing_along::<One>).bounded(3),
        one(buffer::an_impatient_sender_leaves_nothing_behind::<One>).bounded(3),
        one(buffer::answers_odd_timeouts::<One>),
        one(buffer::keeps_order_round_after_round::<One>),
        two(buffer::keeps_order_round_after_round::<Two>),
        two(buffer::every_way_to_send_and_receive_passes_items::<Two>),
        one(buffer::delivers_each_once::<One>).bounded(3),
        one(buffer::a_batch_keeps_order::<One>).bounded(3),
        two(buffer::a_batch_keeps_order::<Two>).bounded(5),
        one(buffer::a_batch_lets_every_receiver_go::<One>).bounded(3),
        two(buffer::a_batch_lets_every_receiver_go::<Two>).bounded(3),
        two(buffer::places_of_a_batch_let_every_sender_go::<Two>).bounded(3),
        one(buffer::a_batch_ends_for_every_receiver::<One>).bounded(3),
        two(buffer::a_batch_ends_for_every_receiver::<Two>).bounded(3),
        two(buffer::a_refused_batch_loses_nothing::<Two>),
        one(buffer::an_impatient_batch_loses_nothing::<One>).bounded(4),
        two(buffer::an_impatient_batch_loses_nothing::<Two>),
        two(buffer::every_way_to_send_and_receive_many_passes_items::<Two>),
    ]
}
