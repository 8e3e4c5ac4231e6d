//! A minimal ring that shows how fast a ring can be.

use crate::{BATCH, CAPACITY, Consume, Mode, Produce, RingEnds, numbered, slices};
use anyhow::Result;
use interlatch::platform::Ordering::{Acquire, Release};
use interlatch::platform::{AtomicU64, UnsafeCell};
use interlatch_benches::{Padded, shared};
use std::hint::spin_loop;

/// A ring that has neither handles nor sleeping nor disconnection. The ring consists of two counts
/// and the slots. Each side also keeps a local copy of the other side's count.
#[repr(C)]
struct Bare {
    written: Padded<AtomicU64>,
    read: Padded<AtomicU64>,
    slots: [UnsafeCell<u64>; CAPACITY],
}

// SAFETY: the two counts ensure that only one side accesses a slot at a time.
unsafe impl Sync for Bare {}

impl Bare {
    fn new() -> Self {
        Self {
            written: Padded::default(),
            read: Padded::default(),
            slots: [const { UnsafeCell::new(0) }; CAPACITY],
        }
    }
}

/// The callers pass the number of their next slot and their copy of the other side's count.
impl Bare {
    /// Waits for free slots and returns the number of free slots, up to `max`.
    fn free(&self, next: u64, seen: &mut u64, max: u64) -> u64 {
        while next - *seen == CAPACITY as u64 {
            *seen = self.read.0.load(Acquire);
            if next - *seen == CAPACITY as u64 {
                spin_loop();
            }
        }
        (CAPACITY as u64 - (next - *seen)).min(max)
    }

    /// Waits for filled slots and returns the number of filled slots, up to `max`.
    fn filled(&self, next: u64, seen: &mut u64, max: u64) -> u64 {
        while next == *seen {
            *seen = self.written.0.load(Acquire);
            if next == *seen {
                spin_loop();
            }
        }
        (*seen - next).min(max)
    }

    /// Fills slots as they become free, and publishes up to `batch` items with one store.
    fn produce(&self, count: u64, (next, seen): &mut (u64, u64), batch: u64) {
        let mut number = 0;
        while number < count {
            let free = self.free(*next, seen, batch.min(count - number));
            for offset in 0..free {
                let slot = &self.slots[(*next + offset) as usize % CAPACITY];
                // SAFETY: `free` returned this slot, so the consumer does not access it.
                slot.with_mut(|slot| unsafe { *slot = number + offset });
            }
            *next += free;
            number += free;
            self.written.0.store(*next, Release);
        }
    }

    fn consume(&self, mut left: u64, (next, seen): &mut (u64, u64), batch: u64) -> u64 {
        let mut sum = 0;
        while left > 0 {
            let filled = self.filled(*next, seen, batch.min(left));
            for offset in 0..filled {
                let slot = &self.slots[(*next + offset) as usize % CAPACITY];
                // SAFETY: `filled` returned this slot, so the producer does not access it.
                sum += slot.with(|slot| unsafe { *slot });
            }
            *next += filled;
            left -= filled;
            self.read.0.store(*next, Release);
        }
        sum
    }

    /// Returns `count` slots, starting with slot `next`, as one or two contiguous pieces.
    fn pieces(&self, next: u64, count: u64) -> impl Iterator<Item = &UnsafeCell<u64>> {
        let (slot, count) = (next as usize % CAPACITY, count as usize);
        let first = count.min(CAPACITY - slot);
        let pieces = [
            &self.slots[slot..slot + first],
            &self.slots[..count - first],
        ];
        pieces.into_iter().flatten()
    }

    /// Copies items from a slice into the ring.
    fn send(&self, mut items: &[u64], (next, seen): &mut (u64, u64)) {
        while !items.is_empty() {
            let free = self.free(*next, seen, items.len() as u64);
            let (sent, rest) = items.split_at(free as usize);
            for (slot, item) in self.pieces(*next, free).zip(sent) {
                // SAFETY: `free` returned this slot, so the consumer does not access it.
                slot.with_mut(|slot| unsafe { *slot = *item });
            }
            *next += free;
            self.written.0.store(*next, Release);
            items = rest;
        }
    }

    /// Copies items out of the ring into a slice and returns the number of items.
    fn recv(&self, items: &mut [u64], (next, seen): &mut (u64, u64)) -> usize {
        let filled = self.filled(*next, seen, items.len() as u64);
        for (slot, item) in self.pieces(*next, filled).zip(items) {
            // SAFETY: `filled` returned this slot, so the producer does not access it.
            *item = slot.with(|slot| unsafe { *slot });
        }
        *next += filled;
        self.read.0.store(*next, Release);
        filled as usize
    }
}

pub fn ends(mode: Mode) -> Result<RingEnds> {
    let bare = shared(Bare::new())?;
    let produce = move || -> Produce {
        let mut ends = (0, 0);
        match mode {
            // The batch size is the constant 1, so that the compiler removes the inner loop.
            Mode::Items => Box::new(move |count| bare.produce(count, &mut ends, 1)),
            Mode::InPlace => Box::new(move |count| bare.produce(count, &mut ends, BATCH as u64)),
            Mode::Slices => Box::new(move |count| {
                let mut items = [0; BATCH];
                slices(count, |from, length| {
                    numbered(&mut items[..length], from);
                    bare.send(&items[..length], &mut ends);
                });
            }),
        }
    };
    let consume = move || -> Consume {
        let mut ends = (0, 0);
        match mode {
            Mode::Items => Box::new(move |count| bare.consume(count, &mut ends, 1)),
            Mode::InPlace => Box::new(move |count| bare.consume(count, &mut ends, BATCH as u64)),
            Mode::Slices => Box::new(move |count| {
                let (mut items, mut sum, mut left) = ([0; BATCH], 0, count as usize);
                while left > 0 {
                    let received = bare.recv(&mut items[..BATCH.min(left)], &mut ends);
                    sum += items[..received].iter().sum::<u64>();
                    left -= received;
                }
                sum
            }),
        }
    };
    Ok((Box::new(produce), Box::new(consume)))
}
