//! The ring: with `membarrier(2)` and without, in slices and in place, and the deaths of its users.

use interlatch_check::Model;
use interlatch_contract::ring::*;

pub fn models() -> Vec<Model> {
    let one = |build: fn() -> _| Model::new("ring<1>", build);
    let two = |build: fn() -> _| Model::new("ring<2>", build);
    vec![
        one(keeps_order::<SmallRing<1>>).bounded(2),
        Model::new(
            "ring<1>_without_membarrier",
            keeps_order::<RingWithoutMembarrier<1>>,
        )
        .bounded(2),
        Model::new("ring<1>_in_place", keeps_order::<InPlaceRing<1>>).bounded(2),
        two(slices_keep_order::<SmallRing<2>>).bounded(2),
        two(disconnection_follows_the_last_item::<SmallRing<2>>).bounded(3),
        one(dropped_receiver_disconnects_the_sender::<SmallRing<1>>).bounded(3),
        one(timed_out_receiver_takes_no_item::<SmallRing<1>>).bounded(2),
        one(timed_out_sender_keeps_its_item::<SmallRing<1>>).bounded(2),
        one(admits_one_sender_and_one_receiver::<SmallRing<1>>),
        two(killed_send_completes_or_has_no_effect::<SmallRing<2>>).bounded(2),
        two(next_sender_continues_after_sender_death::<SmallRing<2>>),
        two(killed_receive_completes_or_has_no_effect::<SmallRing<2>>).bounded(2),
        one(receiver_death_disconnects_the_sender::<SmallRing<1>>).bounded(3),
        two(handles_extreme_requests),
        Model::new("ring<3>", loan_is_one_contiguous_run),
    ]
}
