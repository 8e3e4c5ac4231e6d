//! What a buffer promises beyond [`buffer`](super::buffer) that survives the death of its users.

use super::buffer::{RobustBounded, RobustMonitor};
use super::{RaceCell, Scenario, Stage, short_timeout};
use interlatch::channel::{Buffer, RecvTimeoutError, SendTimeoutError};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A buffer, what was sent, and what two receivers have got: whether one has a handle, the sum and the
/// number of items.
#[repr(C)]
#[derive(Debug)]
pub struct RobustBufferState<B> {
    buffer: B,
    /// What the two senders know to have been sent.
    sent: [RaceCell; 2],
    has_come: [RaceCell; 2],
    sums: [RaceCell; 2],
    items: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<B: Buffer<Item = u64> + ShmSafe> ShmSafe for RobustBufferState<B> {
    fn initial() -> Self {
        let nothing = || [RaceCell::new(0), RaceCell::new(0)];
        Self {
            buffer: B::initial(),
            sent: nothing(),
            has_come: nothing(),
            sums: nothing(),
            items: nothing(),
        }
    }
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    all_of::<RobustBounded<1>>(stage);
    all_of::<RobustMonitor<1>>(stage);
}

/// Every scenario of one construction, with its victims alive.
pub fn all_of<B: Buffer<Item = u64> + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(killed_send_completes_or_has_no_effect::<B>(2));
    stage.run(killed_send_completes_or_has_no_effect::<B>(3));
    stage.run(two_killed_sends_complete_or_have_no_effect::<B>());
    stage.run(killed_receive_completes_or_has_no_effect::<B>(2));
    stage.run(killed_receive_completes_or_has_no_effect::<B>(3));
    stage.run(item_of_killed_sender_is_not_overtaken::<B>());
    stage.run(death_of_last_sender_disconnects_receivers::<B>());
    stage.run(death_of_last_receiver_disconnects_senders::<B>());
    stage.run(sender_death_loses_no_sent_item::<B>());
    stage.run(surviving_receiver_gets_the_remaining_items::<B>());
}

/// Sends, if there is a place in time.
fn send<B: Buffer<Item = u64>, const ITEM: u64>(shared: &RobustBufferState<B>, timeout: Timeout) {
    match shared.buffer.send_with(ITEM, timeout) {
        Ok(()) => shared.sent[usize::from(ITEM != 1)].set(ITEM),
        refused => assert_eq!(refused, Err(SendTimeoutError::Timeout(ITEM))),
    }
}

/// Sends 1, and notes that.
fn send_first<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) {
    let sent = shared.buffer.send_with(1, Timeout::Infinite);
    assert_eq!(sent, Ok(()));
    shared.items[0].set(1);
}

/// Sends 1 and then 10, and notes how far it came.
fn send_in_order<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) {
    send_first(shared);
    if shared.buffer.send_with(10, short_timeout()).is_ok() {
        shared.items[0].set(2);
    }
}

fn receive<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>, timeout: Timeout) {
    match shared.buffer.recv_with(timeout) {
        Ok(item) => note::<B, 0>(shared, item),
        refused => assert_eq!(refused, Err(RecvTimeoutError::Timeout)),
    }
}

fn note<B: Buffer<Item = u64>, const INDEX: usize>(shared: &RobustBufferState<B>, item: u64) {
    assert!(
        [1, 10, 100].contains(&item),
        "an item that nobody sent: {item}"
    );
    shared.sums[INDEX].set(shared.sums[INDEX].get() + item);
    shared.items[INDEX].set(shared.items[INDEX].get() + 1);
}

/// What is in the buffer. Afterwards it takes as many as it ever did, and gives them back in order.
fn left_in<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) -> Vec<u64> {
    let drain = || {
        let mut items = Vec::new();
        while let Ok(item) = shared.buffer.recv_with(Timeout::NonBlocking) {
            items.push(item);
        }
        items
    };
    let left = drain();
    assert!(!left.contains(&0), "an item that nobody sent");
    let all: Vec<u64> = (0..shared.buffer.capacity() as u64).collect();
    for item in &all {
        let sent = shared.buffer.send_with(*item, Timeout::NonBlocking);
        assert_eq!(sent, Ok(()), "a place is lost");
    }
    let full = Err(SendTimeoutError::Timeout(0));
    assert_eq!(shared.buffer.send_with(0, Timeout::NonBlocking), full);
    assert_eq!(drain(), all, "what was sent, in order");
    left
}

/// The digits that stand for items, each at its place.
fn contains(sum: u64, items: u64) -> bool {
    [1, 10, 100]
        .iter()
        .all(|digit| items / digit % 10 <= sum / digit % 10)
}

/// A sender is killed: its item has been sent, or not; what another one has sent is there, and the places
/// are as many as before. With two processes nobody waits for the other but at a lock.
pub fn killed_send_completes_or_has_no_effect<B: Buffer<Item = u64>>(
    processes: usize,
) -> Scenario<RobustBufferState<B>> {
    let participants: Vec<fn(&RobustBufferState<B>)> = match processes {
        2 => vec![
            |shared| send::<B, 1>(shared, Timeout::NonBlocking),
            |shared| receive(shared, Timeout::NonBlocking),
        ],
        _ => vec![
            |shared| send::<B, 1>(shared, short_timeout()),
            |shared| receive(shared, short_timeout()),
            |shared| send::<B, 10>(shared, short_timeout()),
        ],
    };
    Scenario::new("killed_send_completes_or_has_no_effect", participants)
        .verify(|shared| {
            let sum = shared.sums[0].get() + left_in(shared).iter().sum::<u64>();
            assert!([0, 1, 10, 11].contains(&sum), "each once: {sum}");
            let sent = shared.sent[0].get() + shared.sent[1].get();
            assert!(contains(sum, sent), "{sent} was sent, and {sum} is there");
        })
        .choices(10)
        .victims(&[0])
}

/// A sender is killed in a buffer of two places: another one's item does not overtake its own, and is
/// refused only if there are two.
pub fn item_of_killed_sender_is_not_overtaken<B: Buffer<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let other = |shared: &RobustBufferState<B>| {
        let before = shared.buffer.len();
        let sent = shared.buffer.send_with(10, Timeout::NonBlocking).is_ok();
        let Ok(item) = shared.buffer.recv_with(Timeout::NonBlocking) else {
            assert!(
                before == 0 && !sent,
                "{before} before, sent: {sent}, but it is empty"
            );
            return;
        };
        note::<B, 0>(shared, item);
        assert!(before == 0 || item == 1, "{item} has overtaken");
    };
    let sender = |shared: &RobustBufferState<B>| send::<B, 1>(shared, Timeout::NonBlocking);
    Scenario::new(
        "item_of_killed_sender_is_not_overtaken",
        vec![sender as fn(&RobustBufferState<B>), other],
    )
    .verify(|shared| {
        let sum = shared.sums[0].get() + left_in(shared).iter().sum::<u64>();
        assert!(contains(sum, shared.sent[0].get()), "{sum} of 1 is there");
    })
    .choices(8)
    .victims(&[0])
}

/// Two senders are killed, the second one maybe while it takes over from the first.
pub fn two_killed_sends_complete_or_have_no_effect<B: Buffer<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let scenario = killed_send_completes_or_has_no_effect(3);
    Scenario {
        name: "two_killed_sends_complete_or_have_no_effect",
        ..scenario.victims(&[0, 2])
    }
}

/// A receiver is killed: it has taken an item, or not; what it has not taken is there, in its order. With
/// two processes nobody waits for the other but at a lock.
pub fn killed_receive_completes_or_has_no_effect<B: Buffer<Item = u64>>(
    processes: usize,
) -> Scenario<RobustBufferState<B>> {
    fn take<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>, timeout: Timeout) {
        let _ = shared.buffer.recv_with(timeout);
    }
    fn receive_beside<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) {
        if let Ok(item) = shared.buffer.recv_with(short_timeout()) {
            note::<B, 1>(shared, item);
        }
    }
    let participants: Vec<fn(&RobustBufferState<B>)> = match processes {
        2 => vec![|shared| take(shared, Timeout::NonBlocking), send_first],
        _ => vec![
            |shared| take(shared, short_timeout()),
            send_in_order,
            receive_beside,
        ],
    };
    Scenario::new("killed_receive_completes_or_has_no_effect", participants)
        .verify(|shared| {
            let mut rest = left_in(shared);
            if shared.items[1].get() == 1 {
                rest.push(shared.sums[1].get());
            }
            rest.sort_unstable();
            // The one that may be killed takes one at most.
            let may_be: &[&[u64]] = match shared.items[0].get() {
                1 => &[&[], &[1]],
                _ => &[&[10], &[1, 10], &[1]],
            };
            assert!(may_be.contains(&&rest[..]), "{rest:?}");
        })
        .choices(10)
        .victims(&[0])
}

/// The last sender dies, or goes: the stream ends. The other one has opened it before.
pub fn death_of_last_sender_disconnects_receivers<B: Buffer<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let come = |shared: &RobustBufferState<B>| drop(shared.buffer.sender());
    let receiver = |shared: &RobustBufferState<B>| {
        drop(shared.buffer.sender());
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_with(Timeout::Infinite), end);
        let closed = shared.buffer.sender();
        assert!(closed.is_err(), "an end is for good");
    };
    Scenario::new(
        "death_of_last_sender_disconnects_receivers",
        vec![come, receiver],
    )
    .choices(8)
    .victims(&[0])
}

/// The same for the last receiver: a sender hears of it, and its item comes back.
pub fn death_of_last_receiver_disconnects_senders<B: Buffer<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let come = |shared: &RobustBufferState<B>| drop(shared.buffer.receiver());
    let sender = |shared: &RobustBufferState<B>| {
        drop(shared.buffer.receiver());
        let broken = Err(SendTimeoutError::Disconnected(1));
        while shared.buffer.send_with(1, Timeout::Infinite) != broken {}
    };
    Scenario::new(
        "death_of_last_receiver_disconnects_senders",
        vec![come, sender],
    )
    .choices(8)
    .victims(&[0])
}

/// Sends 1 and then 10 through a handle, unless nobody receives any more, or the senders have closed
/// before it came.
fn send_two<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) {
    if let Ok(sender) = shared.buffer.sender() {
        for item in [1, 10] {
            if sender.send(item).is_err() {
                return;
            }
            shared.sent[0].set(shared.sent[0].get() + item);
        }
    }
}

fn send_one<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) {
    if let Ok(sender) = shared.buffer.sender()
        && sender.send(100).is_ok()
    {
        shared.sent[1].set(100);
    }
}

/// Receives to the end of the stream.
fn receive_all<B: Buffer<Item = u64>, const INDEX: usize>(shared: &RobustBufferState<B>) {
    let Ok(receiver) = shared.buffer.receiver() else {
        return;
    };
    shared.has_come[INDEX].set(1);
    while let Ok(item) = receiver.recv() {
        let sum = shared.sums[INDEX].get();
        assert!(
            item != 10 || INDEX != 0 || sum % 10 == 1,
            "10 comes after 1"
        );
        note::<B, INDEX>(shared, item);
    }
    assert!(receiver.recv().is_err(), "an end is for good");
}

/// A sender is killed anywhere in its life: the receiver gets what was sent, and nothing twice or torn;
/// and the stream ends, although nobody has closed it. (If it dies before it has come, the other one
/// opens the stream.)
pub fn sender_death_loses_no_sent_item<B: Buffer<Item = u64>>() -> Scenario<RobustBufferState<B>> {
    Scenario::new(
        "sender_death_loses_no_sent_item",
        vec![send_two, send_one, receive_all::<B, 0>],
    )
    .verify(|shared| {
        let (sum, items) = (shared.sums[0].get(), shared.items[0].get());
        // What was sent is the beginning of 1, 10, with or without 100: it may come when the stream
        // has ended.
        let sums = [[0, 0], [1, 1], [11, 2], [100, 1], [101, 2], [111, 3]];
        assert!(sums.contains(&[sum, items]), "{items} items, sum {sum}");
        let sent = shared.sent[0].get() + shared.sent[1].get();
        assert!(contains(sum, sent), "{sent} was sent, and {sum} received");
    })
    .choices(8)
    .victims(&[0])
}

/// With two receivers, one of which is killed anywhere in its life, the other one gets everything that
/// the dead one has not taken. (If the dead one was alone when it died, the pipe is broken before the
/// other one has come.)
pub fn surviving_receiver_gets_the_remaining_items<B: Buffer<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    fn receive_one<B: Buffer<Item = u64>>(shared: &RobustBufferState<B>) {
        if let Ok(receiver) = shared.buffer.receiver() {
            let _ = receiver.recv();
        }
    }
    Scenario::new(
        "surviving_receiver_gets_the_remaining_items",
        vec![receive_one, send_two, receive_all::<B, 1>],
    )
    .verify(|shared| {
        let (sum, has_come) = (shared.sums[1].get(), shared.has_come[1].get());
        let sums: &[u64] = if has_come == 1 { &[11, 10, 1] } else { &[0] };
        assert!(sums.contains(&sum), "{sum} of 11");
    })
    .choices(8)
    .victims(&[0])
}
