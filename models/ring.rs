//! Models of the ring, with and without `membarrier(2)`, with copied items and with items in their
//! slots, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::ring::{
    self, ByReferenceRing, InPlaceRing, RingWithoutMembarrier, SmallRing, keeps_order,
    slices_keep_order,
};
use interlatch_contract::ring_successor;

pub fn models() -> Vec<Model> {
    let mut one = Collector::new("ring<1>")
        .also_interrupted(
            1,
            &[
                "keeps_order",
                "timed_out_receiver_takes_no_item",
                "receiver_death_disconnects_the_sender",
            ],
        )
        .bounded(
            3,
            &[
                "dropped_receiver_disconnects_the_sender",
                "receiver_death_disconnects_the_sender",
            ],
        )
        .bounded(
            2,
            &[
                "keeps_order",
                "disconnection_by_death_follows_the_last_item",
                "timed_out_receiver_takes_no_item",
                "timed_out_sender_keeps_its_item",
            ],
        )
        .bounded(
            1,
            &[
                "successor_of_a_dead_sender_reaches_the_receiver",
                "successor_of_a_dead_receiver_reaches_the_sender",
            ],
        );
    ring::all_with_one_slot::<SmallRing<1>>(&mut one);
    ring_successor::all::<SmallRing<1>>(&mut one);
    let mut two = Collector::new("ring<2>")
        .also_interrupted(1, &["disconnection_follows_the_last_item"])
        .bounded(3, &["disconnection_follows_the_last_item"])
        .bounded(
            2,
            &[
                "slices_keep_order",
                "killed_send_completes_or_has_no_effect",
                "killed_receive_completes_or_has_no_effect",
            ],
        )
        .bounded(
            1,
            &[
                "items_slices_and_loans_keep_order",
                "killed_mixed_sender_leaves_a_prefix",
            ],
        );
    ring::all_with_two_slots::<SmallRing<2>>(&mut two);
    ring::all_of_ring_buffer(&mut two);
    let other_rings = vec![
        Model::new("ring<1>_without_membarrier", || {
            keeps_order::<RingWithoutMembarrier<1>>().choices(16)
        })
        .bounded(1),
        Model::new("ring<1>", || {
            keeps_order::<SmallRing<1>>().choices(16).may_lack_barrier()
        })
        .bounded(1),
        Model::new("ring<1>_by_reference", keeps_order::<ByReferenceRing<1>>).bounded(1),
        Model::new("ring<1>_in_place", keeps_order::<InPlaceRing<1>>).bounded(2),
        Model::new("ring<2>_in_place", slices_keep_order::<InPlaceRing<2>>).bounded(2),
        Model::new("ring<3>", ring::loan_is_one_contiguous_run),
    ];
    [one.finish(), two.finish(), other_rings].concat()
}
