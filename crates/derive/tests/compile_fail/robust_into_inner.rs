//! Only unsafe code takes a robust object out of its `Static`.

use interlatch::RobustMutex;

const CONSTANT: RobustMutex<u64> = RobustMutex::new(0).into_inner();

fn main() {
    let lock = RobustMutex::new(0).into_inner();
    std::mem::forget(lock.lock());
}
