//! The swept operations on robust buffers.

use super::watchdog::PATIENCE;
use super::{Bounded, Monitor, NO_OPERATION, Objects, Operation};
use interlatch::Channel;
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Unregistered};
use interlatch::platform::Ordering::Relaxed;
use interlatch::sync::Timeout;
use std::fmt;
use std::iter::from_fn;

/// A robust buffer in [`Objects`].
pub trait SweptBuffer: Unregistered<Item = u64> + Sized {
    const NAME: &'static str;

    fn from_objects(objects: &Objects) -> &Self;
}

impl SweptBuffer for Bounded {
    const NAME: &'static str = "robust bounded buffer: ";

    fn from_objects(objects: &Objects) -> &Self {
        &objects.bounded
    }
}

impl SweptBuffer for Monitor {
    const NAME: &'static str = "robust monitor buffer: ";

    fn from_objects(objects: &Objects) -> &Self {
        &objects.monitor
    }
}

pub fn operations<B: SweptBuffer>() -> [Operation; 6] {
    [
        Operation {
            name: "send",
            perform: |objects| send_one(B::from_objects(objects), 1),
            check: |objects| contains_one_of(B::from_objects(objects), &[&[], &[1]]),
            object: B::NAME,
            ..NO_OPERATION
        },
        Operation {
            name: "recv",
            prepare: |objects| send_one(B::from_objects(objects), 1),
            perform: |objects| recv_one(B::from_objects(objects)),
            check: |objects| contains_one_of(B::from_objects(objects), &[&[], &[1]]),
            object: B::NAME,
            ..NO_OPERATION
        },
        Operation {
            name: "send that waits",
            prepare: |objects| {
                send_one(B::from_objects(objects), 1);
                send_one(B::from_objects(objects), 2);
            },
            perform: |objects| send_one(B::from_objects(objects), 3),
            unblock: |objects| recv_one(B::from_objects(objects)),
            check: |objects| contains_one_of(B::from_objects(objects), &[&[1, 2], &[2], &[2, 3]]),
            object: B::NAME,
            ..NO_OPERATION
        },
        Operation {
            name: "recv that waits",
            perform: |objects| recv_one(B::from_objects(objects)),
            unblock: |objects| send_one(B::from_objects(objects), 1),
            check: |objects| contains_one_of(B::from_objects(objects), &[&[], &[1]]),
            object: B::NAME,
            ..NO_OPERATION
        },
        Operation {
            name: "sender, three sends",
            perform: |objects| send_three(objects, B::from_objects(objects)),
            peer: |objects| receive_in_order(objects, B::from_objects(objects)),
            // If the child was killed before it attached a sender, the stream begins and ends here.
            check: |objects| drop(B::from_objects(objects).sender()),
            object: B::NAME,
            ..NO_OPERATION
        },
        Operation {
            name: "receiver, to the end",
            perform: |objects| receive_in_order(objects, B::from_objects(objects)),
            peer: |objects| send_three(objects, B::from_objects(objects)),
            check: |objects| drop(B::from_objects(objects).receiver()),
            object: B::NAME,
            ..NO_OPERATION
        },
    ]
}

/// Sends three items through a buffer with two slots. Stops if the receiver has disconnected.
fn send_three(objects: &Objects, buffer: &impl Unregistered<Item = u64>) {
    if let Ok(sender) = buffer.sender() {
        for item in 1..=3 {
            match sender.send_timeout(item, PATIENCE) {
                Ok(()) => objects.sent.store(item, Relaxed),
                Err(SendTimeoutError::Disconnected(_)) => return,
                Err(error) => panic!("item {item} was not sent: {error}"),
            }
        }
    }
}

/// Receives until the end of the stream, and checks that every sent item arrives.
fn receive_in_order(objects: &Objects, buffer: &impl Unregistered<Item = u64>) {
    if let Ok(receiver) = buffer.receiver() {
        receives_in_order(objects, || receiver.recv_timeout(PATIENCE));
    }
}

/// Receives until the end of the stream, and checks that all sent items arrive in order.
pub fn receives_in_order(
    objects: &Objects,
    mut receive: impl FnMut() -> Result<u64, RecvTimeoutError>,
) {
    let mut next = 1;
    loop {
        match receive() {
            Ok(item) => assert_eq!(item, next, "items arrive in order, once and intact"),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(error) => panic!("the stream does not end: {error}"),
        }
        next += 1;
    }
    let sent = objects.sent.load(Relaxed);
    assert!(
        next > sent,
        "{sent} items were sent, {} were received",
        next - 1
    );
}

/// An item type that can be created from a number.
pub trait Item: From<u64> + Copy + PartialEq + fmt::Debug {}

impl<T: From<u64> + Copy + PartialEq + fmt::Debug> Item for T {}

/// Sends an item without a sender handle, so the receivers observe no disconnection.
pub fn send_one(buffer: &impl Unregistered<Item: Item>, item: u64) {
    let sent = buffer.send_unregistered(item.into(), Timeout::after(PATIENCE));
    sent.expect("the buffer has room");
}

/// Receives item 1 without a receiver handle, so the senders observe no disconnection.
pub fn recv_one(buffer: &impl Unregistered<Item: Item>) {
    let received = buffer.recv_unregistered(Timeout::after(PATIENCE));
    assert_eq!(received, Ok(1.into()), "the oldest item");
}

/// Checks that the buffer contains one of these lists of items, and that no slot is lost.
pub fn contains_one_of<T: Item>(buffer: &impl Unregistered<Item = T>, lists: &[&[u64]]) {
    let drain =
        || from_fn(|| buffer.recv_unregistered(Timeout::NonBlocking).ok()).collect::<Vec<_>>();
    let items = |numbers: &[u64]| numbers.iter().map(|&number| T::from(number)).collect();
    let lists: Vec<Vec<T>> = lists.iter().map(|list| items(list)).collect();
    let found = drain();
    assert!(lists.contains(&found), "{found:?} is not in {lists:?}");
    let all: Vec<T> = (1..=buffer.capacity() as u64).map(T::from).collect();
    for item in &all {
        let sent = buffer.send_unregistered(*item, Timeout::NonBlocking);
        sent.expect("no slot is lost");
    }
    assert!(
        buffer
            .send_unregistered(0.into(), Timeout::NonBlocking)
            .is_err(),
        "the buffer is full"
    );
    assert_eq!(drain(), all);
}

/// Runs the one-time initialization, which is not swept.
pub fn warm(objects: &Objects) {
    contains_one_of(&objects.bounded, &[&[]]);
    contains_one_of(&objects.long, &[&[]]);
    contains_one_of(&objects.monitor, &[&[]]);
    let senders = [
        objects.bounded.sender().is_ok(),
        objects.monitor.sender().is_ok(),
    ];
    assert_eq!(senders, [true; 2]);
}
