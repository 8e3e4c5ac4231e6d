//! The ring: with `membarrier(2)` and without, in slices and in place, and the deaths of its users.

use interlatch_check::Model;
use interlatch_contract::ring::*;

pub fn models() -> Vec<Model> {
    let one = |build: fn() -> _| Model::new("ring<1>", build);
    let two = |build: fn() -> _| Model::new("ring<2>", build);
    vec![
        one(keeps_order::<Small<1>>).bounded(2),
        Model::new("ring<1>_without_membarrier", keeps_order::<Exchanging<1>>).bounded(2),
        Model::new("ring<1>_in_place", keeps_order::<Lending<1>>).bounded(2),
        two(slices_keep_order::<Small<2>>).bounded(2),
        two(the_end_of_the_stream_comes_last::<Small<2>>).bounded(3),
        one(a_receiver_that_goes_breaks_the_pipe::<Small<1>>).bounded(3),
        one(an_impatient_receiver_takes_nothing_along::<Small<1>>).bounded(2),
        one(an_impatient_sender_leaves_nothing_behind::<Small<1>>).bounded(2),
        one(there_is_one_sender_and_one_receiver::<Small<1>>),
        two(a_send_is_done_or_not::<Small<2>>).bounded(2),
        two(a_successor_goes_on::<Small<2>>),
        two(a_receive_is_done_or_not::<Small<2>>).bounded(2),
        one(the_death_of_the_receiver_breaks_the_pipe::<Small<1>>).bounded(3),
        two(answers_odd_requests),
        Model::new("ring<3>", lends_what_is_in_one_piece),
    ]
}
