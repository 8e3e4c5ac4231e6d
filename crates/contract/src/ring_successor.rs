//! The promises of a ring if an owner dies and a successor takes over its side while the other side
//! works.

use super::ring::{Receives, Ring, Sends};
use super::{RaceCell, Scenario, Stage};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A ring, and what the first owner and the successor have passed.
///
/// The received items are recorded as the decimal digits of a number.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct SuccessorState<R> {
    ring: R,
    sent: [RaceCell; 2],
    got: [RaceCell; 2],
    has_succeeded: RaceCell,
}

/// The index of the owner that may die, and of the other side.
const FIRST: usize = 0;
/// The index of the successor.
const SUCCESSOR: usize = 1;

impl<R: Ring> SuccessorState<R> {
    /// Sends items one by one until the receiver is disconnected, and counts the sent items.
    fn send_each<const INDEX: usize>(&self, sender: &mut impl Sends, items: &[u64]) {
        for item in items {
            if sender.send(&[*item], Timeout::Infinite) != Ok(1) {
                return;
            }
            self.sent[INDEX].set(self.sent[INDEX].get() + 1);
        }
    }

    /// Receives and records an item. Returns false if the sender is disconnected.
    fn receive<const INDEX: usize>(&self, receiver: &mut impl Receives) -> bool {
        let mut item = [0];
        if receiver.recv(&mut item, Timeout::Infinite) != Ok(1) {
            return false;
        }
        self.got[INDEX].set(self.got[INDEX].get() * 10 + item[0]);
        true
    }

    /// Receives and records items until the sender is disconnected.
    fn receive_all<const INDEX: usize>(&self, receiver: &mut impl Receives) {
        while self.receive::<INDEX>(receiver) {}
    }
}

/// Runs every scenario of a successor. The ring must have one slot.
pub fn all<R: Ring>(stage: &mut impl Stage) {
    stage.run(successor_of_a_dead_sender_reaches_the_receiver::<R>());
    stage.run(successor_of_a_dead_receiver_reaches_the_sender::<R>());
}

/// If a sender dies, the receiver gets its items and then the items of its successor, in order.
///
/// The sender is killed at any step, and the receiver receives meanwhile. The successor sends more
/// items than the ring holds, so it waits for the receiver, and the receiver waits for it. It may
/// attach at a position in the second lap.
pub fn successor_of_a_dead_sender_reaches_the_receiver<R: Ring>() -> Scenario<SuccessorState<R>> {
    let first = |shared: &SuccessorState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send_each::<FIRST>(&mut sender, &[1]);
    };
    let receive = |shared: &SuccessorState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        shared.receive_all::<FIRST>(&mut receiver);
        // After a death, the successor may be attached by now.
        shared.receive_all::<FIRST>(&mut receiver);
    };
    Scenario::new(
        "successor_of_a_dead_sender_reaches_the_receiver",
        vec![first as fn(&SuccessorState<R>), receive],
    )
    .successor(|shared| {
        // If the first sender has ended, its side is closed.
        if let Some(mut sender) = shared.ring.sender() {
            shared.send_each::<SUCCESSOR>(&mut sender, &[5, 6]);
        }
    })
    .verify(|shared| {
        let [first, successor] = [FIRST, SUCCESSOR].map(|index| shared.sent[index].get());
        let got = shared.got[FIRST].get();
        assert!([0, 1, 56, 156].contains(&got), "received {got}");
        let is_complete = got >= 56;
        assert!(
            !is_complete || successor == 2,
            "the successor sent {successor}"
        );
        let received = u64::from([1, 156].contains(&got));
        assert!(received >= first, "sent {first} items, received {got}");
    })
    .choices(8)
    .victims(&[0])
}

/// If a receiver dies, its successor gets the items that the receiver has left, in order, and the
/// sender continues.
///
/// The receiver is killed at any step, and the sender sends more items than the ring holds. An item
/// whose receive has returned is not received again. The successor may attach at a position in the
/// second lap.
pub fn successor_of_a_dead_receiver_reaches_the_sender<R: Ring>() -> Scenario<SuccessorState<R>> {
    let first = |shared: &SuccessorState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        shared.receive::<FIRST>(&mut receiver);
    };
    let send = |shared: &SuccessorState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        let items = [1, 2];
        shared.send_each::<FIRST>(&mut sender, &items);
        // After a death, the successor may be attached by now.
        let sent = shared.sent[FIRST].get() as usize;
        shared.send_each::<FIRST>(&mut sender, &items[sent..]);
    };
    Scenario::new(
        "successor_of_a_dead_receiver_reaches_the_sender",
        vec![first as fn(&SuccessorState<R>), send],
    )
    .successor(|shared| {
        // If the first receiver has ended, its side is closed.
        if let Some(mut receiver) = shared.ring.receiver() {
            shared.has_succeeded.set(1);
            shared.receive_all::<SUCCESSOR>(&mut receiver);
        }
    })
    .verify(|shared| {
        let [first, successor] = [FIRST, SUCCESSOR].map(|index| shared.got[index].get());
        let sent = shared.sent[FIRST].get();
        assert!(first <= 1 && first <= sent, "received {first}");
        if shared.has_succeeded.get() == 1 {
            let all: &[u64] = match sent {
                0 => &[0],
                // If the first receiver died before it recorded its item, the item is lost.
                1 if first == 0 => &[1, 0],
                1 => &[0],
                _ if first == 0 => &[12, 2],
                _ => &[2],
            };
            assert!(all.contains(&successor), "{first}, then {successor}");
        }
    })
    .choices(8)
    .victims(&[0])
}
