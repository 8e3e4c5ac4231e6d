//! The message queue, among the living and with deaths.

use interlatch_check::Model;
use interlatch_contract::message_queue::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::new("message_queue", keeps_order_within_a_type::<Cells<3>>).bounded(3),
        Model::new("message_queue", delivers_each_once::<Cells<3>>).bounded(2),
        Model::new("message_queue", receives_the_lowest_type_first::<Cells<5>>).bounded(4),
        Model::new(
            "message_queue",
            sender_waits_at_the_message_limit::<Cells<1>>,
        ),
        Model::new("message_queue", sender_waits_at_the_byte_limit::<Cells<5>>),
        Model::new("message_queue", reply_reaches_its_requester::<Cells<3>>).bounded(2),
        Model::new(
            "message_queue",
            receiver_of_another_type_takes_no_wakeup::<Cells<3>>,
        )
        .bounded(2),
        Model::new(
            "message_queue",
            sender_of_a_longer_message_takes_no_wakeup::<Cells<5>>,
        )
        .bounded(2),
        Model::new(
            "message_queue",
            timed_out_receiver_takes_no_message::<Cells<1>>,
        ),
        Model::new(
            "message_queue",
            timed_out_sender_sends_no_message::<Cells<5>>,
        ),
        Model::new("message_queue", handles_extreme_timeouts::<Cells<1>>),
        Model::new(
            "message_queue",
            message_that_does_not_fit_stays_queued::<Cells<1>>,
        ),
        Model::new("message_queue", || {
            killed_send_completes_or_has_no_effect::<Cells<3>>(2)
        }),
        Model::new("message_queue", || {
            killed_send_completes_or_has_no_effect::<Cells<3>>(3)
        })
        .bounded(2),
        Model::new(
            "message_queue",
            two_killed_sends_complete_or_have_no_effect::<Cells<3>>,
        )
        .bounded(1),
        Model::new("message_queue", || {
            killed_receive_completes_or_has_no_effect::<Cells<5>>(2)
        }),
        Model::new("message_queue", || {
            killed_receive_completes_or_has_no_effect::<Cells<5>>(3)
        })
        .bounded(2),
        Model::new(
            "message_queue",
            message_of_killed_sender_is_not_overtaken::<Cells<3>>,
        )
        .bounded(4),
    ]
}
