//! What a buffer of no place promises beyond [`buffer`] and
//! [`robust_buffer`]: whoever sends hears that the item was taken, or has it back.

use super::{RaceCell, Scenario, Stage, buffer, robust_buffer};
use interlatch::channel::{RecvTimeoutError, Rendezvous, SendTimeoutError, Unregistered};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;
use std::time::Duration;

/// The one of this crate.
pub type Meeting = Rendezvous<u64, 2>;

/// A meeting, what two senders know to have been taken, and what two receivers have taken.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct Met<B> {
    place: B,
    told: [RaceCell; 2],
    taken: [RaceCell; 2],
    ready: RaceCell,
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    stage.run(a_send_returns_when_the_item_is_taken::<Meeting>());
    stage.run(an_item_is_taken_or_given_back::<Meeting>(2));
    stage.run(an_item_is_taken_or_given_back::<Meeting>(3));
    stage.run(a_receiver_that_waits_is_given_an_item::<Meeting>());
    stage.run(nobody_is_given_an_item_who_does_not_wait::<Meeting>());
    stage.run(a_dead_receiver_has_taken_or_not::<Meeting>());
    stage.run(the_sender_waits_for_the_acknowledgement());
    stage.run(an_item_is_acknowledged_or_given_back());
    stage.run(what_is_not_acknowledged_is_for_the_next_one());
    stage.run(each_of_two_that_wait_is_given_an_item::<Meeting>());
    stage.run(an_acknowledgement_is_for_its_own_item());
    stage.run(a_dropped_delivery_wakes_the_next_one());
    stage.run(buffer::keeps_order::<Meeting>());
    stage.run(buffer::never_exceeds_capacity::<Meeting>());
    stage.run(buffer::two_senders_are_both_heard::<Meeting>());
    stage.run(buffer::two_receivers_share::<Meeting>());
    stage.run(buffer::delivers_each_once::<Meeting>());
    stage.run(buffer::a_closed_buffer_stays_closed::<Meeting>());
    stage.run(buffer::closing_wakes_every_receiver::<Meeting>());
    stage.run(buffer::closing_wakes_every_sender::<Meeting>());
    stage.run(buffer::an_impatient_receiver_takes_nothing_along::<Meeting>());
    stage.run(robust_buffer::the_last_sender_that_dies_ends_the_stream::<
        Meeting,
    >());
    stage.run(robust_buffer::the_last_receiver_that_dies_breaks_the_pipe::<Meeting>());
    stage.run(robust_buffer::a_life_of_sending_ends_the_stream::<Meeting>());
    stage.run(robust_buffer::a_life_of_receiving_leaves_the_rest::<Meeting>());
}

fn briefly() -> Timeout {
    Timeout::after(Duration::from_micros(200))
}

/// Sends, and notes whether the item was taken.
fn offer<B: Unregistered<Item = u64>, const WHO: usize>(shared: &Met<B>, timeout: Timeout) {
    let item = [1, 10][WHO];
    match shared.place.send_unregistered(item, timeout) {
        Ok(()) => shared.told[WHO].set(item),
        refused => assert_eq!(refused, Err(SendTimeoutError::Timeout(item))),
    }
}

fn take<B: Unregistered<Item = u64>, const WHO: usize>(shared: &Met<B>, timeout: Timeout) {
    match shared.place.recv_unregistered(timeout) {
        Ok(item) => note::<B, WHO>(shared, item),
        refused => assert_eq!(refused, Err(RecvTimeoutError::Timeout)),
    }
}

fn note<B, const WHO: usize>(shared: &Met<B>, item: u64) {
    assert!([1, 10].contains(&item), "an item that nobody sent: {item}");
    shared.taken[WHO].set(shared.taken[WHO].get() + item);
}

fn sum(numbers: &[RaceCell; 2]) -> u64 {
    numbers.iter().map(|number| number.get()).sum()
}

/// Nothing is offered or asked for when all have gone.
fn is_left_empty<B: Unregistered<Item = u64>>(shared: &Met<B>) {
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(
        shared.place.recv_unregistered(Timeout::NonBlocking),
        nothing,
        "left"
    );
    let nobody = Err(SendTimeoutError::Timeout(1));
    assert_eq!(
        shared.place.send_unregistered(1, Timeout::NonBlocking),
        nobody
    );
}

/// Each item that was taken is one whose sender was told so.
fn taken_is_told<B: Unregistered<Item = u64>>(shared: &Met<B>) {
    is_left_empty(shared);
    assert_eq!(sum(&shared.taken), sum(&shared.told), "taken, and told");
}

/// A send does not return before a receiver has come.
pub fn a_send_returns_when_the_item_is_taken<B: Unregistered<Item = u64>>() -> Scenario<Met<B>> {
    let sender = |shared: &Met<B>| {
        offer::<B, 0>(shared, Timeout::Infinite);
        assert_eq!(shared.ready.get(), 1, "the receiver had come");
    };
    let receiver = |shared: &Met<B>| {
        shared.ready.set(1);
        take::<B, 0>(shared, Timeout::Infinite);
    };
    Scenario::new(
        "a_send_returns_when_the_item_is_taken",
        vec![sender, receiver],
    )
    .verify(taken_is_told)
    .choices(8)
}

/// A sender gives up at the moment in which its item is taken: exactly one of the two happens. The first of
/// them may be killed: then its item was taken or withdrawn.
pub fn an_item_is_taken_or_given_back<B: Unregistered<Item = u64>>(
    processes: usize,
) -> Scenario<Met<B>> {
    let participants: Vec<fn(&Met<B>)> = match processes {
        2 => vec![|shared| offer::<B, 0>(shared, briefly()), |shared| {
            take::<B, 0>(shared, briefly())
        }],
        _ => vec![
            |shared| offer::<B, 0>(shared, briefly()),
            |shared| take::<B, 0>(shared, briefly()),
            |shared| offer::<B, 1>(shared, briefly()),
        ],
    };
    Scenario::new("an_item_is_taken_or_given_back", participants)
        .verify(taken_is_told)
        .choices(10)
}

/// The same with a sender that is killed: its item was taken or withdrawn, and that of another one goes on.
pub fn a_dead_senders_item_is_taken_or_withdrawn<B: Unregistered<Item = u64>>(
    processes: usize,
) -> Scenario<Met<B>> {
    let scenario = an_item_is_taken_or_given_back(processes);
    let verify = |shared: &Met<B>| {
        is_left_empty(shared);
        let (taken, told) = (sum(&shared.taken), sum(&shared.told));
        assert!([0, 1].contains(&taken.wrapping_sub(told)), "{taken} {told}");
    };
    Scenario {
        name: "a_dead_senders_item_is_taken_or_withdrawn",
        ..scenario.verify(verify).victims(&[0])
    }
}

/// A sender without timeout gives its item to a receiver that waits, or has it back.
pub fn a_receiver_that_waits_is_given_an_item<B: Unregistered<Item = u64>>() -> Scenario<Met<B>> {
    let sender = |shared: &Met<B>| offer::<B, 0>(shared, Timeout::NonBlocking);
    let receiver = |shared: &Met<B>| take::<B, 0>(shared, briefly());
    Scenario::new(
        "a_receiver_that_waits_is_given_an_item",
        vec![sender, receiver],
    )
    .verify(taken_is_told)
    .choices(8)
}

/// Of two receivers that wait one is given an item, and the other one takes the next.
pub fn each_of_two_that_wait_is_given_an_item<B: Unregistered<Item = u64>>() -> Scenario<Met<B>> {
    let sender = |shared: &Met<B>| {
        offer::<B, 0>(shared, Timeout::NonBlocking);
        if shared.told[0].get() == 0 {
            offer::<B, 0>(shared, Timeout::Infinite);
        }
        offer::<B, 1>(shared, Timeout::Infinite);
    };
    let participants: Vec<fn(&Met<B>)> = vec![
        |shared| take::<B, 0>(shared, Timeout::Infinite),
        |shared| take::<B, 1>(shared, Timeout::Infinite),
        sender,
    ];
    Scenario::new("each_of_two_that_wait_is_given_an_item", participants)
        .verify(taken_is_told)
        .choices(10)
}

/// Neither of two without timeout waits for the other.
pub fn nobody_is_given_an_item_who_does_not_wait<B: Unregistered<Item = u64>>() -> Scenario<Met<B>>
{
    let sender = |shared: &Met<B>| offer::<B, 0>(shared, Timeout::NonBlocking);
    let receiver = |shared: &Met<B>| take::<B, 0>(shared, Timeout::NonBlocking);
    Scenario::new(
        "nobody_is_given_an_item_who_does_not_wait",
        vec![sender, receiver],
    )
    .verify(|shared| {
        taken_is_told(shared);
        assert_eq!(sum(&shared.told), 0);
    })
}

/// A receiver is killed: it has taken the item, whose sender was told so, or another one does, or the sender
/// has it back.
pub fn a_dead_receiver_has_taken_or_not<B: Unregistered<Item = u64>>() -> Scenario<Met<B>> {
    let participants: Vec<fn(&Met<B>)> = vec![
        |shared| take::<B, 0>(shared, briefly()),
        |shared| take::<B, 1>(shared, briefly()),
        |shared| offer::<B, 0>(shared, briefly()),
    ];
    Scenario::new("a_dead_receiver_has_taken_or_not", participants)
        .verify(|shared| {
            is_left_empty(shared);
            let (taken, told) = (sum(&shared.taken), sum(&shared.told));
            assert!(taken <= told && told <= 1, "{taken} taken, {told} told");
        })
        .choices(10)
        .victims(&[0])
}

/// Accepts and acknowledges one, if there is one in time.
fn acknowledge<const WHO: usize>(shared: &Met<Meeting>) {
    if let Ok(delivery) = shared.place.accept_unregistered(briefly())
        && let Ok(item) = delivery.acknowledge()
    {
        note::<Meeting, WHO>(shared, item);
    }
}

/// A sender goes on when its item is acknowledged, not before.
pub fn the_sender_waits_for_the_acknowledgement() -> Scenario<Met<Meeting>> {
    let sender = |shared: &Met<Meeting>| {
        offer::<Meeting, 0>(shared, Timeout::Infinite);
        assert_eq!(shared.ready.get(), 1, "the receiver had not done its work");
    };
    let receiver = |shared: &Met<Meeting>| {
        let delivery = shared.place.accept_unregistered(Timeout::Infinite);
        let delivery = delivery.expect("a sender comes");
        let item = *delivery;
        shared.ready.set(1);
        assert_eq!(delivery.acknowledge(), Ok(item));
        note::<Meeting, 0>(shared, item);
    };
    Scenario::new(
        "the_sender_waits_for_the_acknowledgement",
        vec![sender, receiver],
    )
    .verify(|shared| assert_eq!((sum(&shared.taken), sum(&shared.told)), (1, 1)))
    .choices(8)
}

/// Like [`an_item_is_taken_or_given_back`], with an acknowledgement that comes at the same moment.
pub fn an_item_is_acknowledged_or_given_back() -> Scenario<Met<Meeting>> {
    let sender = |shared: &Met<Meeting>| offer::<Meeting, 0>(shared, briefly());
    let receiver = |shared: &Met<Meeting>| acknowledge::<0>(shared);
    Scenario::new(
        "an_item_is_acknowledged_or_given_back",
        vec![sender, receiver],
    )
    .verify(|shared| assert_eq!(sum(&shared.taken), sum(&shared.told), "taken, and told"))
    .choices(8)
}

/// A receiver accepts, and drops what it has, or is killed before or after it has acknowledged it: the item is
/// there for the next one, and its sender hears of one of them.
pub fn what_is_not_acknowledged_is_for_the_next_one() -> Scenario<Met<Meeting>> {
    let careless = |shared: &Met<Meeting>| {
        drop(shared.place.accept_unregistered(briefly()));
        acknowledge::<0>(shared);
    };
    let other = |shared: &Met<Meeting>| acknowledge::<1>(shared);
    let sender = |shared: &Met<Meeting>| offer::<Meeting, 0>(shared, briefly());
    Scenario::new(
        "what_is_not_acknowledged_is_for_the_next_one",
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
pub fn a_dropped_delivery_wakes_the_next_one() -> Scenario<Met<Meeting>> {
    let careless = |shared: &Met<Meeting>| drop(shared.place.accept_unregistered(briefly()));
    let other = |shared: &Met<Meeting>| take::<Meeting, 1>(shared, Timeout::Infinite);
    let sender = |shared: &Met<Meeting>| offer::<Meeting, 0>(shared, Timeout::Infinite);
    Scenario::new(
        "a_dropped_delivery_wakes_the_next_one",
        vec![careless, other, sender],
    )
    .verify(taken_is_told)
    .choices(8)
}

/// A sender withdraws its item while somebody has accepted it, and another one offers its own.
pub fn an_acknowledgement_is_for_its_own_item() -> Scenario<Met<Meeting>> {
    let participants: Vec<fn(&Met<Meeting>)> = vec![
        |shared| offer::<Meeting, 0>(shared, briefly()),
        |shared| offer::<Meeting, 1>(shared, briefly()),
        acknowledge::<0>,
    ];
    Scenario::new("an_acknowledgement_is_for_its_own_item", participants)
        .verify(taken_is_told)
        .choices(10)
}
