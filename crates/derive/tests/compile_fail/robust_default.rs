//! A default value would be a robust object by value.

use interlatch::sync::{PairSlot, RawRobustMutex};
use interlatch::{Rendezvous, RobustMutex, RobustSemaphore};

fn main() {
    let _ = RawRobustMutex::default();
    let _ = RobustMutex::<u64>::default();
    let _ = RobustSemaphore::<2>::default();
    let _ = Rendezvous::<u64>::default();
    let _ = PairSlot::default();
}
