//! Whoever released a permit of a lock would let two hold it.

use interlatch::sync::{RawSemaphore, SemaphoreLock};

fn main() {
    let lock = SemaphoreLock::with_pipe().unwrap();
    lock.semaphore().release(1).unwrap();
}
