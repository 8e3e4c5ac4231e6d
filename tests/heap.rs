//! Buffers on the heap: they pass items of any type, and drop each one once.

use interlatch::{BoundedBuffer, Buffer, MonitorBuffer};
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
