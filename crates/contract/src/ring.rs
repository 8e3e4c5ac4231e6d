//! The promises of a ring between one sender and one receiver, even if one of them dies.

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, initial, short_timeout};
use interlatch::channel::{
    AttachError, Buffer, Channel, Direction, Receiver, RecvTimeoutError, RingBuffer,
    SendTimeoutError, Sender, Slot,
};
use interlatch::channel::{TryRecvError, TrySendError};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A ring of a fixed capacity.
pub trait Ring: ShmSafe + 'static {
    /// Attaches the sender, unless a sender is attached or the side is closed.
    fn sender(&self) -> Option<impl Sends + '_>;

    /// Attaches the receiver, unless a receiver is attached or the side is closed.
    fn receiver(&self) -> Option<impl Receives + '_>;
}

/// The sender of a ring.
pub trait Sends {
    /// Sends a slice, and returns the number of items sent.
    ///
    /// # Errors
    /// Fails if no slot was free in time or the receiver is disconnected.
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, SendTimeoutError<()>>;
}

/// The receiver of a ring.
pub trait Receives {
    /// Receives into a slice, and returns the number of items received.
    ///
    /// # Errors
    /// Fails if no item arrived in time or the sender is disconnected.
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError>;
}

/// A ring with its slots inline.
pub type SmallRing<const N: usize> = RingBuffer<u64, [Slot<u64>; N]>;

/// Attaches both handles to a ring that has none.
fn both_handles<B: Channel>(ring: &B) -> (Sender<'_, B>, Receiver<'_, B>) {
    let (sender, receiver) = (ring.sender(), ring.receiver());
    (
        sender.expect("no other handle is attached"),
        receiver.expect("no other handle is attached"),
    )
}

impl<const N: usize> Ring for SmallRing<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        Channel::sender(self).ok()
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        Channel::receiver(self).ok()
    }
}

/// Sends a single item with `send_with`, and several items with `send_slice_with`.
impl<const N: usize> Sends for Sender<'_, SmallRing<N>> {
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        let [item] = items else {
            return self.send_slice_with(items, timeout);
        };
        match self.send_with(*item, timeout) {
            Ok(()) => Ok(1),
            Err(error) => Err(error.map(drop)),
        }
    }
}

impl<const N: usize> Receives for Receiver<'_, SmallRing<N>> {
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        let [item] = items else {
            return self.recv_slice_with(items, timeout);
        };
        *item = self.recv_with(timeout)?;
        Ok(1)
    }
}

/// A [`SmallRing`] that does not use `membarrier(2)`, as on a kernel without this system call.
#[repr(transparent)]
#[derive(Debug, ShmSafe)]
pub struct RingWithoutMembarrier<const N: usize>(
    #[shm(initial = without_membarrier())] SmallRing<N>,
);

fn without_membarrier<const N: usize>() -> SmallRing<N> {
    // SAFETY: no process uses the ring before it is in its place.
    let ring = unsafe { initial::<SmallRing<N>>() };
    ring.avoid_membarrier();
    ring
}

impl<const N: usize> Ring for RingWithoutMembarrier<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        Channel::sender(&self.0).ok()
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        Channel::receiver(&self.0).ok()
    }
}

/// A [`SmallRing`] whose items are passed by reference, one by one.
#[repr(transparent)]
#[derive(Debug, ShmSafe)]
pub struct ByReferenceRing<const N: usize>(SmallRing<N>);

struct ByReference<H>(H);

impl<const N: usize> Ring for ByReferenceRing<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        Channel::sender(&self.0).ok().map(ByReference)
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        Channel::receiver(&self.0).ok().map(ByReference)
    }
}

impl<const N: usize> Sends for ByReference<Sender<'_, SmallRing<N>>> {
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        self.0.send_ref_with(&items[0], timeout).map(|()| 1)
    }
}

impl<const N: usize> Receives for ByReference<Receiver<'_, SmallRing<N>>> {
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        self.0.recv_into_with(&mut items[0], timeout).map(|()| 1)
    }
}

/// A [`SmallRing`] whose items are written and read in their slots.
#[repr(transparent)]
#[derive(Debug, ShmSafe)]
pub struct InPlaceRing<const N: usize>(SmallRing<N>);

struct InPlace<H>(H);

impl<const N: usize> Ring for InPlaceRing<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        Channel::sender(&self.0).ok().map(InPlace)
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        Channel::receiver(&self.0).ok().map(InPlace)
    }
}

impl<const N: usize> Sends for InPlace<Sender<'_, SmallRing<N>>> {
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, SendTimeoutError<()>> {
        let mut sent = 0;
        while sent < items.len() {
            let mut loan = match self.0.loan_with(items.len() - sent, timeout) {
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
                Ok(loan) => loan,
            };
            for (slot, item) in loan.iter_mut().zip(&items[sent..]) {
                *slot = *item;
            }
            sent += loan.len();
            loan.send();
        }
        Ok(sent)
    }
}

impl<const N: usize> Receives for InPlace<Receiver<'_, SmallRing<N>>> {
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        let borrow = self.0.borrow_with(items.len(), timeout)?;
        for (item, slot) in items.iter_mut().zip(borrow.iter()) {
            *item = *slot;
        }
        Ok(borrow.len())
    }
}

/// A ring, a number whose decimal digits are the received items, and the number of items sent.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RingState<R> {
    ring: R,
    got: RaceCell,
    sent: [RaceCell; 2],
}

impl<R: Ring> RingState<R> {
    /// Sends, and records the number of items sent.
    fn send(&self, sender: &mut impl Sends, items: &[u64], timeout: Timeout) {
        let sent = sender.send(items, timeout).unwrap_or(0);
        self.sent[0].set(self.sent[0].get() + sent as u64);
    }

    /// Receives up to `max` items, and appends each item as a decimal digit to the recorded number.
    fn receive(&self, receiver: &mut impl Receives, max: usize, timeout: Timeout) -> usize {
        let mut items = [0; 4];
        let count = receiver.recv(&mut items[..max], timeout).unwrap_or(0);
        for item in &items[..count] {
            assert!(
                (1..=9).contains(item),
                "received {item}, which was not sent"
            );
            self.got.set(self.got.get() * 10 + item);
        }
        count
    }

    /// Receives `count` items in calls of up to `max` items.
    fn receive_all(&self, receiver: &mut impl Receives, mut count: usize, max: usize) {
        while count > 0 {
            count -= self.receive(receiver, max.min(count), Timeout::Infinite);
        }
    }
}

impl<R: Ring> RingState<R> {
    /// Receives until the sender is dropped, dies, or fails to attach in time.
    ///
    /// After that, attaches the next sender, unless the sending side is closed.
    fn receive_until_sender_is_gone(
        &self,
        receiver: &mut impl Receives,
    ) -> Option<impl Sends + '_> {
        let mut timeout = short_timeout();
        loop {
            let mut item = [0];
            match receiver.recv(&mut item, timeout) {
                Ok(_) => self.got.set(self.got.get() * 10 + item[0]),
                Err(RecvTimeoutError::Disconnected) => return self.ring.sender(),
                Err(RecvTimeoutError::Timeout) => match self.ring.sender() {
                    None => timeout = Timeout::Infinite,
                    next => return next,
                },
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Runs every scenario of a ring, and the scenarios of item order in each of its modes.
pub fn all(stage: &mut impl Stage) {
    all_with_one_slot::<SmallRing<1>>(stage);
    all_with_two_slots::<SmallRing<2>>(stage);
    all_of_ring_buffer(stage);
    stage.run(keeps_order::<RingWithoutMembarrier<1>>());
    stage.run(keeps_order::<ByReferenceRing<1>>());
    stage.run(keeps_order::<InPlaceRing<1>>());
    stage.run(slices_keep_order::<InPlaceRing<2>>());
}

/// Runs the scenarios of a ring that need one slot.
pub fn all_with_one_slot<R: Ring>(stage: &mut impl Stage) {
    stage.run(keeps_order::<R>());
    stage.run(dropped_receiver_disconnects_the_sender::<R>());
    stage.run(timed_out_receiver_takes_no_item::<R>());
    stage.run(timed_out_sender_keeps_its_item::<R>());
    stage.run(admits_one_sender_and_one_receiver::<R>());
    stage.run(receiver_death_disconnects_the_sender::<R>());
    stage.run(disconnection_by_death_follows_the_last_item::<R>());
}

/// Runs the scenarios of a ring that need two slots.
pub fn all_with_two_slots<R: Ring>(stage: &mut impl Stage) {
    stage.run(slices_keep_order::<R>());
    stage.run(disconnection_follows_the_last_item::<R>());
    stage.run(killed_send_completes_or_has_no_effect::<R>());
    stage.run(next_sender_continues_after_sender_death::<R>());
    stage.run(killed_receive_completes_or_has_no_effect::<R>());
}

/// Runs the scenarios of the methods that only [`RingBuffer`] has.
pub fn all_of_ring_buffer(stage: &mut impl Stage) {
    stage.run(handles_extreme_requests());
    stage.run(loan_is_one_contiguous_run());
    stage.run(every_slice_and_loan_method_passes_items());
    stage.run(errors_say_why_a_handle_is_refused());
    stage.run(side_that_was_closed_is_never_in_use());
    stage.run(dropped_handles_release_their_locks());
    stage.run(items_slices_and_loans_keep_order::<SmallRing<2>>());
    stage.run(killed_mixed_sender_leaves_a_prefix::<SmallRing<2>>());
}

/// Items arrive in the order in which they were sent.
///
/// More items are sent than a ring of one slot holds, so both sides wait. A lost wake-up makes both
/// sides hang, and a missing Acquire or Release causes a race on the slot.
pub fn keeps_order<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1], Timeout::Infinite);
        shared.send(&mut sender, &[2], Timeout::Infinite);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        shared.receive_all(&mut receiver, 2, 1);
    };
    Scenario::new("keeps_order", vec![send as fn(&RingState<R>), receive])
        .choices(8)
        .verify(|shared| assert_eq!((shared.got.get(), shared.sent[0].get()), (12, 2)))
}

/// Items of slices that are larger than the ring arrive in order.
pub fn slices_keep_order<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1, 2, 3], Timeout::Infinite);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        shared.receive_all(&mut receiver, 3, 2);
    };
    Scenario::new(
        "slices_keep_order",
        vec![send as fn(&RingState<R>), receive],
    )
    .choices(8)
    .verify(|shared| assert_eq!((shared.got.get(), shared.sent[0].get()), (123, 3)))
}

/// A receiver gets every item that was sent before it gets `Disconnected`.
///
/// The sender is dropped after two items. If the receiver finds an empty ring and then a closed
/// side, and does not check the ring again, the receiver loses the last item.
pub fn disconnection_follows_the_last_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], Timeout::NonBlocking);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        while shared.receive(&mut receiver, 1, Timeout::Infinite) > 0 {}
        let end = receiver.recv(&mut [0], Timeout::Infinite);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
        assert!(
            shared.ring.sender().is_none(),
            "a closed side was opened again"
        );
    };
    Scenario::new(
        "disconnection_follows_the_last_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .choices(8)
    .verify(|shared| assert_eq!(shared.got.get(), 12))
}

/// Dropping the receiver disconnects a sender that waits for a free slot.
pub fn dropped_receiver_disconnects_the_sender<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        while sender.send(&[1], Timeout::Infinite) != Err(SendTimeoutError::Disconnected(())) {}
        assert!(
            shared.ring.receiver().is_none(),
            "a closed side was opened again"
        );
    };
    Scenario::new(
        "dropped_receiver_disconnects_the_sender",
        vec![send as fn(&RingState<R>), |shared| {
            drop(shared.ring.receiver().expect("no other handle is attached"));
        }],
    )
    .choices(8)
}

/// A receive that times out takes no item, and the next receive gets the item.
///
/// The timeout may coincide with the arrival of an item.
pub fn timed_out_receiver_takes_no_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], Timeout::Infinite);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        let early = shared.receive(&mut receiver, 1, short_timeout());
        shared.receive_all(&mut receiver, 2 - early, 1);
    };
    Scenario::new(
        "timed_out_receiver_takes_no_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .choices(8)
    .verify(|shared| assert_eq!(shared.got.get(), 12))
}

/// A sender that times out has not sent its item.
///
/// The timeout may coincide with a slot becoming free. The receiver gets exactly the items whose
/// sends succeeded.
pub fn timed_out_sender_keeps_its_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], short_timeout());
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        while shared.receive(&mut receiver, 1, Timeout::Infinite) > 0 {}
    };
    Scenario::new(
        "timed_out_sender_keeps_its_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .choices(8)
    .verify(|shared| {
        let expected = if shared.sent[0].get() == 2 { 12 } else { 1 };
        assert_eq!(shared.got.get(), expected);
    })
}

/// A ring admits one sender and one receiver.
///
/// Each of two processes attaches to both sides. Each side accepts exactly one handle. The other
/// attempt finds the side in use or closed.
pub fn admits_one_sender_and_one_receiver<R: Ring>() -> Scenario<RingState<R>> {
    fn attach<R: Ring, const INDEX: usize>(shared: &RingState<R>) {
        let (sender, receiver) = (Ring::sender(&shared.ring), Ring::receiver(&shared.ring));
        let ends = u64::from(sender.is_some()) + 10 * u64::from(receiver.is_some());
        shared.sent[INDEX].set(ends);
    }
    Scenario::new(
        "admits_one_sender_and_one_receiver",
        vec![attach::<R, 0> as fn(&RingState<R>), attach::<R, 1>],
    )
    .verify(|shared| assert_eq!(shared.sent[0].get() + shared.sent[1].get(), 11))
}

/// If a sender is killed during a send, either the whole slice is sent or nothing is sent.
///
/// The sender is killed at any step. After the last item, the receiver gets `Disconnected` or can
/// attach another sender.
pub fn killed_send_completes_or_has_no_effect<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        // The receiver may have timed out and then attached its own sender.
        if let Some(mut sender) = shared.ring.sender() {
            shared.send(&mut sender, &[1, 2], Timeout::NonBlocking);
        }
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        if shared.receive_until_sender_is_gone(&mut receiver).is_some() {
            // Receive the items that were sent after the last receive.
            while shared.receive(&mut receiver, 1, Timeout::NonBlocking) > 0 {}
            shared.sent[1].set(1);
        }
    };
    Scenario::new(
        "killed_send_completes_or_has_no_effect",
        vec![send as fn(&RingState<R>), receive],
    )
    .choices(8)
    .verify(|shared| {
        let (got, sent) = (shared.got.get(), shared.sent[0].get());
        assert!([0, 12].contains(&got), "received {got} of 12");
        assert!(sent == 0 || got == 12, "sent {sent} items, received {got}");
        let is_dead = shared.sent[1].get() == 1;
        assert!(got == 12 || is_dead, "items of a living sender are lost");
    })
    .victims(&[0])
}

/// A receiver that finds no item and a dead sender has missed no item.
///
/// The sender is killed at any step, also after it has sent its item. The receiver looks once.
pub fn disconnection_by_death_follows_the_last_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        if receiver.recv(&mut [0], Timeout::NonBlocking) == Err(RecvTimeoutError::Disconnected) {
            shared.sent[1].set(1);
        }
    };
    Scenario::new(
        "disconnection_by_death_follows_the_last_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .choices(8)
    .verify(|shared| {
        let (sent, is_disconnected) = (shared.sent[0].get(), shared.sent[1].get() == 1);
        assert!(sent == 0 || !is_disconnected, "the last item is lost");
    })
    .victims(&[0])
}

/// If a sender dies, the next sender attaches, and no slot is lost.
///
/// The sender is killed at any step. The items that it sent stay in the ring in order, and the
/// other slots are free.
pub fn next_sender_continues_after_sender_death<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], Timeout::NonBlocking);
    };
    Scenario::new(
        "next_sender_continues_after_sender_death",
        vec![send as fn(&RingState<R>)],
    )
    .choices(8)
    .verify(|shared| {
        let mut receiver = shared.ring.receiver().expect("no receiver attached before");
        let Some(mut next) = shared.ring.sender() else {
            return assert_eq!(shared.sent[0].get(), 2, "a death closed the side");
        };
        let left = 2 - next.send(&[5, 6], Timeout::NonBlocking).unwrap_or(0);
        assert!(left as u64 >= shared.sent[0].get(), "a sent item is lost");
        shared.receive_all(&mut receiver, 2, 2);
        assert_eq!(
            shared.got.get(),
            [56, 15, 12][left],
            "items are out of order"
        );
    })
    .victims(&[0])
}

/// If a receiver is killed during a receive, the receive has either taken the item or had no
/// effect.
///
/// The receiver is killed at any step. The next receiver gets the other items in order.
pub fn killed_receive_completes_or_has_no_effect<R: Ring>() -> Scenario<RingState<R>> {
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("no other handle is attached");
        shared.receive(&mut receiver, 1, Timeout::Infinite);
        shared.sent[1].set(1);
    };
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        shared.send(&mut sender, &[1, 2], Timeout::Infinite);
    };
    Scenario::new(
        "killed_receive_completes_or_has_no_effect",
        vec![receive as fn(&RingState<R>), send],
    )
    .choices(8)
    .verify(|shared| {
        let (got, all_sent) = (shared.got.get(), shared.sent[0].get() == 2);
        let Some(mut next) = shared.ring.receiver() else {
            return assert_eq!(shared.sent[1].get(), 1, "a death closed the side");
        };
        shared.got.set(0);
        while shared.receive(&mut next, 1, Timeout::NonBlocking) > 0 {}
        let rest = shared.got.get();
        assert!([0, 1].contains(&got), "received {got} before the death");
        // If the sender was disconnected before it sent, the ring is empty.
        assert!(!all_sent || rest == 2 || rest == 12, "{rest} of 12 is left");
        assert!(all_sent || rest == 0, "{rest} is left, but was not sent");
        assert!(got == 0 || rest != 12, "the item was received twice");
    })
    .victims(&[0])
}

/// If the receiver is killed at any step or is dropped, the sender is disconnected.
///
/// A sender that does not notice the death hangs.
pub fn receiver_death_disconnects_the_sender<R: Ring>() -> Scenario<RingState<R>> {
    let receive = |shared: &RingState<R>| {
        drop(shared.ring.receiver());
    };
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("no other handle is attached");
        let (mut sent, mut timeout) = (0, short_timeout());
        loop {
            match sender.send(&[1], timeout) {
                Ok(_) => sent += 1,
                Err(SendTimeoutError::Disconnected(())) => break,
                // A new receiver can attach, so the first receiver died before it attached.
                Err(SendTimeoutError::Timeout(())) if shared.ring.receiver().is_some() => break,
                Err(SendTimeoutError::Timeout(())) => timeout = Timeout::Infinite,
                Err(error) => panic!("{error}"),
            }
            assert!(sent < 2, "more items were sent than the ring has slots");
        }
    };
    Scenario::new(
        "receiver_death_disconnects_the_sender",
        vec![receive as fn(&RingState<R>), send],
    )
    .choices(8)
    .victims(&[0])
}

/// A call with an empty slice does not wait. A call with an expired timeout passes only the items
/// that it can pass without waiting.
pub fn handles_extreme_requests() -> Scenario<RingState<SmallRing<2>>> {
    let alone = |shared: &RingState<SmallRing<2>>| {
        let (sender, mut receiver) = both_handles(&shared.ring);
        let (full, empty) = (
            Err(SendTimeoutError::Timeout(())),
            Err(RecvTimeoutError::Timeout),
        );
        assert_eq!(sender.send_slice(&[]), Ok(0));
        assert_eq!(receiver.recv_slice(&mut []), Ok(0));
        for timeout in expired_timeouts() {
            assert_eq!(receiver.recv_with(timeout), empty);
            assert_eq!(sender.send_slice_with(&[1, 2, 3], timeout), Ok(2));
            assert_eq!(sender.send_slice_with(&[3], timeout), full);
            assert_eq!(Buffer::len(&shared.ring), 2);
            assert_eq!(receiver.recv_with(distant_timeout()), Ok(1));
            assert_eq!(sender.send_slice_with(&[3], distant_timeout()), Ok(1));
            assert_eq!(
                shared.receive(&mut receiver, 4, timeout),
                2,
                "a slice was cut at the end of the ring"
            );
        }
    };
    Scenario::new("handles_extreme_requests", vec![alone as fn(&RingState<_>)])
        .verify(|shared| assert_eq!(shared.got.get(), 2323))
}

/// A loan is a contiguous run of slots that does not extend past the end of the ring.
///
/// A borrower may drop a loan, send or receive only a part of the loan, or leave its items in the
/// ring. No slot and no item is lost.
pub fn loan_is_one_contiguous_run() -> Scenario<RingState<SmallRing<3>>> {
    let alone = |shared: &RingState<SmallRing<3>>| {
        let (mut sender, mut receiver) = both_handles(&shared.ring);
        assert!(receiver.try_borrow(1).is_err(), "the ring is empty");
        drop(sender.loan(2).expect("slots are free"));
        let mut loan = sender.loan(9).expect("slots are free");
        assert_eq!(loan.len(), 3);
        (loan[0], loan[1]) = (1, 2);
        assert_eq!(loan[0], 1);
        loan.send_first(2);
        assert_eq!(
            sender.loan(0).map(|loan| loan.len()),
            Ok(1),
            "at least one slot"
        );
        let one = receiver.borrow(0).map(|items| {
            let length = items.len();
            items.leave();
            length
        });
        assert_eq!(one, Ok(1), "at least one item");
        receiver.borrow(2).expect("two items").leave();
        let items = receiver.borrow(9).expect("two items");
        assert_eq!((items.len(), items[0], items[1]), (2, 1, 2));
        items.receive_first(1);
        let mut loan = sender.loan(9).expect("slots are free");
        assert_eq!(loan.len(), 1, "the loan ends at the end of the ring");
        loan[0] = 3;
        loan.send();
        sender
            .loan(1)
            .expect("the first slot is free")
            .send_first(0);
        let items = receiver.borrow(9).expect("items");
        assert_eq!(items.iter().copied().collect::<Vec<_>>(), [2, 3]);
        items.receive_first(9);
        let mut loan = sender.loan(1).expect("slots are free");
        loan[0] = 4;
        loan.send_first(9);
        let items = receiver.borrow(9).expect("an item");
        assert_eq!((items.len(), items[0]), (1, 4), "more was sent than lent");
        items.receive();
        assert!(Buffer::is_empty(&shared.ring));
    };
    Scenario::new(
        "loan_is_one_contiguous_run",
        vec![alone as fn(&RingState<_>)],
    )
}

/// Each slice method and each loan method passes as many items as there is room for.
pub fn every_slice_and_loan_method_passes_items() -> Scenario<RingState<SmallRing<2>>> {
    let alone = |shared: &RingState<SmallRing<2>>| {
        let (mut sender, mut receiver) = both_handles(&shared.ring);
        let (second, mut items) = (Duration::from_secs(1), [0; 3]);
        assert_eq!(
            receiver.try_recv_slice(&mut items),
            Err(TryRecvError::Empty)
        );
        assert_eq!(sender.try_send_slice(&[1, 2, 3]), Ok(2));
        assert_eq!(sender.try_send_slice(&[3]), Err(TrySendError::Full(())));
        assert_eq!(sender.try_loan(1).err(), Some(TrySendError::Full(())));
        assert_eq!(receiver.try_recv_slice(&mut items[..1]), Ok(1));
        assert_eq!(sender.send_slice_timeout(&[3], second), Ok(1));
        assert_eq!(receiver.recv_slice_timeout(&mut items[1..], second), Ok(2));
        assert_eq!(items, [1, 2, 3]);
        let mut loan = sender.try_loan(2).expect("slots are free");
        loan[0] = 4;
        loan.send_first(1);
        let panics = AssertUnwindSafe(|| {
            let _items = receiver.borrow(2).expect("an item");
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new("a panic of the borrower"));
        });
        assert!(catch_unwind(panics).is_err());
        assert_eq!(receiver.borrow(2).expect("the item is left")[0], 4);
        assert!(Buffer::is_empty(&shared.ring));
    };
    Scenario::new(
        "every_slice_and_loan_method_passes_items",
        vec![alone as fn(&RingState<_>)],
    )
}

/// A refused handle says which side has a handle or is closed, and a sender without a receiver
/// sends nothing, even if slots are free.
pub fn errors_say_why_a_handle_is_refused() -> Scenario<RingState<SmallRing<2>>> {
    let alone = |shared: &RingState<SmallRing<2>>| {
        let (mut sender, receiver) = both_handles(&shared.ring);
        let in_use = |direction| {
            let (max, parameter) = (1, None);
            Some(AttachError::SlotsInUse {
                direction,
                max,
                parameter,
            })
        };
        let (sending, receiving) = (Direction::Sending, Direction::Receiving);
        assert_eq!(Channel::sender(&shared.ring).err(), in_use(sending));
        assert_eq!(Channel::receiver(&shared.ring).err(), in_use(receiving));
        assert_eq!(sender.try_send(1), Ok(()));
        drop(receiver);
        let closed = |direction| Some(AttachError::Closed(direction));
        assert_eq!(Channel::receiver(&shared.ring).err(), closed(receiving));
        assert_eq!(sender.try_send(2), Err(TrySendError::Disconnected(2)));
        let nothing = TrySendError::Disconnected(());
        assert_eq!(sender.try_send_slice(&[2]), Err(nothing.clone()));
        assert_eq!(sender.try_loan(1).err(), Some(nothing));
        drop(sender);
        assert_eq!(Channel::sender(&shared.ring).err(), closed(sending));
    };
    Scenario::new(
        "errors_say_why_a_handle_is_refused",
        vec![alone as fn(&RingState<_>)],
    )
}

/// After a handle was dropped, each attempt to attach to its side reports that the side is closed.
///
/// Another process attempts to attach at the same time. If its attempt locks the closed side, the
/// side seems to be in use.
pub fn side_that_was_closed_is_never_in_use() -> Scenario<RingState<SmallRing<2>>> {
    let attach_and_close = |shared: &RingState<SmallRing<2>>| {
        if let Ok(sender) = Channel::sender(&shared.ring) {
            drop(sender);
            let error = Channel::sender(&shared.ring).err();
            assert_eq!(error, Some(AttachError::Closed(Direction::Sending)));
        }
    };
    Scenario::new(
        "side_that_was_closed_is_never_in_use",
        vec![attach_and_close as fn(&RingState<_>), attach_and_close],
    )
}

/// A dropped handle releases the lock of its side.
///
/// A process attaches to more sides in turn than it can hold locks in the model.
pub fn dropped_handles_release_their_locks() -> Scenario<[RingState<SmallRing<1>>; 5]> {
    let alone = |rings: &[RingState<SmallRing<1>>; 5]| {
        for shared in rings {
            drop(both_handles(&shared.ring));
        }
    };
    Scenario::new(
        "dropped_handles_release_their_locks",
        vec![alone as fn(&[RingState<_>; 5])],
    )
}

/// A ring whose handles pass items by value, in slices and in place.
pub trait MixedRing: Ring {
    /// Attaches the sender, unless a sender is attached or the side is closed.
    fn mixed_sender(&self) -> Option<impl MixedSends + '_>;

    /// Attaches the receiver, unless a receiver is attached or the side is closed.
    fn mixed_receiver(&self) -> Option<impl MixedReceives + '_>;
}

/// A sender that sends by value, in slices and in place. Each method returns whether its item was
/// sent.
pub trait MixedSends {
    /// Sends an item by value.
    fn send_value(&mut self, item: u64, timeout: Timeout) -> bool;

    /// Sends a slice of one item.
    fn send_slice_of_one(&mut self, item: u64, timeout: Timeout) -> bool;

    /// Borrows up to two slots, writes the item into the first one, and sends only that slot.
    fn send_in_place(&mut self, item: u64, timeout: Timeout) -> bool;
}

/// A receiver that receives by value, in slices and in place.
pub trait MixedReceives: Receives {
    /// Borrows up to two items, and receives only the first one.
    fn recv_first_in_place(&mut self, timeout: Timeout) -> Option<u64>;
}

impl<const N: usize> MixedRing for SmallRing<N> {
    fn mixed_sender(&self) -> Option<impl MixedSends + '_> {
        Channel::sender(self).ok()
    }

    fn mixed_receiver(&self) -> Option<impl MixedReceives + '_> {
        Channel::receiver(self).ok()
    }
}

impl<const N: usize> MixedSends for Sender<'_, SmallRing<N>> {
    fn send_value(&mut self, item: u64, timeout: Timeout) -> bool {
        self.send_with(item, timeout).is_ok()
    }

    fn send_slice_of_one(&mut self, item: u64, timeout: Timeout) -> bool {
        self.send_slice_with(&[item], timeout).is_ok()
    }

    fn send_in_place(&mut self, item: u64, timeout: Timeout) -> bool {
        let Ok(mut loan) = self.loan_with(2, timeout) else {
            return false;
        };
        loan[0] = item;
        loan.send_first(1);
        true
    }
}

impl<const N: usize> MixedReceives for Receiver<'_, SmallRing<N>> {
    fn recv_first_in_place(&mut self, timeout: Timeout) -> Option<u64> {
        let borrowed = self.borrow_with(2, timeout).ok()?;
        let item = borrowed[0];
        borrowed.receive_first(1);
        Some(item)
    }
}

/// Sends 1 in place, 2 by value and 3 in a slice, and records the number of items sent.
fn send_in_every_way<R: MixedRing>(shared: &RingState<R>, timeout: Timeout) {
    // The receiver of a killed sender may have attached its own sender.
    let Some(mut sender) = shared.ring.mixed_sender() else {
        return;
    };
    let sent = &shared.sent[0];
    // The first loan contains both slots.
    if sender.send_in_place(1, timeout) {
        sent.set(1);
        if sender.send_value(2, timeout) {
            sent.set(2);
            if sender.send_slice_of_one(3, timeout) {
                sent.set(3);
            }
        }
    }
}

/// Items that are sent in place, by value and in a slice arrive in order at a receiver that
/// receives in these ways.
///
/// The sender sends a part of a loan, and the receiver receives a part of a borrow. If the rest of
/// either is passed too, an item is wrong or lost.
pub fn items_slices_and_loans_keep_order<R: MixedRing>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| send_in_every_way(shared, Timeout::Infinite);
    let receive = |shared: &RingState<R>| {
        let receiver = shared.ring.mixed_receiver();
        let mut receiver = receiver.expect("no other handle is attached");
        assert_eq!(receiver.recv_first_in_place(Timeout::Infinite), Some(1));
        let mut items = [0; 2];
        let count = receiver.recv(&mut items, Timeout::Infinite);
        if count.expect("the sender sends") == 1 {
            let rest = receiver.recv(&mut items[1..], Timeout::Infinite);
            assert_eq!(rest, Ok(1));
        }
        assert_eq!(items, [2, 3]);
    };
    let participants = vec![send as fn(&RingState<R>), receive];
    Scenario::new("items_slices_and_loans_keep_order", participants)
        .choices(8)
        .verify(|shared| assert_eq!(shared.sent[0].get(), 3))
}

/// If a sender is killed while it sends in place, by value and in a slice, a prefix of its items
/// arrives, and the prefix contains each item whose send has returned.
///
/// The sender is killed at any step. The receiver receives a part of a borrow, and then the rest by
/// value.
pub fn killed_mixed_sender_leaves_a_prefix<R: MixedRing>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| send_in_every_way(shared, Timeout::NonBlocking);
    let receive = |shared: &RingState<R>| {
        let receiver = shared.ring.mixed_receiver();
        let mut receiver = receiver.expect("no other handle is attached");
        if let Some(item) = receiver.recv_first_in_place(Timeout::NonBlocking) {
            shared.got.set(item);
        }
        if shared.receive_until_sender_is_gone(&mut receiver).is_some() {
            while shared.receive(&mut receiver, 1, Timeout::NonBlocking) > 0 {}
        }
    };
    let participants = vec![send as fn(&RingState<R>), receive];
    Scenario::new("killed_mixed_sender_leaves_a_prefix", participants)
        .choices(8)
        .verify(|shared| {
            let (got, sent) = (shared.got.get(), shared.sent[0].get() as usize);
            let prefixes = [0, 1, 12, 123];
            assert!(prefixes.contains(&got), "received {got} of 123");
            assert!(got >= prefixes[sent], "sent {sent} items, received {got}");
        })
        .victims(&[0])
}
