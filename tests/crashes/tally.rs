//! Counts the items that are sent and received while senders and receivers are killed. Items are
//! consecutive numbers from 1. Some of the numbers are never sent.

use interlatch::ShmSafe;
use interlatch::platform::AtomicU64;
use interlatch::platform::Ordering::{Relaxed, Release};

/// The counts of sent and received items. Each word is written by only one process at a time, with
/// one instruction.
#[repr(C)]
#[derive(ShmSafe)]
pub struct Tally {
    /// The number of the next item.
    #[shm(initial = AtomicU64::new(1))]
    pub next: AtomicU64,
    /// The numbers of items sent and received. Each number is incremented after its operation.
    pub sent: AtomicU64,
    pub received: AtomicU64,
    /// The item received last, or 0.
    latest: AtomicU64,
}

impl Tally {
    /// Reserves `count` numbers and returns the first number. If the sender is killed, its
    /// successor does not reuse the numbers.
    pub fn reserve(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Relaxed)
    }

    /// Adds a number to the count of sent items.
    pub fn add_sent(&self, count: u64) {
        // Release in this function and in `add_received` pairs with the Acquire loads in the
        // parent.
        self.sent.fetch_add(count, Release);
    }

    /// Counts a received item. Panics unless the item was reserved and is newer than all earlier
    /// items.
    pub fn add_received(&self, item: u64) {
        let next = self.next.load(Relaxed);
        assert!(item < next, "{item} of {next} was never sent");
        let latest = self.latest.swap(item, Relaxed);
        assert!(latest < item, "{item} after {latest}");
        self.received.fetch_add(1, Release);
    }
}
