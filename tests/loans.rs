//! Loans: items of any size are written and read in place, without copying.

use interlatch::channel::RecvTimeoutError;
use interlatch::channel::TurnSlot;
use interlatch::channel::Unregistered;
use interlatch::sync::Timeout;
use interlatch::{Channel, Region, RobustBoundedBuffer};
use std::thread;

const MEGABYTE: usize = 1 << 20;
type Large = [u8; MEGABYTE];
type LoanBuffer = RobustBoundedBuffer<Large, [TurnSlot<Large>]>;

/// The stack size of the test thread, far smaller than one item.
const STACK: usize = 256 << 10;

#[test]
fn large_item_is_written_and_read_in_place() {
    let region = Region::memfd("loans", 3 * MEGABYTE).expect("a region");
    let work = || {
        let buffer: &LoanBuffer = region.create("buffer", 2).expect("the region has room");
        let start = std::ptr::from_ref(buffer).cast::<u8>().addr();
        let inside = start..start + size_of_val(buffer);
        let (sender, receiver) = (buffer.sender(), buffer.receiver());
        let (sender, receiver) = (
            sender.expect("the channel is open"),
            receiver.expect("the channel is open"),
        );
        let mut loan = sender.loan().expect("a free slot");
        assert!(loan.iter().all(|byte| *byte == 0), "the slot is zero");
        let written = loan.as_ptr().addr();
        assert!(inside.contains(&written), "{written:#x} in {inside:x?}");
        loan.fill(7);
        loan.send().expect("a receiver is attached");
        let item = receiver.borrow().expect("an item");
        assert_eq!(item.as_ptr().addr(), written, "the item is read in place");
        assert!(item.iter().all(|byte| *byte == 7));
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work).expect("a thread");
        thread.join().expect("the thread does not panic");
    });
}

/// A value whose destructor receives a borrowed item.
struct ReceiveOnDrop<'a>(&'a RobustBoundedBuffer<u64, [TurnSlot<u64>; 1]>);

impl Drop for ReceiveOnDrop<'_> {
    fn drop(&mut self) {
        let item = self.0.borrow_with(Timeout::NonBlocking).expect("an item");
        assert_eq!(*item, 7);
    }
}

#[test]
fn item_borrowed_during_a_panic_is_received() {
    let buffer = RobustBoundedBuffer::<u64, [TurnSlot<u64>; 1]>::new().leak();
    buffer
        .send_unregistered(7, Timeout::NonBlocking)
        .expect("the buffer has room");
    let panicked = thread::spawn(move || {
        let _receive = ReceiveOnDrop(buffer);
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    let again = buffer.recv_unregistered(Timeout::NonBlocking);
    assert_eq!(
        again,
        Err(RecvTimeoutError::Timeout),
        "the item was received"
    );
}
