//! Models of the segment list of an unbounded buffer, with a pool of segments in one address space.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::segment_list;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("segment_list")
        .also_interrupted(
            2,
            &[
                "keeps_order_across_segments",
                "concurrent_senders_grow_the_list",
                "failed_receiver_wakes_another_receiver",
            ],
        )
        .bounded(5, &["keeps_order_across_segments"])
        .bounded(
            3,
            &[
                "closed_queue_can_be_drained",
                "concurrent_senders_grow_the_list",
                "receiver_death_keeps_the_list_consistent",
                "failed_receiver_wakes_another_receiver",
            ],
        );
    segment_list::all(&mut models);
    models.finish()
}
