//! A leaked `Static` never moves again.

use interlatch::RobustMutex;

fn main() {
    let lock = Box::leak(Box::new(RobustMutex::new(0)));
    let shared = lock.get();
    *lock = RobustMutex::new(1);
    std::mem::swap(lock, &mut RobustMutex::new(2));
    drop(shared.lock());
}
