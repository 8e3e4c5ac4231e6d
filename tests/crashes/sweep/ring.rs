//! The swept operations on a ring.

use super::buffers::receives_in_order;
use super::watchdog::PATIENCE;
use super::{NO_OPERATION, Objects, Operation};
use interlatch::channel::{SendTimeoutError, Slot};
use interlatch::platform::Ordering::Relaxed;
use interlatch::sync::Timeout;
use interlatch::{Channel, Receiver, RingBuffer, Sender};
use interlatch_testing::dying::in_dying_thread;
use std::mem::forget;

pub type Ring = RingBuffer<u64, [Slot<u64>; SLOTS]>;

const SLOTS: usize = 2;

/// Runs the one-time initialization, which is not swept.
pub fn warm(objects: &Objects) {
    drop((objects.ring.sender(), objects.ring.receiver()));
}

pub fn operations() -> [Operation; 6] {
    const RING: Operation = Operation {
        object: "ring: ",
        ..NO_OPERATION
    };
    [
        Operation {
            name: "sender, three sends",
            perform: send_three,
            peer: receive_in_order,
            // If the child was killed before it attached a sender, the stream begins and ends here.
            check: |objects| drop(objects.ring.sender()),
            ..RING
        },
        Operation {
            name: "receiver, to the end",
            perform: receive_in_order,
            peer: send_three,
            check: |objects| drop(objects.ring.receiver()),
            ..RING
        },
        Operation {
            name: "send that waits",
            prepare: |objects| send_and_die(objects, &[1, 2]),
            // The receiver frees a slot and then dies. The sender may observe the death before the
            // free slot.
            perform: |objects| {
                with_sender(objects, |sender| {
                    let _ = sender.send_with(3, timeout());
                });
            },
            unblock: |objects| {
                in_dying_thread(|| with_receiver(objects, |receiver| recv_expected(receiver, 1)));
            },
            check: |objects| contains_one_of(objects, &[&[1, 2], &[2], &[2, 3]]),
            ..RING
        },
        Operation {
            name: "recv that waits",
            perform: |objects| with_receiver(objects, |receiver| recv_expected(receiver, 1)),
            unblock: |objects| send_and_die(objects, &[1]),
            check: |objects| contains_one_of(objects, &[&[], &[1]]),
            ..RING
        },
        Operation {
            name: "loan, send",
            perform: |objects| {
                with_sender(objects, |sender| {
                    let mut loan = sender
                        .loan_with(SLOTS, timeout())
                        .expect("the buffer has room");
                    loan.iter_mut().for_each(|slot| *slot = 7);
                    loan.send();
                });
            },
            check: |objects| contains_one_of(objects, &[&[], &[7, 7]]),
            ..RING
        },
        Operation {
            name: "borrow, receive",
            prepare: |objects| send_and_die(objects, &[7, 7]),
            perform: |objects| {
                with_receiver(objects, |receiver| {
                    let items = receiver.borrow_with(SLOTS, timeout());
                    let items = items.expect("two items were sent");
                    assert!(items.iter().all(|item| *item == 7));
                    items.receive();
                });
            },
            check: |objects| contains_one_of(objects, &[&[], &[7, 7]]),
            ..RING
        },
    ]
}

fn timeout() -> Timeout {
    Timeout::after(PATIENCE)
}

/// Runs an operation with a sender that is never dropped. The sender ends when its thread dies.
fn with_sender(objects: &Objects, operation: impl FnOnce(&mut Sender<'_, Ring>)) {
    let mut sender = objects.ring.sender().expect("the endpoint is free");
    operation(&mut sender);
    forget(sender);
}

/// Runs an operation with a receiver that is never dropped. The receiver ends when its thread dies.
fn with_receiver(objects: &Objects, operation: impl FnOnce(&mut Receiver<'_, Ring>)) {
    let mut receiver = objects.ring.receiver().expect("the endpoint is free");
    operation(&mut receiver);
    forget(receiver);
}

fn send_and_die(objects: &Objects, items: &[u64]) {
    let send = |sender: &mut Sender<'_, Ring>| {
        let sent = sender.try_send_slice(items);
        assert_eq!(sent, Ok(items.len()), "the ring has room");
    };
    in_dying_thread(|| with_sender(objects, send));
}

fn recv_expected(receiver: &mut Receiver<'_, Ring>, item: u64) {
    assert_eq!(receiver.recv_with(timeout()), Ok(item), "the oldest item");
}

/// Sends three items through a ring with two slots. Stops if the receiver has disconnected.
fn send_three(objects: &Objects) {
    let Ok(sender) = objects.ring.sender() else {
        return;
    };
    for item in 1..=3 {
        match sender.send_with(item, timeout()) {
            Ok(()) => objects.sent.store(item, Relaxed),
            Err(SendTimeoutError::Disconnected(_)) => return,
            Err(error) => panic!("item {item} was not sent: {error}"),
        }
    }
}

/// Receives until the end of the stream, and checks that every sent item arrives.
fn receive_in_order(objects: &Objects) {
    if let Ok(receiver) = objects.ring.receiver() {
        receives_in_order(objects, || receiver.recv_with(timeout()));
    }
}

/// Checks that the ring contains one of these lists of items, and that no slot is lost.
fn contains_one_of(objects: &Objects, lists: &[&[u64]]) {
    let sender = objects.ring.sender();
    let receiver = objects.ring.receiver().expect("its owner is dead");
    let found: Result<Vec<u64>, _> = receiver.try_iter().collect();
    let found = found.expect("the ring is intact");
    assert!(lists.contains(&&found[..]), "{found:?} is not in {lists:?}");
    let sender = sender.expect("its owner is dead");
    assert_eq!(sender.try_send_slice(&[8, 9, 10]), Ok(SLOTS));
    let items: Result<Vec<u64>, _> = receiver.try_iter().collect();
    assert_eq!(items, Ok(vec![8, 9]));
}
