//! Items that are written and read where they are: no copy, of any size.

use interlatch::channel::RecvTimeoutError;
use interlatch::channel::TurnSlot;
use interlatch::channel::Unregistered;
use interlatch::sync::Timeout;
use interlatch::{Channel, Region, RobustBoundedBuffer};
use std::thread;

const MEGABYTE: usize = 1 << 20;
type Large = [u8; MEGABYTE];
type Places = RobustBoundedBuffer<Large, [TurnSlot<Large>]>;

/// Far too small for one item.
const STACK: usize = 256 << 10;

#[test]
fn a_large_item_is_written_and_read_in_the_region_on_a_small_stack() {
    let region = Region::memfd("loans", 3 * MEGABYTE).expect("a region");
    let work = || {
        let places: &Places = region.create("places", 2).expect("room");
        let start = std::ptr::from_ref(places).cast::<u8>().addr();
        let inside = start..start + size_of_val(places);
        let (sender, receiver) = (places.sender(), places.receiver());
        let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
        let mut loan = sender.loan().expect("a place");
        assert!(loan.iter().all(|byte| *byte == 0), "nothing was in it");
        let written = loan.as_ptr().addr();
        assert!(inside.contains(&written), "{written:#x} in {inside:x?}");
        loan.fill(7);
        loan.send().expect("receivers are there");
        let item = receiver.borrow().expect("an item");
        assert_eq!(item.as_ptr().addr(), written, "where it was written");
        assert!(item.iter().all(|byte| *byte == 7));
    };
    thread::scope(|scope| {
        let small = thread::Builder::new().stack_size(STACK);
        let small = small.spawn_scoped(scope, work).expect("a thread");
        small.join().expect("all is well");
    });
}

/// Receives what it has borrowed while a panic is on its way.
struct Receives<'a>(&'a RobustBoundedBuffer<u64, [TurnSlot<u64>; 1]>);

impl Drop for Receives<'_> {
    fn drop(&mut self) {
        let item = self.0.borrow_with(Timeout::NonBlocking).expect("an item");
        assert_eq!(*item, 7);
    }
}

#[test]
fn an_item_that_is_borrowed_during_a_panic_is_received() {
    static PLACE: RobustBoundedBuffer<u64, [TurnSlot<u64>; 1]> =
        RobustBoundedBuffer::from_slots([TurnSlot::empty()]);
    PLACE
        .send_unregistered(7, Timeout::NonBlocking)
        .expect("room");
    let panicked = thread::spawn(|| {
        let _receives = Receives(&PLACE);
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    let again = PLACE.recv_unregistered(Timeout::NonBlocking);
    assert_eq!(again, Err(RecvTimeoutError::Timeout), "it was received");
}
