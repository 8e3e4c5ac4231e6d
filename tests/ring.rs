//! The ring against a queue of the standard library, by random programs of one thread; and between two threads, as fast as
//! they can. (Processes are in `stages` and `deaths`, and what a hostile one writes is in `regions`.)

use interlatch::RingBuffer;
use interlatch::channel::{
    AttachError, Direction, RingReceiver, RingSender, SendTimeoutError, Slot, TryRecvError,
    TrySendError,
};
use interlatch_testing::property;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

type Ring = RingBuffer<u64, Box<[Slot<u64>]>>;

/// What one thread does that has both ends.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    SendSlice(usize),
    /// Asks for so many places, and sends so many of them.
    Fill(usize, usize),
    Receive,
    ReceiveInto(usize),
    /// Asks for so many items, and receives so many of them.
    Read(usize, usize),
    CloseSender,
    CloseReceiver,
}

fn step() -> impl Strategy<Value = Step> {
    let few = || 0_usize..6;
    prop_oneof![
        4 => Just(Step::Send),
        4 => few().prop_map(Step::SendSlice),
        4 => (few(), few()).prop_map(|(most, sent)| Step::Fill(most, sent)),
        4 => Just(Step::Receive),
        4 => few().prop_map(Step::ReceiveInto),
        4 => (few(), few()).prop_map(|(most, received)| Step::Read(most, received)),
        1 => Just(Step::CloseSender),
        1 => Just(Step::CloseReceiver),
    ]
}

/// What a ring is, and where its next place is.
struct Specification {
    items: VecDeque<u64>,
    capacity: usize,
    written: usize,
    read: usize,
    next: u64,
}

impl Specification {
    fn free(&self) -> usize {
        self.capacity - self.items.len()
    }

    /// The next numbers, which are sent.
    fn send(&mut self, count: usize) -> Vec<u64> {
        let sent: Vec<u64> = (self.next..).take(count).collect();
        self.items.extend(&sent);
        self.next += count as u64;
        self.written += count;
        sent
    }

    fn receive(&mut self, count: usize) -> Vec<u64> {
        self.read += count;
        self.items.drain(..count).collect()
    }

    /// How many of so many places from this one on there are before the end of the ring.
    fn in_one_piece(&self, from: usize, count: usize) -> usize {
        count.min(self.capacity - from % self.capacity)
    }
}

/// A ring, its ends as long as they are open, and what should be in it.
struct Run<'a> {
    sender: Option<RingSender<'a, u64>>,
    receiver: Option<RingReceiver<'a, u64>>,
    expected: Specification,
}

impl Run<'_> {
    fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::CloseSender => self.sender = None,
            Step::CloseReceiver => self.receiver = None,
            Step::Send | Step::SendSlice(_) | Step::Fill(..) => self.send(step)?,
            Step::Receive | Step::ReceiveInto(_) | Step::Read(..) => self.receive(step)?,
        }
        Ok(())
    }

    fn send(&mut self, step: Step) -> Result<(), String> {
        let Some(sender) = &mut self.sender else {
            return Ok(());
        };
        let (free, next) = (self.expected.free(), self.expected.next);
        let is_open = self.receiver.is_some();
        let refusal = match is_open {
            true => SendTimeoutError::Timeout(()),
            false => SendTimeoutError::Disconnected(()),
        };
        let room = if is_open { free } else { 0 };
        match step {
            Step::Send => {
                let expected = match (is_open, free) {
                    (false, _) => Err(TrySendError::Disconnected(next)),
                    (true, 0) => Err(TrySendError::Full(next)),
                    (true, _) => Ok(()),
                };
                same(sender.try_send(next), expected)?;
                self.expected.send(room.min(1));
            }
            Step::SendSlice(count) => {
                let items: Vec<u64> = (next..).take(count).collect();
                let sent = count.min(room);
                let is_refused = count > 0 && sent == 0;
                let expected = if is_refused { Err(refusal) } else { Ok(sent) };
                same(sender.try_send_slice(&items), expected)?;
                self.expected.send(sent);
            }
            Step::Fill(most, sent) => {
                let (written, expected) = (self.expected.written, &mut self.expected);
                let lent = expected.in_one_piece(written, most.max(1).min(room));
                let mut loan = match sender.try_loan(most) {
                    Ok(loan) => loan,
                    Err(refused) => return same((refused, 0), (refusal, room)),
                };
                same(loan.len(), lent)?;
                for (place, number) in loan.iter_mut().zip(next..) {
                    *place = number;
                }
                loan.send_first(sent);
                expected.send(sent.min(lent));
            }
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, step: Step) -> Result<(), String> {
        let Some(receiver) = &mut self.receiver else {
            return Ok(());
        };
        let there = self.expected.items.len();
        let refusal = match self.sender {
            Some(_) => TryRecvError::Empty,
            None => TryRecvError::Disconnected,
        };
        match step {
            Step::Receive => {
                let expected = self.expected.receive(there.min(1)).pop().ok_or(refusal);
                same(receiver.try_recv(), expected)?;
            }
            Step::ReceiveInto(count) => {
                let mut items = vec![0; count];
                let received = receiver.try_recv_into(&mut items);
                let expected = count.min(there);
                let is_refused = count > 0 && there == 0;
                let result = if is_refused {
                    Err(refusal)
                } else {
                    Ok(expected)
                };
                same(received, result)?;
                items.truncate(expected);
                same(items, self.expected.receive(expected))?;
            }
            Step::Read(most, received) => {
                let (read, expected) = (self.expected.read, &mut self.expected);
                let lent = expected.in_one_piece(read, most.max(1).min(there));
                let items = match receiver.try_borrow(most) {
                    Ok(items) => items,
                    Err(refused) => return same((refused, 0), (refusal, there)),
                };
                let found: Vec<u64> = items.iter().copied().collect();
                let first: Vec<u64> = expected.items.iter().copied().take(lent).collect();
                same(found, first)?;
                items.receive_first(received);
                expected.receive(received.min(lent));
            }
            _ => {}
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?}, expected {expected:?}")),
    }
}

fn as_specified((capacity, steps): (usize, Vec<Step>)) -> Result<(), String> {
    let ring = Ring::with_capacity(capacity).map_err(|error| error.to_string())?;
    let mut run = Run {
        sender: ring.sender().ok(),
        receiver: ring.receiver().ok(),
        expected: Specification {
            items: VecDeque::new(),
            capacity,
            written: 0,
            read: 0,
            next: 0,
        },
    };
    for (number, step) in steps.into_iter().enumerate() {
        run.take(step)
            .map_err(|error| format!("step {number}, {step:?}: {error}"))?;
        same(ring.len(), run.expected.items.len())?;
        let refusal = |is_open, direction| match is_open {
            true => Some(AttachError::SlotsInUse {
                direction,
                max: 1,
                parameter: None,
            }),
            false => Some(AttachError::Closed(direction)),
        };
        let refused = refusal(run.sender.is_some(), Direction::Sending);
        same(ring.sender().err(), refused)?;
        let refused = refusal(run.receiver.is_some(), Direction::Receiving);
        same(ring.receiver().err(), refused)?;
    }
    Ok(())
}

#[test]
fn a_ring_does_as_a_queue_does() {
    let programs = (1_usize..5, vec(step(), 0..40));
    property::check("a_ring_does_as_a_queue_does", &programs, as_specified);
}

/// Items of these two threads.
const COUNT: u64 = 300_000;

/// A number, three times.
type Triple = [u64; 3];

fn send(sender: &mut RingSender<'_, Triple>, mut random: fastrand::Rng) {
    let mut next = 0;
    while next < COUNT {
        let count = random.u64(1..=9).min(COUNT - next);
        let items: Vec<Triple> = (next..next + count).map(|number| [number; 3]).collect();
        next += match random.u8(..3) {
            0 => sender.send(items[0]).map(|()| 1).expect("a receiver"),
            1 => sender.send_slice(&items).expect("a receiver") as u64,
            _ => {
                let mut loan = sender.loan(items.len()).expect("a receiver");
                let lent = loan.len();
                let places = loan.iter_mut().zip(&items);
                places.for_each(|(place, item)| *place = *item);
                loan.send();
                lent as u64
            }
        };
    }
}

fn receive(receiver: &mut RingReceiver<'_, Triple>, mut random: fastrand::Rng) {
    let mut next = 0;
    let mut note = |item: Triple| {
        assert_eq!(item, [next; 3]);
        next += 1;
    };
    loop {
        let mut items = [[0; 3]; 9];
        let most = random.usize(1..=9);
        match random.u8(..3) {
            0 => match receiver.recv() {
                Ok(item) => note(item),
                Err(_) => break,
            },
            1 => match receiver.recv_into(&mut items[..most]) {
                Ok(count) => items[..count].iter().copied().for_each(&mut note),
                Err(_) => break,
            },
            _ => match receiver.borrow(most) {
                Ok(items) => items.iter().copied().for_each(&mut note),
                Err(_) => break,
            },
        }
    }
    assert_eq!(next, COUNT);
}

#[test]
fn two_threads_keep_every_item_whole_and_in_order() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for (capacity, exchanges) in [(1, false), (7, false), (256, false), (7, true)] {
        let ring = RingBuffer::<Triple, _>::with_capacity(capacity).expect("room");
        if exchanges {
            ring.avoid_membarrier();
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut sender = ring.sender().expect("the only one");
                send(&mut sender, fastrand::Rng::with_seed(seed));
            });
            let mut receiver = ring.receiver().expect("the only one");
            receive(&mut receiver, fastrand::Rng::with_seed(!seed));
        });
    }
}

#[test]
fn a_handle_that_ends_with_its_thread_is_replaced() {
    static RING: RingBuffer<u64, [Slot<u64>; 4]> =
        RingBuffer::from_slots([const { Slot::new() }; 4]);
    let mut receiver = RING.receiver().expect("the only one");
    let leaks = || {
        let mut sender = RING.sender().expect("the place is free");
        sender.send(1).expect("a receiver");
        std::mem::forget(sender);
    };
    for _ in 0..3 {
        thread::spawn(leaks).join().expect("all is well");
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [1], "and the end");
    }
    drop(RING.sender().expect("the place is free"));
    let closed = Err(AttachError::Closed(Direction::Sending));
    assert_eq!(RING.sender().map(drop), closed, "that was no death");
}

/// Receives what is left when it goes.
struct Drains<'a>(RingReceiver<'a, u64>, &'a mut Vec<u64>);

impl Drop for Drains<'_> {
    fn drop(&mut self) {
        while let Ok(items) = self.0.try_borrow(2) {
            assert!(self.1.len() < 3, "the same again");
            self.1.extend(items.iter());
            items.receive();
        }
    }
}

#[test]
fn a_destructor_that_a_panic_runs_receives_as_ever() {
    let ring = Ring::with_capacity(4).expect("room");
    let mut sender = ring.sender().expect("the first");
    assert_eq!(sender.try_send_slice(&[1, 2, 3]), Ok(3));
    let mut drained = Vec::new();
    let drains = Drains(ring.receiver().expect("the first"), &mut drained);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let _drains = drains;
        resume_unwind(Box::new("without a word"));
    }));
    assert!(ended.is_err());
    assert_eq!(drained, [1, 2, 3]);
    assert!(ring.is_empty());
}
