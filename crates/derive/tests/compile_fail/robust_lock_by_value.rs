//! Safe code never has a robust object by value.

use interlatch::channel::message_queue::{MessageCell, QueueLimits};
use interlatch::channel::{Slot, TurnSlot};
use interlatch::sync::{PairSlot, RawRobustMutex, RobustSemaphorePair};
use interlatch::{
    BytePipe, MessageQueue, Mutex, Rendezvous, RingBuffer, RobustBoundedBuffer, RobustMonitorBuffer,
    RobustMutex, RobustSemaphore,
};

struct Account {
    balance: RobustMutex<u64>,
}

fn main() {
    let _: RobustMutex<u64> = RobustMutex::new(0);
    let _: RawRobustMutex = RawRobustMutex::new();
    let _: RobustSemaphore<2> = RobustSemaphore::new();
    let _: RobustSemaphorePair<[PairSlot; 2]> = RobustSemaphorePair::new();
    let _: RobustMonitorBuffer<u64, [Slot<u64>; 1]> = RobustMonitorBuffer::from_slots([Slot::new()]);
    let _: RobustBoundedBuffer<u64, [TurnSlot<u64>; 1]> = RobustBoundedBuffer::new();
    let _: Rendezvous<u64> = Rendezvous::new();
    let _: BytePipe<[Slot<u8>; 1]> = BytePipe::from_slots([Slot::new()]);
    let limits = QueueLimits { messages: 1, bytes: 1 };
    let _: MessageQueue<[MessageCell; 1]> = MessageQueue::from_cells([MessageCell::new()], limits);
    let _: RingBuffer<u64, [Slot<u64>; 1]> = RingBuffer::from_slots([Slot::new()]);
    let _: RingBuffer<u64, Box<[Slot<u64>]>> = RingBuffer::with_capacity(1).unwrap();
    let _: Mutex<RobustMutex<u64>> = Mutex::new(RobustMutex::new(0));
    let _ = Account { balance: RobustMutex::new(0) };
}
