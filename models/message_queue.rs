//! The message queue, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::message_queue::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::new("queue", keeps_order_within_a_type::<Cells<3>>).bounded(3),
        Model::new("queue", delivers_each_once::<Cells<3>>).bounded(2),
        Model::new("queue", receives_the_lowest_type_first::<Cells<5>>).bounded(4),
        Model::new("queue", waits_while_full_by_messages::<Cells<1>>),
        Model::new("queue", waits_while_full_by_bytes::<Cells<5>>),
        Model::new("queue", a_reply_reaches_the_one_that_asked::<Cells<3>>).bounded(2),
        Model::new(
            "queue",
            a_receiver_of_another_type_swallows_no_wakeup::<Cells<3>>,
        )
        .bounded(2),
        Model::new(
            "queue",
            a_sender_of_a_longer_message_swallows_no_wakeup::<Cells<5>>,
        )
        .bounded(2),
        Model::new(
            "queue",
            an_impatient_receiver_takes_nothing_along::<Cells<1>>,
        ),
        Model::new(
            "queue",
            an_impatient_sender_leaves_nothing_behind::<Cells<5>>,
        ),
        Model::new("queue", answers_odd_timeouts::<Cells<1>>),
        Model::new("queue", a_message_that_does_not_fit_stays::<Cells<1>>),
        Model::new("queue", || a_send_is_done_or_not::<Cells<3>>(2)),
        Model::new("queue", || a_send_is_done_or_not::<Cells<3>>(3)).bounded(2),
        Model::new("queue", two_sends_are_done_or_not::<Cells<3>>).bounded(1),
        Model::new("queue", || a_receive_is_done_or_not::<Cells<5>>(2)),
        Model::new("queue", || a_receive_is_done_or_not::<Cells<5>>(3)).bounded(2),
        Model::new("queue", a_dead_senders_message_is_not_overtaken::<Cells<3>>).bounded(4),
    ]
}
