//! A `String` points to the heap of one process.

use interlatch::{Region, RobustMutex};

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &RobustMutex<String> = region.create("text", ()).unwrap();
}
