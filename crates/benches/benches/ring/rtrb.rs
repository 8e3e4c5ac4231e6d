//! The producers and consumers of the ring in the crate rtrb, which runs between threads.

use crate::{BATCH, CAPACITY, Consume, Mode, Produce, RingEnds, numbered, slices};
use std::hint::spin_loop;

pub fn ends(mode: Mode) -> RingEnds {
    let (producer, consumer) = ::rtrb::RingBuffer::new(CAPACITY);
    let produce = move || -> Produce { self::produce(mode, producer) };
    let consume = move || -> Consume { self::consume(mode, consumer) };
    (Box::new(produce), Box::new(consume))
}

fn produce(mode: Mode, mut producer: ::rtrb::Producer<u64>) -> Produce {
    let mut items = [0; BATCH];
    match mode {
        Mode::Items => Box::new(move |count| {
            for item in 0..count {
                while producer.push(item).is_err() {
                    spin_loop();
                }
            }
        }),
        Mode::Slices => Box::new(move |count| {
            slices(count, |from, length| {
                numbered(&mut items[..length], from);
                let mut rest = &items[..length];
                while !rest.is_empty() {
                    let (sent, left) = producer.push_partial_slice(rest);
                    if sent.is_empty() {
                        spin_loop();
                    }
                    rest = left;
                }
            });
        }),
        Mode::InPlace => Box::new(move |count| {
            let mut next = 0;
            while next < count {
                let max = producer.slots().min(BATCH).min((count - next) as usize);
                if max == 0 {
                    spin_loop();
                    continue;
                }
                let chunk = producer
                    .write_chunk_uninit(max)
                    .expect("the slots are available");
                next += chunk.fill_from_iter(next..) as u64;
            }
        }),
    }
}

fn consume(mode: Mode, mut consumer: ::rtrb::Consumer<u64>) -> Consume {
    let mut items = [0; BATCH];
    match mode {
        Mode::Items => Box::new(move |count| {
            let mut sum = 0;
            for _ in 0..count {
                sum += loop {
                    match consumer.pop() {
                        Ok(item) => break item,
                        Err(_) => spin_loop(),
                    }
                };
            }
            sum
        }),
        Mode::Slices => Box::new(move |count| {
            let (mut sum, mut left) = (0, count as usize);
            while left > 0 {
                let (received, _) = consumer.pop_partial_slice(&mut items[..BATCH.min(left)]);
                if received.is_empty() {
                    spin_loop();
                }
                sum += received.iter().sum::<u64>();
                left -= received.len();
            }
            sum
        }),
        Mode::InPlace => Box::new(move |count| {
            let (mut sum, mut left) = (0, count as usize);
            while left > 0 {
                let max = consumer.slots().min(BATCH).min(left);
                if max == 0 {
                    spin_loop();
                    continue;
                }
                let chunk = consumer.read_chunk(max).expect("the slots are available");
                let (first, second) = chunk.as_slices();
                sum += first.iter().sum::<u64>() + second.iter().sum::<u64>();
                left -= max;
                chunk.commit_all();
            }
            sum
        }),
    }
}
