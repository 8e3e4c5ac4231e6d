//! What a message queue promises.
//!
//! A message here is told from others by its type and its length, and all its bytes are its type: one
//! that is torn has others.

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, short_timeout};
use interlatch::channel::message_queue::{
    MessageCell, MessageQueue, MessageQueueExt, MessageType, Oversize, ReceiveMessageError,
    Received, Select, SendMessageError,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A queue of that many cells: of 1 for a message and 95 bytes, of 3 for two and 191, of 5 for three and 287.
pub type Cells<const N: usize> = MessageQueue<[MessageCell; N]>;

/// Bytes of a message that takes one cell, of one that takes two, and of one that fills these.
const SHORT: usize = 95;
const LONGER: usize = 97;
const LONG: usize = 192;

/// A queue, and what its users know of the messages.
#[repr(C)]
#[derive(Debug)]
pub struct QueueState<Q> {
    queue: Q,
    sent: [RaceCell; 2],
    received: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<Q: MessageQueueExt + ShmSafe> ShmSafe for QueueState<Q> {
    fn initial() -> Self {
        Self {
            queue: Q::initial(),
            sent: [RaceCell::new(0), RaceCell::new(0)],
            received: [RaceCell::new(0), RaceCell::new(0)],
        }
    }
}

/// A queue for three messages with a short one of each type from 1 to 3: it is full.
#[repr(C)]
#[derive(Debug)]
pub struct FullQueue<Q>(QueueState<Q>);

// SAFETY: that of its only part.
unsafe impl<Q: MessageQueueExt + ShmSafe> ShmSafe for FullQueue<Q> {
    fn initial() -> Self {
        let full = QueueState::initial();
        (1..=3).for_each(|number| send(&full.queue, number, SHORT));
        Self(full)
    }
}

/// Runs every scenario of a message queue, and one of them in the smallest queue as well.
pub fn all(stage: &mut impl Stage) {
    all_scenarios(stage);
    stage.run(delivers_each_once::<Cells<1>>());
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
}

fn kind(number: i64) -> MessageType {
    MessageType::new(number).unwrap_or_else(|error| panic!("{error}"))
}

fn message(number: i64, length: usize) -> Vec<u8> {
    vec![number as u8; length]
}

fn try_to_send(queue: &impl MessageQueueExt, number: i64, length: usize, timeout: Timeout) -> bool {
    match queue.send_with(kind(number), &message(number, length), timeout) {
        Ok(()) => true,
        refused => {
            assert_eq!(refused, Err(SendMessageError::Full));
            false
        }
    }
}

fn send(queue: &impl MessageQueueExt, number: i64, length: usize) {
    let sent = queue.send(kind(number), &message(number, length));
    assert_eq!(sent, Ok(()));
}

/// The type and the length, if there is one in time; it must be whole.
fn try_to_receive(
    queue: &impl MessageQueueExt,
    select: Select,
    timeout: Timeout,
) -> Option<(i64, usize)> {
    match queue.receive_with(select, timeout) {
        Ok(received) => {
            let (number, length) = (received.kind.get(), received.bytes.len());
            assert_eq!(received.bytes, message(number, length), "a torn message");
            Some((number, length))
        }
        Err(refused) => {
            assert_eq!(refused, ReceiveMessageError::NoMessage);
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
    let (found, length) = receive(queue, Select::Type(kind(number)));
    assert_eq!(found, number, "another type than was asked for");
    length
}

/// What is in the queue, oldest first.
fn drain(queue: &impl MessageQueueExt) -> Vec<(i64, usize)> {
    let next = || try_to_receive(queue, Select::First, Timeout::NonBlocking);
    std::iter::from_fn(next).collect()
}

fn numbers(messages: Vec<(i64, usize)>) -> Vec<i64> {
    messages.into_iter().map(|(number, _)| number).collect()
}

/// What is in the queue for that many messages. Afterwards it takes as many as it ever did, and no more: of
/// lengths that need all cells and all bytes; and one that takes all bytes.
fn left_in(queue: &impl MessageQueueExt, messages: usize) -> Vec<(i64, usize)> {
    let longest = queue.longest();
    let left = left_beside_others(queue, messages);
    let last = longest - (messages - 1) * LONGER;
    takes(queue, &[vec![LONGER; messages - 1], vec![last]].concat());
    assert!(
        try_to_send(queue, 9, longest, Timeout::NonBlocking),
        "bytes are lost"
    );
    assert_eq!(drain(queue), [(9, longest)]);
    left
}

/// What is in the queue for that many messages, which are counted: others have room beside them as far as
/// the limits say. (It is asked before the queue is empty: then all cells are free, whatever was lost.)
fn left_beside_others(queue: &impl MessageQueueExt, messages: usize) -> Vec<(i64, usize)> {
    let longest = queue.longest();
    let used = [0, 1, SHORT, LONGER, LONGER + 1, 2 * SHORT];
    let mut rooms = used.map(|used| longest.saturating_sub(used)).into_iter();
    let rest = rooms.find(|room| try_to_send(queue, 8, *room, Timeout::NonBlocking));
    let others = (0..).take_while(|_| try_to_send(queue, 8, 0, Timeout::NonBlocking));
    let others = others.count() + usize::from(rest.is_some());
    let mut left = drain(queue);
    assert_eq!(left.len(), messages, "as many as there may be");
    left.truncate(messages - others);
    let bytes: usize = left.iter().map(|(_, length)| length).sum();
    if let Some(rest) = rest {
        assert_eq!(bytes + rest, longest, "room is lost beside {left:?}");
    }
    left
}

/// MessageQueueExt of these lengths have room, and no other one beside them; they come back in order.
fn takes(queue: &impl MessageQueueExt, lengths: &[usize]) {
    let all: Vec<(i64, usize)> = (1..).zip(lengths.iter().copied()).collect();
    for (number, length) in &all {
        let is_sent = try_to_send(queue, *number, *length, Timeout::NonBlocking);
        assert!(is_sent, "room for {number} of {lengths:?} is lost");
    }
    assert!(
        !try_to_send(queue, 9, 0, Timeout::NonBlocking),
        "it is full"
    );
    assert_eq!(drain(queue), all, "what was sent, in order");
}

/// What one sends, another receives in the same order.
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

/// Of what two send one receives each message, once.
pub fn delivers_each_once<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let one = |shared: &QueueState<Q>| send(&shared.queue, 1, 1);
    let other = |shared: &QueueState<Q>| send(&shared.queue, 2, LONGER.min(shared.queue.longest()));
    let receiver = |shared: &QueueState<Q>| {
        let both = [(); 2].map(|()| receive(&shared.queue, Select::First).0);
        assert!(matches!(both, [1, 2] | [2, 1]), "each once: {both:?}");
    };
    Scenario::new("delivers_each_once", vec![one, other, receiver])
        .verify(|shared| assert_eq!(drain(&shared.queue), []))
        .choices(8)
}

/// Of what is there the lowest type comes first, wherever another one arrives in between.
pub fn receives_the_lowest_type_first<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let other = |shared: &QueueState<Q>| send(&shared.queue, 1, 1);
    let receiver = |shared: &QueueState<Q>| {
        send(&shared.queue, 3, 1);
        send(&shared.queue, 2, 1);
        let lowest = Select::LowestUpTo(kind(3));
        let order = [(); 3].map(|()| receive(&shared.queue, lowest).0);
        let may_be = [[1, 2, 3], [2, 1, 3], [2, 3, 1]];
        assert!(may_be.contains(&order), "{order:?}");
    };
    Scenario::new("receives_the_lowest_type_first", vec![other, receiver])
}

/// A sender waits while there are as many messages as there may be.
pub fn sender_waits_at_the_message_limit<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>>
{
    let sender = |shared: &QueueState<Q>| {
        send(&shared.queue, 1, 1);
        send(&shared.queue, 2, 0);
        assert_eq!(shared.received[0].get(), 1, "it did not wait");
    };
    waits_while_full("sender_waits_at_the_message_limit", sender)
}

/// A sender waits while there are as many bytes as there may be.
pub fn sender_waits_at_the_byte_limit<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let sender = |shared: &QueueState<Q>| {
        send(&shared.queue, 1, LONG);
        send(&shared.queue, 2, LONGER);
        assert_eq!(shared.received[0].get(), 1, "it did not wait");
    };
    waits_while_full("sender_waits_at_the_byte_limit", sender)
}

fn waits_while_full<Q: MessageQueueExt + ShmSafe>(
    name: &'static str,
    sender: fn(&QueueState<Q>),
) -> Scenario<QueueState<Q>> {
    let receiver = |shared: &QueueState<Q>| {
        // The receiving comes after this, and the sender sees what comes before a receiving.
        shared.received[0].set(1);
        receive_type(&shared.queue, 1);
    };
    Scenario::new(name, vec![sender, receiver]).verify(|shared| {
        let left = drain(&shared.queue);
        assert!(matches!(left[..], [(2, _)]), "{left:?}");
    })
}

/// Two clients ask one server over one queue: each gets the reply to what it has asked.
pub fn reply_reaches_its_requester<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    const REQUEST: i64 = 9;
    fn ask<Q: MessageQueueExt, const INDEX: i64>(shared: &QueueState<Q>) {
        // A request names its sender by its length here.
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

/// Two wait for different types: each hears of its own, whichever of them is woken first.
pub fn receiver_of_another_type_takes_no_wakeup<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    fn take<Q: MessageQueueExt, const KIND: i64>(shared: &QueueState<Q>) {
        assert_eq!(receive_type(&shared.queue, KIND), 1);
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

/// Two wait for room, one for more than there is: the other one goes on.
pub fn sender_of_a_longer_message_takes_no_wakeup<Q: MessageQueueExt + ShmSafe>()
-> Scenario<FullQueue<Q>> {
    let long = |full: &FullQueue<Q>| send(&full.0.queue, 5, LONG);
    let short = |full: &FullQueue<Q>| send(&full.0.queue, 4, SHORT);
    let receiver = |full: &FullQueue<Q>| {
        // There is room for the short one now, and only when that has gone for the other one.
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

/// Whoever stops waiting for a message has taken none; whoever gets one has it alone.
pub fn timed_out_receiver_takes_no_message<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>>
{
    let with_timeout = |shared: &QueueState<Q>| {
        let select = Select::Type(kind(1));
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
        let left = left_in(&shared.queue, 1).len() as u64;
        assert_eq!(shared.received[0].get() + left, 1);
    })
}

/// Whoever stops waiting for room has sent nothing.
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
        let left = numbers(left_in(&shared.queue, 3));
        let may_be: [&[i64]; 2] = [&[1, 3], &[1, 3, 4]];
        assert_eq!(left, may_be[shared.sent[0].get() as usize]);
    })
}

/// Every timeout is an answer: none, a deadline that has passed, and one of centuries.
pub fn handles_extreme_timeouts<Q: MessageQueueExt + ShmSafe>() -> Scenario<QueueState<Q>> {
    let patient = |shared: &QueueState<Q>| {
        let queue = &shared.queue;
        for timeout in expired_timeouts().into_iter().chain([Timeout::NonBlocking]) {
            assert_eq!(try_to_receive(queue, Select::First, timeout), None);
            assert!(try_to_send(queue, 1, 1, timeout), "there is room");
            assert!(!try_to_send(queue, 1, 1, timeout), "it is full");
            let nine = Select::LowestUpTo(kind(9));
            assert_eq!(try_to_receive(queue, nine, timeout), Some((1, 1)));
        }
        assert!(try_to_send(queue, 1, 0, distant_timeout()));
        assert_eq!(
            try_to_receive(queue, Select::First, distant_timeout()),
            Some((1, 0))
        );
    };
    Scenario::new("handles_extreme_timeouts", vec![patient])
}

/// A message of another length than is expected is refused and stays, or is cut where that was asked for.
pub fn message_that_does_not_fit_stays_queued<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let one = |shared: &QueueState<Q>| {
        let queue = &shared.queue;
        let into = |room: &mut [u8], fit| {
            queue.receive_into(Select::First, room, fit, Timeout::NonBlocking)
        };
        let (length, limit) = (queue.longest() + 1, queue.longest());
        let too_long = queue.send(kind(1), &message(1, length));
        assert_eq!(too_long, Err(SendMessageError::TooLong { length, limit }));
        send(queue, 1, 3);
        for (room, fit) in [
            (2, Oversize::Whole),
            (2, Oversize::Exact),
            (4, Oversize::Exact),
        ] {
            let refused = Err(ReceiveMessageError::WrongLength { length: 3, room });
            assert_eq!(into(&mut vec![0; room], fit), refused);
        }
        let mut room = [0; 2];
        let cut = Received {
            kind: kind(1),
            length: 2,
        };
        assert_eq!(into(&mut room, Oversize::Truncated), Ok(cut));
        assert_eq!(room, [1; 2]);
        assert_eq!(left_in(queue, 1), []);
    };
    Scenario::new("message_that_does_not_fit_stays_queued", vec![one])
}

/// A sender is killed: its message was sent, or not; what another one has sent is there, and as much room
/// as before. With two processes nobody waits for the other but at a lock.
pub fn killed_send_completes_or_has_no_effect<Q: MessageQueueExt + ShmSafe>(
    processes: usize,
) -> Scenario<QueueState<Q>> {
    fn send_one<Q: MessageQueueExt, const KIND: i64>(
        shared: &QueueState<Q>,
        length: usize,
        timeout: Timeout,
    ) {
        if try_to_send(&shared.queue, KIND, length, timeout) {
            shared.sent[KIND as usize - 1].set(1);
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
            for (number, _) in left_in(&shared.queue, 2) {
                times[number as usize - 1] += 1;
            }
            for (times, sent) in times.into_iter().zip(&shared.sent) {
                assert!(times <= 1, "received {times} times");
                assert!(times >= sent.get(), "one that was sent is lost");
            }
        })
        .choices(10)
        .victims(&[0])
}

/// Two senders are killed, the second one maybe while it repairs what the first has left.
pub fn two_killed_sends_complete_or_have_no_effect<Q: MessageQueueExt + ShmSafe>()
-> Scenario<QueueState<Q>> {
    let name = "two_killed_sends_complete_or_have_no_effect";
    let scenario = killed_send_completes_or_has_no_effect(3).victims(&[0, 2]);
    Scenario { name, ..scenario }
}

/// A receiver is killed that asks for the message in the middle: it has taken that, or not; the others are
/// there in their order, and as much room as before.
pub fn killed_receive_completes_or_has_no_effect<Q: MessageQueueExt + ShmSafe>(
    processes: usize,
) -> Scenario<FullQueue<Q>> {
    fn take_type_2<Q: MessageQueueExt>(FullQueue(shared): &FullQueue<Q>) {
        try_to_receive(&shared.queue, Select::Type(kind(2)), Timeout::NonBlocking);
    }
    fn replace_type_1<Q: MessageQueueExt>(FullQueue(shared): &FullQueue<Q>) {
        assert_eq!(receive(&shared.queue, Select::First), (1, SHORT));
        assert!(
            try_to_send(&shared.queue, 4, SHORT, Timeout::NonBlocking),
            "there is room"
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
            let left = numbers(left_in(&shared.queue, 3));
            let may_be: [&[i64]; 2] = match shared.received[0].get() {
                0 => [&[2, 3, 4], &[3, 4]],
                _ => [&[2, 4], &[4]],
            };
            assert!(may_be.contains(&&left[..]), "{left:?}");
        })
        .choices(10)
        .victims(&[0])
}

/// A sender is killed: another one's message does not overtake its own.
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
        let may_be = [[None, Some(2)], [None, Some(1)], [Some(1), Some(2)]];
        assert!(may_be.contains(&both), "{both:?}");
        shared.received[0].set(u64::from(both.contains(&Some(1))));
    };
    Scenario::new(
        "message_of_killed_sender_is_not_overtaken",
        vec![sender, other],
    )
    .verify(|shared| {
        let left = left_in(&shared.queue, 2);
        let arrived = left.iter().filter(|(number, _)| *number == 1).count() as u64;
        let arrived = arrived + shared.received[0].get();
        assert!(arrived <= 1 && arrived >= shared.sent[0].get(), "{left:?}");
    })
    .choices(8)
    .victims(&[0])
}
