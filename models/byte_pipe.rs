//! The pipe in shared memory: its bytes, its ends, and the deaths of its users.

use interlatch_check::Model;
use interlatch_contract::byte_pipe::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("byte_pipe<2>", build);
    let one = |build: fn() -> _| Model::new("byte_pipe<1>", build);
    vec![
        model(keeps_order::<Small<2>>).bounded(3),
        model(a_small_write_comes_in_one_piece::<Small<2>>),
        model(an_impatient_writer_moves_what_fits::<Small<2>>),
        Model::new("byte_pipe<3>", small_writes_are_not_mixed::<Small<3>>).bounded(2),
        model(the_end_of_the_stream_comes_last::<Small<2>>).bounded(3),
        one(the_last_reader_that_goes_breaks_the_pipe::<Small<1>>),
        model(who_has_little_to_write_does_not_wait_for_more::<Small<2>>).bounded(2),
        model(two_readers_share_what_came_at_once::<Small<2>>).bounded(2),
        model(answers_odd_requests::<Small<2>>),
        model(a_write_is_done_or_not::<Small<2>>),
        one(a_large_write_has_a_beginning::<Small<1>>).bounded(3),
        model(a_read_is_done_or_not::<Small<2>>),
        one(the_last_writer_that_dies_ends_the_stream::<Small<1>>).bounded(2),
        one(the_last_reader_that_dies_breaks_the_pipe::<Small<1>>).bounded(2),
    ]
}
