//! Batches, which pass several items in one call.

use super::closing::close;
use super::{BufferState, Scenario, expired_timeouts, receive_as, send, sum_left, sum_received};
use crate::short_timeout;
use interlatch::channel::{
    Direction, RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError,
    Unregistered,
};
use interlatch::sync::Timeout;
use std::time::Duration;

fn send_batch<B: Unregistered<Item = u64>>(shared: &BufferState<B>, mut items: Vec<u64>) {
    let sent = shared
        .buffer
        .send_many_unregistered(&mut items, Timeout::Infinite);
    assert_eq!((sent, items), (Ok(()), vec![]));
}

/// Receives between one and `max` items.
fn receive_batch<B: Unregistered<Item = u64>>(shared: &BufferState<B>, max: usize) -> Vec<u64> {
    let mut items = Vec::new();
    let received = shared
        .buffer
        .recv_many_unregistered(&mut items, max, Timeout::Infinite);
    assert_eq!(received, Ok(items.len()), "the buffer is open");
    assert!((1..=max).contains(&items.len()), "{items:?}");
    items
}

/// A batch that is larger than the buffer arrives in order.
///
/// If the buffer splits the batch at a wrong index or reverses it, the items arrive in a wrong
/// order.
pub fn batch_keeps_order<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| send_batch(shared, vec![1, 2, 3]);
    let receiver = |shared: &BufferState<B>| {
        let mut items = receive_batch(shared, 2);
        while items.len() < 3 {
            items.extend(receive_batch(shared, 3));
        }
        assert_eq!(items, [1, 2, 3]);
    };
    Scenario::new("batch_keeps_order", vec![sender, receiver])
}

/// Batches arrive in order wherever in the buffer they begin and end.
///
/// The buffer stays full, apart from the batch that is exchanged. Batches of every size begin at
/// every slot, so some of them go past the last slot.
pub fn batches_keep_order_across_wraparounds<B: Unregistered<Item = u64>>()
-> Scenario<BufferState<B>> {
    let rounds = |shared: &BufferState<B>| {
        // A kernel pipe holds thousands of items, and its items do not return to a first slot.
        let capacity = shared.buffer.capacity().min(8) as u64;
        send_batch(shared, (0..capacity).collect());
        // The two batches of one size move the first item by the capacity, back to its slot. The
        // last batch of each round moves the first item to the next slot.
        let round = (1..capacity).flat_map(|size| [size, capacity - size]);
        let round: Vec<u64> = round.chain([capacity, 1]).collect();
        let mut received = 0;
        for size in round.iter().cycle().take(round.len() * capacity as usize) {
            let end = received + size;
            while received < end {
                let items = receive_batch(shared, (end - received) as usize);
                let expected: Vec<u64> = (received..).take(items.len()).collect();
                assert_eq!(items, expected);
                received += items.len() as u64;
            }
            send_batch(shared, (end - size + capacity..end + capacity).collect());
        }
    };
    Scenario::new("batches_keep_order_across_wraparounds", vec![rounds])
}

/// A batch of two items wakes two waiting receivers.
///
/// If the sender wakes only one receiver for the whole batch, the other receiver hangs.
pub fn batch_wakes_every_receiver<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| send_batch(shared, vec![1, 2]);
    let participants = vec![
        receive_as::<B, 0> as fn(&BufferState<B>),
        receive_as::<B, 1>,
        sender,
    ];
    Scenario::new("batch_wakes_every_receiver", participants)
        .verify(|shared| assert_eq!(sum_received(shared), 3))
        .choices(8)
}

/// A receive of several items wakes every waiting sender.
///
/// If the receiver wakes only one sender for all the slots that it frees, the other sender hangs.
pub fn batch_receive_wakes_every_sender<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    fn send_twice<B: Unregistered<Item = u64>>(shared: &BufferState<B>) {
        send(shared, 1);
        send(shared, 1);
    }
    // The receiver leaves the last items in the buffer, so no later receive wakes a sender.
    let receiver = |shared: &BufferState<B>| {
        let mut left = 4_usize.saturating_sub(shared.buffer.capacity());
        while left > 0 {
            left -= receive_batch(shared, left).len();
        }
    };
    let participants = vec![send_twice::<B> as fn(&BufferState<B>), send_twice, receiver];
    Scenario::new("batch_receive_wakes_every_sender", participants).choices(8)
}

/// Every process that receives batches is told when the senders are disconnected.
///
/// Two processes receive batches until they are disconnected. One or both get items. If one
/// receiver consumes the signal of the disconnection as if it were an item, the other receiver
/// hangs.
pub fn every_batch_receiver_sees_disconnection<B: Unregistered<Item = u64>>()
-> Scenario<BufferState<B>> {
    fn receive_all<B: Unregistered<Item = u64>, const INDEX: usize>(shared: &BufferState<B>) {
        let mut items = Vec::new();
        let received = |items: &mut _| {
            let buffer = &shared.buffer;
            buffer.recv_many_unregistered(items, 3, Timeout::Infinite)
        };
        while received(&mut items).is_ok() {}
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(received(&mut items), end);
        shared.got[INDEX][0].set(items.iter().sum());
    }
    let sender = |shared: &BufferState<B>| {
        let sender = shared.buffer.sender().expect("the buffer is open");
        let mut items = vec![1; shared.buffer.capacity()];
        sender
            .send_many(&mut items)
            .expect("the receivers are connected");
    };
    let participants = vec![
        receive_all::<B, 0> as fn(&BufferState<B>),
        receive_all::<B, 1>,
        sender,
    ];
    Scenario::new("every_batch_receiver_sees_disconnection", participants)
        .verify(|shared| assert_eq!(sum_received(shared), shared.buffer.capacity() as u64))
        .choices(8)
}

/// After a failed send, a batch still contains the items that were not sent.
///
/// After the last receiver is dropped, every batch fails. If a failed batch kept the slots that it
/// found free, a later batch would hang.
pub fn failed_batch_send_keeps_its_items<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>>
{
    let alone = |shared: &BufferState<B>| {
        let (buffer, capacity) = (&shared.buffer, shared.buffer.capacity());
        let full = Err(SendTimeoutError::Timeout(()));
        let mut items: Vec<u64> = (0..capacity as u64 + 2).collect();
        assert_eq!(
            buffer.send_many_unregistered(&mut items, Timeout::NonBlocking),
            full
        );
        assert_eq!(items, [capacity as u64, capacity as u64 + 1]);
        assert_eq!(
            buffer.send_many_unregistered(&mut items, expired_timeouts()[0]),
            full
        );
        assert_eq!((items.len(), buffer.len()), (2, capacity));
        let mut received = vec![9];
        let none = buffer.recv_many_unregistered(&mut received, 0, Timeout::Infinite);
        assert_eq!((none, received.len()), (Ok(0), 1));
        let all = buffer.recv_many_unregistered(&mut received, usize::MAX, Timeout::NonBlocking);
        assert_eq!(all, Ok(capacity));
        assert!(
            received
                .into_iter()
                .eq([9].into_iter().chain(0..capacity as u64))
        );
        let mut nothing = Vec::new();
        let empty = buffer.recv_many_unregistered(&mut nothing, 1, Timeout::NonBlocking);
        assert_eq!(empty, Err(RecvTimeoutError::Timeout));
        close(shared, Direction::Receiving);
        let broken = Err(SendTimeoutError::Disconnected(()));
        // If a disconnected batch kept a slot, these batches would keep all of them.
        for _ in 0..=capacity {
            assert_eq!(
                buffer.send_many_unregistered(&mut items, Timeout::Infinite),
                broken
            );
            assert_eq!(items, [capacity as u64, capacity as u64 + 1]);
        }
    };
    Scenario::new("failed_batch_send_keeps_its_items", vec![alone])
}

/// A batch that times out loses no item.
///
/// One process sends two items and another process receives, both with a timeout. The number of
/// items that left the sender must equal the number received plus the number left in the buffer.
pub fn timed_out_batch_loses_no_item<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let with_timeout = |shared: &BufferState<B>| {
        let mut items = vec![1, 1];
        let timeout = Timeout::after(Duration::from_micros(50));
        let sent = shared.buffer.send_many_unregistered(&mut items, timeout);
        assert_eq!(sent.is_ok(), items.is_empty(), "{sent:?}");
        shared.got[1][0].set(2 - items.len() as u64);
    };
    let receiver = |shared: &BufferState<B>| {
        let mut items = Vec::new();
        let timeout = Timeout::after(Duration::from_micros(50));
        let received = shared.buffer.recv_many_unregistered(&mut items, 2, timeout);
        let count = received.as_ref().map_or(0, |count| *count);
        assert_eq!(count, items.len(), "{received:?}");
        shared.got[0][0].set(items.len() as u64);
    };
    Scenario::new(
        "timed_out_batch_loses_no_item",
        vec![with_timeout, receiver],
    )
    .verify(|shared| {
        let received = shared.got[0][0].get() + sum_left(shared);
        assert_eq!(received, shared.got[1][0].get());
    })
    .choices(8)
}

/// Each batch method of the handles passes items.
pub fn every_batch_method_passes_items<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    Scenario::new(
        "every_batch_method_passes_items",
        vec![pass_many_in_every_way::<B>],
    )
}

fn pass_many_in_every_way<B: Unregistered<Item = u64>>(shared: &BufferState<B>) {
    let (buffer, second) = (&shared.buffer, Timeout::after(Duration::from_secs(1)));
    let sender = buffer.sender().expect("the buffer is open");
    let receiver = buffer.receiver().expect("the buffer is open");
    let all: Vec<u64> = (0..buffer.capacity() as u64).collect();
    let (mut items, mut received) = (all.clone(), Vec::new());
    sender.send_many(&mut items).expect("slots are free");
    assert_eq!(receiver.recv_many(&mut received, all.len()), Ok(all.len()));
    assert_eq!((&received, items.len()), (&all, 0));
    let nothing = receiver.try_recv_many(&mut received, 1);
    assert_eq!(nothing, Err(TryRecvError::Empty));
    items.extend(&all);
    items.push(9);
    assert_eq!(
        sender.try_send_many(&mut items),
        Err(TrySendError::Full(()))
    );
    assert_eq!(items, [9]);
    assert_eq!(
        receiver.try_recv_many(&mut received, usize::MAX),
        Ok(all.len())
    );
    assert_eq!(received, [all.clone(), all].concat());
    assert_eq!(sender.send_many_with(&mut items, second), Ok(()));
    received.clear();
    assert_eq!(receiver.recv_many_with(&mut received, 2, second), Ok(1));
    assert_eq!(received, [9]);
    drop(sender);
    assert_eq!(
        receiver.recv_many(&mut received, 1),
        Err(RecvError::Disconnected)
    );
    let end = receiver.try_recv_many(&mut received, 1);
    assert_eq!(end, Err(TryRecvError::Disconnected));
    let sender = buffer.attach_sender();
    assert!(sender.is_err(), "a closed side was opened again");
}

/// Items of a batch, items that are sent by value or by reference, and receives of every kind share
/// one slot.
///
/// One process sends a batch with a timeout and by reference, and receives a batch. The other
/// process sends by value and receives into a place. No item is lost or doubled.
pub fn single_items_and_batches_share_a_slot<B: Unregistered<Item = u64>>()
-> Scenario<BufferState<B>> {
    let batches = |shared: &BufferState<B>| {
        let mut items = vec![1, 10];
        let _ = shared
            .buffer
            .send_many_unregistered(&mut items, short_timeout());
        // An item that was not sent counts as received.
        shared.got[0][0].set(items.iter().sum());
        let mut items = Vec::new();
        let max = 2;
        let _ = shared
            .buffer
            .recv_many_unregistered(&mut items, max, Timeout::NonBlocking);
        shared.got[0][1].set(items.iter().sum());
    };
    let single = |shared: &BufferState<B>| {
        let buffer = &shared.buffer;
        let sender = buffer.unregistered_sender().expect("the buffer is open");
        let receiver = buffer.unregistered_receiver().expect("the buffer is open");
        let sent = buffer.send_ref_with(&sender, &100, Timeout::NonBlocking);
        shared.got[1][0].set(if sent.is_ok() { 0 } else { 100 });
        let mut item = 0;
        if buffer
            .recv_into_with(&receiver, &mut item, Timeout::NonBlocking)
            .is_ok()
        {
            shared.got[1][1].set(item);
        }
    };
    Scenario::new(
        "single_items_and_batches_share_a_slot",
        vec![batches as fn(&BufferState<B>), single],
    )
    .verify(|shared| assert_eq!(sum_received(shared) + sum_left(shared), 111))
    .choices(6)
}
