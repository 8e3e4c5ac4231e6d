//! A reference is not a valid item, because it points into the memory of one process.

use interlatch::channel::Slot;
use interlatch::{BoundedBuffer, Region};

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &BoundedBuffer<&'static u64, [Slot<&'static u64>]> = region.create("queue", 4).unwrap();
}
