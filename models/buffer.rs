//! Both bounded buffers, by one contract.

use interlatch::Buffer;
use interlatch::InPlace;
use interlatch::check::Model;
use interlatch::contract::buffer::{self, Bounded, Monitor};

pub fn models() -> Vec<Model> {
    let mut models = of::<Bounded<1>, Bounded<2>>("bounded");
    models.extend(of::<Monitor<1>, Monitor<2>>("monitor"));
    models
}

/// Capacity 1 shows every wait; capacity 2 shows that places go round.
fn of<One, Two>(name: &'static str) -> Vec<Model>
where
    One: Buffer<Item = u64> + InPlace + 'static,
    Two: Buffer<Item = u64> + InPlace + 'static,
{
    let one = move |build: fn() -> _| Model::new(&format!("{name}<1>"), build);
    let two = move |build: fn() -> _| Model::new(&format!("{name}<2>"), build);
    vec![
        one(buffer::keeps_order::<One>),
        two(buffer::keeps_order::<Two>),
        one(buffer::never_exceeds_capacity::<One>),
        two(buffer::never_exceeds_capacity::<Two>),
        one(buffer::only_the_last_sender_ends_the_stream::<One>),
        one(buffer::a_closed_buffer_stays_closed::<One>),
        one(buffer::closing_lets_receivers_drain_and_end::<One>),
        one(buffer::two_senders_are_both_heard::<One>).bounded(2),
        two(buffer::two_senders_are_both_heard::<Two>).bounded(2),
        one(buffer::two_receivers_share::<One>).bounded(2),
        two(buffer::two_receivers_share::<Two>).bounded(2),
        one(buffer::closing_wakes_every_receiver::<One>).bounded(2),
        one(buffer::closing_wakes_every_sender::<One>).bounded(2),
        one(buffer::an_impatient_receiver_takes_nothing_along::<One>).bounded(2),
        one(buffer::an_impatient_sender_leaves_nothing_behind::<One>).bounded(2),
        one(buffer::delivers_each_once::<One>).bounded(1),
    ]
}
