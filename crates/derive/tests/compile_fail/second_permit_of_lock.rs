//! A second permit would let two threads hold the lock.

use interlatch::sync::{RawSemaphore, SemaphoreLock};

fn main() {
    let lock = SemaphoreLock::with_pipe().unwrap();
    lock.semaphore().release(1).unwrap();
}
