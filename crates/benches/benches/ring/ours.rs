//! Ours.

use crate::{BATCH, CAPACITY, Consume, Ends, How, Produce, numbered, slices};
use anyhow::Result;
use interlatch::{Channel, Receiver, RingBuffer, Sender};
use interlatch_benches::ours;

pub fn ends(how: How) -> Result<Ends> {
    let ring: &RingBuffer<u64> = ours(1 << 16, CAPACITY)?;
    let produce = move || -> Produce {
        let mut sender = ring.sender().expect("the only one");
        match how {
            How::Items => Box::new(move |count| {
                (0..count).for_each(|item| sender.send(item).expect("a receiver"));
            }),
            How::Slices => Box::new(move |count| in_slices(count, &mut sender)),
            How::ShmSafe => Box::new(move |count| fill_in_place(count, &mut sender)),
        }
    };
    let consume = move || -> Consume {
        let mut receiver = ring.receiver().expect("the only one");
        match how {
            How::Items => {
                Box::new(move |count| (0..count).map(|_| receiver.recv().expect("a sender")).sum())
            }
            How::Slices => Box::new(move |count| sum_slices(count, &mut receiver)),
            How::ShmSafe => Box::new(move |count| sum_in_place(count, &mut receiver)),
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
        let most = BATCH.min((count - next) as usize);
        let mut loan = sender.loan(most).expect("a receiver");
        for (place, number) in loan.iter_mut().zip(next..) {
            *place = number;
        }
        next += loan.len() as u64;
        loan.send();
    }
}

fn sum_slices(count: u64, receiver: &mut Receiver<'_, RingBuffer<u64>>) -> u64 {
    let (mut items, mut sum, mut left) = ([0; BATCH], 0, count as usize);
    while left > 0 {
        let most = BATCH.min(left);
        let received = receiver.recv_slice(&mut items[..most]).expect("a sender");
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
