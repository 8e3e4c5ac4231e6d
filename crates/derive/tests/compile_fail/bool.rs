//! A peer may have written a byte that is neither 0 nor 1.

use interlatch::{Region, RobustMutex};

fn main() {
    let region = Region::memfd("refused", 4096).unwrap();
    let _: &RobustMutex<bool> = region.create("flag", ()).unwrap();
}
