//! The operations of a ring that a child is killed in.

use super::process::TIMEOUT;
use super::sweep::{NOTHING, Objects, Operation, all_in_order};
use interlatch::RingBuffer;
use interlatch::channel::{RingReceiver, RingSender, SendTimeoutError, Slot};
use interlatch::platform::Ordering::Relaxed;
use interlatch::sync::Timeout;
use std::mem::forget;

pub type Ring = RingBuffer<u64, [Slot<u64>; PLACES]>;

const PLACES: usize = 2;

/// What happens the first time only is done once.
pub fn warm(objects: &Objects) {
    drop((objects.ring.sender(), objects.ring.receiver()));
}

pub fn operations() -> [Operation; 6] {
    const RING: Operation = Operation {
        on: "ring: ",
        ..NOTHING
    };
    [
        Operation {
            name: "sender, three sends",
            perform: send_three,
            beside: receive_in_order,
            // Should the child have died before it came, the stream begins and ends here.
            check: |objects| drop(objects.ring.sender()),
            ..RING
        },
        Operation {
            name: "receiver, to the end",
            perform: receive_in_order,
            beside: send_three,
            check: |objects| drop(objects.ring.receiver()),
            ..RING
        },
        Operation {
            name: "send that waits",
            prepare: |objects| send_and_die(objects, &[1, 2]),
            // The one that made room is dead: it may hear of that first.
            perform: |objects| {
                with_sender(objects, |sender| {
                    let _ = sender.send_with(3, timeout());
                });
            },
            forget_range: |objects| {
                in_a_thread(|| with_receiver(objects, |receiver| take(receiver, 1)));
            },
            check: |objects| holds_one_of(objects, &[&[1, 2], &[2], &[2, 3]]),
            ..RING
        },
        Operation {
            name: "recv that waits",
            perform: |objects| with_receiver(objects, |receiver| take(receiver, 1)),
            forget_range: |objects| send_and_die(objects, &[1]),
            check: |objects| holds_one_of(objects, &[&[], &[1]]),
            ..RING
        },
        Operation {
            name: "loan, send",
            perform: |objects| {
                with_sender(objects, |sender| {
                    let mut loan = sender.loan_with(PLACES, timeout()).expect("room");
                    loan.iter_mut().for_each(|place| *place = 7);
                    loan.send();
                });
            },
            check: |objects| holds_one_of(objects, &[&[], &[7, 7]]),
            ..RING
        },
        Operation {
            name: "borrow, receive",
            prepare: |objects| send_and_die(objects, &[7, 7]),
            perform: |objects| {
                with_receiver(objects, |receiver| {
                    let items = receiver.borrow_with(PLACES, timeout());
                    let items = items.expect("they were sent");
                    assert!(items.iter().all(|item| *item == 7));
                    items.receive();
                });
            },
            check: |objects| holds_one_of(objects, &[&[], &[7, 7]]),
            ..RING
        },
    ]
}

fn timeout() -> Timeout {
    Timeout::after(TIMEOUT)
}

/// As the sender, which does not close: with its thread it dies.
fn with_sender(objects: &Objects, act: impl FnOnce(&mut RingSender<'_, u64>)) {
    let mut sender = objects.ring.sender().expect("the place is free");
    act(&mut sender);
    forget(sender);
}

fn with_receiver(objects: &Objects, act: impl FnOnce(&mut RingReceiver<'_, u64>)) {
    let mut receiver = objects.ring.receiver().expect("the place is free");
    act(&mut receiver);
    forget(receiver);
}

fn send_and_die(objects: &Objects, items: &[u64]) {
    let send = |sender: &mut RingSender<'_, u64>| {
        let sent = sender.try_send_slice(items);
        assert_eq!(sent, Ok(items.len()), "there is room");
    };
    in_a_thread(|| with_sender(objects, send));
}

/// By a thread that is dead on return, also to the kernel: the end of a scope does not wait for that.
fn in_a_thread(act: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(act).join().expect("it does not panic"));
}

fn take(receiver: &mut RingReceiver<'_, u64>, item: u64) {
    assert_eq!(receiver.recv_with(timeout()), Ok(item), "the oldest");
}

/// With one place less than items. If the receiver has gone, so be it.
fn send_three(objects: &Objects) {
    let Ok(mut sender) = objects.ring.sender() else {
        return;
    };
    for item in 1..=3 {
        match sender.send_with(item, timeout()) {
            Ok(()) => objects.sent.store(item, Relaxed),
            Err(SendTimeoutError::Disconnected(_)) => return,
            Err(error) => panic!("{item} is not taken: {error}"),
        }
    }
}

/// To the end of the stream: then the sender has gone, and everything that it has sent is here.
fn receive_in_order(objects: &Objects) {
    if let Ok(mut receiver) = objects.ring.receiver() {
        all_in_order(objects, || receiver.recv_with(timeout()));
    }
}

/// The items are one of these lists, and the places as many as ever.
fn holds_one_of(objects: &Objects, lists: &[&[u64]]) {
    let sender = objects.ring.sender();
    let mut receiver = objects.ring.receiver().expect("its owner is dead");
    let found: Vec<u64> = receiver.try_iter().collect();
    assert!(
        lists.contains(&&found[..]),
        "{found:?} is none of {lists:?}"
    );
    let mut sender = sender.expect("its owner is dead");
    assert_eq!(sender.try_send_slice(&[8, 9, 10]), Ok(PLACES));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [8, 9]);
}
