//! A ring that is nothing but a ring.

use crate::{BATCH, CAPACITY, Consume, Mode, Produce, RingEnds, numbered, slices};
use anyhow::Result;
use interlatch::platform::Ordering::{Acquire, Release};
use interlatch::platform::{AtomicU64, UnsafeCell};
use interlatch_benches::{Padded, shared};
use std::hint::spin_loop;

/// A ring without handles, sleep, or an end: two counts, each with a copy of the other one's, and places.
#[repr(C)]
struct Bare {
    written: Padded<AtomicU64>,
    read: Padded<AtomicU64>,
    places: [UnsafeCell<u64>; CAPACITY],
}

// SAFETY: a place belongs to one side, as in ours.
unsafe impl Sync for Bare {}

impl Bare {
    fn new() -> Self {
        Self {
            written: Padded::default(),
            read: Padded::default(),
            places: [const { UnsafeCell::new(0) }; CAPACITY],
        }
    }
}

/// Each side has the number of its next place, and what it has seen of the other one's count.
impl Bare {
    /// Waits for free places, and says mode many there are, at max so many.
    fn free(&self, next: u64, seen: &mut u64, max: u64) -> u64 {
        while next - *seen == CAPACITY as u64 {
            *seen = self.read.0.load(Acquire);
            if next - *seen == CAPACITY as u64 {
                spin_loop();
            }
        }
        (CAPACITY as u64 - (next - *seen)).min(max)
    }

    /// Waits for items.
    fn filled(&self, next: u64, seen: &mut u64, max: u64) -> u64 {
        while next == *seen {
            *seen = self.written.0.load(Acquire);
            if next == *seen {
                spin_loop();
            }
        }
        (*seen - next).min(max)
    }

    /// Fills places as they become free, and moves the count after that many at max.
    fn produce(&self, count: u64, (next, seen): &mut (u64, u64), batch: u64) {
        let mut number = 0;
        while number < count {
            let free = self.free(*next, seen, batch.min(count - number));
            for offset in 0..free {
                let place = &self.places[(*next + offset) as usize % CAPACITY];
                // SAFETY: the place is free.
                place.with_mut(|place| unsafe { *place = number + offset });
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
                let place = &self.places[(*next + offset) as usize % CAPACITY];
                // SAFETY: the place is filled.
                sum += place.with(|place| unsafe { *place });
            }
            *next += filled;
            left -= filled;
            self.read.0.store(*next, Release);
        }
        sum
    }

    /// So many places from this one on: up to the last one, and from the first one on.
    fn pieces(&self, next: u64, count: u64) -> impl Iterator<Item = &UnsafeCell<u64>> {
        let (place, count) = (next as usize % CAPACITY, count as usize);
        let first = count.min(CAPACITY - place);
        let pieces = [
            &self.places[place..place + first],
            &self.places[..count - first],
        ];
        pieces.into_iter().flatten()
    }

    /// Copies these numbers into the ring.
    fn send(&self, mut items: &[u64], (next, seen): &mut (u64, u64)) {
        while !items.is_empty() {
            let free = self.free(*next, seen, items.len() as u64);
            let (sent, rest) = items.split_at(free as usize);
            for (place, item) in self.pieces(*next, free).zip(sent) {
                // SAFETY: the place is free.
                place.with_mut(|place| unsafe { *place = *item });
            }
            *next += free;
            self.written.0.store(*next, Release);
            items = rest;
        }
    }

    /// Copies numbers out of the ring, and says mode many.
    fn recv(&self, items: &mut [u64], (next, seen): &mut (u64, u64)) -> usize {
        let filled = self.filled(*next, seen, items.len() as u64);
        for (place, item) in self.pieces(*next, filled).zip(items) {
            // SAFETY: the place is filled.
            *item = place.with(|place| unsafe { *place });
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
            // A constant, so that there is no loop inside.
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
