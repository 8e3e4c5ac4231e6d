//! The chain of segments of a queue that grows: in one address space, from a pool.

use interlatch_check::Model;
use interlatch_contract::segment_list::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("segment_list", build);
    vec![
        model(grows_to_its_limit_and_shrinks::<PooledList>),
        model(keeps_order_across_segments::<PooledList>).bounded(5),
        model(concurrent_senders_grow_the_list::<PooledList>).bounded(3),
        model(sender_death_keeps_the_list_consistent::<PooledList>),
        model(receiver_death_keeps_the_list_consistent::<PooledList>).bounded(3),
        model(last_sender_disconnects_receivers::<PooledList>),
        model(failed_non_blocking_send_sends_nothing::<PooledList>),
        model(failed_receiver_wakes_another_receiver).bounded(3),
        model(send_into_a_damaged_segment_fails),
    ]
}
