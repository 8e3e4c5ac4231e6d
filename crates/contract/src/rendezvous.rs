//! What a buffer of no rendezvous promises beyond [`buffer`] and
//! [`robust_buffer`]: whoever sends hears that the item was taken, or has it back.

use super::{RaceCell, Scenario, Stage, buffer, robust_buffer, short_timeout};
use interlatch::channel::{Buffer, RecvTimeoutError, Rendezvous, SendTimeoutError};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// The one of this crate.
pub type SmallRendezvous = Rendezvous<u64, 2>;

/// A meeting, what two senders know to have been taken, and what two receivers have taken.
#[repr(C)]
#[derive(Debug)]
pub struct RendezvousState<B> {
    rendezvous: B,
    told: [RaceCell; 2],
    taken: [RaceCell; 2],
    ready: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<B: Buffer<Item = u64> + ShmSafe> ShmSafe for RendezvousState<B> {
    fn initial() -> Self {
        let nothing = || [RaceCell::new(0), RaceCell::new(0)];
        Self {
            rendezvous: B::initial(),
            told: nothing(),
            taken: nothing(),
            ready: RaceCell::new(0),
        }
    }
}

/// Every scenario, with its victims alive.
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
    stage.run(acknowledgement_applies_to_its_own_item());
    stage.run(dropped_delivery_wakes_another_receiver());
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

/// Sends, and notes whether the item was taken.
fn offer<B: Buffer<Item = u64>, const INDEX: usize>(shared: &RendezvousState<B>, timeout: Timeout) {
    let item = [1, 10][INDEX];
    match shared.rendezvous.send_with(item, timeout) {
        Ok(()) => shared.told[INDEX].set(item),
        refused => assert_eq!(refused, Err(SendTimeoutError::Timeout(item))),
    }
}

fn take<B: Buffer<Item = u64>, const INDEX: usize>(shared: &RendezvousState<B>, timeout: Timeout) {
    match shared.rendezvous.recv_with(timeout) {
        Ok(item) => note::<B, INDEX>(shared, item),
        refused => assert_eq!(refused, Err(RecvTimeoutError::Timeout)),
    }
}

fn note<B, const INDEX: usize>(shared: &RendezvousState<B>, item: u64) {
    assert!([1, 10].contains(&item), "an item that nobody sent: {item}");
    shared.taken[INDEX].set(shared.taken[INDEX].get() + item);
}

fn sum(numbers: &[RaceCell; 2]) -> u64 {
    numbers.iter().map(|number| number.get()).sum()
}

/// Nothing is offered or asked for when all have gone.
fn is_left_empty<B: Buffer<Item = u64>>(shared: &RendezvousState<B>) {
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(
        shared.rendezvous.recv_with(Timeout::NonBlocking),
        nothing,
        "left"
    );
    let nobody = Err(SendTimeoutError::Timeout(1));
    assert_eq!(shared.rendezvous.send_with(1, Timeout::NonBlocking), nobody);
}

/// Each item that was taken is one whose sender was told so.
fn taken_is_told<B: Buffer<Item = u64>>(shared: &RendezvousState<B>) {
    is_left_empty(shared);
    assert_eq!(sum(&shared.taken), sum(&shared.told), "taken, and told");
}

/// A send does not return before a receiver has come.
pub fn send_returns_after_the_item_is_received<B: Buffer<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| {
        offer::<B, 0>(shared, Timeout::Infinite);
        assert_eq!(shared.ready.get(), 1, "the receiver had come");
    };
    let receiver = |shared: &RendezvousState<B>| {
        shared.ready.set(1);
        take::<B, 0>(shared, Timeout::Infinite);
    };
    Scenario::new(
        "send_returns_after_the_item_is_received",
        vec![sender, receiver],
    )
    .verify(taken_is_told)
    .choices(8)
}

/// A sender gives up at the moment in which its item is taken: exactly one of the two happens. The first of
/// them may be killed: then its item was taken or withdrawn.
pub fn item_is_received_or_returned<B: Buffer<Item = u64>>(
    processes: usize,
) -> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = match processes {
        2 => vec![|shared| offer::<B, 0>(shared, short_timeout()), |shared| {
            take::<B, 0>(shared, short_timeout())
        }],
        _ => vec![
            |shared| offer::<B, 0>(shared, short_timeout()),
            |shared| take::<B, 0>(shared, short_timeout()),
            |shared| offer::<B, 1>(shared, short_timeout()),
        ],
    };
    Scenario::new("item_is_received_or_returned", participants)
        .verify(taken_is_told)
        .choices(10)
}

/// The same with a sender that is killed: its item was taken or withdrawn, and that of another one goes on.
pub fn item_of_killed_sender_is_received_or_withdrawn<B: Buffer<Item = u64>>(
    processes: usize,
) -> Scenario<RendezvousState<B>> {
    let scenario = item_is_received_or_returned(processes);
    let verify = |shared: &RendezvousState<B>| {
        is_left_empty(shared);
        let (taken, told) = (sum(&shared.taken), sum(&shared.told));
        assert!([0, 1].contains(&taken.wrapping_sub(told)), "{taken} {told}");
    };
    Scenario {
        name: "item_of_killed_sender_is_received_or_withdrawn",
        ..scenario.verify(verify).victims(&[0])
    }
}

/// A sender without timeout gives its item to a receiver that waits, or has it back.
pub fn non_blocking_send_reaches_a_waiting_receiver<B: Buffer<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| offer::<B, 0>(shared, Timeout::NonBlocking);
    let receiver = |shared: &RendezvousState<B>| take::<B, 0>(shared, short_timeout());
    Scenario::new(
        "non_blocking_send_reaches_a_waiting_receiver",
        vec![sender, receiver],
    )
    .verify(taken_is_told)
    .choices(8)
}

/// Of two receivers that wait one is given an item, and the other one takes the next.
pub fn two_waiting_receivers_get_one_item_each<B: Buffer<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| {
        offer::<B, 0>(shared, Timeout::NonBlocking);
        if shared.told[0].get() == 0 {
            offer::<B, 0>(shared, Timeout::Infinite);
        }
        offer::<B, 1>(shared, Timeout::Infinite);
    };
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        |shared| take::<B, 0>(shared, Timeout::Infinite),
        |shared| take::<B, 1>(shared, Timeout::Infinite),
        sender,
    ];
    Scenario::new("two_waiting_receivers_get_one_item_each", participants)
        .verify(taken_is_told)
        .choices(10)
}

/// Neither of two without timeout waits for the other.
pub fn two_non_blocking_peers_do_not_meet<B: Buffer<Item = u64>>() -> Scenario<RendezvousState<B>> {
    let sender = |shared: &RendezvousState<B>| offer::<B, 0>(shared, Timeout::NonBlocking);
    let receiver = |shared: &RendezvousState<B>| take::<B, 0>(shared, Timeout::NonBlocking);
    Scenario::new("two_non_blocking_peers_do_not_meet", vec![sender, receiver]).verify(|shared| {
        taken_is_told(shared);
        assert_eq!(sum(&shared.told), 0);
    })
}

/// A receiver is killed: it has taken the item, whose sender was told so, or another one does, or the sender
/// has it back.
pub fn killed_receive_completes_or_has_no_effect<B: Buffer<Item = u64>>()
-> Scenario<RendezvousState<B>> {
    let participants: Vec<fn(&RendezvousState<B>)> = vec![
        |shared| take::<B, 0>(shared, short_timeout()),
        |shared| take::<B, 1>(shared, short_timeout()),
        |shared| offer::<B, 0>(shared, short_timeout()),
    ];
    Scenario::new("killed_receive_completes_or_has_no_effect", participants)
        .verify(|shared| {
            is_left_empty(shared);
            let (taken, told) = (sum(&shared.taken), sum(&shared.told));
            assert!(taken <= told && told <= 1, "{taken} taken, {told} told");
        })
        .choices(10)
        .victims(&[0])
}

/// Accepts and acknowledges one, if there is one in time.
fn acknowledge<const INDEX: usize>(shared: &RendezvousState<SmallRendezvous>) {
    if let Ok(delivery) = shared.rendezvous.accept_with(short_timeout())
        && let Ok(item) = delivery.acknowledge()
    {
        note::<SmallRendezvous, INDEX>(shared, item);
    }
}

/// A sender goes on when its item is acknowledged, not before.
pub fn sender_waits_for_the_acknowledgement() -> Scenario<RendezvousState<SmallRendezvous>> {
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        offer::<SmallRendezvous, 0>(shared, Timeout::Infinite);
        assert_eq!(shared.ready.get(), 1, "the receiver had not done its work");
    };
    let receiver = |shared: &RendezvousState<SmallRendezvous>| {
        let delivery = shared.rendezvous.accept_with(Timeout::Infinite);
        let delivery = delivery.expect("a sender comes");
        let item = *delivery;
        shared.ready.set(1);
        assert_eq!(delivery.acknowledge(), Ok(item));
        note::<SmallRendezvous, 0>(shared, item);
    };
    Scenario::new(
        "sender_waits_for_the_acknowledgement",
        vec![sender, receiver],
    )
    .verify(|shared| assert_eq!((sum(&shared.taken), sum(&shared.told)), (1, 1)))
    .choices(8)
}

/// Like [`item_is_received_or_returned`], with an acknowledgement that comes at the same moment.
pub fn item_is_acknowledged_or_returned() -> Scenario<RendezvousState<SmallRendezvous>> {
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        offer::<SmallRendezvous, 0>(shared, short_timeout())
    };
    let receiver = |shared: &RendezvousState<SmallRendezvous>| acknowledge::<0>(shared);
    Scenario::new("item_is_acknowledged_or_returned", vec![sender, receiver])
        .verify(|shared| assert_eq!(sum(&shared.taken), sum(&shared.told), "taken, and told"))
        .choices(8)
}

/// A receiver accepts, and drops what it has, or is killed before or after it has acknowledged it: the item is
/// there for the next one, and its sender hears of one of them.
pub fn unacknowledged_item_is_delivered_again() -> Scenario<RendezvousState<SmallRendezvous>> {
    let careless = |shared: &RendezvousState<SmallRendezvous>| {
        drop(shared.rendezvous.accept_with(short_timeout()));
        acknowledge::<0>(shared);
    };
    let other = |shared: &RendezvousState<SmallRendezvous>| acknowledge::<1>(shared);
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        offer::<SmallRendezvous, 0>(shared, short_timeout())
    };
    Scenario::new(
        "unacknowledged_item_is_delivered_again",
        vec![careless, other, sender],
    )
    .verify(|shared| {
        is_left_empty(shared);
        let (taken, told) = (sum(&shared.taken), sum(&shared.told));
        assert!(taken <= told && told <= 1, "{taken} taken, {told} told");
    })
    .choices(10)
    .victims(&[0])
}

/// A receiver accepts and drops what it has, while another one waits for it.
pub fn dropped_delivery_wakes_another_receiver() -> Scenario<RendezvousState<SmallRendezvous>> {
    let careless = |shared: &RendezvousState<SmallRendezvous>| {
        drop(shared.rendezvous.accept_with(short_timeout()))
    };
    let other = |shared: &RendezvousState<SmallRendezvous>| {
        take::<SmallRendezvous, 1>(shared, Timeout::Infinite)
    };
    let sender = |shared: &RendezvousState<SmallRendezvous>| {
        offer::<SmallRendezvous, 0>(shared, Timeout::Infinite)
    };
    Scenario::new(
        "dropped_delivery_wakes_another_receiver",
        vec![careless, other, sender],
    )
    .verify(taken_is_told)
    .choices(8)
}

/// A sender withdraws its item while somebody has accepted it, and another one offers its own.
pub fn acknowledgement_applies_to_its_own_item() -> Scenario<RendezvousState<SmallRendezvous>> {
    let participants: Vec<fn(&RendezvousState<SmallRendezvous>)> = vec![
        |shared| offer::<SmallRendezvous, 0>(shared, short_timeout()),
        |shared| offer::<SmallRendezvous, 1>(shared, short_timeout()),
        acknowledge::<0>,
    ];
    Scenario::new("acknowledgement_applies_to_its_own_item", participants)
        .verify(taken_is_told)
        .choices(10)
}
