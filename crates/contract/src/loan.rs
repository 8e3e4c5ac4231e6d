//! What a buffer promises whose items are written and read where they are.

use super::buffer::RobustBounded;
use super::{RaceCell, Scenario, Stage, short_timeout};
use interlatch::channel::{Buffer, RecvTimeoutError};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A buffer of one place whose places can be had; so that a flawed one can be put there.
pub trait Lends: Buffer<Item = u64> {
    /// Fills a place with this item, and sends it; false, if there was none in time. Between the two, `before`.
    fn fill(&self, item: u64, timeout: Timeout, before: impl FnOnce()) -> bool;

    /// Fills a place, and gives it back.
    fn spoil(&self, timeout: Timeout);

    /// Reads an item where it is.
    ///
    /// # Errors
    /// In time there was none, or never will be.
    fn read(&self, timeout: Timeout) -> Result<u64, RecvTimeoutError>;
}

impl Lends for RobustBounded<1> {
    fn fill(&self, item: u64, timeout: Timeout, before: impl FnOnce()) -> bool {
        let Ok(mut loan) = self.loan_with(timeout) else {
            return false;
        };
        *loan = item;
        before();
        assert_eq!(*loan, item, "nobody else has it");
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

/// A buffer, and what was received.
#[repr(C)]
#[derive(Debug)]
pub struct LoanState<B> {
    buffer: B,
    sent: RaceCell,
    got: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<B: Lends + ShmSafe> ShmSafe for LoanState<B> {
    fn initial() -> Self {
        Self {
            buffer: B::initial(),
            sent: RaceCell::new(0),
            got: [RaceCell::new(0), RaceCell::new(0)],
        }
    }
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    stage.run(item_written_in_place_is_read_in_place::<RobustBounded<1>>());
    stage.run(dropped_loan_frees_its_slot::<RobustBounded<1>>());
    stage.run(sender_death_frees_its_loan::<RobustBounded<1>>());
    stage.run(reader_death_keeps_the_item::<RobustBounded<1>>());
    stage.run(returning_the_last_item_disconnects_receivers::<
        RobustBounded<1>,
    >());
    stage.run(left_item_is_received_next());
    stage.run(left_item_is_received_before_disconnection());
}

fn take<B: Lends, const INDEX: usize>(shared: &LoanState<B>, timeout: Timeout) {
    match shared.buffer.read(timeout) {
        Ok(item) => shared.got[INDEX].set(shared.got[INDEX].get() + item),
        refused => assert_eq!(refused, Err(RecvTimeoutError::Timeout)),
    }
}

/// What one fills, another one reads, one after the other in the one place.
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

/// What was filled and not sent is no item, and its place is free for one who waits for it.
pub fn dropped_loan_frees_its_slot<B: Lends>() -> Scenario<LoanState<B>> {
    let careless = |shared: &LoanState<B>| shared.buffer.spoil(Timeout::NonBlocking);
    let sender = |shared: &LoanState<B>| {
        assert!(shared.buffer.fill(1, Timeout::Infinite, || {}));
        assert_eq!(shared.buffer.read(Timeout::Infinite), Ok(1));
    };
    Scenario::new("dropped_loan_frees_its_slot", vec![careless, sender])
        .verify(is_empty)
        .choices(4)
}

/// No item is there, and a place for one is.
fn is_empty<B: Lends>(shared: &LoanState<B>) {
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(shared.buffer.read(Timeout::NonBlocking), nothing);
    assert!(
        shared.buffer.fill(7, Timeout::NonBlocking, || {}),
        "no place"
    );
    assert_eq!(shared.buffer.read(Timeout::NonBlocking), Ok(7));
}

/// A sender is killed while it fills, or before, or after: its item is whole, or is none, and the place is
/// there for another one.
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
            assert!(got <= 1 && got >= shared.sent.get(), "{got} received");
            is_empty(shared);
        })
        .choices(8)
        .victims(&[0])
}

/// A reader is killed while it has an item: another one gets it, unless it was given back before.
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
            assert!(got + shared.sent.get() <= 1, "received twice");
            is_empty(shared);
        })
        .choices(8)
        .victims(&[0])
}

/// The stream has ended, but for an item that somebody has: who waits for one hears of the end when that is
/// given back.
pub fn returning_the_last_item_disconnects_receivers<B: Lends>() -> Scenario<LoanState<B>> {
    let first = |shared: &LoanState<B>| {
        assert!(shared.buffer.fill(1, Timeout::NonBlocking, || {}));
        drop(shared.buffer.sender());
        if shared.buffer.read(Timeout::NonBlocking) == Ok(1) {
            shared.got[0].set(1);
        }
    };
    let other = |shared: &LoanState<B>| {
        while let Ok(item) = shared.buffer.read(Timeout::Infinite) {
            shared.got[1].set(shared.got[1].get() + item);
        }
    };
    Scenario::new(
        "returning_the_last_item_disconnects_receivers",
        vec![first, other],
    )
    .verify(|shared| assert_eq!(shared.got[0].get() + shared.got[1].get(), 1))
    .choices(8)
}

/// The stream has ended, but for an item that somebody has, and leaves: of two who wait for one, the first gets
/// it, and the second hears of the end.
pub fn left_item_is_received_before_disconnection() -> Scenario<LoanState<RobustBounded<1>>> {
    fn wait<const INDEX: usize>(shared: &LoanState<RobustBounded<1>>) {
        if let Ok(item) = shared.buffer.recv_with(Timeout::Infinite) {
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
        vec![first, wait::<0>, wait::<1>],
    )
    .verify(|shared| assert_eq!(shared.got[0].get() + shared.got[1].get(), 1))
    .choices(8)
}

/// What was borrowed and left is there again.
pub fn left_item_is_received_next() -> Scenario<LoanState<RobustBounded<1>>> {
    let alone = |shared: &LoanState<RobustBounded<1>>| {
        assert!(shared.buffer.fill(1, Timeout::NonBlocking, || {}));
        let borrowed = shared.buffer.borrow_with(Timeout::NonBlocking);
        let borrowed = borrowed.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(shared.buffer.len(), 1, "it was not received");
        let other = shared.buffer.recv_with(Timeout::NonBlocking);
        assert_eq!(other, Err(RecvTimeoutError::Timeout), "one has it");
        borrowed.leave();
        assert_eq!(shared.buffer.recv_with(Timeout::NonBlocking), Ok(1));
    };
    Scenario::new("left_item_is_received_next", vec![alone]).verify(is_empty)
}
