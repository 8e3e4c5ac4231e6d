//! Buffers on the heap pass items of any type and drop each item once.

use interlatch::channel::{Slot, TryRecvError, TrySendError};
use interlatch::region::ShmObject;
use interlatch::sync::{RawMutex, SemaphorePair};
use interlatch::{BoundedBuffer, Buffer, Channel, MonitorBuffer};
use std::sync::Arc;

/// Drops a buffer while its three items wrap around the end of its four slots.
fn drops_unreceived_items<B: Buffer<Item = Arc<u32>>>(buffer: B) {
    let items: Vec<Arc<u32>> = (0..5).map(Arc::new).collect();
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (
        sender.expect("the buffer is open"),
        receiver.expect("the buffer is open"),
    );
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
    assert_eq!(counts, [1, 1, 2, 2, 2], "three items are in the buffer");
    drop((sender, receiver));
    drop(buffer);
    assert!(
        items.iter().all(|item| owners(item) == 1),
        "each item was dropped"
    );
}

#[test]
fn bounded_buffer_drops_unreceived_items() {
    drops_unreceived_items(BoundedBuffer::with_capacity(4).expect("a buffer of four slots"));
}

#[test]
fn monitor_buffer_drops_unreceived_items() {
    drops_unreceived_items(MonitorBuffer::with_capacity(4).expect("a buffer of four slots"));
}

#[test]
fn buffer_on_the_heap_is_send() {
    fn assert_send<T: Send>(_: &T) {}
    let buffer = BoundedBuffer::<Box<u32>>::with_capacity(1).expect("a buffer of one slot");
    assert_send(&buffer);
    let monitor = MonitorBuffer::<Box<u32>>::with_capacity(1).expect("a buffer of one slot");
    assert_send(&monitor);
}

/// Initializes a buffer in memory that contains other data, and passes items.
fn is_empty_in_used_memory<B>()
where
    B: Buffer<Item = u64> + ShmObject<Config = usize> + ?Sized,
{
    let layout = B::layout(2).expect("two slots");
    // SAFETY: the layout of two slots is not empty.
    let memory = unsafe { std::alloc::alloc(layout) };
    assert!(!memory.is_null());
    // SAFETY: the memory has this layout. No other reference to it exists until `from_raw`, and
    // nothing refers to it after the block.
    unsafe {
        memory.write_bytes(0xA5, layout.size());
        B::init(memory, 2);
        let buffer = B::from_raw(memory, 2);
        let (sender, receiver) = (buffer.sender(), buffer.receiver());
        let sender = sender.expect("the buffer is open");
        let receiver = receiver.expect("the buffer is open");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        for item in [1, 2] {
            assert_eq!(sender.try_send(item), Ok(()));
        }
        assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!([receiver.try_recv(), receiver.try_recv()], [Ok(1), Ok(2)]);
    }
    // SAFETY: the memory was allocated with this layout.
    unsafe { std::alloc::dealloc(memory, layout) };
}

#[test]
fn buffer_in_used_memory_is_empty() {
    is_empty_in_used_memory::<BoundedBuffer<u64, [Slot<u64>]>>();
    is_empty_in_used_memory::<MonitorBuffer<u64, [Slot<u64>]>>();
}

#[test]
fn buffer_without_slots_is_always_full() {
    let pair = SemaphorePair::new(1).expect("one turn");
    let slots: [Slot<u32>; 0] = [];
    let buffer = BoundedBuffer::from_parts(pair, RawMutex::new(), slots);
    assert_eq!(buffer.capacity(), 0);
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (
        sender.expect("the buffer is open"),
        receiver.expect("the buffer is open"),
    );
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}
