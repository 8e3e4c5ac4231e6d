//! The buffer that survives the death of its users.

use interlatch::check::Model;
use interlatch::contract::robust_buffer::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_buffer", build);
    vec![
        model(delivers_each_once_in_order).bounded(3),
        model(a_sender_without_receivers_hears_so).bounded(3),
        model(a_dead_sender_ends_the_stream).bounded(1),
        model(a_dead_receiver_breaks_the_pipe).bounded(1),
        model(a_dead_receiver_takes_no_more_than_one).bounded(1),
    ]
}
