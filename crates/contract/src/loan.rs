//! The promises of a buffer whose items are written and read in their slots.

use super::buffer::RobustBounded;
use super::{RaceCell, Scenario, Stage, short_timeout};
use interlatch::channel::{
    Buffer, Channel, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError, Unregistered,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A buffer whose slots can be borrowed for writing and for reading.
///
/// The scenarios run with [`RobustBounded`] and with broken implementations of this trait.
pub trait Lends: Unregistered<Item = u64> {
    /// Borrows a slot, writes the item, calls `before_send` and sends the item.
    ///
    /// Returns false if no slot was free in time.
    fn fill(&self, item: u64, timeout: Timeout, before_send: impl FnOnce()) -> bool;

    /// Borrows a slot, writes an item, and drops the loan without sending.
    fn spoil(&self, timeout: Timeout);

    /// Receives an item by reading it in its slot.
    ///
    /// # Errors
    /// Fails if no item arrived in time or the senders are disconnected.
    fn read(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError>;
}

impl<const N: usize> Lends for RobustBounded<N> {
    fn fill(&self, item: u64, timeout: Timeout, before_send: impl FnOnce()) -> bool {
        let Ok(mut loan) = self.loan_with(timeout) else {
            return false;
        };
        *loan = item;
        before_send();
        assert_eq!(*loan, item, "another process wrote into the loan");
        loan.send().is_ok()
    }

    fn spoil(&self, timeout: Timeout) {
        if let Ok(mut loan) = self.loan_with(timeout) {
            *loan = 99;
        }
    }

    fn read(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError> {
        self.borrow_with(timeout).map(|item| *item)
    }
}

/// A buffer, the item whose send succeeded, and the items of two receivers.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct LoanState<B> {
    buffer: B,
    sent: RaceCell,
    got: [RaceCell; 2],
}

/// Runs every scenario of loans.
pub fn all(stage: &mut impl Stage) {
    all_with_one_slot(stage);
    all_with_two_slots(stage);
}

/// Runs the scenarios of loans in a buffer of one slot, and one scenario that needs three slots.
pub fn all_with_one_slot(stage: &mut impl Stage) {
    stage.run(item_written_in_place_is_read_in_place::<RobustBounded<1>>());
    stage.run(dropped_loan_frees_its_slot::<RobustBounded<1>>());
    stage.run(sender_death_frees_its_loan::<RobustBounded<1>>());
    stage.run(reader_death_keeps_the_item::<RobustBounded<1>>());
    stage.run(returning_the_last_item_disconnects_receivers::<
        RobustBounded<1>,
    >());
    stage.run(send_by_value_reuses_the_slot_of_a_dead_loan::<
        RobustBounded<1>,
    >());
    stage.run(receive_by_value_gets_the_item_of_a_dead_borrower::<
        RobustBounded<1>,
    >());
    stage.run(loans_and_values_share_a_slot::<RobustBounded<1>>());
    stage.run(killed_holder_of_two_loans_keeps_the_sending_order());
    stage.run(left_item_is_received_next());
    stage.run(every_loan_method_passes_an_item());
    stage.run(closed_buffer_lends_its_last_item());
    stage.run(panic_returns_a_borrowed_item());
    stage.run(left_item_is_received_before_disconnection());
}

/// Runs the scenarios of loans that need two slots.
pub fn all_with_two_slots(stage: &mut impl Stage) {
    stage.run(item_written_in_place_is_read_in_place::<RobustBounded<2>>());
    stage.run(sender_death_frees_its_loan::<RobustBounded<2>>());
    stage.run(reader_death_keeps_the_item::<RobustBounded<2>>());
    stage.run(loans_and_values_share_a_slot::<RobustBounded<2>>());
    stage.run(loan_of_killed_sender_is_not_overtaken::<RobustBounded<2>>());
}

fn take<B: Lends, const INDEX: usize>(shared: &LoanState<B>, timeout: Timeout) {
    match shared.buffer.read(timeout) {
        Ok(item) => shared.got[INDEX].set(shared.got[INDEX].get() + item),
        failed => assert_eq!(failed, Err(RecvTimeoutError::Timeout)),
    }
}

/// An item that is written in its slot is read in that slot.
///
/// Two items pass through the only slot. If the sender and the receiver use the slot at the same
/// time, their accesses race.
pub fn item_written_in_place_is_read_in_place<B: Lends>() -> Scenario<LoanState<B>> {
    let sender = |shared: &LoanState<B>| {
        assert!(shared.buffer.fill(1, Timeout::Infinite, || {}));
        assert!(shared.buffer.fill(10, Timeout::Infinite, || {}));
    };
    let reader = |shared: &LoanState<B>| {
        assert_eq!(shared.buffer.read(Timeout::Infinite), Ok(1));
        assert_eq!(shared.buffer.read(Timeout::Infinite), Ok(10));
    };
    Scenario::new(
        "item_written_in_place_is_read_in_place",
        vec![sender, reader],
    )
    .choices(4)
}

/// Dropping a loan without sending it frees the borrowed slot and sends nothing.
///
/// One process drops a filled loan while another process waits for the slot. If the drop wakes no
/// sender, the waiting process hangs.
pub fn dropped_loan_frees_its_slot<B: Lends>() -> Scenario<LoanState<B>> {
    let dropping = |shared: &LoanState<B>| shared.buffer.spoil(Timeout::NonBlocking);
    let sender = |shared: &LoanState<B>| {
        assert!(shared.buffer.fill(1, Timeout::Infinite, || {}));
        assert_eq!(shared.buffer.read(Timeout::Infinite), Ok(1));
    };
    Scenario::new("dropped_loan_frees_its_slot", vec![dropping, sender])
        .verify(is_empty)
        .choices(4)
}

/// Checks that the buffer is empty and all its slots are free.
fn is_empty<B: Lends>(shared: &LoanState<B>) {
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(shared.buffer.read(Timeout::NonBlocking), nothing);
    let items = 7..7 + shared.buffer.capacity() as u64;
    for item in items.clone() {
        let is_sent = shared.buffer.fill(item, Timeout::NonBlocking, || {});
        assert!(is_sent, "the slot is lost");
    }
    for item in items {
        assert_eq!(shared.buffer.read(Timeout::NonBlocking), Ok(item));
    }
}

/// If a sender is killed while it holds a loan, the slot becomes free.
///
/// The sender is killed at any step. Either the whole item was sent or nothing was sent.
pub fn sender_death_frees_its_loan<B: Lends>() -> Scenario<LoanState<B>> {
    let sender = |shared: &LoanState<B>| {
        let sent = shared.buffer.fill(1, short_timeout(), || {});
        shared.sent.set(u64::from(sent));
    };
    let reader = |shared: &LoanState<B>| take::<B, 0>(shared, short_timeout());
    Scenario::new("sender_death_frees_its_loan", vec![sender, reader])
        .verify(|shared| {
            take::<B, 1>(shared, Timeout::NonBlocking);
            let got = shared.got[0].get() + shared.got[1].get();
            let sent = shared.sent.get();
            assert!(got <= 1 && got >= sent, "sent {sent}, but received {got}");
            is_empty(shared);
        })
        .choices(8)
        .victims(&[0])
}

/// If a reader is killed while it holds an item, another reader gets the item.
///
/// The reader is killed at any step. If the reader has returned the slot before its death, no other
/// reader gets the item.
pub fn reader_death_keeps_the_item<B: Lends>() -> Scenario<LoanState<B>> {
    let reader = |shared: &LoanState<B>| {
        let read = shared.buffer.read(short_timeout());
        shared.sent.set(u64::from(read.is_ok()));
    };
    let sender = |shared: &LoanState<B>| {
        assert!(shared.buffer.fill(1, Timeout::Infinite, || {}));
        take::<B, 0>(shared, short_timeout());
    };
    Scenario::new("reader_death_keeps_the_item", vec![reader, sender])
        .verify(|shared| {
            take::<B, 1>(shared, Timeout::NonBlocking);
            let got = shared.got[0].get() + shared.got[1].get();
            assert!(got + shared.sent.get() <= 1, "the item was received twice");
            is_empty(shared);
        })
        .choices(8)
        .victims(&[0])
}

/// No item that is sent later overtakes the loan of a killed sender.
///
/// The sender is killed at any step. If its item is in the buffer before the other process sends,
/// the other process receives that item first. The items need two slots.
pub fn loan_of_killed_sender_is_not_overtaken<B: Lends>() -> Scenario<LoanState<B>> {
    let sender = |shared: &LoanState<B>| {
        shared.buffer.fill(1, Timeout::NonBlocking, || {});
    };
    let other = |shared: &LoanState<B>| {
        let before = shared.buffer.len();
        if shared.buffer.fill(10, Timeout::NonBlocking, || {}) {
            let first = shared.buffer.read(Timeout::NonBlocking);
            assert!(before == 0 || first == Ok(1), "{first:?} overtook item 1");
        }
    };
    Scenario::new(
        "loan_of_killed_sender_is_not_overtaken",
        vec![sender as fn(&LoanState<B>), other],
    )
    .choices(8)
    .victims(&[0])
}

/// If a process is killed while it holds two loans or two borrowed items, the items that it has
/// sent stay in the order of their sends.
///
/// The process is killed at any step. It sends the loan of the second slot first, and receives the
/// item in the middle of the buffer first.
pub fn killed_holder_of_two_loans_keeps_the_sending_order() -> Scenario<LoanState<RobustBounded<3>>>
{
    let victim = |shared: &LoanState<RobustBounded<3>>| {
        let loan = || shared.buffer.loan_with(Timeout::NonBlocking);
        let borrow = || shared.buffer.borrow_with(Timeout::NonBlocking);
        let (Ok(mut first), Ok(mut second)) = (loan(), loan()) else {
            panic!("two slots are free");
        };
        (*second, *first) = (1, 10);
        assert_eq!((second.send(), first.send()), (Ok(()), Ok(())));
        shared.sent.set(1);
        assert!(shared.buffer.fill(100, Timeout::NonBlocking, || {}));
        let (Ok(oldest), Ok(middle)) = (borrow(), borrow()) else {
            panic!("three items are in the buffer");
        };
        assert_eq!((*oldest, *middle), (1, 10));
        drop(middle);
        drop(oldest);
    };
    Scenario::new(
        "killed_holder_of_two_loans_keeps_the_sending_order",
        vec![victim],
    )
    .verify(|shared| {
        let mut left = Vec::new();
        while let Ok(item) = shared.buffer.read(Timeout::NonBlocking) {
            left.push(item);
        }
        let allowed: [&[u64]; 6] = [&[], &[1], &[1, 10], &[1, 10, 100], &[1, 100], &[100]];
        let possible = match shared.sent.get() {
            0 => &allowed[..3],
            _ => &allowed[2..],
        };
        assert!(possible.contains(&&left[..]), "{left:?} is left");
        is_empty(shared);
    })
    .victims(&[0])
}

/// If a sender is killed while it fills a loan, another sender can send by value in the same slot.
///
/// The second sender writes the slot under the lock and never holds the slot itself. If it does not
/// synchronize with the dead holder of the slot, their writes race.
pub fn send_by_value_reuses_the_slot_of_a_dead_loan<B: Lends>() -> Scenario<LoanState<B>> {
    let lender = |shared: &LoanState<B>| {
        let sent = shared.buffer.fill(1, short_timeout(), || {});
        shared.sent.set(u64::from(sent));
    };
    let sender = |shared: &LoanState<B>| {
        let sent = shared.buffer.send_unregistered(2, short_timeout());
        shared.got[0].set(u64::from(sent.is_ok()));
    };
    Scenario::new(
        "send_by_value_reuses_the_slot_of_a_dead_loan",
        vec![lender, sender],
    )
    .verify(|shared| {
        let left = shared.buffer.recv_unregistered(Timeout::NonBlocking);
        match shared.got[0].get() {
            1 => assert_eq!(left, Ok(2), "the only slot has another item"),
            _ => assert_ne!(left, Ok(2), "a failed send has sent its item"),
        }
        assert!(shared.sent.get() == 0 || left == Ok(1), "received {left:?}");
        is_empty(shared);
    })
    .choices(8)
    .victims(&[0])
}

/// If a reader is killed while it borrows an item, another receiver gets the item by value.
///
/// The second receiver then sends by value, which writes the slot that the dead reader has read. If
/// it does not synchronize with the dead holder of the slot, the write races with that read.
pub fn receive_by_value_gets_the_item_of_a_dead_borrower<B: Lends>() -> Scenario<LoanState<B>> {
    let borrower = |shared: &LoanState<B>| {
        let read = shared.buffer.read(short_timeout());
        shared.sent.set(u64::from(read.is_ok()));
    };
    let other = |shared: &LoanState<B>| {
        assert_eq!(
            shared.buffer.send_unregistered(1, Timeout::Infinite),
            Ok(())
        );
        if let Ok(item) = shared.buffer.recv_unregistered(short_timeout()) {
            shared.got[0].set(item);
            assert_eq!(
                shared.buffer.send_unregistered(1, Timeout::NonBlocking),
                Ok(())
            );
        }
    };
    Scenario::new(
        "receive_by_value_gets_the_item_of_a_dead_borrower",
        vec![borrower, other],
    )
    .verify(|shared| {
        let received = shared.sent.get() + shared.got[0].get();
        let sent = 1 + shared.got[0].get();
        let left = shared.buffer.recv_unregistered(Timeout::NonBlocking);
        let left = u64::from(left.is_ok());
        // If the borrower died before it could report its item, one item may be missing.
        let missing = sent - left - received;
        assert!(missing <= 1, "{missing} items are lost");
        is_empty(shared);
    })
    .choices(8)
    .victims(&[0])
}

/// Items that are sent in place and by value pass through one slot to receivers of both kinds.
///
/// The sender drops a loan, sends by value, and sends a loan. One receiver borrows its item, and
/// the other receives by value.
pub fn loans_and_values_share_a_slot<B: Lends>() -> Scenario<LoanState<B>> {
    let sender = |shared: &LoanState<B>| {
        shared.buffer.spoil(Timeout::NonBlocking);
        assert_eq!(
            shared.buffer.send_unregistered(1, Timeout::Infinite),
            Ok(())
        );
        assert!(shared.buffer.fill(10, Timeout::Infinite, || {}));
    };
    let receiver = |shared: &LoanState<B>| {
        assert_eq!(shared.buffer.read(Timeout::Infinite), Ok(1));
        assert_eq!(shared.buffer.recv_unregistered(Timeout::Infinite), Ok(10));
    };
    Scenario::new("loans_and_values_share_a_slot", vec![sender, receiver])
        .verify(is_empty)
        .choices(4)
}

/// Returning the last item of a closed buffer disconnects the waiting receivers.
///
/// One process borrows the last item while two other processes wait for an item. If the return of
/// the last item does not wake both, a waiting process hangs.
pub fn returning_the_last_item_disconnects_receivers<B: Lends>() -> Scenario<LoanState<B>> {
    let first = |shared: &LoanState<B>| {
        assert!(shared.buffer.fill(1, Timeout::NonBlocking, || {}));
        drop(shared.buffer.sender());
        if shared.buffer.read(Timeout::NonBlocking) == Ok(1) {
            shared.sent.set(1);
        }
    };
    fn read_all<B: Lends, const INDEX: usize>(shared: &LoanState<B>) {
        while let Ok(item) = shared.buffer.read(Timeout::Infinite) {
            shared.got[INDEX].set(shared.got[INDEX].get() + item);
        }
    }
    Scenario::new(
        "returning_the_last_item_disconnects_receivers",
        vec![first, read_all::<B, 0>, read_all::<B, 1>],
    )
    .verify(|shared| {
        let read = shared.got[0].get() + shared.got[1].get();
        assert_eq!(shared.sent.get() + read, 1);
    })
    .choices(8)
}

/// An item that is left in the buffer after the last sender is dropped is still received.
///
/// Three receivers wait while the last item is borrowed. The borrower leaves the item in the
/// buffer. One receiver must get the item, and both other receivers must be disconnected.
pub fn left_item_is_received_before_disconnection() -> Scenario<LoanState<RobustBounded<1>>> {
    fn wait<const INDEX: usize>(shared: &LoanState<RobustBounded<1>>) {
        if let Ok(item) = shared.buffer.recv_unregistered(Timeout::Infinite) {
            shared.got[INDEX].set(item);
        }
    }
    let first = |shared: &LoanState<RobustBounded<1>>| {
        assert!(shared.buffer.fill(1, Timeout::NonBlocking, || {}));
        if let Ok(borrowed) = shared.buffer.borrow_with(Timeout::NonBlocking) {
            drop(shared.buffer.sender());
            borrowed.leave();
        } else {
            drop(shared.buffer.sender());
        }
    };
    Scenario::new(
        "left_item_is_received_before_disconnection",
        vec![first, wait::<0>, wait::<1>, wait::<1>],
    )
    .verify(|shared| assert_eq!(shared.got[0].get() + shared.got[1].get(), 1))
    .choices(8)
}

/// If a receiver borrows an item and leaves it in the buffer, the next receive gets this item.
pub fn left_item_is_received_next() -> Scenario<LoanState<RobustBounded<1>>> {
    let alone = |shared: &LoanState<RobustBounded<1>>| {
        assert!(shared.buffer.fill(1, Timeout::NonBlocking, || {}));
        let borrowed = shared.buffer.borrow_with(Timeout::NonBlocking);
        let borrowed = borrowed.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            shared.buffer.len(),
            1,
            "a borrowed item was counted as received"
        );
        let other = shared.buffer.recv_unregistered(Timeout::NonBlocking);
        assert_eq!(
            other,
            Err(RecvTimeoutError::Timeout),
            "a borrowed item was received"
        );
        borrowed.leave();
        assert_eq!(shared.buffer.recv_unregistered(Timeout::NonBlocking), Ok(1));
    };
    Scenario::new("left_item_is_received_next", vec![alone]).verify(is_empty)
}

/// Each loan method of a sender and each borrow method of a receiver passes an item, together with
/// sends and receives by value.
pub fn every_loan_method_passes_an_item() -> Scenario<LoanState<RobustBounded<1>>> {
    let alone = |shared: &LoanState<RobustBounded<1>>| {
        let second = Duration::from_secs(1);
        let sender = shared.buffer.sender().expect("the buffer is open");
        let receiver = shared.buffer.receiver().expect("the buffer is open");
        let mut loan = sender.loan().expect("the slot is free");
        assert_eq!(sender.try_loan().err(), Some(TrySendError::Full(())));
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
        assert_eq!(receiver.try_borrow().err(), Some(TryRecvError::Empty));
        assert!(!loan.is_owner_died());
        *loan = 1;
        assert_eq!(loan.send(), Ok(()));
        assert_eq!(receiver.borrow().map(|item| *item), Ok(1));
        let mut loan = sender.loan_timeout(second).expect("the slot is free");
        *loan = 2;
        assert_eq!(loan.send(), Ok(()));
        assert_eq!(receiver.recv(), Ok(2));
        assert_eq!(sender.send(3), Ok(()));
        assert_eq!(receiver.borrow_timeout(second).map(|item| *item), Ok(3));
        let loan = sender.try_loan().expect("the slot is free");
        let panics = AssertUnwindSafe(|| {
            let _loan = loan;
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new("a panic of the holder"));
        });
        assert!(catch_unwind(panics).is_err());
        let loan = sender.loan_with(Timeout::NonBlocking);
        assert!(loan.expect("the slot is free").is_owner_died());
    };
    Scenario::new("every_loan_method_passes_an_item", vec![alone]).verify(|shared| {
        let left = shared.buffer.borrow_with(Timeout::NonBlocking);
        assert!(left.is_err(), "a dropped loan was sent");
    })
}

/// After the last sender is dropped, a receiver borrows the remaining item and is then
/// disconnected. After the last receiver is dropped, a sender gets no loan.
pub fn closed_buffer_lends_its_last_item() -> Scenario<LoanState<RobustBounded<1>>> {
    let alone = |shared: &LoanState<RobustBounded<1>>| {
        let loan = || shared.buffer.loan_with(Timeout::NonBlocking).map(drop);
        let sender = shared.buffer.sender().expect("the buffer is open");
        let receiver = shared.buffer.receiver().expect("the buffer is open");
        assert_eq!(sender.send(1), Ok(()));
        drop(sender);
        assert_eq!(
            loan(),
            Err(SendTimeoutError::Timeout(())),
            "a receiver is connected"
        );
        assert_eq!(receiver.try_borrow().map(|item| *item), Ok(1));
        let end = Some(TryRecvError::Disconnected);
        assert_eq!(receiver.try_borrow().err(), end);
        assert_eq!(loan(), Ok(()));
        drop(receiver);
        assert_eq!(loan(), Err(SendTimeoutError::Disconnected(())));
    };
    Scenario::new("closed_buffer_lends_its_last_item", vec![alone])
}

/// If a panic drops a borrowed item, the item stays in the buffer. If a destructor that runs during
/// a panic borrows the item, it receives the item.
pub fn panic_returns_a_borrowed_item() -> Scenario<LoanState<RobustBounded<1>>> {
    struct ReadOnDrop<'a>(&'a RobustBounded<1>);

    impl Drop for ReadOnDrop<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.read(Timeout::NonBlocking), Ok(1));
        }
    }

    fn panic_with(value: impl Sized) {
        let panics = AssertUnwindSafe(|| {
            let _dropped_by_the_panic = value;
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new("a panic of the holder"));
        });
        assert!(catch_unwind(panics).is_err());
    }
    let alone = |shared: &LoanState<RobustBounded<1>>| {
        let buffer = &shared.buffer;
        assert!(buffer.fill(1, Timeout::NonBlocking, || {}));
        let borrowed = buffer.borrow_with(Timeout::NonBlocking);
        panic_with(borrowed.expect("an item is in the buffer"));
        assert_eq!(buffer.len(), 1, "the panic has received the item");
        panic_with(ReadOnDrop(buffer));
    };
    Scenario::new("panic_returns_a_borrowed_item", vec![alone]).verify(is_empty)
}
