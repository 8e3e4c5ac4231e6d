//! The pipe in shared memory: its bytes, its ends, and the deaths of its users.

use interlatch_check::Model;
use interlatch_contract::byte_pipe::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("byte_pipe<2>", build);
    let one = |build: fn() -> _| Model::new("byte_pipe<1>", build);
    vec![
        model(keeps_order::<SmallPipe<2>>).bounded(3),
        model(small_write_is_atomic::<SmallPipe<2>>),
        model(non_blocking_write_writes_what_fits::<SmallPipe<2>>),
        Model::new(
            "byte_pipe<3>",
            small_writes_do_not_interleave::<SmallPipe<3>>,
        )
        .bounded(2),
        model(end_of_stream_follows_the_last_byte::<SmallPipe<2>>).bounded(3),
        one(dropped_last_reader_disconnects_writers::<SmallPipe<1>>),
        model(small_writer_does_not_wait_behind_a_larger_one::<SmallPipe<2>>).bounded(2),
        model(one_write_wakes_two_readers::<SmallPipe<2>>).bounded(2),
        model(handles_extreme_requests::<SmallPipe<2>>),
        model(killed_write_completes_or_has_no_effect::<SmallPipe<2>>),
        one(killed_large_write_leaves_a_prefix::<SmallPipe<1>>).bounded(3),
        model(killed_read_completes_or_has_no_effect::<SmallPipe<2>>),
        one(death_of_last_writer_ends_the_stream::<SmallPipe<1>>).bounded(2),
        one(death_of_last_reader_disconnects_writers::<SmallPipe<1>>).bounded(2),
    ]
}
