//! Models of operations that fail because their thread holds the maximum number of robust locks.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::refused;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("refused")
        .bounded(
            2,
            &[
                "refused_writer_wakes_another_writer",
                "refused_acceptor_wakes_a_receiver",
                "last_handle_of_a_full_thread_wakes_a_receiver",
                "dropped_delivery_of_a_full_thread_wakes_a_receiver",
                "dropped_turn_of_a_full_thread_wakes_a_writer",
                "refused_turn_of_a_full_thread_wakes_a_writer",
                "dropped_permit_of_a_full_thread_wakes_an_acquirer",
            ],
        )
        .bounded(3, &["timed_out_operations_hold_no_lock"])
        .bounded(1, &["refused_sender_wakes_another_sender"]);
    refused::all(&mut models);
    models.finish()
}
