//! The promises that a robust buffer keeps after a death, in addition to those of every
//! [`buffer`](super::buffer).

use super::buffer::{RobustBounded, RobustMonitor};
use super::{RaceCell, Scenario, Stage, initial, short_timeout};
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Unregistered};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A buffer, the items whose sends succeeded, and the results of two receivers.
///
/// For each receiver, the results say whether the receiver attached, how many items it got, and
/// their sum.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RobustBufferState<B> {
    buffer: B,
    /// For each sender, the items whose sends succeeded.
    sent: [RaceCell; 2],
    attached: [RaceCell; 2],
    sums: [RaceCell; 2],
    items: [RaceCell; 2],
}

/// A buffer of three slots that contains 1 and 10. The free slot lies before the slot of 1.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct WrappedBuffer<B: Unregistered<Item = u64>>(
    #[shm(initial = wrapped_buffer())] RobustBufferState<B>,
);

fn wrapped_buffer<B: Unregistered<Item = u64>>() -> RobustBufferState<B>
where
    RobustBufferState<B>: ShmSafe,
{
    // SAFETY: the calling thread holds no lock of the buffer when the buffer moves into its place.
    let state = unsafe { initial::<RobustBufferState<B>>() };
    pass(&state.buffer, 1);
    send_all(&state.buffer, &[1, 10]);
    state
}

/// An empty buffer of three slots. The slot that is filled next lies behind the other slots.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RotatedBuffer<B: Unregistered<Item = u64>>(
    #[shm(initial = rotated_buffer())] RobustBufferState<B>,
);

fn rotated_buffer<B: Unregistered<Item = u64>>() -> RobustBufferState<B>
where
    RobustBufferState<B>: ShmSafe,
{
    // SAFETY: the calling thread holds no lock of the buffer when the buffer moves into its place.
    let state = unsafe { initial::<RobustBufferState<B>>() };
    pass(&state.buffer, 2);
    state
}

fn send_all<B: Unregistered<Item = u64>>(buffer: &B, items: &[u64]) {
    for item in items {
        let sent = buffer.send_unregistered(*item, Timeout::NonBlocking);
        assert_eq!(sent, Ok(()), "the buffer has a free slot");
    }
}

/// Sends and receives `count` items, one at a time.
fn pass<B: Unregistered<Item = u64>>(buffer: &B, count: usize) {
    for _ in 0..count {
        send_all(buffer, &[9]);
        assert_eq!(buffer.recv_unregistered(Timeout::NonBlocking), Ok(9));
    }
}

/// Runs every scenario of every robust buffer.
pub fn all(stage: &mut impl Stage) {
    all_of::<RobustBounded<1>>(stage);
    all_of::<RobustMonitor<1>>(stage);
    all_with_three_slots::<RobustBounded<3>>(stage);
    all_with_three_slots::<RobustMonitor<3>>(stage);
}

/// Runs the scenarios of one robust buffer that need three slots.
pub fn all_with_three_slots<B: Unregistered<Item = u64> + ShmSafe + 'static>(
    stage: &mut impl Stage,
) {
    stage.run(death_keeps_the_order_of_the_items::<B>());
    stage.run(two_deaths_keep_the_order_of_the_items::<B>());
}

/// Runs every scenario of one robust buffer.
pub fn all_of<B: Unregistered<Item = u64> + ShmSafe + 'static>(stage: &mut impl Stage) {
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
    stage.run(killed_batch_leaves_a_prefix::<B>());
}

/// Sends an item, and records it unless the send times out.
fn send<B: Unregistered<Item = u64>, const ITEM: u64>(
    shared: &RobustBufferState<B>,
    timeout: Timeout,
) {
    match shared.buffer.send_unregistered(ITEM, timeout) {
        Ok(()) => shared.sent[usize::from(ITEM != 1)].set(ITEM),
        failed => assert_eq!(failed, Err(SendTimeoutError::Timeout(ITEM))),
    }
}

/// Sends 1, and records it.
fn send_first<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) {
    let sent = shared.buffer.send_unregistered(1, Timeout::Infinite);
    assert_eq!(sent, Ok(()));
    shared.items[0].set(1);
}

/// Sends 1 and then 10, and records the number of items sent.
fn send_in_order<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) {
    send_first(shared);
    if shared.buffer.send_unregistered(10, short_timeout()).is_ok() {
        shared.items[0].set(2);
    }
}

fn receive<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>, timeout: Timeout) {
    match shared.buffer.recv_unregistered(timeout) {
        Ok(item) => record::<B, 0>(shared, item),
        failed => assert_eq!(failed, Err(RecvTimeoutError::Timeout)),
    }
}

fn record<B: Unregistered<Item = u64>, const INDEX: usize>(
    shared: &RobustBufferState<B>,
    item: u64,
) {
    assert!(
        [1, 10, 100].contains(&item),
        "received {item}, which was not sent"
    );
    shared.sums[INDEX].set(shared.sums[INDEX].get() + item);
    shared.items[INDEX].set(shared.items[INDEX].get() + 1);
}

/// Receives the items left in the buffer, and checks that no slot is lost.
///
/// The empty buffer must then accept as many items as its capacity, and return these items in
/// order.
fn drain_and_check<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) -> Vec<u64> {
    let drain = || {
        let mut items = Vec::new();
        while let Ok(item) = shared.buffer.recv_unregistered(Timeout::NonBlocking) {
            items.push(item);
        }
        items
    };
    let left = drain();
    assert!(!left.contains(&0), "received 0, which was not sent");
    let all: Vec<u64> = (0..shared.buffer.capacity() as u64).collect();
    for item in &all {
        let sent = shared.buffer.send_unregistered(*item, Timeout::NonBlocking);
        assert_eq!(sent, Ok(()), "a slot is lost");
    }
    let full = Err(SendTimeoutError::Timeout(0));
    assert_eq!(
        shared.buffer.send_unregistered(0, Timeout::NonBlocking),
        full
    );
    assert_eq!(drain(), all, "items are lost or out of order");
    left
}

/// Returns whether `sum` contains all items of the sum `items`. Each item is a decimal digit.
fn contains(sum: u64, items: u64) -> bool {
    [1, 10, 100]
        .iter()
        .all(|digit| items / digit % 10 <= sum / digit % 10)
}

/// If a sender is killed during a send, either the whole item is sent or nothing is sent.
///
/// The sender is killed at any step. The items of another sender stay in the buffer, and the buffer
/// loses no slot. The variant with two processes uses non-blocking operations, so a process waits
/// only for internal locks.
pub fn killed_send_completes_or_has_no_effect<B: Unregistered<Item = u64>>(
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
            let sum = shared.sums[0].get() + drain_and_check(shared).iter().sum::<u64>();
            assert!(
                [0, 1, 10, 11].contains(&sum),
                "an item is doubled or torn: {sum}"
            );
            let sent = shared.sent[0].get() + shared.sent[1].get();
            assert!(contains(sum, sent), "sent {sent}, but received {sum}");
        })
        .choices(10)
        .victims(&[0])
}

/// No item that is sent later overtakes the item of a killed sender.
///
/// The sender is killed at any step. If the send of the killed sender took effect, the other
/// process must receive that item first. The item of the other process must fit into the second
/// slot.
pub fn item_of_killed_sender_is_not_overtaken<B: Unregistered<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let other = |shared: &RobustBufferState<B>| {
        let before = shared.buffer.len();
        let sent = shared
            .buffer
            .send_unregistered(10, Timeout::NonBlocking)
            .is_ok();
        let Ok(item) = shared.buffer.recv_unregistered(Timeout::NonBlocking) else {
            assert!(
                before == 0 && !sent,
                "the buffer is empty after length {before} and sent: {sent}"
            );
            return;
        };
        record::<B, 0>(shared, item);
        assert!(before == 0 || item == 1, "item {item} overtook item 1");
    };
    let sender = |shared: &RobustBufferState<B>| send::<B, 1>(shared, Timeout::NonBlocking);
    Scenario::new(
        "item_of_killed_sender_is_not_overtaken",
        vec![sender as fn(&RobustBufferState<B>), other],
    )
    .verify(|shared| {
        let sum = shared.sums[0].get() + drain_and_check(shared).iter().sum::<u64>();
        assert!(
            contains(sum, shared.sent[0].get()),
            "a sent item is lost: {sum}"
        );
    })
    .choices(8)
    .victims(&[0])
}

/// If a process is killed while it sends or receives, the items of the buffer stay in order.
///
/// The process is killed at any step. The order of the items differs from the order of their slots
/// in memory, so a repair that searches the slots one after the other breaks the order.
pub fn death_keeps_the_order_of_the_items<B: Unregistered<Item = u64>>()
-> Scenario<WrappedBuffer<B>> {
    let victim = |WrappedBuffer(shared): &WrappedBuffer<B>| {
        send_all(&shared.buffer, &[100]);
        let _ = shared.buffer.recv_unregistered(Timeout::NonBlocking);
    };
    Scenario::new("death_keeps_the_order_of_the_items", vec![victim])
        .verify(|WrappedBuffer(shared)| {
            let left = drain_and_check(shared);
            let allowed: [&[u64]; 3] = [&[1, 10], &[1, 10, 100], &[10, 100]];
            assert!(allowed.contains(&&left[..]), "{left:?} is left");
        })
        .victims(&[0])
}

/// If two senders are killed one after the other, their items stay in order.
///
/// Each sender is killed at any step. The second sender sends two items. If it finds the item of
/// the first sender, that item stays before its own items.
pub fn two_deaths_keep_the_order_of_the_items<B: Unregistered<Item = u64>>()
-> Scenario<RotatedBuffer<B>> {
    let first = |RotatedBuffer(shared): &RotatedBuffer<B>| send_all(&shared.buffer, &[1]);
    let second = |RotatedBuffer(shared): &RotatedBuffer<B>| {
        shared.items[0].set(shared.buffer.len() as u64);
        send_all(&shared.buffer, &[10, 100]);
    };
    Scenario::new(
        "two_deaths_keep_the_order_of_the_items",
        vec![first as fn(&RotatedBuffer<B>), second],
    )
    .verify(|RotatedBuffer(shared)| {
        let left = drain_and_check(shared);
        let place = |item| left.iter().position(|found| *found == item);
        let (one, ten, hundred) = (place(1), place(10), place(100));
        assert!(ten.is_some() || hundred.is_none(), "{left:?} is left");
        assert!(hundred.is_none() || ten < hundred, "{left:?} is left");
        if shared.items[0].get() == 1 {
            assert_eq!(one, Some(0), "{left:?} is left");
        }
    })
    .victims(&[0, 1])
}

/// If two senders are killed during their sends, each send has either sent its whole item or
/// nothing.
///
/// The second sender may be killed while it repairs the state that the first sender left.
pub fn two_killed_sends_complete_or_have_no_effect<B: Unregistered<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let scenario = killed_send_completes_or_has_no_effect(3);
    Scenario {
        name: "two_killed_sends_complete_or_have_no_effect",
        ..scenario.victims(&[0, 2])
    }
}

/// If a receiver is killed during a receive, the receive has either taken one item or had no
/// effect.
///
/// The receiver is killed at any step. The other items stay in order. The variant with two
/// processes uses non-blocking operations, so a process waits only for internal locks.
pub fn killed_receive_completes_or_has_no_effect<B: Unregistered<Item = u64>>(
    processes: usize,
) -> Scenario<RobustBufferState<B>> {
    fn receive_one<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>, timeout: Timeout) {
        let _ = shared.buffer.recv_unregistered(timeout);
    }
    fn receive_beside<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) {
        if let Ok(item) = shared.buffer.recv_unregistered(short_timeout()) {
            record::<B, 1>(shared, item);
        }
    }
    let participants: Vec<fn(&RobustBufferState<B>)> = match processes {
        2 => vec![
            |shared| receive_one(shared, Timeout::NonBlocking),
            send_first,
        ],
        _ => vec![
            |shared| receive_one(shared, short_timeout()),
            send_in_order,
            receive_beside,
        ],
    };
    Scenario::new("killed_receive_completes_or_has_no_effect", participants)
        .verify(|shared| {
            let mut rest = drain_and_check(shared);
            if shared.items[1].get() == 1 {
                rest.push(shared.sums[1].get());
            }
            rest.sort_unstable();
            // The receiver that may be killed takes at most one item.
            let allowed: &[&[u64]] = match shared.items[0].get() {
                1 => &[&[], &[1]],
                _ => &[&[10], &[1, 10], &[1]],
            };
            assert!(allowed.contains(&&rest[..]), "the rest is {rest:?}");
        })
        .choices(10)
        .victims(&[0])
}

/// The death of the last sender disconnects the receivers.
///
/// The sender is killed at any step between attaching and dropping. The receiver first attaches and
/// drops its own sender, so the pipe or buffer has had a sender before. If the receiver does not
/// notice the death, it hangs.
pub fn death_of_last_sender_disconnects_receivers<B: Unregistered<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let attach = |shared: &RobustBufferState<B>| drop(shared.buffer.sender());
    let receiver = |shared: &RobustBufferState<B>| {
        drop(shared.buffer.sender());
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::Infinite), end);
        let closed = shared.buffer.sender();
        assert!(closed.is_err(), "a closed side was opened again");
    };
    Scenario::new(
        "death_of_last_sender_disconnects_receivers",
        vec![attach, receiver],
    )
    .choices(8)
    .victims(&[0])
}

/// The death of the last receiver disconnects the senders, and a sender keeps its item.
///
/// This scenario mirrors [`death_of_last_sender_disconnects_receivers`], with senders and receivers
/// exchanged.
pub fn death_of_last_receiver_disconnects_senders<B: Unregistered<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    let attach = |shared: &RobustBufferState<B>| drop(shared.buffer.receiver());
    let sender = |shared: &RobustBufferState<B>| {
        drop(shared.buffer.receiver());
        let broken = Err(SendTimeoutError::Disconnected(1));
        while shared.buffer.send_unregistered(1, Timeout::Infinite) != broken {}
    };
    Scenario::new(
        "death_of_last_receiver_disconnects_senders",
        vec![attach, sender],
    )
    .choices(8)
    .victims(&[0])
}

/// Sends 1 and then 10 through a handle, unless one of the sides is closed.
fn send_two<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) {
    if let Ok(sender) = shared.buffer.sender() {
        for item in [1, 10] {
            if sender.send(item).is_err() {
                return;
            }
            shared.sent[0].set(shared.sent[0].get() + item);
        }
    }
}

fn send_one<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) {
    if let Ok(sender) = shared.buffer.sender()
        && sender.send(100).is_ok()
    {
        shared.sent[1].set(100);
    }
}

/// Receives until the senders are disconnected.
fn receive_all<B: Unregistered<Item = u64>, const INDEX: usize>(shared: &RobustBufferState<B>) {
    let Ok(receiver) = shared.buffer.receiver() else {
        return;
    };
    shared.attached[INDEX].set(1);
    while let Ok(item) = receiver.recv() {
        let sum = shared.sums[INDEX].get();
        assert!(
            item != 10 || INDEX != 0 || sum % 10 == 1,
            "10 arrived before 1"
        );
        record::<B, INDEX>(shared, item);
    }
    assert!(receiver.recv().is_err(), "the end is not permanent");
}

/// If a sender is killed at any step, the receiver gets every sent item once and is disconnected.
///
/// The sender is killed between attaching and dropping its handle. If the buffer does not notice
/// the death, the receiver hangs. If the sender is killed before it attaches, another sender opens
/// the side.
pub fn sender_death_loses_no_sent_item<B: Unregistered<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    Scenario::new(
        "sender_death_loses_no_sent_item",
        vec![send_two, send_one, receive_all::<B, 0>],
    )
    .verify(|shared| {
        let (sum, items) = (shared.sums[0].get(), shared.items[0].get());
        // The received items are none, only 1, or 1 and 10. The item 100 may be received in
        // addition. The sender of 100 may find the side already closed.
        let sums = [[0, 0], [1, 1], [11, 2], [100, 1], [101, 2], [111, 3]];
        assert!(sums.contains(&[sum, items]), "{items} items, sum {sum}");
        let sent = shared.sent[0].get() + shared.sent[1].get();
        assert!(contains(sum, sent), "sent {sent}, but received {sum}");
    })
    .choices(8)
    .victims(&[0])
}

/// If one of two receivers is killed at any step, the other receiver gets the remaining items.
///
/// If the killed receiver was the only one, the side is closed before the other receiver attaches.
pub fn surviving_receiver_gets_the_remaining_items<B: Unregistered<Item = u64>>()
-> Scenario<RobustBufferState<B>> {
    fn receive_one<B: Unregistered<Item = u64>>(shared: &RobustBufferState<B>) {
        if let Ok(receiver) = shared.buffer.receiver() {
            let _ = receiver.recv();
        }
    }
    Scenario::new(
        "surviving_receiver_gets_the_remaining_items",
        vec![receive_one, send_two, receive_all::<B, 1>],
    )
    .verify(|shared| {
        let (sum, attached) = (shared.sums[1].get(), shared.attached[1].get());
        let sums: &[u64] = if attached == 1 { &[11, 10, 1] } else { &[0] };
        assert!(sums.contains(&sum), "received {sum} of 11");
    })
    .choices(8)
    .victims(&[0])
}

/// If a sender is killed during a batch, a prefix of the batch is sent, and items that are sent by
/// reference come whole between the items of the batch.
///
/// The sender of the batch is killed at any step. The other process receives into a place and sends
/// by reference.
pub fn killed_batch_leaves_a_prefix<B: Unregistered<Item = u64>>() -> Scenario<RobustBufferState<B>>
{
    let batch = |shared: &RobustBufferState<B>| {
        let mut items = vec![1, 10];
        let _ = shared
            .buffer
            .send_many_unregistered(&mut items, short_timeout());
        shared.sent[0].set(11 - items.iter().sum::<u64>());
    };
    let other = |shared: &RobustBufferState<B>| {
        let buffer = &shared.buffer;
        let sender = buffer.unregistered_sender().expect("the buffer is open");
        let receiver = buffer.unregistered_receiver().expect("the buffer is open");
        let mut item = 0;
        if buffer
            .recv_into_with(&receiver, &mut item, short_timeout())
            .is_ok()
        {
            assert_eq!(item, 1, "the batch is out of order");
            shared.sums[0].set(item);
        }
        let sent = buffer.send_ref_with(&sender, &100, Timeout::NonBlocking);
        shared.sent[1].set(if sent.is_ok() { 100 } else { 0 });
    };
    Scenario::new(
        "killed_batch_leaves_a_prefix",
        vec![batch as fn(&RobustBufferState<B>), other],
    )
    .verify(|shared| {
        let sum = shared.sums[0].get() + drain_and_check(shared).iter().sum::<u64>();
        let sent = shared.sent[0].get() + shared.sent[1].get();
        let is_prefix = [0, 1, 11].contains(&(sum % 100));
        assert!(is_prefix, "received {sum}");
        assert!(contains(sum, sent), "sent {sent}, but received {sum}");
        assert_eq!(sum / 100 * 100, shared.sent[1].get(), "received {sum}");
    })
    .choices(8)
    .victims(&[0])
}
