//! The chain of segments of a queue that grows: in one address space, from a pool.

use interlatch_check::Model;
use interlatch_contract::segment_list::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("chain", build);
    vec![
        model(grows_to_its_limit_and_shrinks::<PoolState>),
        model(keeps_order_over_segments::<PoolState>).bounded(5),
        model(two_grow_at_the_same_time::<PoolState>).bounded(3),
        model(a_dead_sender_leaves_the_chain_whole::<PoolState>),
        model(a_dead_receiver_leaves_the_chain_whole::<PoolState>).bounded(3),
        model(the_last_sender_ends_the_queue::<PoolState>),
        model(an_impatient_sender_has_sent_or_not::<PoolState>),
        model(who_cannot_take_an_item_leaves_it_to_others).bounded(3),
        model(what_finds_no_place_was_not_sent),
    ]
}
