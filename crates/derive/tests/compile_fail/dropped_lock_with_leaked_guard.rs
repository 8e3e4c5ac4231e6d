//! A robust lock must not be freed while a thread has leaked its guard.

use interlatch::RobustMutex;
use std::sync::Arc;

fn main() {
    let lock = Arc::new(RobustMutex::new([0u64; 57]));
    let theirs = lock.clone();
    let thread = std::thread::spawn(move || std::mem::forget(theirs.get().lock().unwrap()));
    drop(lock);
    thread.join().unwrap();
}
