//! Models of the message queue, including deaths of processes.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::message_queue::{
    self, DefaultMethods, messages_of_every_length_are_received_whole,
};

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("message_queue")
        .also_interrupted(
            2,
            &[
                "keeps_order_within_a_type",
                "sender_waits_at_the_message_limit",
                "sender_waits_at_the_byte_limit",
                "killed_send_completes_or_has_no_effect/2",
            ],
        )
        .bounded(
            4,
            &[
                "receives_the_lowest_type_first",
                "message_of_killed_sender_is_not_overtaken",
            ],
        )
        .bounded(3, &["keeps_order_within_a_type"])
        .bounded(
            2,
            &[
                "values_and_bytes_share_the_queue",
                "delivers_each_once",
                "reply_reaches_its_requester",
                "receiver_of_another_type_takes_no_wakeup",
                "sender_of_a_longer_message_takes_no_wakeup",
                "killed_send_completes_or_has_no_effect/3",
                "killed_receive_completes_or_has_no_effect/3",
            ],
        )
        .bounded(1, &["two_killed_sends_complete_or_have_no_effect"]);
    message_queue::all_scenarios(&mut models);
    let defaults = messages_of_every_length_are_received_whole::<DefaultMethods>;
    let defaults = Model::new("message_queue_with_default_methods", defaults);
    [models.finish(), vec![defaults]].concat()
}
