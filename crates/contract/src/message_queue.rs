//! The promises of a message queue.
//!
//! All bytes of a message equal its type, so a torn message is detected.

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, initial, short_timeout};
use interlatch::channel::message_queue::{
    LengthPolicy, MessageCell, MessageQueue, MessageQueueExt, MessageType, QueueLimits, Received,
    Select,
};
use interlatch::channel::{
    ChannelError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::{Deadline, Timeout};
use std::time::Duration;

/// A queue of `N` cells.
///
/// A queue of 1 cell holds one message and 95 bytes. A queue of 3 cells holds two messages and 191
/// bytes. A queue of 5 cells holds three messages and 287 bytes.
pub type Cells<const N: usize> = MessageQueue<[MessageCell; N]>;

/// Length of a message that fills one cell.
const SHORT: usize = 95;
/// Length of a message that needs two cells.
const LONGER: usize = 97;
/// Length of a message that fills two cells.
const LONG: usize = 192;

/// A queue, and the messages whose sends and receives succeeded.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct QueueState<Q> {
    queue: Q,
    sent: [RaceCell; 2],
    received: [RaceCell; 2],
}

/// A full queue: three messages, one of each type from 1 to 3.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct FullQueue<Q: MessageQueueExt>(#[shm(initial = full_queue())] QueueState<Q>);

fn full_queue<Q: MessageQueueExt>() -> QueueState<Q>
where
    QueueState<Q>: ShmSafe,
{
    // SAFETY: the calling thread holds no lock of the queue when the queue moves into its place.
    let full = unsafe { initial::<QueueState<Q>>() };
    (1..=3).for_each(|number| send(&full.queue, number, SHORT));
    full
}

/// Runs every scenario of a message queue in a larger queue, one scenario in the smallest queue
/// too, and one scenario with the default methods.
pub fn all(stage: &mut impl Stage) {
    all_scenarios(stage);
    stage.run(delivers_each_once::<Cells<1>>());
    stage.run(messages_of_every_length_are_received_whole::<DefaultMethods>());
}

/// Runs every scenario of a message queue once.
pub fn all_scenarios(stage: &mut impl Stage) {
    stage.run(keeps_order_within_a_type::<Cells<3>>());
    stage.run(delivers_each_once::<Cells<3>>());
    stage.run(receives_the_lowest_type_first::<Cells<5>>());
    stage.run(sender_waits_at_the_message_limit::<Cells<1>>());
    stage.run(sender_waits_at_the_byte_limit::<Cells<5>>());
    stage.run(reply_reaches_its_requester::<Cells<3>>());
    stage.run(receiver_of_another_type_takes_no_wakeup::<Cells<3>>());
    stage.run(sender_of_a_longer_message_takes_no_wakeup::<Cells<5>>());
    stage.run(timed_out_receiver_takes_no_message::<Cells<1>>());
    stage.run(timed_out_sender_sends_no_message::<Cells<5>>());
    stage.run(handles_extreme_timeouts::<Cells<1>>());
    stage.run(message_that_does_not_fit_stays_queued::<Cells<1>>());
    stage.run(killed_send_completes_or_has_no_effect::<Cells<3>>(2));
    stage.run(killed_send_completes_or_has_no_effect::<Cells<3>>(3));
    stage.run(two_killed_sends_complete_or_have_no_effect::<Cells<3>>());
    stage.run(killed_receive_completes_or_has_no_effect::<Cells<5>>(2));
    stage.run(killed_receive_completes_or_has_no_effect::<Cells<5>>(3));
    stage.run(message_of_killed_sender_is_not_overtaken::<Cells<3>>());
    stage.run(values_and_bytes_share_the_queue::<Cells<3>>());
    stage.run(oldest_message_of_the_lowest_type_is_received_first::<
        Cells<3>,
    >());
    stage.run(messages_of_every_length_are_received_whole::<Cells<3>>());
    stage.run(message_in_two_pieces_frees_all_its_cells::<Cells<3>>());
    stage.run(every_send_and_receive_method_passes_messages());
}

fn message_type(number: i64) -> MessageType {
    MessageType::new(number).unwrap_or_else(|error| panic!("{error}"))
}

fn message(number: i64, length: usize) -> Vec<u8> {
    vec![number as u8; length]
}

fn try_to_send(queue: &impl MessageQueueExt, number: i64, length: usize, timeout: Timeout) -> bool {
    match queue.send_with(message_type(number), &message(number, length), timeout) {
        Ok(()) => true,
        failed => {
            assert_eq!(failed, Err(SendTimeoutError::Timeout(())));
            false
        }
    }
}

fn send(queue: &impl MessageQueueExt, number: i64, length: usize) {
    let sent = queue.send(message_type(number), &message(number, length));
    assert_eq!(sent, Ok(()));
}

/// Receives a message, checks its bytes, and returns its type and length.
///
/// Returns `None` if no message arrived in time.
fn try_to_receive(
    queue: &impl MessageQueueExt,
    select: Select,
    timeout: Timeout,
) -> Option<(i64, usize)> {
    match queue.receive_with(select, timeout) {
        Ok(received) => {
            let (number, length) = (received.message_type.get(), received.bytes.len());
            assert_eq!(
                received.bytes,
                message(number, length),
                "the message is torn"
            );
            Some((number, length))
        }
        Err(error) => {
            assert_eq!(error, RecvTimeoutError::Timeout);
            None
        }
    }
}

fn receive(queue: &impl MessageQueueExt, select: Select) -> (i64, usize) {
    loop {
        if let Some(received) = try_to_receive(queue, select, Timeout::Infinite) {
            return received;
        }
    }
}

fn receive_type(queue: &impl MessageQueueExt, number: i64) -> usize {
    let (found, length) = receive(queue, Select::Type(message_type(number)));
    assert_eq!(found, number, "received another type than requested");
    length
}

/// Receives the messages left in the queue, oldest first.
fn drain(queue: &impl MessageQueueExt) -> Vec<(i64, usize)> {
    let next = || try_to_receive(queue, Select::First, Timeout::NonBlocking);
    std::iter::from_fn(next).collect()
}

fn numbers(messages: Vec<(i64, usize)>) -> Vec<i64> {
    messages.into_iter().map(|(number, _)| number).collect()
}

/// Drains a queue of at most `messages` messages, and checks that no cell and no byte is lost.
///
/// The queue must then accept messages that need all cells and all bytes, and one message that
/// needs all bytes.
fn drain_and_check(queue: &impl MessageQueueExt, messages: usize) -> Vec<(i64, usize)> {
    let longest = queue.max_length();
    let left = drain_full(queue, messages);
    let last = longest - (messages - 1) * LONGER;
    check_room(queue, &[vec![LONGER; messages - 1], vec![last]].concat());
    assert!(
        try_to_send(queue, 9, longest, Timeout::NonBlocking),
        "bytes are lost"
    );
    assert_eq!(drain(queue), [(9, longest)]);
    left
}

/// Checks the free space of a queue of at most `messages` messages, and then drains it.
///
/// The free space is checked while messages are queued, because an empty queue treats all cells as
/// free and would hide a lost cell.
fn drain_full(queue: &impl MessageQueueExt, messages: usize) -> Vec<(i64, usize)> {
    let longest = queue.max_length();
    let used = [0, 1, SHORT, LONGER, LONGER + 1, 2 * SHORT];
    let mut rooms = used.map(|used| longest.saturating_sub(used)).into_iter();
    let rest = rooms.find(|room| try_to_send(queue, 8, *room, Timeout::NonBlocking));
    let others = (0..).take_while(|_| try_to_send(queue, 8, 0, Timeout::NonBlocking));
    let others = others.count() + usize::from(rest.is_some());
    let mut left = drain(queue);
    assert_eq!(left.len(), messages, "the message limit is wrong");
    left.truncate(messages - others);
    let bytes: usize = left.iter().map(|(_, length)| length).sum();
    if let Some(rest) = rest {
        assert_eq!(bytes + rest, longest, "bytes are lost beside {left:?}");
    }
    left
}

/// Checks that messages of these lengths fill the queue and are received in order.
fn check_room(queue: &impl MessageQueueExt, lengths: &[usize]) {
    let all: Vec<(i64, usize)> = (1..).zip(lengths.iter().copied()).collect();
    for (number, length) in &all {
        let is_sent = try_to_send(queue, *number, *length, Timeout::NonBlocking);
        assert!(is_sent, "room for {number} of {lengths:?} is lost");
    }
    assert!(
        !try_to_send(queue, 9, 0, Timeout::NonBlocking),
        "a full queue accepted a message"
    );
    assert_eq!(drain(queue), all, "messages are lost or out of order");
}

/// Messages of one type arrive in the order in which they were sent.
///
/// A receive that searches from the newest message breaks the order. If a receive copies the
/// message after unlocking, the copy races with the next send.
pub fn keeps_order_within_a_type<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let sender = |shared: &QueueState<Q>| {
        send(&shared.queue, 1, 1);
        send(&shared.queue, 1, 2);
    };
    let receiver = |shared: &QueueState<Q>| {
        assert_eq!(receive_type(&shared.queue, 1), 1);
        assert_eq!(receive_type(&shared.queue, 1), 2);
    };
    Scenario::new("keeps_order_within_a_type", vec![sender, receiver])
}

/// A receiver gets the messages of two senders exactly once.
pub fn delivers_each_once<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let one = |shared: &QueueState<Q>| send(&shared.queue, 1, 1);
    let other =
        |shared: &QueueState<Q>| send(&shared.queue, 2, LONGER.min(shared.queue.max_length()));
    let receiver = |shared: &QueueState<Q>| {
        let both = [(); 2].map(|()| receive(&shared.queue, Select::First).0);
        assert!(matches!(both, [1, 2] | [2, 1]), "received {both:?}");
    };
    Scenario::new("delivers_each_once", vec![one, other, receiver])
        .verify(|shared| assert_eq!(drain(&shared.queue), []))
        .choices(8)
}

/// `Select::LowestUpTo` receives the queued message with the lowest type.
///
/// A message of a lower type may arrive between any two receives.
pub fn receives_the_lowest_type_first<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let other = |shared: &QueueState<Q>| send(&shared.queue, 1, 1);
    let receiver = |shared: &QueueState<Q>| {
        send(&shared.queue, 3, 1);
        send(&shared.queue, 2, 1);
        let lowest = Select::LowestUpTo(message_type(3));
        let order = [(); 3].map(|()| receive(&shared.queue, lowest).0);
        let allowed = [[1, 2, 3], [2, 1, 3], [2, 3, 1]];
        assert!(allowed.contains(&order), "received {order:?}");
    };
    Scenario::new("receives_the_lowest_type_first", vec![other, receiver])
}

/// Among several messages of the lowest type, `Select::LowestUpTo` receives the oldest one.
pub fn oldest_message_of_the_lowest_type_is_received_first<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let alone = |shared: &QueueState<Q>| {
        let lowest = Select::LowestUpTo(message_type(5));
        send(&shared.queue, 5, 1);
        send(&shared.queue, 5, 2);
        for length in [1, 2] {
            assert_eq!(receive(&shared.queue, lowest), (5, length));
        }
    };
    Scenario::new(
        "oldest_message_of_the_lowest_type_is_received_first",
        vec![alone],
    )
}

/// If a message that lies in two separate pieces is received, all its cells are free again.
///
/// Another message stays queued between the two pieces, because an empty queue treats all cells as
/// free and would hide a lost cell.
pub fn message_in_two_pieces_frees_all_its_cells<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let alone = |shared: &QueueState<Q>| {
        let queue = &shared.queue;
        send(queue, 1, 1);
        send(queue, 2, 1);
        assert_eq!(receive_type(queue, 1), 1);
        for number in [3, 4, 5] {
            let is_sent = try_to_send(queue, number, LONGER, Timeout::NonBlocking);
            assert!(is_sent, "a cell is lost");
            assert_eq!(receive_type(queue, number), LONGER);
        }
        assert_eq!(drain_and_check(queue, 2), [(2, 1)]);
    };
    Scenario::new("message_in_two_pieces_frees_all_its_cells", vec![alone])
}

/// A queue of 3 cells with the default methods of [`MessageQueueExt`].
#[repr(transparent)]
#[derive(Debug, ShmSafe)]
pub struct DefaultMethods(Cells<3>);

impl MessageQueueExt for DefaultMethods {
    fn max_length(&self) -> usize {
        self.0.max_length()
    }

    fn send_with(
        &self,
        message_type: MessageType,
        bytes: &[u8],
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        self.0.send_with(message_type, bytes, timeout)
    }

    fn receive_into(
        &self,
        select: Select,
        buffer: &mut [u8],
        policy: LengthPolicy,
        timeout: Timeout,
    ) -> Result<Received, RecvTimeoutError> {
        self.0.receive_into(select, buffer, policy, timeout)
    }
}

/// A message is received with all its bytes and no others, whatever its length.
pub fn messages_of_every_length_are_received_whole<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let alone = |shared: &QueueState<Q>| {
        let max = shared.queue.max_length();
        for length in [0, 1, SHORT, SHORT + 1, LONGER, max - 1, max] {
            send(&shared.queue, 1, length);
            assert_eq!(receive(&shared.queue, Select::First), (1, length));
        }
    };
    Scenario::new("messages_of_every_length_are_received_whole", vec![alone])
}

/// A sender waits while the queue holds its maximum number of messages.
pub fn sender_waits_at_the_message_limit<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>>
{
    let sender = |shared: &QueueState<Q>| {
        send(&shared.queue, 1, 1);
        send(&shared.queue, 2, 0);
        assert_eq!(shared.received[0].get(), 1, "the sender did not wait");
    };
    waits_while_full("sender_waits_at_the_message_limit", sender)
}

/// A sender waits while its message would exceed the maximum number of bytes.
pub fn sender_waits_at_the_byte_limit<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let sender = |shared: &QueueState<Q>| {
        send(&shared.queue, 1, LONG);
        send(&shared.queue, 2, LONGER);
        assert_eq!(shared.received[0].get(), 1, "the sender did not wait");
    };
    waits_while_full("sender_waits_at_the_byte_limit", sender)
}

fn waits_while_full<Q: MessageQueueExt + ShmSafe>(
    name: &'static str,
    sender: fn(&QueueState<Q>),
) -> Scenario<QueueState<Q>> {
    let receiver = |shared: &QueueState<Q>| {
        // The sender sees this write, because the write precedes the receive that the sender waits
        // for.
        shared.received[0].set(1);
        receive_type(&shared.queue, 1);
    };
    Scenario::new(name, vec![sender, receiver]).verify(|shared| {
        let left = drain(&shared.queue);
        assert!(matches!(left[..], [(2, _)]), "{left:?} is left");
    })
}

/// Each of two clients of one queue gets the reply to its own request.
///
/// Requests and replies share the queue. A wake-up that reaches the wrong process makes the other
/// processes hang.
pub fn reply_reaches_its_requester<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    const REQUEST: i64 = 9;
    fn ask<Q: MessageQueueExt, const INDEX: i64>(shared: &QueueState<Q>) {
        // The length of a request says which client sent the request.
        send(&shared.queue, REQUEST, INDEX as usize);
        assert_eq!(receive_type(&shared.queue, INDEX), 10 * INDEX as usize);
    }
    let server = |shared: &QueueState<Q>| {
        for _ in 0..2 {
            let client = receive_type(&shared.queue, REQUEST);
            send(&shared.queue, client as i64, 10 * client);
        }
    };
    Scenario::new(
        "reply_reaches_its_requester",
        vec![ask::<Q, 1>, ask::<Q, 2>, server],
    )
    .verify(|shared| assert_eq!(drain(&shared.queue), []))
    .choices(12)
}

/// A receiver that waits for another message type does not consume the wake-up that a message
/// causes.
///
/// Two receivers wait for different types. If an arrival wakes only the receiver that waits for the
/// other type, both hang.
pub fn receiver_of_another_type_takes_no_wakeup<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    fn take<Q: MessageQueueExt, const TYPE: i64>(shared: &QueueState<Q>) {
        assert_eq!(receive_type(&shared.queue, TYPE), 1);
    }
    let sender = |shared: &QueueState<Q>| {
        send(&shared.queue, 2, 1);
        send(&shared.queue, 1, 1);
    };
    Scenario::new(
        "receiver_of_another_type_takes_no_wakeup",
        vec![take::<Q, 1>, take::<Q, 2>, sender],
    )
    .choices(8)
}

/// A sender that waits for more space does not consume the wake-up of a sender that needs less
/// space.
///
/// Two senders wait for free space. If a receive wakes only the sender whose message does not fit,
/// the other sender hangs.
pub fn sender_of_a_longer_message_takes_no_wakeup<Q: MessageQueueExt + ShmSafe>()
-> Scenario<FullQueue<Q>> {
    let long = |full: &FullQueue<Q>| send(&full.0.queue, 5, LONG);
    let short = |full: &FullQueue<Q>| send(&full.0.queue, 4, SHORT);
    let receiver = |full: &FullQueue<Q>| {
        // The short message fits after the first receive. The long message fits only after the last
        // receive.
        for number in [1, 4, 2] {
            assert_eq!(receive_type(&full.0.queue, number), SHORT);
        }
        assert_eq!(receive_type(&full.0.queue, 5), LONG);
    };
    Scenario::new(
        "sender_of_a_longer_message_takes_no_wakeup",
        vec![long, short, receiver],
    )
    .choices(8)
}

/// A receiver that times out has taken no message.
///
/// The timeout may coincide with the arrival of a message. The message is either received or left
/// in the queue, but never both.
pub fn timed_out_receiver_takes_no_message<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>>
{
    let with_timeout = |shared: &QueueState<Q>| {
        let select = Select::Type(message_type(1));
        if try_to_receive(&shared.queue, select, short_timeout()).is_some() {
            shared.received[0].set(1);
        }
    };
    let sender = |shared: &QueueState<Q>| send(&shared.queue, 1, 1);
    Scenario::new(
        "timed_out_receiver_takes_no_message",
        vec![with_timeout, sender],
    )
    .verify(|shared| {
        let left = drain_and_check(&shared.queue, 1).len() as u64;
        assert_eq!(shared.received[0].get() + left, 1);
    })
}

/// A sender that times out has sent no message.
///
/// The timeout may coincide with a receive that frees space.
pub fn timed_out_sender_sends_no_message<Q: MessageQueueExt + ShmSafe>() -> Scenario<FullQueue<Q>> {
    let with_timeout = |FullQueue(shared): &FullQueue<Q>| {
        if try_to_send(&shared.queue, 4, SHORT, short_timeout()) {
            shared.sent[0].set(1);
        }
    };
    let receiver = |FullQueue(shared): &FullQueue<Q>| {
        receive_type(&shared.queue, 2);
    };
    Scenario::new(
        "timed_out_sender_sends_no_message",
        vec![with_timeout, receiver],
    )
    .verify(|FullQueue(shared)| {
        let left = numbers(drain_and_check(&shared.queue, 3));
        let allowed: [&[i64]; 2] = [&[1, 3], &[1, 3, 4]];
        assert_eq!(left, allowed[shared.sent[0].get() as usize]);
    })
}

/// A call with an expired timeout tries once without waiting. A call with the longest timeout
/// passes a message without waiting if it can.
pub fn handles_extreme_timeouts<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let alone = |shared: &QueueState<Q>| {
        let queue = &shared.queue;
        for timeout in expired_timeouts().into_iter().chain([Timeout::NonBlocking]) {
            assert_eq!(try_to_receive(queue, Select::First, timeout), None);
            assert!(try_to_send(queue, 1, 1, timeout), "the queue has room");
            assert!(!try_to_send(queue, 1, 1, timeout), "the queue is full");
            let nine = Select::LowestUpTo(message_type(9));
            assert_eq!(try_to_receive(queue, nine, timeout), Some((1, 1)));
        }
        assert!(try_to_send(queue, 1, 0, distant_timeout()));
        assert_eq!(
            try_to_receive(queue, Select::First, distant_timeout()),
            Some((1, 0))
        );
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}

/// A message that does not fit into the receive buffer stays queued, unless truncation is
/// requested. A message that fills the buffer fits.
pub fn message_that_does_not_fit_stays_queued<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let one = |shared: &QueueState<Q>| {
        let queue = &shared.queue;
        let into = |room: &mut [u8], fit| {
            queue.receive_into(Select::First, room, fit, Timeout::NonBlocking)
        };
        let (length, max) = (queue.max_length() + 1, queue.max_length());
        let too_long = ChannelError::MessageTooLong { length, max };
        let sent = queue.send(message_type(1), &message(1, length));
        assert_eq!(sent, Err(SendError::Failed((), too_long)));
        send(queue, 1, 3);
        let too_long = ChannelError::MessageTooLong { length: 3, max: 2 };
        let wrong = |expected| ChannelError::WrongLength { expected, found: 3 };
        for (room, policy, cause) in [
            (2, LengthPolicy::AtMost, too_long),
            (2, LengthPolicy::Exact, wrong(2)),
            (4, LengthPolicy::Exact, wrong(4)),
        ] {
            let received = into(&mut vec![0; room], policy);
            assert_eq!(received, Err(RecvTimeoutError::Failed(cause)));
        }
        let mut room = [0; 2];
        let two = Received::new(message_type(1), 2);
        assert_eq!(into(&mut room, LengthPolicy::Truncate), Ok(two));
        assert_eq!(room, [1; 2]);
        send(queue, 1, 2);
        assert_eq!(into(&mut room, LengthPolicy::AtMost), Ok(two));
        assert_eq!(drain_and_check(queue, 1), []);
    };
    Scenario::new("message_that_does_not_fit_stays_queued", vec![one])
}

/// If a sender is killed during a send, either the whole message is sent or nothing is sent.
///
/// The sender is killed at any step. The messages of another sender stay in the queue, and the
/// queue loses no cell and no byte. The variant with two processes uses non-blocking operations, so
/// a process waits only for the internal lock.
pub fn killed_send_completes_or_has_no_effect<Q: MessageQueueExt + ShmSafe>(
    processes: usize,
) -> Scenario<QueueState<Q>> {
    fn send_one<Q: MessageQueueExt, const TYPE: i64>(
        shared: &QueueState<Q>,
        length: usize,
        timeout: Timeout,
    ) {
        if try_to_send(&shared.queue, TYPE, length, timeout) {
            shared.sent[TYPE as usize - 1].set(1);
        }
    }
    fn take<Q: MessageQueueExt>(shared: &QueueState<Q>, timeout: Timeout) {
        if let Some((number, _)) = try_to_receive(&shared.queue, Select::First, timeout) {
            shared.received[number as usize - 1].set(1);
        }
    }
    let participants: Vec<fn(&QueueState<Q>)> = match processes {
        2 => vec![
            |shared| send_one::<Q, 1>(shared, LONGER, Timeout::NonBlocking),
            |shared| {
                send_one::<Q, 2>(shared, 1, Timeout::NonBlocking);
                take(shared, Timeout::NonBlocking);
            },
        ],
        _ => vec![
            |shared| send_one::<Q, 1>(shared, LONGER, short_timeout()),
            |shared| take(shared, short_timeout()),
            |shared| send_one::<Q, 2>(shared, 1, short_timeout()),
        ],
    };
    Scenario::new("killed_send_completes_or_has_no_effect", participants)
        .verify(|shared| {
            let mut times = [&shared.received[0], &shared.received[1]].map(|number| number.get());
            for (number, _) in drain_and_check(&shared.queue, 2) {
                times[number as usize - 1] += 1;
            }
            for (times, sent) in times.into_iter().zip(&shared.sent) {
                assert!(times <= 1, "received {times} times");
                assert!(times >= sent.get(), "a sent message is lost");
            }
        })
        .choices(10)
        .victims(&[0])
}

/// If two senders are killed during their sends, each send has either sent its whole message or
/// nothing.
///
/// The second sender may be killed while it repairs the state that the first sender left.
pub fn two_killed_sends_complete_or_have_no_effect<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let name = "two_killed_sends_complete_or_have_no_effect";
    let scenario = killed_send_completes_or_has_no_effect(3).victims(&[0, 2]);
    Scenario { name, ..scenario }
}

/// If a receiver is killed during a receive, the receive has either taken the whole message or
/// nothing.
///
/// The receiver asks for the message in the middle of a full queue and is killed at any step. The
/// other messages stay in order, and no cell and no byte is lost.
pub fn killed_receive_completes_or_has_no_effect<Q: MessageQueueExt + ShmSafe>(
    processes: usize,
) -> Scenario<FullQueue<Q>> {
    fn take_type_2<Q: MessageQueueExt>(FullQueue(shared): &FullQueue<Q>) {
        try_to_receive(
            &shared.queue,
            Select::Type(message_type(2)),
            Timeout::NonBlocking,
        );
    }
    fn replace_type_1<Q: MessageQueueExt>(FullQueue(shared): &FullQueue<Q>) {
        assert_eq!(receive(&shared.queue, Select::First), (1, SHORT));
        assert!(
            try_to_send(&shared.queue, 4, SHORT, Timeout::NonBlocking),
            "the queue has room"
        );
    }
    fn take_type_3<Q: MessageQueueExt>(FullQueue(shared): &FullQueue<Q>) {
        assert_eq!(receive_type(&shared.queue, 3), SHORT);
        shared.received[0].set(1);
    }
    let mut participants: Vec<fn(&FullQueue<Q>)> = vec![take_type_2, replace_type_1];
    if processes > 2 {
        participants.push(take_type_3);
    }
    Scenario::new("killed_receive_completes_or_has_no_effect", participants)
        .verify(|FullQueue(shared)| {
            let left = numbers(drain_and_check(&shared.queue, 3));
            let allowed: [&[i64]; 2] = match shared.received[0].get() {
                0 => [&[2, 3, 4], &[3, 4]],
                _ => [&[2, 4], &[4]],
            };
            assert!(allowed.contains(&&left[..]), "{left:?} is left");
        })
        .choices(10)
        .victims(&[0])
}

/// No message that is sent later overtakes the message of a killed sender.
pub fn message_of_killed_sender_is_not_overtaken<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let sender = |shared: &QueueState<Q>| {
        if try_to_send(&shared.queue, 1, 1, Timeout::NonBlocking) {
            shared.sent[0].set(1);
        }
    };
    let other = |shared: &QueueState<Q>| {
        let first = try_to_receive(&shared.queue, Select::First, Timeout::NonBlocking);
        send(&shared.queue, 2, 1);
        let second = try_to_receive(&shared.queue, Select::First, Timeout::NonBlocking);
        let both = [first, second].map(|taken| taken.map(|(number, _)| number));
        let allowed = [[None, Some(2)], [None, Some(1)], [Some(1), Some(2)]];
        assert!(allowed.contains(&both), "received {both:?}");
        shared.received[0].set(u64::from(both.contains(&Some(1))));
    };
    Scenario::new(
        "message_of_killed_sender_is_not_overtaken",
        vec![sender, other],
    )
    .verify(|shared| {
        let left = drain_and_check(&shared.queue, 2);
        let arrived = left.iter().filter(|(number, _)| *number == 1).count() as u64;
        let arrived = arrived + shared.received[0].get();
        let sent = shared.sent[0].get();
        assert!(arrived <= 1 && arrived >= sent, "{left:?} is left");
    })
    .choices(8)
    .victims(&[0])
}

/// If a receiver of values is killed, receivers of bytes and of other types find every message that
/// it has not taken.
///
/// The queue holds a value and a message of bytes. The receiver of the value is killed at any step,
/// while another process receives into a buffer and sends a value.
pub fn values_and_bytes_share_the_queue<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let values = |shared: &QueueState<Q>| {
        let type_1 = Select::Type(message_type(1));
        if let Ok((_, value)) = shared
            .queue
            .receive_value_with::<[u8; 1]>(type_1, short_timeout())
        {
            assert_eq!(value, [1_u8; 1], "the value is torn");
            shared.received[0].set(1);
        }
    };
    let other = |shared: &QueueState<Q>| {
        assert_eq!(shared.queue.send_value(message_type(1), &[1_u8; 1]), Ok(()));
        send(&shared.queue, 2, 1);
        let mut buffer = [0; 4];
        let type_2 = Select::Type(message_type(2));
        let policy = LengthPolicy::Truncate;
        let received = shared
            .queue
            .receive_into(type_2, &mut buffer, policy, short_timeout());
        if let Ok(received) = received {
            assert_eq!((received.length, buffer[0]), (1, 2), "another message");
            shared.received[1].set(1);
        }
    };
    Scenario::new("values_and_bytes_share_the_queue", vec![values, other])
        .verify(|shared| {
            let left = drain_and_check(&shared.queue, 2);
            let count = |number| left.iter().filter(|(found, _)| *found == number).count() as u64;
            assert!(
                count(1) + shared.received[0].get() <= 1,
                "a message is doubled"
            );
            assert_eq!(count(2) + shared.received[1].get(), 1, "{left:?} is left");
        })
        .choices(8)
        .victims(&[0])
}

/// Each send method sends a message, and each receive method receives one.
pub fn every_send_and_receive_method_passes_messages() -> Scenario<QueueState<Cells<3>>> {
    let alone = |shared: &QueueState<Cells<3>>| {
        let (queue, second) = (&shared.queue, Duration::from_secs(1));
        let (kind, first) = (message_type(5), Select::First);
        let deadline = || Deadline::after(second);
        assert!(queue.is_empty());
        assert_eq!(queue.limits(), QueueLimits::from_cells(3));
        assert!(queue.limits().cells() >= 2);
        assert_eq!(queue.try_receive(first).err(), Some(TryRecvError::Empty));
        assert_eq!(queue.try_send(kind, &[1]), Ok(()));
        assert_eq!(queue.send_timeout(kind, &[2, 2], second), Ok(()));
        assert_eq!(
            (queue.len(), queue.bytes(), queue.is_empty()),
            (2, 3, false)
        );
        assert_eq!(queue.try_send(kind, &[3]), Err(TrySendError::Full(())));
        assert_eq!(queue.try_receive(first).map(|it| it.bytes), Ok(vec![1]));
        assert_eq!(queue.send_deadline(kind, &[3; 8], deadline()), Ok(()));
        let received = queue.receive_timeout(first, second);
        assert_eq!(received.map(|it| it.bytes), Ok(vec![2, 2]));
        assert_eq!(queue.receive_value::<[u8; 8]>(first), Ok((kind, [3; 8])));
        assert_eq!(queue.send_value(kind, &[4_u8]), Ok(()));
        let received = queue.receive_deadline(first, deadline());
        assert_eq!(received.map(|it| it.bytes), Ok(vec![4]));
        assert_eq!(queue.send(kind, &[5]), Ok(()));
        assert_eq!(queue.receive(first).map(|it| it.bytes), Ok(vec![5]));
    };
    Scenario::new("every_send_and_receive_method_passes_messages", vec![alone])
}
