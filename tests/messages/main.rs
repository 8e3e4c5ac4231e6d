//! Tests of the message queue: a comparison with the kernel's queues, the limits, and a faulty
//! peer.

mod bounds;
mod hostile;
mod kernel;
mod posix;
mod room;
mod sysv;

use interlatch::channel::message_queue::QueueLimits;
use interlatch::{MessageQueue, Region};
use interlatch_testing::{property, random};

/// Calls a function with a new queue.
fn with_queue<R>(limits: QueueLimits, call: impl FnOnce(&MessageQueue) -> R) -> R {
    let size = limits.cells() * 128 + 4096;
    let region = Region::memfd("messages", size).expect("a region");
    call(region.create("queue", limits).expect("the region has room"))
}
