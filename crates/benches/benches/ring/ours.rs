//! The producers and consumers of the interlatch ring.

use crate::{BATCH, CAPACITY, Consume, Mode, Produce, RingEnds, numbered, slices};
use anyhow::Result;
use interlatch::{Channel, Receiver, RingBuffer, Sender};
use interlatch_benches::create_in_region;

pub fn ends(mode: Mode) -> Result<RingEnds> {
    let ring: &RingBuffer<u64> = create_in_region(1 << 16, CAPACITY)?;
    let produce = move || -> Produce {
        let mut sender = ring.sender().expect("the only one");
        match mode {
            Mode::Items => Box::new(move |count| {
                (0..count).for_each(|item| sender.send(item).expect("a receiver"));
            }),
            Mode::Slices => Box::new(move |count| in_slices(count, &mut sender)),
            Mode::InPlace => Box::new(move |count| fill_in_place(count, &mut sender)),
        }
    };
    let consume = move || -> Consume {
        let mut receiver = ring.receiver().expect("the only one");
        match mode {
            Mode::Items => {
                Box::new(move |count| (0..count).map(|_| receiver.recv().expect("a sender")).sum())
            }
            Mode::Slices => Box::new(move |count| sum_slices(count, &mut receiver)),
            Mode::InPlace => Box::new(move |count| sum_in_place(count, &mut receiver)),
        }
    };
    Ok((Box::new(produce), Box::new(consume)))
}

fn in_slices(count: u64, sender: &mut Sender<'_, RingBuffer<u64>>) {
    let mut items = [0; BATCH];
    slices(count, |from, length| {
        numbered(&mut items[..length], from);
        sender.send_slice(&items[..length]).expect("a receiver");
    });
}

fn fill_in_place(count: u64, sender: &mut Sender<'_, RingBuffer<u64>>) {
    let mut next = 0;
    while next < count {
        let max = BATCH.min((count - next) as usize);
        let mut loan = sender.loan(max).expect("a receiver");
        for (slot, number) in loan.iter_mut().zip(next..) {
            *slot = number;
        }
        next += loan.len() as u64;
        loan.send();
    }
}

fn sum_slices(count: u64, receiver: &mut Receiver<'_, RingBuffer<u64>>) -> u64 {
    let (mut items, mut sum, mut left) = ([0; BATCH], 0, count as usize);
    while left > 0 {
        let max = BATCH.min(left);
        let received = receiver.recv_slice(&mut items[..max]).expect("a sender");
        sum += items[..received].iter().sum::<u64>();
        left -= received;
    }
    sum
}

fn sum_in_place(count: u64, receiver: &mut Receiver<'_, RingBuffer<u64>>) -> u64 {
    let (mut sum, mut left) = (0, count as usize);
    while left > 0 {
        let items = receiver.borrow(BATCH.min(left)).expect("a sender");
        sum += items.iter().sum::<u64>();
        left -= items.len();
    }
    sum
}
