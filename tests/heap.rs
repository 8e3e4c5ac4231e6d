//! Buffers on the heap: they pass items of any type, and drop each one once.

use interlatch::channel::{Slot, TryRecvError, TrySendError};
use interlatch::sync::{RawMutex, SemaphorePair};
use interlatch::{BoundedBuffer, Buffer, Channel, MonitorBuffer};
use std::sync::Arc;

/// Of four places three are full, and they lie across the end of the ring.
fn drops_what_nobody_received<B: Buffer<Item = Arc<u32>>>(buffer: B) {
    let items: Vec<Arc<u32>> = (0..5).map(Arc::new).collect();
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    for item in &items[..3] {
        assert!(sender.send(item.clone()).is_ok());
    }
    for expected in [0, 1] {
        assert_eq!(receiver.recv().ok().as_deref(), Some(&expected));
    }
    for item in &items[3..] {
        assert!(sender.send(item.clone()).is_ok());
    }
    let owners = |item: &Arc<u32>| Arc::strong_count(item);
    let counts: Vec<usize> = items.iter().map(owners).collect();
    assert_eq!(counts, [1, 1, 2, 2, 2], "three are in the buffer");
    drop((sender, receiver));
    drop(buffer);
    assert!(
        items.iter().all(|item| owners(item) == 1),
        "each was dropped"
    );
}

#[test]
fn a_bounded_buffer_drops_what_nobody_received() {
    drops_what_nobody_received(BoundedBuffer::with_capacity(4).expect("four places"));
}

#[test]
fn a_monitor_buffer_drops_what_nobody_received() {
    drops_what_nobody_received(MonitorBuffer::with_capacity(4).expect("four places"));
}

#[test]
fn a_buffer_goes_to_another_thread_with_its_items() {
    fn is_sent<T: Send>(_: &T) {}
    let buffer = BoundedBuffer::<Box<u32>>::with_capacity(1).expect("one place");
    is_sent(&buffer);
    let monitor = MonitorBuffer::<Box<u32>>::with_capacity(1).expect("one place");
    is_sent(&monitor);
}

#[test]
fn a_buffer_without_a_place_is_always_full() {
    let pair = SemaphorePair::new(1).expect("one turn");
    let slots: [Slot<u32>; 0] = [];
    let buffer = BoundedBuffer::from_parts(pair, RawMutex::new(), slots);
    assert_eq!(buffer.capacity(), 0);
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}
