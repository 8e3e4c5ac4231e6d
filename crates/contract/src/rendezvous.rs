//! The promises of a rendezvous, a channel without slots.
//!
//! The scenarios of [`buffer`] and [`robust_buffer`] that need no slot also run with a rendezvous.
//! In addition, a send through a rendezvous succeeds only after a receiver got the item. If no
//! receiver got the item, the send returns the item to its caller.

use super::{RaceCell, Scenario, Stage, buffer, robust_buffer, short_timeout};
use interlatch::channel::{
    Channel, Delivery, RecvTimeoutError, Rendezvous, SendTimeoutError, Unregistered,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A rendezvous with at most two senders and two receivers.
pub type SmallRendezvous = Rendezvous<u64, 2>;

/// A rendezvous, the items whose sends succeeded, and the items that two receivers got.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RendezvousState<B> {
    rendezvous: B,
    sent: [RaceCell; 2],
    received: [RaceCell; 2],
    ready: RaceCell,
}

/// Runs every scenario of a rendezvous.
pub fn all(stage: &mut impl Stage) {
    stage.run(send_returns_after_the_item_is_received::<SmallRendezvous>());
    stage.run(item_is_received_or_returned::<SmallRendezvous>(2));
    stage.run(item_is_received_or_returned::<SmallRendezvous>(3));
    stage.run(item_of_killed_sender_is_received_or_withdrawn::<
        SmallRendezvous,
    >(2));
    stage.run(item_of_killed_sender_is_received_or_withdrawn::<
        SmallRendezvous,
    >(3));
    stage.run(non_blocking_send_reaches_a_waiting_receiver::<
        SmallRendezvous,
    >());
    stage.run(two_non_blocking_peers_do_not_meet::<SmallRendezvous>());
    stage.run(killed_receive_completes_or_has_no_effect::<SmallRendezvous>());
    stage.run(sender_waits_for_the_acknowledgement());
    stage.run(item_is_acknowledged_or_returned());
    stage.run(unacknowledged_item_is_delivered_again());
    stage.run(two_waiting_receivers_get_one_item_each::<SmallRendezvous>());
    stage.run(acknowledgement_applies_to_its_own_item(2));
    stage.run(acknowledgement_applies_to_its_own_item(3));
    stage.run(two_senders_without_a_receiver_keep_their_items::<
        SmallRendezvous,
    >());
    stage.run(two_receivers_share_handed_items::<SmallRendezvous>());
    stage.run(dropped_delivery_wakes_another_receiver());
    stage.run(item_of_killed_acceptor_is_received_by_value::<
        SmallRendezvous,
    >());
    stage.run(non_blocking_send_passes_an_acceptor::<SmallRendezvous>());
    stage.run(every_accept_method_delivers());
    stage.run(acknowledgement_wakes_its_sender::<SmallRendezvous>());
    stage.run(buffer::keeps_order::<SmallRendezvous>());
    stage.run(buffer::never_exceeds_capacity::<SmallRendezvous>());
    stage.run(buffer::items_of_both_senders_arrive::<SmallRendezvous>());
    stage.run(buffer::two_receivers_share_the_items::<SmallRendezvous>());
    stage.run(buffer::delivers_each_once::<SmallRendezvous>());
    stage.run(buffer::closed_buffer_stays_closed::<SmallRendezvous>());
    stage.run(buffer::closing_wakes_every_receiver::<SmallRendezvous>());
    stage.run(buffer::closing_wakes_every_sender::<SmallRendezvous>());
    stage.run(buffer::every_receiver_sees_disconnection::<SmallRendezvous>());
    stage.run(buffer::every_sender_sees_disconnection::<SmallRendezvous>());
    stage.run(buffer::timed_out_receiver_takes_no_item::<SmallRendezvous>());
    stage.run(robust_buffer::death_of_last_sender_disconnects_receivers::<
        SmallRendezvous,
    >());
    stage.run(robust_buffer::death_of_last_receiver_disconnects_senders::<
        SmallRendezvous,
    >());
    stage.run(robust_buffer::sender_death_loses_no_sent_item::<
        SmallRendezvous,
    >());
    stage.run(robust_buffer::surviving_receiver_gets_the_remaining_items::<SmallRendezvous>());
}

/// Sends an item, and records it if the send succeeds.
fn send<B: Unregistered<Item = u64>, const INDEX: usize>(
    shared: &RendezvousState<B>,
    timeout: Timeout,
) {
    let item = [1, 10][INDEX];
    match shared.rendezvous.send_unregistered(item, timeout) {
        Ok(()) => shared.sent[INDEX].set(item),
        failed => assert_eq!(failed, Err(SendTimeoutError::Timeout(item))),
    }
}

fn receive<B: Unregistered<Item = u64>, const INDEX: usize>(
    shared: &RendezvousState<B>,
    timeout: Timeout,
) {
    match shared.rendezvous.recv_unregistered(timeout) {
        Ok(item) => record::<B, INDEX>(shared, item),
        failed => assert_eq!(failed, Err(RecvTimeoutError::Timeout)),
    }
}

fn record<B, const INDEX: usize>(shared: &RendezvousState<B>, item: u64) {
    assert!(
        [1, 10].contains(&item),
        "received {item}, which was not sent"
    );
    shared.received[INDEX].set(shared.received[INDEX].get() + item);
}

fn sum(numbers: &[RaceCell; 2]) -> u64 {
    numbers.iter().map(|number| number.get()).sum()
}

/// Checks that no offer and no waiting receiver is left.
fn is_left_empty<B: Unregistered<Item = u64>>(shared: &RendezvousState<B>) {
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(
        shared.rendezvous.recv_unregistered(Timeout::NonBlocking),
        nothing,
        "an offer is left"
    );
    let no_receiver = Err(SendTimeoutError::Timeout(1));
    let sent = shared.rendezvous.send_unregistered(1, Timeout::NonBlocking);
    assert_eq!(sent, no_receiver, "a receiver is left");
}

/// Checks that nothing is left, and that at most one item was sent and no other item was received.
fn one_sent_item_is_received_at_most_once<B: Unregistered<Item = u64>>(
    shared: &RendezvousState<B>,
) {
    is_left_empty(shared);
    let (received, sent) = (sum(&shared.received), sum(&shared.sent));
    assert!(
        received <= sent && sent <= 1,
        "received {received}, sent {sent}"
    );
}

/// Checks that the received items are those whose sends succeeded.
fn received_equals_sent<B: Unregistered<Item = u64>>(shared: &RendezvousState<B>) {
    is_left_empty(shared);
    assert_eq!(sum(&shared.received), sum(&shared.sent), "received, sent");
}

/// A send returns only after a receiver got the item.
///
/// The receiver writes a number without synchronization, and then receives the item. If the send
/// returns before the receive, the sender reads the number while the receiver writes it, which is a
/// data race.
pub fn send_returns_after_the_item_is_received<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| {
        send::<B, 0>(shared, Timeout::Infinite);
        assert_eq!(
            shared.ready.get(),
            1,
            "the send returned before the receive"
        );
    };
    let receiver = |shared: &RendezvousState<B>| {
        shared.ready.set(1);
        receive::<B, 0>(shared, Timeout::Infinite);
    };
    Scenario::new(
        "send_returns_after_the_item_is_received",
        vec![sender, receiver],
    )
    .verify(received_equals_sent)
    .choices(8)
}

/// An item is received, or its sender times out and gets the item back, but never both.
///
/// The sender and the receiver have short timeouts. Each timeout may expire while the other process
/// completes the exchange.
pub fn item_is_received_or_returned<B: Unregistered<Item = u64>>(
    processes: usize,
) -> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = match processes {
        2 => vec![|shared| send::<B, 0>(shared, short_timeout()), |shared| {
            receive::<B, 0>(shared, short_timeout())
        }],
        _ => vec![
            |shared| send::<B, 0>(shared, short_timeout()),
            |shared| receive::<B, 0>(shared, short_timeout()),
            |shared| send::<B, 1>(shared, short_timeout()),
        ],
    };
    Scenario::new("item_is_received_or_returned", participants)
        .verify(received_equals_sent)
        .choices(10)
}

/// If a sender is killed, its item is either received or withdrawn from the rendezvous.
///
/// The sender of [`item_is_received_or_returned`] is killed at any step. An offer that stays after
/// the death, or is visible before it is complete, delivers a wrong item.
pub fn item_of_killed_sender_is_received_or_withdrawn<B: Unregistered<Item = u64>>(
    processes: usize,
) -> Scenario<RendezvousState<B>> {
    let scenario = item_is_received_or_returned(processes);
    let verify = |shared: &RendezvousState<B>| {
        is_left_empty(shared);
        let (received, sent) = (sum(&shared.received), sum(&shared.sent));
        let difference = received.wrapping_sub(sent);
        assert!(
            [0, 1].contains(&difference),
            "received {received}, sent {sent}"
        );
    };
    Scenario {
        name: "item_of_killed_sender_is_received_or_withdrawn",
        ..scenario.verify(verify).victims(&[0])
    }
}

/// A non-blocking send passes its item to a waiting receiver, or returns the item.
///
/// The second of two sends finds no receiver if the first send has reached the receiver. It must
/// not replace the item of the first send.
pub fn non_blocking_send_reaches_a_waiting_receiver<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| {
        send::<B, 0>(shared, Timeout::NonBlocking);
        send::<B, 1>(shared, Timeout::NonBlocking);
    };
    let receiver = |shared: &RendezvousState<B>| receive::<B, 0>(shared, short_timeout());
    Scenario::new(
        "non_blocking_send_reaches_a_waiting_receiver",
        vec![sender, receiver],
    )
    .verify(received_equals_sent)
    .choices(8)
}

/// Two waiting receivers get one item each.
///
/// The first item is sent without blocking if a receiver is already waiting. If the first send
/// leaves a wrong state in the rendezvous, the second item is lost or the other receiver hangs.
pub fn two_waiting_receivers_get_one_item_each<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| {
        send::<B, 0>(shared, Timeout::NonBlocking);
        if shared.sent[0].get() == 0 {
            send::<B, 0>(shared, Timeout::Infinite);
        }
        send::<B, 1>(shared, Timeout::Infinite);
    };
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        |shared| receive::<B, 0>(shared, Timeout::Infinite),
        |shared| receive::<B, 1>(shared, Timeout::Infinite),
        sender,
    ];
    Scenario::new("two_waiting_receivers_get_one_item_each", participants)
        .verify(received_equals_sent)
        .choices(10)
}

/// Two waiting receivers get the items that two non-blocking sends hand over, each item once.
///
/// The timeout of a receiver may expire while the sender holds the internal lock. The receiver must
/// then neither take the item of the other receiver, nor free its slot before it has taken its own
/// item.
pub fn two_receivers_share_handed_items<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        |shared| receive::<B, 0>(shared, short_timeout()),
        |shared| receive::<B, 1>(shared, short_timeout()),
        |shared| {
            send::<B, 0>(shared, Timeout::NonBlocking);
            send::<B, 1>(shared, Timeout::NonBlocking);
        },
    ];
    Scenario::new("two_receivers_share_handed_items", participants)
        .verify(received_equals_sent)
        .choices(10)
}

/// Without a receiver, two senders time out and get their items back.
///
/// A sender that withdraws without the internal lock frees the slot of the offer. If it frees the
/// slot too early, it takes the offer of the other sender for its own.
pub fn two_senders_without_a_receiver_keep_their_items<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> =
        vec![|shared| send::<B, 0>(shared, short_timeout()), |shared| {
            send::<B, 1>(shared, short_timeout())
        }];
    Scenario::new(
        "two_senders_without_a_receiver_keep_their_items",
        participants,
    )
    .verify(|shared| {
        is_left_empty(shared);
        assert_eq!(sum(&shared.sent), 0, "a send succeeded without a receiver");
    })
    .choices(8)
}

/// A non-blocking send and a non-blocking receive cannot exchange an item with each other, so both
/// fail.
pub fn two_non_blocking_peers_do_not_meet<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| send::<B, 0>(shared, Timeout::NonBlocking);
    let receiver = |shared: &RendezvousState<B>| receive::<B, 0>(shared, Timeout::NonBlocking);
    Scenario::new("two_non_blocking_peers_do_not_meet", vec![sender, receiver]).verify(|shared| {
        received_equals_sent(shared);
        assert_eq!(sum(&shared.sent), 0);
    })
}

/// If a receiver is killed during a receive, either the receive took the item and the send
/// succeeds, or the receive had no effect.
///
/// The first of two receivers is killed at any step. If the receive has no effect, the other
/// receiver gets the item, or the sender gets it back.
pub fn killed_receive_completes_or_has_no_effect<B: Unregistered<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        |shared| receive::<B, 0>(shared, short_timeout()),
        |shared| receive::<B, 1>(shared, short_timeout()),
        |shared| send::<B, 0>(shared, short_timeout()),
    ];
    Scenario::new("killed_receive_completes_or_has_no_effect", participants)
        .verify(|shared| {
            is_left_empty(shared);
            let (received, sent) = (sum(&shared.received), sum(&shared.sent));
            assert!(
                received <= sent && sent <= 1,
                "received {received}, sent {sent}"
            );
        })
        .choices(10)
        .victims(&[0])
}

/// A rendezvous whose receivers also accept and acknowledge items.
pub trait Accepts: Unregistered<Item = u64> + ShmSafe + 'static {
    /// Accepts an item and acknowledges it. Returns `None` if no item arrives in time, or if its
    /// sender withdraws it.
    fn accept_and_acknowledge(&self, timeout: Timeout) -> Option<u64>;
}

impl Accepts for SmallRendezvous {
    fn accept_and_acknowledge(&self, timeout: Timeout) -> Option<u64> {
        let delivery = self.accept_unregistered(timeout).ok()?;
        delivery.acknowledge().ok()
    }
}

/// Accepts an item, acknowledges and records it. Does nothing if no item arrives in time.
fn acknowledge<B: Accepts, const INDEX: usize>(shared: &RendezvousState<B>) {
    if let Some(item) = shared.rendezvous.accept_and_acknowledge(short_timeout()) {
        record::<B, INDEX>(shared, item);
    }
}

/// A send returns only after the receiver acknowledged the item.
///
/// The receiver accepts the item, writes a number without synchronization, and acknowledges the
/// item. If the send returns before the acknowledgement, the sender's read of the number races with
/// the write.
pub fn sender_waits_for_the_acknowledgement() -> Scenario<RendezvousState<SmallRendezvous>> {
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        send::<SmallRendezvous, 0>(shared, Timeout::Infinite);
        assert_eq!(
            shared.ready.get(),
            1,
            "the send returned before the acknowledgement"
        );
    };
    let receiver = |shared: &RendezvousState<SmallRendezvous>| {
        let delivery = shared.rendezvous.accept_unregistered(Timeout::Infinite);
        let delivery = delivery.expect("a sender sends");
        let item = *delivery;
        shared.ready.set(1);
        assert_eq!(delivery.acknowledge(), Ok(item));
        record::<SmallRendezvous, 0>(shared, item);
    };
    Scenario::new(
        "sender_waits_for_the_acknowledgement",
        vec![sender, receiver],
    )
    .verify(|shared| assert_eq!((sum(&shared.received), sum(&shared.sent)), (1, 1)))
    .choices(8)
}

/// An accepted item is acknowledged, or its sender times out and gets the item back, but never
/// both.
///
/// The timeout of the sender may coincide with the acknowledgement.
pub fn item_is_acknowledged_or_returned() -> Scenario<RendezvousState<SmallRendezvous>> {
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        send::<SmallRendezvous, 0>(shared, short_timeout())
    };
    let receiver = |shared: &RendezvousState<SmallRendezvous>| acknowledge::<_, 0>(shared);
    Scenario::new("item_is_acknowledged_or_returned", vec![sender, receiver])
        .verify(|shared| assert_eq!(sum(&shared.received), sum(&shared.sent), "received, sent"))
        .choices(8)
}

/// An item that was accepted but not acknowledged is delivered again.
///
/// The first receiver drops its delivery, or is killed before or after its acknowledgement. The
/// sender gets at most one acknowledgement.
pub fn unacknowledged_item_is_delivered_again() -> Scenario<RendezvousState<SmallRendezvous>> {
    let dropping = |shared: &RendezvousState<SmallRendezvous>| {
        drop(shared.rendezvous.accept_unregistered(short_timeout()));
        acknowledge::<_, 0>(shared);
    };
    let other = |shared: &RendezvousState<SmallRendezvous>| acknowledge::<_, 1>(shared);
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        send::<SmallRendezvous, 0>(shared, short_timeout())
    };
    Scenario::new(
        "unacknowledged_item_is_delivered_again",
        vec![dropping, other, sender],
    )
    .verify(one_sent_item_is_received_at_most_once)
    .choices(10)
    .victims(&[0])
}

/// A dropped delivery wakes another waiting receiver.
///
/// One receiver accepts the only item and drops the delivery, while the other receiver waits. If
/// the drop wakes no receiver, the other receiver and the sender hang.
pub fn dropped_delivery_wakes_another_receiver() -> Scenario<RendezvousState<SmallRendezvous>> {
    let dropping = |shared: &RendezvousState<SmallRendezvous>| {
        drop(shared.rendezvous.accept_unregistered(short_timeout()))
    };
    let other = |shared: &RendezvousState<SmallRendezvous>| {
        receive::<SmallRendezvous, 1>(shared, Timeout::Infinite)
    };
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        send::<SmallRendezvous, 0>(shared, Timeout::Infinite)
    };
    Scenario::new(
        "dropped_delivery_wakes_another_receiver",
        vec![dropping, other, sender],
    )
    .verify(received_equals_sent)
    .choices(8)
}

/// An acknowledgement applies to the item that was accepted, not to a later item.
///
/// A sender withdraws its accepted item, and the same sender or another one offers another item. A
/// late acknowledgement must not make the second send succeed.
pub fn acknowledgement_applies_to_its_own_item(
    processes: usize,
) -> Scenario<RendezvousState<SmallRendezvous>> {
    let participants: Vec<fn(&RendezvousState<SmallRendezvous>)> = match processes {
        2 => vec![
            |shared| {
                send::<SmallRendezvous, 0>(shared, short_timeout());
                send::<SmallRendezvous, 1>(shared, short_timeout());
            },
            acknowledge::<_, 0>,
        ],
        _ => vec![
            |shared| send::<SmallRendezvous, 0>(shared, short_timeout()),
            |shared| send::<SmallRendezvous, 1>(shared, short_timeout()),
            acknowledge::<_, 0>,
        ],
    };
    Scenario::new("acknowledgement_applies_to_its_own_item", participants)
        .verify(received_equals_sent)
        .choices(10)
}

/// If a receiver is killed while it has accepted an item, another receiver gets the item by value,
/// or the acknowledgement of the killed receiver has reached the sender.
pub fn item_of_killed_acceptor_is_received_by_value<B: Accepts>() -> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        acknowledge::<B, 0>,
        |shared| receive::<B, 1>(shared, short_timeout()),
        |shared| send::<B, 0>(shared, short_timeout()),
    ];
    Scenario::new("item_of_killed_acceptor_is_received_by_value", participants)
        .verify(one_sent_item_is_received_at_most_once)
        .choices(10)
        .victims(&[0])
}

/// A non-blocking send reaches a receiver that waits in `recv`, and never a receiver that waits in
/// `accept`.
///
/// One receiver accepts and the other receives by value. A non-blocking sender and a waiting sender
/// each send an item.
pub fn non_blocking_send_passes_an_acceptor<B: Accepts>() -> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        acknowledge::<B, 0>,
        |shared| receive::<B, 1>(shared, short_timeout()),
        |shared| {
            send::<B, 0>(shared, Timeout::NonBlocking);
            send::<B, 1>(shared, short_timeout());
        },
    ];
    Scenario::new("non_blocking_send_passes_an_acceptor", participants)
        .verify(received_equals_sent)
        .choices(10)
}

/// An acknowledgement wakes the sender of the item, also if another sender waits.
///
/// Two senders wait, one for the acknowledgement of its item and the other one for the end of that
/// send. If the acknowledgement wakes only the other sender, all three processes hang.
pub fn acknowledgement_wakes_its_sender<B: Accepts>() -> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        |shared| send::<B, 0>(shared, Timeout::Infinite),
        |shared| send::<B, 1>(shared, Timeout::Infinite),
        |shared| {
            for _ in 0..2 {
                let item = shared.rendezvous.accept_and_acknowledge(Timeout::Infinite);
                record::<B, 0>(shared, item.expect("both senders wait"));
            }
        },
    ];
    Scenario::new("acknowledgement_wakes_its_sender", participants)
        .verify(received_equals_sent)
        .choices(10)
}

/// Each accept method of a receiver delivers the item of a waiting sender.
///
/// While a delivery exists, no other receiver gets its item. After the last sender is dropped, the
/// methods fail with `Disconnected`.
pub fn every_accept_method_delivers() -> Scenario<RendezvousState<SmallRendezvous>> {
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        send::<SmallRendezvous, 0>(shared, Timeout::Infinite);
        send::<SmallRendezvous, 1>(shared, Timeout::Infinite);
    };
    let receiver = |shared: &RendezvousState<SmallRendezvous>| {
        let receiver = shared.rendezvous.receiver().expect("the side is open");
        let first = receiver.accept().expect("a sender sends");
        let nothing = RecvTimeoutError::Timeout;
        assert_eq!(
            receiver.recv_with(Timeout::NonBlocking),
            Err(nothing.clone())
        );
        let again = receiver.accept_with(Timeout::NonBlocking);
        assert_eq!(again.err(), Some(nothing.clone()));
        assert_eq!(first.acknowledge(), Ok(1));
        let second = receiver.accept_with(Timeout::Infinite);
        assert_eq!(second.map(Delivery::acknowledge), Ok(Ok(10)));
        let last = receiver.accept_with(Timeout::NonBlocking);
        assert_eq!(last.err(), Some(nothing));
        drop(shared.rendezvous.sender());
        let end = RecvTimeoutError::Disconnected;
        for timeout in [Timeout::NonBlocking, Timeout::Infinite] {
            assert_eq!(
                receiver.accept_with(timeout).err(),
                Some(end.clone()),
                "the last sender was dropped"
            );
        }
    };
    Scenario::new("every_accept_method_delivers", vec![sender, receiver]).choices(6)
}
