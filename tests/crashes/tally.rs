//! What is known of items that flow while their senders and receivers are killed: numbers in a row, from 1, some of
//! which are never sent.

use interlatch::ShmSafe;
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Relaxed, Release};

/// Each is written by one process at a time, in one step.
#[repr(C)]
#[derive(ShmSafe)]
pub struct Tally {
    /// The number of the next item.
    #[shm(initial = AtomicU64::new(1))]
    pub next: AtomicU64,
    /// How many are known to have been sent, and received.
    pub sent: AtomicU64,
    pub received: AtomicU64,
    /// The number that was received last; 0, before the first.
    load_latest: AtomicU64,
}

impl Tally {
    /// So many numbers, of which this is the first. Should who has them be killed, the next one sends none of these.
    pub fn give_out(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Relaxed)
    }

    /// So many more were sent.
    pub fn has_sent(&self, count: u64) {
        // Release pairs with the Acquire of the parent, here and below.
        self.sent.fetch_add(count, Release);
    }

    /// An item was received: one that was given out, and newer than all before it.
    pub fn note(&self, item: u64) {
        let next = self.next.load(Relaxed);
        assert!(item < next, "{item} of {next} was never sent");
        let load_latest = self.load_latest.swap(item, Relaxed);
        assert!(load_latest < item, "{item} after {load_latest}");
        self.received.fetch_add(1, Release);
    }
}
