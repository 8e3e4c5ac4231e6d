//! Scenarios about the items of a buffer: their order, their number, and the methods that pass
//! them.

use super::{
    BufferState, RaceCell, Scenario, receive, receive_as, send, send_one, send_two, sum_received,
};
use interlatch::channel::{
    BoundedBuffer, MonitorBuffer, RecvError, RecvTimeoutError, RobustBoundedBuffer,
    RobustMonitorBuffer, SendTimeoutError, Slot, TryRecvError, TrySendError, TurnSlot,
    Unregistered,
};
use interlatch::platform::{ConfigError, Deadline, ShmObject};
use interlatch::sync::Timeout;
use std::time::Duration;

/// Items arrive in the order in which they were sent.
///
/// One process sends two items, more than a buffer of one slot holds, and another process receives
/// them. Wrong slot positions swap or repeat items. A lost wake-up makes both processes hang.
pub fn keeps_order<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| {
        send(shared, 1);
        send(shared, 2);
    };
    let receiver = |shared: &BufferState<B>| {
        assert_eq!(receive(shared), 1);
        assert_eq!(receive(shared), 2);
    };
    Scenario::new("keeps_order", vec![sender, receiver])
}

/// Items keep their order when the slots are reused.
///
/// One process sends and receives several items in a row, with every possible count, so that each
/// slot is the first slot of some sequence.
pub fn keeps_order_across_wraparounds<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let rounds = |shared: &BufferState<B>| {
        // A kernel pipe holds thousands of items, and its items do not return to a first slot.
        let capacity = shared.buffer.capacity().min(8) as u64;
        let (mut sent, mut received) = (0, 0);
        for at_once in (1..=capacity).cycle().take(3 * capacity as usize) {
            for _ in 0..at_once {
                send(shared, sent);
                sent += 1;
            }
            for _ in 0..at_once {
                assert_eq!(receive(shared), received);
                received += 1;
            }
        }
    };
    Scenario::new("keeps_order_across_wraparounds", vec![rounds])
}

/// Without a receiver, a buffer accepts exactly as many items as its capacity.
///
/// Two processes send without waiting. If the buffer gives the last free slot to both processes,
/// the buffer accepts one item too many.
pub fn never_exceeds_capacity<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    fn fill<B: Unregistered<Item = u64>, const INDEX: usize>(shared: &BufferState<B>) {
        let sent = shared.buffer.send_unregistered(1, Timeout::NonBlocking);
        shared.got[INDEX][0].set(u64::from(sent.is_ok()));
        assert!(shared.buffer.len() <= shared.buffer.capacity());
    }
    Scenario::new("never_exceeds_capacity", vec![fill::<B, 0>, fill::<B, 1>]).verify(|shared| {
        let capacity = shared.buffer.capacity() as u64;
        assert_eq!(
            sum_received(shared),
            capacity.min(2),
            "items accepted without a receiver"
        );
    })
}

/// Each of two items arrives exactly once, at one of two receivers.
///
/// Two processes send and two receive. A notification that wakes the wrong side makes the other
/// processes hang.
pub fn delivers_each_once<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let participants = vec![
        send_one as fn(&BufferState<B>),
        send_two,
        receive_as::<B, 0>,
        receive_as::<B, 1>,
    ];
    Scenario::new("delivers_each_once", participants)
        .verify(|shared| assert_eq!(sum_received(shared), 3))
        .choices(8)
}

/// A receiver gets the items of both senders.
///
/// Two processes send concurrently. If both processes write to the same slot, an item is lost or
/// the writes race.
pub fn items_of_both_senders_arrive<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let receiver = |shared: &BufferState<B>| {
        shared.got[0][0].set(receive(shared));
        shared.got[0][1].set(receive(shared));
    };
    Scenario::new(
        "items_of_both_senders_arrive",
        vec![send_one, send_two, receiver],
    )
    .verify(|shared| assert_eq!(sum_received(shared), 3))
    .choices(8)
}

/// Two receivers get one item each.
///
/// If both receivers read the same slot, the sum is wrong. If one receiver consumes the wake-ups of
/// both receivers, the other receiver hangs.
pub fn two_receivers_share_the_items<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| {
        send(shared, 1);
        send(shared, 2);
    };
    let participants = vec![
        sender as fn(&BufferState<B>),
        receive_as::<B, 0>,
        receive_as::<B, 1>,
    ];
    Scenario::new("two_receivers_share_the_items", participants)
        .verify(|shared| assert_eq!(sum_received(shared), 3))
        .choices(8)
}

/// Each sending method and each receiving method passes an item.
///
/// Dropping the last handle of a side disconnects the other side.
pub fn every_send_and_receive_method_passes_items<B: Unregistered<Item = u64>>()
-> Scenario<BufferState<B>> {
    Scenario::new(
        "every_send_and_receive_method_passes_items",
        vec![pass_in_every_way::<B>],
    )
}

fn pass_in_every_way<B: Unregistered<Item = u64>>(shared: &BufferState<B>) {
    let (buffer, second) = (&shared.buffer, Duration::from_secs(1));
    let sender = buffer.sender().expect("the buffer is open");
    let receiver = buffer.receiver().expect("the buffer is open");
    assert!(buffer.is_empty());
    sender.send(1).expect("a slot is free");
    assert_eq!((buffer.len(), buffer.is_empty()), (1, false));
    assert_eq!(receiver.recv(), Ok(1));
    sender.try_send(2).expect("a slot is free");
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send_timeout(3, second).expect("a slot is free");
    assert_eq!(receiver.recv_timeout(second), Ok(3));
    let deadline = Deadline::after(second);
    sender.send_deadline(4, deadline).expect("a slot is free");
    assert_eq!(receiver.recv_deadline(deadline), Ok(4));
    let mut item = 0;
    sender.send_ref(&5).expect("a slot is free");
    assert_eq!((receiver.recv_into(&mut item), item), (Ok(()), 5));
    let nothing = receiver.recv_into_with(&mut item, Timeout::NonBlocking);
    assert_eq!((nothing, item), (Err(RecvTimeoutError::Timeout), 5));
    let all: Vec<u64> = (0..buffer.capacity() as u64).collect();
    all.iter()
        .for_each(|item| sender.send(*item).expect("a slot is free"));
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    let full = sender.send_ref_with(&9, Timeout::NonBlocking);
    assert_eq!(full, Err(SendTimeoutError::Timeout(())));
    assert_eq!(receiver.try_iter().collect::<Result<_, _>>(), Ok(all));
    sender.send(5).expect("a slot is free");
    assert_eq!(receiver.iter().next(), Some(Ok(5)));
    sender.send(6).expect("a slot is free");
    drop(sender);
    let other = buffer.receiver().expect("the buffer is open");
    assert_eq!(other.into_iter().collect::<Vec<_>>(), [Ok(6)]);
    assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    assert_eq!(receiver.recv_into(&mut item), Err(RecvError::Disconnected));
    drop(receiver);
    assert!(
        buffer.sender().is_err() && buffer.receiver().is_err(),
        "a closed side was opened again"
    );
}

/// The layout of a buffer rejects a capacity of zero and a capacity whose size overflows.
pub fn rejects_invalid_capacities() -> Scenario<RaceCell> {
    fn rejects<B: ShmObject<Config = usize> + ?Sized>() {
        assert_eq!(B::layout(0), Err(ConfigError::ZeroCapacity));
        for capacity in [usize::MAX, usize::MAX / size_of::<u64>()] {
            let layout = B::layout(capacity);
            assert!(
                layout.is_err(),
                "capacity {capacity} has the layout {layout:?}"
            );
        }
        assert!(B::layout(1).is_ok());
    }
    let alone = |_: &RaceCell| {
        rejects::<BoundedBuffer<u64, [Slot<u64>]>>();
        rejects::<MonitorBuffer<u64, [Slot<u64>]>>();
        rejects::<RobustBoundedBuffer<u64, [TurnSlot<u64>]>>();
        rejects::<RobustMonitorBuffer<u64, [Slot<u64>]>>();
    };
    Scenario::new("rejects_invalid_capacities", vec![alone])
}
