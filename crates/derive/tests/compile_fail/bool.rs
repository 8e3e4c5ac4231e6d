//! A `bool` must be 0 or 1, but a peer may have written another byte.

use interlatch::{Region, RobustMutex};

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &RobustMutex<bool> = region.create("flag", ()).unwrap();
}
