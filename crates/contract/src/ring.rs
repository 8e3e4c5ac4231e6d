//! What a ring between one sender and one receiver promises, also if one of them is killed.

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts, short_timeout};
use interlatch::channel::{
    LoanError, RecvTimeoutError, RingBuffer, RingReceiver, RingSender, Slot,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A ring of a fixed capacity.
pub trait Ring: ShmSafe + 'static {
    /// The handle that sends, if there is none and this end has not closed.
    fn sender(&self) -> Option<impl Sends + '_>;

    /// The handle that receives.
    fn receiver(&self) -> Option<impl Receives + '_>;
}

/// The end that sends.
pub trait Sends {
    /// Sends a slice: see [`RingSender::send_slice_with`].
    ///
    /// # Errors
    /// As there.
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, LoanError>;
}

/// The end that receives.
pub trait Receives {
    /// Receives: see [`RingReceiver::recv_into_with`].
    ///
    /// # Errors
    /// As there.
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError>;
}

/// The one of this crate.
pub type SmallRing<const N: usize> = RingBuffer<u64, [Slot<u64>; N]>;

impl<const N: usize> Ring for SmallRing<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        self.sender().ok()
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        self.receiver().ok()
    }
}

/// One item goes by itself, several as a slice.
impl Sends for RingSender<'_, u64> {
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, LoanError> {
        let [item] = items else {
            return self.send_slice_with(items, timeout);
        };
        match self.send_with(*item, timeout) {
            Ok(()) => Ok(1),
            Err(interlatch::channel::SendTimeoutError::Timeout(_)) => Err(LoanError::Timeout),
            Err(interlatch::channel::SendTimeoutError::Disconnected(_)) => {
                Err(LoanError::Disconnected)
            }
        }
    }
}

impl Receives for RingReceiver<'_, u64> {
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        let [item] = items else {
            return self.recv_into_with(items, timeout);
        };
        *item = self.recv_with(timeout)?;
        Ok(1)
    }
}

/// The one of this crate, where the kernel has no `membarrier(2)`.
#[repr(transparent)]
#[derive(Debug)]
pub struct RingWithoutMembarrier<const N: usize>(SmallRing<N>);

// SAFETY: it is what it wraps.
unsafe impl<const N: usize> ShmSafe for RingWithoutMembarrier<N> {
    fn initial() -> Self {
        let ring = SmallRing::initial();
        ring.avoid_membarrier();
        Self(ring)
    }
}

impl<const N: usize> Ring for RingWithoutMembarrier<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        self.0.sender().ok()
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        self.0.receiver().ok()
    }
}

/// The one of this crate, whose items are written and read where they are.
#[repr(transparent)]
#[derive(Debug)]
pub struct InPlaceRing<const N: usize>(SmallRing<N>);

// SAFETY: it is what it wraps.
unsafe impl<const N: usize> ShmSafe for InPlaceRing<N> {
    fn initial() -> Self {
        Self(SmallRing::initial())
    }
}

struct InPlace<H>(H);

impl<const N: usize> Ring for InPlaceRing<N> {
    fn sender(&self) -> Option<impl Sends + '_> {
        self.0.sender().ok().map(InPlace)
    }

    fn receiver(&self) -> Option<impl Receives + '_> {
        self.0.receiver().ok().map(InPlace)
    }
}

impl Sends for InPlace<RingSender<'_, u64>> {
    fn send(&mut self, items: &[u64], timeout: Timeout) -> Result<usize, LoanError> {
        let mut sent = 0;
        while sent < items.len() {
            let mut loan = match self.0.loan_with(items.len() - sent, timeout) {
                Err(refused) if sent == 0 => return Err(refused),
                Err(_) => break,
                Ok(loan) => loan,
            };
            for (place, item) in loan.iter_mut().zip(&items[sent..]) {
                *place = *item;
            }
            sent += loan.len();
            loan.send();
        }
        Ok(sent)
    }
}

impl Receives for InPlace<RingReceiver<'_, u64>> {
    fn recv(&mut self, items: &mut [u64], timeout: Timeout) -> Result<usize, RecvTimeoutError> {
        let borrow = self.0.borrow_with(items.len(), timeout)?;
        for (item, found) in items.iter_mut().zip(borrow.iter()) {
            *item = *found;
        }
        Ok(borrow.len())
    }
}

/// A ring, what has come out of it as a number of decimal digits, and how many are known to have been sent.
#[repr(C)]
#[derive(Debug)]
pub struct RingState<R> {
    ring: R,
    got: RaceCell,
    sent: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<R: Ring> ShmSafe for RingState<R> {
    fn initial() -> Self {
        Self {
            ring: R::initial(),
            got: RaceCell::new(0),
            sent: [RaceCell::new(0), RaceCell::new(0)],
        }
    }
}

impl<R: Ring> RingState<R> {
    /// Sends, and notes how many that were.
    fn send(&self, sender: &mut impl Sends, items: &[u64], timeout: Timeout) {
        let sent = sender.send(items, timeout).unwrap_or(0);
        self.sent[0].set(self.sent[0].get() + sent as u64);
    }

    /// Receives so many at most, and notes them as digits; none, if there are none.
    fn receive(&self, receiver: &mut impl Receives, most: usize, timeout: Timeout) -> usize {
        let mut items = [0; 4];
        let count = receiver.recv(&mut items[..most], timeout).unwrap_or(0);
        for item in &items[..count] {
            assert!((1..=9).contains(item), "an item that nobody sent: {item}");
            self.got.set(self.got.get() * 10 + item);
        }
        count
    }

    /// As many as these in all.
    fn receive_all(&self, receiver: &mut impl Receives, mut count: usize, most: usize) {
        while count > 0 {
            count -= self.receive(receiver, most.min(count), Timeout::Infinite);
        }
    }
}

impl<R: Ring> RingState<R> {
    /// Until the sender has gone, has died, or has not come in time; then as its successor, if there can be one.
    fn receive_until_there_is_no_sender(
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
                    successor => return successor,
                },
            }
        }
    }
}

/// Runs every scenario of a ring, and the order of items in each of its modes.
pub fn all(stage: &mut impl Stage) {
    all_with_one_slot::<SmallRing<1>>(stage);
    all_with_two_slots::<SmallRing<2>>(stage);
    all_of_ring_buffer(stage);
    stage.run(keeps_order::<RingWithoutMembarrier<1>>());
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
}

/// More than fits goes through in its order. With one place, whoever misses a wake-up stops both.
pub fn keeps_order<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1], Timeout::Infinite);
        shared.send(&mut sender, &[2], Timeout::Infinite);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        shared.receive_all(&mut receiver, 2, 1);
    };
    Scenario::new("keeps_order", vec![send as fn(&RingState<R>), receive])
        .verify(|shared| assert_eq!((shared.got.get(), shared.sent[0].get()), (12, 2)))
}

/// The same in slices that are larger than the ring.
pub fn slices_keep_order<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1, 2, 3], Timeout::Infinite);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        shared.receive_all(&mut receiver, 3, 2);
    };
    Scenario::new(
        "slices_keep_order",
        vec![send as fn(&RingState<R>), receive],
    )
    .verify(|shared| assert_eq!((shared.got.get(), shared.sent[0].get()), (123, 3)))
}

/// What was sent is received before the end, and after the end nothing comes.
pub fn disconnection_follows_the_last_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], Timeout::NonBlocking);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        while shared.receive(&mut receiver, 1, Timeout::Infinite) > 0 {}
        let end = receiver.recv(&mut [0], Timeout::Infinite);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
        assert!(shared.ring.sender().is_none(), "for good");
    };
    Scenario::new(
        "disconnection_follows_the_last_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .verify(|shared| assert_eq!(shared.got.get(), 12))
}

/// A sender that waits for a place hears that there is nobody any more.
pub fn dropped_receiver_disconnects_the_sender<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        while sender.send(&[1], Timeout::Infinite) != Err(LoanError::Disconnected) {}
        assert!(shared.ring.receiver().is_none(), "for good");
    };
    Scenario::new(
        "dropped_receiver_disconnects_the_sender",
        vec![send as fn(&RingState<R>), |shared| {
            drop(shared.ring.receiver().expect("the only one"));
        }],
    )
}

/// A receiver gives up at the moment in which an item comes: it has the item, or the next call has it.
pub fn timed_out_receiver_takes_no_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], Timeout::Infinite);
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        let early = shared.receive(&mut receiver, 1, short_timeout());
        shared.receive_all(&mut receiver, 2 - early, 1);
    };
    Scenario::new(
        "timed_out_receiver_takes_no_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .verify(|shared| assert_eq!(shared.got.get(), 12))
}

/// A sender gives up at the moment in which a place comes free: its item is there, or not.
pub fn timed_out_sender_keeps_its_item<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], short_timeout());
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        while shared.receive(&mut receiver, 1, Timeout::Infinite) > 0 {}
    };
    Scenario::new(
        "timed_out_sender_keeps_its_item",
        vec![send as fn(&RingState<R>), receive],
    )
    .verify(|shared| {
        let expected = if shared.sent[0].get() == 2 { 12 } else { 1 };
        assert_eq!(shared.got.get(), expected);
    })
}

/// Of two that want to send, or to receive, exactly one may: the other one comes too early or too late.
pub fn admits_one_sender_and_one_receiver<R: Ring>() -> Scenario<RingState<R>> {
    fn come<R: Ring, const INDEX: usize>(shared: &RingState<R>) {
        let (sender, receiver) = (shared.ring.sender(), shared.ring.receiver());
        let ends = u64::from(sender.is_some()) + 10 * u64::from(receiver.is_some());
        shared.sent[INDEX].set(ends);
    }
    Scenario::new(
        "admits_one_sender_and_one_receiver",
        vec![come::<R, 0> as fn(&RingState<R>), come::<R, 1>],
    )
    .verify(|shared| assert_eq!(shared.sent[0].get() + shared.sent[1].get(), 11))
}

/// A sender is killed: what it was sending was sent or not, and its receiver hears of it after the last item.
pub fn killed_send_completes_or_has_no_effect<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        // The other one may have thought that nobody comes.
        if let Some(mut sender) = shared.ring.sender() {
            shared.send(&mut sender, &[1, 2], Timeout::NonBlocking);
        }
    };
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        if shared
            .receive_until_there_is_no_sender(&mut receiver)
            .is_some()
        {
            // What it sent after the last look.
            while shared.receive(&mut receiver, 1, Timeout::NonBlocking) > 0 {}
            shared.sent[1].set(1);
        }
    };
    Scenario::new(
        "killed_send_completes_or_has_no_effect",
        vec![send as fn(&RingState<R>), receive],
    )
    .verify(|shared| {
        let (got, sent) = (shared.got.get(), shared.sent[0].get());
        assert!([0, 12].contains(&got), "{got}");
        assert!(sent == 0 || got == 12, "sent {sent}, got {got}");
        assert!(got == 12 || shared.sent[1].get() == 1, "it lived");
    })
    .victims(&[0])
}

/// A sender is killed, and a successor finds what it has sent, and all other places.
pub fn next_sender_continues_after_sender_death<R: Ring>() -> Scenario<RingState<R>> {
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1], Timeout::NonBlocking);
        shared.send(&mut sender, &[2], Timeout::NonBlocking);
    };
    Scenario::new(
        "next_sender_continues_after_sender_death",
        vec![send as fn(&RingState<R>)],
    )
    .verify(|shared| {
        let mut receiver = shared.ring.receiver().expect("the first");
        let Some(mut successor) = shared.ring.sender() else {
            return assert_eq!(shared.sent[0].get(), 2, "it was killed, and closed");
        };
        let there = 2 - successor.send(&[5, 6], Timeout::NonBlocking).unwrap_or(0);
        assert!(there as u64 >= shared.sent[0].get(), "sent, and not there");
        shared.receive_all(&mut receiver, 2, 2);
        assert_eq!(shared.got.get(), [56, 15, 12][there], "in order");
    })
    .victims(&[0])
}

/// A receiver is killed: it has received what it was receiving, or not; the rest is there for its successor, in its
/// order.
pub fn killed_receive_completes_or_has_no_effect<R: Ring>() -> Scenario<RingState<R>> {
    let receive = |shared: &RingState<R>| {
        let mut receiver = shared.ring.receiver().expect("the only one");
        shared.receive(&mut receiver, 1, Timeout::Infinite);
        shared.sent[1].set(1);
    };
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        shared.send(&mut sender, &[1, 2], Timeout::Infinite);
    };
    Scenario::new(
        "killed_receive_completes_or_has_no_effect",
        vec![receive as fn(&RingState<R>), send],
    )
    .verify(|shared| {
        let (noted, all_sent) = (shared.got.get(), shared.sent[0].get() == 2);
        let Some(mut successor) = shared.ring.receiver() else {
            return assert_eq!(shared.sent[1].get(), 1, "it was killed, and closed");
        };
        shared.got.set(0);
        while shared.receive(&mut successor, 1, Timeout::NonBlocking) > 0 {}
        let rest = shared.got.get();
        assert!([0, 1].contains(&noted), "{noted}");
        // None was sent, where the sender heard of the death first.
        assert!(!all_sent || rest == 2 || rest == 12, "{rest} of 12");
        assert!(all_sent || rest == 0, "{rest} of nothing");
        assert!(noted == 0 || rest != 12, "received twice");
    })
    .victims(&[0])
}

/// The receiver dies, or goes, at whatever moment: the sender hears of it.
pub fn receiver_death_disconnects_the_sender<R: Ring>() -> Scenario<RingState<R>> {
    let receive = |shared: &RingState<R>| {
        drop(shared.ring.receiver());
    };
    let send = |shared: &RingState<R>| {
        let mut sender = shared.ring.sender().expect("the only one");
        let (mut sent, mut timeout) = (0, short_timeout());
        loop {
            match sender.send(&[1], timeout) {
                Ok(_) => sent += 1,
                Err(LoanError::Disconnected) => break,
                // It died before it came, or it is there, or it has gone.
                Err(LoanError::Timeout) if shared.ring.receiver().is_some() => break,
                Err(LoanError::Timeout) => timeout = Timeout::Infinite,
            }
            assert!(sent < 2, "one fits");
        }
    };
    Scenario::new(
        "receiver_death_disconnects_the_sender",
        vec![receive as fn(&RingState<R>), send],
    )
    .victims(&[0])
}

/// Nothing takes no time; no time, or a time that has passed, is enough for what is there.
pub fn handles_extreme_requests() -> Scenario<RingState<SmallRing<2>>> {
    let ask = |shared: &RingState<SmallRing<2>>| {
        let (sender, receiver) = (shared.ring.sender(), shared.ring.receiver());
        let (mut sender, mut receiver) = (sender.expect("one"), receiver.expect("one"));
        let (full, empty) = (Err(LoanError::Timeout), Err(RecvTimeoutError::Timeout));
        assert_eq!(sender.send_slice(&[]), Ok(0));
        assert_eq!(receiver.recv_into(&mut []), Ok(0));
        for timeout in expired_timeouts() {
            assert_eq!(receiver.recv_with(timeout), empty);
            assert_eq!(sender.send_slice_with(&[1, 2, 3], timeout), Ok(2));
            assert_eq!(sender.send_slice_with(&[3], timeout), full);
            assert_eq!(shared.ring.len(), 2);
            assert_eq!(receiver.recv_with(distant_timeout()), Ok(1));
            assert_eq!(sender.send_slice_with(&[3], distant_timeout()), Ok(1));
            assert_eq!(
                shared.receive(&mut receiver, 4, timeout),
                2,
                "around the end"
            );
        }
    };
    Scenario::new("handles_extreme_requests", vec![ask as fn(&RingState<_>)])
        .verify(|shared| assert_eq!(shared.got.get(), 2323))
}

/// A run ends where the ring does, may be given up or be used in part, and is not lost by that.
pub fn loan_is_one_contiguous_run() -> Scenario<RingState<SmallRing<3>>> {
    let ask = |shared: &RingState<SmallRing<3>>| {
        let (sender, receiver) = (shared.ring.sender(), shared.ring.receiver());
        let (mut sender, mut receiver) = (sender.expect("one"), receiver.expect("one"));
        assert!(receiver.try_borrow(1).is_err(), "nothing there");
        drop(sender.loan(2).expect("room"));
        let mut loan = sender.loan(9).expect("room");
        assert_eq!(loan.len(), 3);
        (loan[0], loan[1]) = (1, 2);
        assert_eq!(loan[0], 1);
        loan.send_first(2);
        assert_eq!(sender.loan(0).map(|loan| loan.len()), Ok(1), "at least one");
        receiver.borrow(2).expect("two items").leave();
        let items = receiver.borrow(9).expect("two items");
        assert_eq!((items.len(), items[0], items[1]), (2, 1, 2));
        items.receive_first(1);
        let mut loan = sender.loan(9).expect("room");
        assert_eq!(loan.len(), 1, "up to the end");
        loan[0] = 3;
        loan.send();
        sender.loan(1).expect("room at the beginning").send_first(0);
        let items = receiver.borrow(9).expect("items");
        assert_eq!(items.iter().copied().collect::<Vec<_>>(), [2, 3]);
        items.receive();
        assert!(shared.ring.is_empty());
    };
    Scenario::new("loan_is_one_contiguous_run", vec![ask as fn(&RingState<_>)])
}
