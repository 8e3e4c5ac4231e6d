//! The chain of segments of a queue that grows: in one address space, from a pool.

use interlatch::check::Model;
use interlatch::contract::chain::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("chain", build);
    vec![
        model(grows_to_its_limit_and_shrinks::<Pooled>),
        model(keeps_order_over_segments::<Pooled>).bounded(5),
        model(two_grow_at_the_same_time::<Pooled>).bounded(3),
        model(a_dead_sender_leaves_the_chain_whole::<Pooled>),
        model(a_dead_receiver_leaves_the_chain_whole::<Pooled>).bounded(3),
        model(the_last_sender_ends_the_queue::<Pooled>),
        model(an_impatient_sender_has_sent_or_not::<Pooled>),
        model(who_cannot_take_an_item_leaves_it_to_others).bounded(3),
        model(what_finds_no_place_was_not_sent),
    ]
}
