//! What both bounded buffers promise.

use super::{RaceCell, Scenario, Stage, centuries, spent};
use interlatch::channel::{
    BoundedBuffer, Buffer, Direction, MonitorBuffer, RecvError, RecvTimeoutError,
    RobustBoundedBuffer, RobustMonitorBuffer, SendTimeoutError, Slot, TryRecvError, TrySendError,
    TurnSlot,
};
use interlatch::platform::{ConfigError, Deadline, ShmObject, ShmSafe};
use interlatch::sync::Timeout;
use std::time::Duration;

/// The construction from semaphores, with its places inside.
pub type Bounded<const N: usize> = BoundedBuffer<u64, [Slot<u64>; N]>;

/// The construction from condition variables, with its places inside.
pub type Monitor<const N: usize> = MonitorBuffer<u64, [Slot<u64>; N]>;

/// The first, over slots that know their holder.
pub type RobustBounded<const N: usize> = RobustBoundedBuffer<u64, [TurnSlot<u64>; N], 2>;

/// The second, over robust parts.
pub type RobustMonitor<const N: usize> = RobustMonitorBuffer<u64, [Slot<u64>; N], 2>;

/// A buffer, and what two receivers got out of it.
#[repr(C)]
#[derive(Debug)]
pub struct Passed<B> {
    buffer: B,
    got: [[RaceCell; 2]; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<B: Buffer<Item = u64> + ShmSafe> ShmSafe for Passed<B> {
    fn initial() -> Self {
        let nothing = || [RaceCell::new(0), RaceCell::new(0)];
        Self {
            buffer: B::initial(),
            got: [nothing(), nothing()],
        }
    }
}

/// Every scenario of all constructions.
pub fn all(stage: &mut impl Stage) {
    all_of::<Bounded<1>>(stage);
    all_of::<Bounded<2>>(stage);
    all_of::<Monitor<1>>(stage);
    all_of::<Monitor<2>>(stage);
    all_of::<RobustBounded<1>>(stage);
    all_of::<RobustBounded<2>>(stage);
    all_of::<RobustMonitor<1>>(stage);
    all_of::<RobustMonitor<2>>(stage);
    stage.run(keeps_order_across_wraparounds::<Bounded<3>>());
    stage.run(keeps_order_across_wraparounds::<Monitor<3>>());
    stage.run(rejects_invalid_capacities());
}

/// Every scenario of one construction.
pub fn all_of<B: Buffer<Item = u64> + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(keeps_order::<B>());
    stage.run(keeps_order_across_wraparounds::<B>());
    stage.run(never_exceeds_capacity::<B>());
    stage.run(delivers_each_once::<B>());
    stage.run(items_of_both_senders_arrive::<B>());
    stage.run(two_receivers_share_the_items::<B>());
    stage.run(dropping_one_of_two_senders_keeps_the_buffer_open::<B>());
    stage.run(closed_buffer_can_be_drained::<B>());
    stage.run(closed_buffer_stays_closed::<B>());
    stage.run(closing_wakes_every_receiver::<B>());
    stage.run(closing_wakes_every_sender::<B>());
    stage.run(every_receiver_sees_disconnection::<B>());
    stage.run(every_sender_sees_disconnection::<B>());
    stage.run(timed_out_receiver_takes_no_item::<B>());
    stage.run(timed_out_sender_keeps_its_item::<B>());
    stage.run(handles_extreme_timeouts::<B>());
    stage.run(every_send_and_receive_method_passes_items::<B>());
    stage.run(batch_keeps_order::<B>());
    stage.run(batch_wakes_every_receiver::<B>());
    stage.run(batch_receive_wakes_every_sender::<B>());
    stage.run(every_batch_receiver_sees_disconnection::<B>());
    stage.run(failed_batch_send_keeps_its_items::<B>());
    stage.run(timed_out_batch_loses_no_item::<B>());
    stage.run(every_batch_method_passes_items::<B>());
}

/// Comes to this end, and goes: the last that does closes it.
fn close<B: Buffer<Item = u64>>(shared: &Passed<B>, end: Direction) {
    let seat = shared.buffer.attach(end);
    drop(seat.unwrap_or_else(|error| panic!("nobody has closed it yet, but {error}")));
}

fn send<B: Buffer<Item = u64>>(shared: &Passed<B>, item: u64) {
    let sent = shared.buffer.send_with(item, Timeout::Infinite);
    assert!(sent.is_ok(), "{sent:?}");
}

fn receive<B: Buffer<Item = u64>>(shared: &Passed<B>) -> u64 {
    shared
        .buffer
        .recv_with(Timeout::Infinite)
        .expect("senders are there")
}

fn send_one<B: Buffer<Item = u64>>(shared: &Passed<B>) {
    send(shared, 1);
}

fn send_two<B: Buffer<Item = u64>>(shared: &Passed<B>) {
    send(shared, 2);
}

fn receive_as<B: Buffer<Item = u64>, const ME: usize>(shared: &Passed<B>) {
    shared.got[ME][0].set(receive(shared));
}

fn sum_received<B>(shared: &Passed<B>) -> u64 {
    shared.got.iter().flatten().map(|number| number.get()).sum()
}

fn left_in<B: Buffer<Item = u64>>(shared: &Passed<B>) -> u64 {
    let mut sum = 0;
    while let Ok(item) = shared.buffer.recv_with(Timeout::NonBlocking) {
        sum += item;
    }
    sum
}

/// What one sends, another receives in the same order, more than fits at once.
pub fn keeps_order<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| {
        send(shared, 1);
        send(shared, 2);
    };
    let receiver = |shared: &Passed<B>| {
        assert_eq!(receive(shared), 1);
        assert_eq!(receive(shared), 2);
    };
    Scenario::new("keeps_order", vec![sender, receiver])
}

/// The places are used again and again, from wherever the last round has ended.
pub fn keeps_order_across_wraparounds<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let rounds = |shared: &Passed<B>| {
        let capacity = shared.buffer.capacity() as u64;
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

/// Without a receiver there is room for as many as the capacity, and no more.
pub fn never_exceeds_capacity<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    fn fill<B: Buffer<Item = u64>, const ME: usize>(shared: &Passed<B>) {
        let sent = shared.buffer.send_with(1, Timeout::NonBlocking);
        shared.got[ME][0].set(u64::from(sent.is_ok()));
        assert!(shared.buffer.len() <= shared.buffer.capacity());
    }
    Scenario::new("never_exceeds_capacity", vec![fill::<B, 0>, fill::<B, 1>]).verify(|shared| {
        let capacity = shared.buffer.capacity() as u64;
        assert_eq!(
            sum_received(shared),
            capacity.min(2),
            "sent without a receiver"
        );
    })
}

/// Two send, two receive: each item arrives once.
pub fn delivers_each_once<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let participants = vec![
        send_one as fn(&Passed<B>),
        send_two,
        receive_as::<B, 0>,
        receive_as::<B, 1>,
    ];
    Scenario::new("delivers_each_once", participants)
        .verify(|shared| assert_eq!(sum_received(shared), 3))
        .choices(8)
}

/// Two send to one.
pub fn items_of_both_senders_arrive<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let receiver = |shared: &Passed<B>| {
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

/// One sends to two.
pub fn two_receivers_share_the_items<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| {
        send(shared, 1);
        send(shared, 2);
    };
    let participants = vec![
        sender as fn(&Passed<B>),
        receive_as::<B, 0>,
        receive_as::<B, 1>,
    ];
    Scenario::new("two_receivers_share_the_items", participants)
        .verify(|shared| assert_eq!(sum_received(shared), 3))
        .choices(8)
}

/// A handle that goes while another one stays ends nothing.
pub fn dropping_one_of_two_senders_keeps_the_buffer_open<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| {
        let stays = shared.buffer.sender().expect("open");
        close(shared, Direction::Sending);
        stays.send(1).expect("receivers are there");
    };
    let receiver = |shared: &Passed<B>| assert_eq!(receive(shared), 1);
    Scenario::new(
        "dropping_one_of_two_senders_keeps_the_buffer_open",
        vec![sender, receiver],
    )
}

/// After the last sender has gone, what is there can still be received; then the stream ends.
pub fn closed_buffer_can_be_drained<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| {
        send(shared, 1);
        close(shared, Direction::Sending);
    };
    let receiver = |shared: &Passed<B>| {
        assert_eq!(receive(shared), 1);
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_with(Timeout::Infinite), end);
        assert_eq!(
            shared.buffer.recv_with(Timeout::NonBlocking),
            end,
            "and stays so"
        );
    };
    Scenario::new(
        "closed_buffer_can_be_drained",
        vec![sender, receiver],
    )
}

/// Whoever comes after the end hears of it as well, waiting or not.
pub fn closed_buffer_stays_closed<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let close_and_look = |shared: &Passed<B>| {
        close(shared, Direction::Sending);
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_with(Timeout::NonBlocking), end);
        assert_eq!(shared.buffer.recv_with(Timeout::Infinite), end);
        assert!(
            shared.buffer.attach(Direction::Sending).is_err(),
            "closed for good"
        );
        close(shared, Direction::Receiving);
        let broken = Err(SendTimeoutError::Disconnected(1));
        assert_eq!(shared.buffer.send_with(1, Timeout::NonBlocking), broken);
        assert_eq!(shared.buffer.send_with(1, Timeout::Infinite), broken);
    };
    Scenario::new("closed_buffer_stays_closed", vec![close_and_look])
}

/// The last sender that goes wakes everybody who waits for an item.
pub fn closing_wakes_every_receiver<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let receiver = |shared: &Passed<B>| {
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_with(Timeout::Infinite), end);
    };
    let closer = |shared: &Passed<B>| close(shared, Direction::Sending);
    Scenario::new(
        "closing_wakes_every_receiver",
        vec![receiver, receiver, closer],
    )
    .choices(8)
}

/// The last receiver that goes wakes everybody who waits for a place, and their items come back.
pub fn closing_wakes_every_sender<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    fn fill_and_wait<B: Buffer<Item = u64>>(shared: &Passed<B>) {
        for item in 0..=shared.buffer.capacity() as u64 {
            if let Err(refused) = shared.buffer.send_with(item, Timeout::Infinite) {
                assert_eq!(refused, SendTimeoutError::Disconnected(item));
                return;
            }
        }
        panic!("one more was sent than fits");
    }
    let closer = |shared: &Passed<B>| close(shared, Direction::Receiving);
    let participants = vec![fill_and_wait as fn(&Passed<B>), fill_and_wait, closer];
    Scenario::new("closing_wakes_every_sender", participants).choices(8)
}

/// Who looks while another one is just hearing of the end hears of it too, without waiting.
pub fn every_receiver_sees_disconnection<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let receiver = |shared: &Passed<B>| {
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_with(Timeout::Infinite), end);
        assert_eq!(shared.buffer.recv_with(Timeout::NonBlocking), end);
    };
    let closer = |shared: &Passed<B>| close(shared, Direction::Sending);
    let participants = vec![receiver as fn(&Passed<B>), receiver, closer];
    Scenario::new("every_receiver_sees_disconnection", participants).choices(8)
}

/// The same for senders, whose items come back.
pub fn every_sender_sees_disconnection<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| {
        let end = Err(SendTimeoutError::Disconnected(1));
        while shared.buffer.send_with(1, Timeout::Infinite) != end {}
        assert_eq!(shared.buffer.send_with(1, Timeout::NonBlocking), end);
    };
    let closer = |shared: &Passed<B>| close(shared, Direction::Receiving);
    let participants = vec![sender as fn(&Passed<B>), sender, closer];
    Scenario::new("every_sender_sees_disconnection", participants).choices(8)
}

/// A receiver that gives up has taken nothing, and swallows nobody's wake-up.
pub fn timed_out_receiver_takes_no_item<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let impatient = |shared: &Passed<B>| {
        let timeout = Timeout::after(Duration::from_micros(50));
        match shared.buffer.recv_with(timeout) {
            Ok(item) => send(shared, item),
            Err(refused) => assert_eq!(refused, RecvTimeoutError::Timeout),
        }
    };
    let participants = vec![impatient, send_one, receive_as::<B, 0>];
    Scenario::new("timed_out_receiver_takes_no_item", participants)
        .verify(|shared| assert_eq!((sum_received(shared), left_in(shared)), (1, 0)))
        .choices(8)
}

/// A sender that gives up has its item back, and the buffer has none of it.
pub fn timed_out_sender_keeps_its_item<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let impatient = |shared: &Passed<B>| {
        let timeout = Timeout::after(Duration::from_micros(50));
        match shared.buffer.send_with(4, timeout) {
            Ok(()) => shared.got[1][0].set(4),
            Err(refused) => assert_eq!(refused, SendTimeoutError::Timeout(4)),
        }
    };
    let participants = vec![impatient, receive_as::<B, 0>, send_one];
    Scenario::new("timed_out_sender_keeps_its_item", participants)
        .verify(|shared| {
            let sent = 1 + shared.got[1][0].get();
            let received = shared.got[0][0].get();
            assert_eq!(received + left_in(shared), sent);
        })
        .choices(8)
}

/// A timeout of zero and a deadline in the past try once; one of centuries takes what is there.
pub fn handles_extreme_timeouts<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let odd = |shared: &Passed<B>| {
        for timeout in spent() {
            let nothing = shared.buffer.recv_with(timeout);
            assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
        }
        for item in 0..shared.buffer.capacity() as u64 {
            assert_eq!(shared.buffer.send_with(item, centuries()), Ok(()));
        }
        for timeout in spent() {
            let full = shared.buffer.send_with(9, timeout);
            assert_eq!(full, Err(SendTimeoutError::Timeout(9)));
        }
        assert_eq!(shared.buffer.recv_with(centuries()), Ok(0));
    };
    Scenario::new("handles_extreme_timeouts", vec![odd])
}

/// The handles' own functions, waiting or not: each passes an item on, and dropping the last handle
/// of a side ends the stream.
pub fn every_send_and_receive_method_passes_items<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    Scenario::new(
        "every_send_and_receive_method_passes_items",
        vec![pass_in_every_way::<B>],
    )
}

fn pass_in_every_way<B: Buffer<Item = u64>>(shared: &Passed<B>) {
    let (buffer, second) = (&shared.buffer, Duration::from_secs(1));
    let sender = buffer.sender().expect("open");
    let receiver = buffer.receiver().expect("open");
    assert!(buffer.is_empty());
    sender.send(1).expect("there is room");
    assert_eq!((buffer.len(), buffer.is_empty()), (1, false));
    assert_eq!(receiver.recv(), Ok(1));
    sender.try_send(2).expect("there is room");
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send_timeout(3, second).expect("there is room");
    assert_eq!(receiver.recv_timeout(second), Ok(3));
    let deadline = Deadline::after(second);
    sender.send_deadline(4, deadline).expect("there is room");
    assert_eq!(receiver.recv_deadline(deadline), Ok(4));
    let mut place = 0;
    sender.send_ref(&5).expect("there is room");
    assert_eq!((receiver.recv_into(&mut place), place), (Ok(()), 5));
    let nothing = receiver.recv_into_with(&mut place, Timeout::NonBlocking);
    assert_eq!((nothing, place), (Err(RecvTimeoutError::Timeout), 5));
    let all: Vec<u64> = (0..buffer.capacity() as u64).collect();
    all.iter()
        .for_each(|item| sender.send(*item).expect("there is room"));
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    let full = sender.send_ref_with(&9, Timeout::NonBlocking);
    assert_eq!(full, Err(SendTimeoutError::Timeout(())));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), all);
    sender.send(5).expect("there is room");
    assert_eq!(receiver.iter().next(), Some(5));
    sender.send(6).expect("there is room");
    drop(sender);
    let other = buffer.receiver().expect("open");
    assert_eq!(other.into_iter().collect::<Vec<_>>(), [6]);
    assert_eq!(receiver.recv(), Err(RecvError));
    assert_eq!(receiver.recv_into(&mut place), Err(RecvError));
    drop(receiver);
    assert!(
        buffer.sender().is_err() && buffer.receiver().is_err(),
        "closed for good"
    );
}

fn send_batch<B: Buffer<Item = u64>>(shared: &Passed<B>, mut items: Vec<u64>) {
    let sent = shared.buffer.send_many_with(&mut items, Timeout::Infinite);
    assert_eq!((sent, items), (Ok(()), vec![]));
}

/// As many as there are, but no more than that.
fn receive_batch<B: Buffer<Item = u64>>(shared: &Passed<B>, most: usize) -> Vec<u64> {
    let mut items = Vec::new();
    let received = shared
        .buffer
        .recv_many_with(&mut items, most, Timeout::Infinite);
    assert_eq!(received, Ok(items.len()), "senders are there");
    assert!((1..=most).contains(&items.len()), "{items:?}");
    items
}

/// A batch of more than fits arrives in its order.
pub fn batch_keeps_order<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| send_batch(shared, vec![1, 2, 3]);
    let receiver = |shared: &Passed<B>| {
        let mut items = receive_batch(shared, 2);
        while items.len() < 3 {
            items.extend(receive_batch(shared, 3));
        }
        assert_eq!(items, [1, 2, 3]);
    };
    Scenario::new("batch_keeps_order", vec![sender, receiver])
}

/// Two wait for an item each, and one batch is for both.
pub fn batch_wakes_every_receiver<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let sender = |shared: &Passed<B>| send_batch(shared, vec![1, 2]);
    let participants = vec![
        receive_as::<B, 0> as fn(&Passed<B>),
        receive_as::<B, 1>,
        sender,
    ];
    Scenario::new("batch_wakes_every_receiver", participants)
        .verify(|shared| assert_eq!(sum_received(shared), 3))
        .choices(8)
}

/// Two wait for a place each, and whoever receives makes room for both at once.
pub fn batch_receive_wakes_every_sender<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    fn send_twice<B: Buffer<Item = u64>>(shared: &Passed<B>) {
        send(shared, 1);
        send(shared, 1);
    }
    // With room for two of the four, nobody receives the others, and so nobody wakes a sender any more.
    let receiver = |shared: &Passed<B>| {
        let mut left = 4_usize.saturating_sub(shared.buffer.capacity());
        while left > 0 {
            left -= receive_batch(shared, left).len();
        }
    };
    let participants = vec![send_twice::<B> as fn(&Passed<B>), send_twice, receiver];
    Scenario::new("batch_receive_wakes_every_sender", participants).choices(8)
}

/// Of two that ask for many, one or both get the batch, and both hear of the end.
pub fn every_batch_receiver_sees_disconnection<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    fn receive_all<B: Buffer<Item = u64>, const ME: usize>(shared: &Passed<B>) {
        let mut items = Vec::new();
        let received = |items: &mut _| {
            let buffer = &shared.buffer;
            buffer.recv_many_with(items, 3, Timeout::Infinite)
        };
        while received(&mut items).is_ok() {}
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(received(&mut items), end);
        shared.got[ME][0].set(items.iter().sum());
    }
    let sender = |shared: &Passed<B>| {
        let sender = shared.buffer.sender().expect("open");
        let mut items = vec![1; shared.buffer.capacity()];
        sender.send_many(&mut items).expect("receivers are there");
    };
    let participants = vec![
        receive_all::<B, 0> as fn(&Passed<B>),
        receive_all::<B, 1>,
        sender,
    ];
    Scenario::new("every_batch_receiver_sees_disconnection", participants)
        .verify(|shared| assert_eq!(sum_received(shared), shared.buffer.capacity() as u64))
        .choices(8)
}

/// What has no place stays with the sender, and so does what comes too late.
pub fn failed_batch_send_keeps_its_items<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let refused = |shared: &Passed<B>| {
        let (buffer, capacity) = (&shared.buffer, shared.buffer.capacity());
        let full = Err(SendTimeoutError::Timeout(()));
        let mut items: Vec<u64> = (0..capacity as u64 + 2).collect();
        assert_eq!(
            buffer.send_many_with(&mut items, Timeout::NonBlocking),
            full
        );
        assert_eq!(items, [capacity as u64, capacity as u64 + 1]);
        assert_eq!(buffer.send_many_with(&mut items, spent()[0]), full);
        assert_eq!((items.len(), buffer.len()), (2, capacity));
        let mut received = vec![9];
        let none = buffer.recv_many_with(&mut received, 0, Timeout::Infinite);
        assert_eq!((none, received.len()), (Ok(0), 1));
        let all = buffer.recv_many_with(&mut received, usize::MAX, Timeout::NonBlocking);
        assert_eq!(all, Ok(capacity));
        assert!(
            received
                .into_iter()
                .eq([9].into_iter().chain(0..capacity as u64))
        );
        let mut nothing = Vec::new();
        let empty = buffer.recv_many_with(&mut nothing, 1, Timeout::NonBlocking);
        assert_eq!(empty, Err(RecvTimeoutError::Timeout));
        close(shared, Direction::Receiving);
        let broken = Err(SendTimeoutError::Disconnected(()));
        assert_eq!(buffer.send_many_with(&mut items, Timeout::Infinite), broken);
        assert_eq!(items, [capacity as u64, capacity as u64 + 1]);
    };
    Scenario::new("failed_batch_send_keeps_its_items", vec![refused])
}

/// A sender of two that gives up has sent one, both or none, and has the others back.
pub fn timed_out_batch_loses_no_item<B: Buffer<Item = u64>>() -> Scenario<Passed<B>> {
    let impatient = |shared: &Passed<B>| {
        let mut items = vec![1, 1];
        let timeout = Timeout::after(Duration::from_micros(50));
        let sent = shared.buffer.send_many_with(&mut items, timeout);
        assert_eq!(sent.is_ok(), items.is_empty(), "{sent:?}");
        shared.got[1][0].set(2 - items.len() as u64);
    };
    let receiver = |shared: &Passed<B>| {
        let mut items = Vec::new();
        let timeout = Timeout::after(Duration::from_micros(50));
        let received = shared.buffer.recv_many_with(&mut items, 2, timeout);
        assert_eq!(received.unwrap_or(0), items.len(), "{received:?}");
        shared.got[0][0].set(items.len() as u64);
    };
    Scenario::new(
        "timed_out_batch_loses_no_item",
        vec![impatient, receiver],
    )
    .verify(|shared| {
        let received = shared.got[0][0].get() + left_in(shared);
        assert_eq!(received, shared.got[1][0].get());
    })
    .choices(8)
}

/// The handles' own functions for many, waiting or not.
pub fn every_batch_method_passes_items<B: Buffer<Item = u64>>()
-> Scenario<Passed<B>> {
    Scenario::new(
        "every_batch_method_passes_items",
        vec![pass_many_in_every_way::<B>],
    )
}

fn pass_many_in_every_way<B: Buffer<Item = u64>>(shared: &Passed<B>) {
    let (buffer, second) = (&shared.buffer, Timeout::after(Duration::from_secs(1)));
    let sender = buffer.sender().expect("open");
    let receiver = buffer.receiver().expect("open");
    let all: Vec<u64> = (0..buffer.capacity() as u64).collect();
    let (mut items, mut received) = (all.clone(), Vec::new());
    sender.send_many(&mut items).expect("there is room");
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
    assert_eq!(receiver.try_recv_many(&mut received, 9), Ok(all.len()));
    assert_eq!(received, [all.clone(), all].concat());
    assert_eq!(sender.send_many_with(&mut items, second), Ok(()));
    received.clear();
    assert_eq!(receiver.recv_many_with(&mut received, 2, second), Ok(1));
    assert_eq!(received, [9]);
    drop(sender);
    assert_eq!(receiver.recv_many(&mut received, 1), Err(RecvError));
    let end = receiver.try_recv_many(&mut received, 1);
    assert_eq!(end, Err(TryRecvError::Disconnected));
    let sender = buffer.attach(Direction::Sending);
    assert!(sender.is_err(), "closed for good");
}

/// No room can be planned for a capacity of zero, or for one whose length overflows.
pub fn rejects_invalid_capacities() -> Scenario<RaceCell> {
    fn refuses<B: ShmObject<Config = usize> + ?Sized>() {
        assert_eq!(B::layout(0), Err(ConfigError::ZeroCapacity));
        for capacity in [usize::MAX, usize::MAX / size_of::<u64>()] {
            let refused = B::layout(capacity);
            assert!(refused.is_err(), "{capacity} is planned as {refused:?}");
        }
        assert!(B::layout(1).is_ok());
    }
    let plan = |_: &RaceCell| {
        refuses::<BoundedBuffer<u64, [Slot<u64>]>>();
        refuses::<MonitorBuffer<u64, [Slot<u64>]>>();
        refuses::<RobustBoundedBuffer<u64, [TurnSlot<u64>]>>();
        refuses::<RobustMonitorBuffer<u64, [Slot<u64>]>>();
    };
    Scenario::new("rejects_invalid_capacities", vec![plan])
}
