//! Models of the byte pipe in shared memory, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::byte_pipe::{self, SmallPipe};

pub fn models() -> Vec<Model> {
    let mut one = Collector::new("byte_pipe<1>")
        .bounded(3, &["killed_large_write_leaves_a_prefix"])
        .bounded(
            2,
            &[
                "death_of_last_writer_ends_the_stream",
                "death_of_last_reader_disconnects_writers",
            ],
        );
    byte_pipe::all_of_one_byte::<SmallPipe<1>>(&mut one);
    let mut two = Collector::new("byte_pipe<2>")
        .also_interrupted(
            2,
            &[
                "keeps_order",
                "one_write_wakes_two_readers",
                "killed_large_write_admits_small_writes",
            ],
        )
        .bounded(3, &["keeps_order", "end_of_stream_follows_the_last_byte"])
        .bounded(
            2,
            &[
                "small_writer_does_not_wait_behind_a_larger_one",
                "one_write_wakes_two_readers",
                "killed_large_write_admits_small_writes",
            ],
        );
    byte_pipe::all_of_two_bytes::<SmallPipe<2>>(&mut two);
    byte_pipe::all_of_byte_pipe(&mut two);
    let mut three = Collector::new("byte_pipe<3>").bounded(2, &["small_writes_do_not_interleave"]);
    byte_pipe::all_of_three_bytes::<SmallPipe<3>>(&mut three);
    [one.finish(), two.finish(), three.finish()].concat()
}
