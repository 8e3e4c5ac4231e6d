//! What a buffer promises that survives the death of its users.

use super::{Guarded, Scenario, Stage};
use crate::buffer::{RecvError, RobustBuffer};
use crate::platform::InPlace;

/// A buffer of one place, and what each of two receivers has got: whether it has a handle, the sum and
/// the number of items.
#[repr(C)]
#[derive(Debug)]
pub struct Passed {
    buffer: RobustBuffer<u64, 1, 2>,
    has_come: [Guarded; 2],
    sums: [Guarded; 2],
    items: [Guarded; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl InPlace for Passed {
    fn initial() -> Self {
        Self {
            buffer: RobustBuffer::new(),
            has_come: [Guarded::new(0), Guarded::new(0)],
            sums: [Guarded::new(0), Guarded::new(0)],
            items: [Guarded::new(0), Guarded::new(0)],
        }
    }
}

/// Every scenario among the living.
pub fn all(stage: &mut impl Stage) {
    stage.run(delivers_each_once_in_order());
    stage.run(a_sender_without_receivers_hears_so());
}

/// Sends 1 and then 10, unless nobody receives any more, or the senders have closed before it came.
fn send_two(shared: &Passed) {
    if let Ok(sender) = shared.buffer.sender() {
        let _ = sender.send(1).and_then(|()| sender.send(10));
    }
}

fn send_one(shared: &Passed) {
    if let Ok(sender) = shared.buffer.sender() {
        let _ = sender.send(100);
    }
}

/// Receives to the end of the stream.
fn receive_all<const WHO: usize>(shared: &Passed) {
    let Ok(receiver) = shared.buffer.receiver() else {
        return;
    };
    shared.has_come[WHO].set(1);
    while let Ok(item) = receiver.recv() {
        assert!(
            [1, 10, 100].contains(&item),
            "an item that nobody sent: {item}"
        );
        let sum = shared.sums[WHO].get();
        assert!(item != 10 || WHO != 0 || sum % 10 == 1, "10 comes after 1");
        shared.sums[WHO].set(sum + item);
        shared.items[WHO].set(shared.items[WHO].get() + 1);
    }
    assert_eq!(receiver.recv(), Err(RecvError), "an end is for good");
}

fn receive_one(shared: &Passed) {
    if let Ok(receiver) = shared.buffer.receiver() {
        let _ = receiver.recv();
    }
}

/// One sender, one receiver, one place.
pub fn delivers_each_once_in_order() -> Scenario<Passed> {
    Scenario::new(
        "delivers_each_once_in_order",
        vec![send_two, receive_all::<0>],
    )
    .verify(|shared| assert_eq!((shared.sums[0].get(), shared.items[0].get()), (11, 2)))
}

/// The receiver takes one and goes: of two items one is taken, and the sender is not stuck.
pub fn a_sender_without_receivers_hears_so() -> Scenario<Passed> {
    Scenario::new(
        "a_sender_without_receivers_hears_so",
        vec![send_two, receive_one],
    )
}

/// A sender is killed: the receiver gets what was sent, and nothing twice or torn; and the stream ends,
/// although nobody has closed it. (If it dies before it has come, the other one opens the stream.)
pub fn a_dead_sender_ends_the_stream() -> Scenario<Passed> {
    Scenario::new(
        "a_dead_sender_ends_the_stream",
        vec![send_two, send_one, receive_all::<0>],
    )
    .verify(|shared| {
        let (sum, items) = (shared.sums[0].get(), shared.items[0].get());
        // What was sent is the beginning of 1, 10, with or without 100: it may come when the stream
        // has ended.
        let sums = [[0, 0], [1, 1], [11, 2], [100, 1], [101, 2], [111, 3]];
        assert!(sums.contains(&[sum, items]), "{items} items, sum {sum}");
    })
    .choices(8)
    .victims(&[0])
}

/// A receiver is killed: a sender is not stuck, although nobody has closed the other side. (If it
/// dies before it has come, the other one opens that side.)
pub fn a_dead_receiver_breaks_the_pipe() -> Scenario<Passed> {
    Scenario::new(
        "a_dead_receiver_breaks_the_pipe",
        vec![receive_one, send_two, receive_one],
    )
    .choices(8)
    .victims(&[0])
}

/// With two receivers, one of which is killed, the other one gets everything that the dead one has not
/// taken. (If the dead one was alone when it died, the pipe is broken before the other one has come.)
pub fn a_dead_receiver_takes_no_more_than_one() -> Scenario<Passed> {
    Scenario::new(
        "a_dead_receiver_takes_no_more_than_one",
        vec![receive_one, send_two, receive_all::<1>],
    )
    .verify(|shared| {
        let (sum, has_come) = (shared.sums[1].get(), shared.has_come[1].get());
        let sums: &[u64] = if has_come == 1 { &[11, 10, 1] } else { &[0] };
        assert!(sums.contains(&sum), "{sum} of 11");
    })
    .choices(8)
    .victims(&[0])
}
