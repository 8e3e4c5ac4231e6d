//! A robust lock that is held must not move. `RawRobustMutex::lock_with` borrows nothing.

use interlatch::sync::{RawRobustMutex, Timeout};

fn main() {
    let mut locks: Vec<RawRobustMutex> = Vec::with_capacity(8);
    locks.resize_with(8, RawRobustMutex::new);
    locks[0].lock_with(Timeout::Infinite).unwrap();
    locks.push(RawRobustMutex::new());
}
