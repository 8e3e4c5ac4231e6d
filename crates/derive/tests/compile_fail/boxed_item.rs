//! A `Box` points to the heap of one process.

use interlatch::channel::Slot;
use interlatch::{MonitorBuffer, Region};

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &MonitorBuffer<Box<u64>, [Slot<Box<u64>>]> = region.create("queue", 4).unwrap();
}
