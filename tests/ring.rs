//! Compares the ring buffer with `VecDeque` in random programs of one thread, and tests the ring
//! buffer between two threads at full speed.
//!
//! `stages` and `crashes` test the ring buffer between processes. `regions` tests it with a hostile
//! process.

use interlatch::channel::{AttachError, Direction, Slot, TryRecvError, TrySendError};
use interlatch::sync::Static;
use interlatch::{Buffer, Channel, Receiver, RingBuffer, Sender};
use interlatch_testing::dying::in_dying_thread;
use interlatch_testing::property;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

type Ring = RingBuffer<u64, Box<[Slot<u64>]>>;

/// A step of a thread that has both handles.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    SendSlice(usize),
    /// Requests a loan of slots, and sends some of the slots. The fields are the number of
    /// requested slots and the number of sent slots.
    Loan(usize, usize),
    Receive,
    ReceiveInto(usize),
    /// Borrows items, and receives some of the items. The fields are the number of borrowed items
    /// and the number of received items.
    Borrow(usize, usize),
    CloseSender,
    CloseReceiver,
}

fn step() -> impl Strategy<Value = Step> {
    let few = || 0_usize..6;
    prop_oneof![
        4 => Just(Step::Send),
        4 => few().prop_map(Step::SendSlice),
        4 => (few(), few()).prop_map(|(max, sent)| Step::Loan(max, sent)),
        4 => Just(Step::Receive),
        4 => few().prop_map(Step::ReceiveInto),
        4 => (few(), few()).prop_map(|(max, received)| Step::Borrow(max, received)),
        1 => Just(Step::CloseSender),
        1 => Just(Step::CloseReceiver),
    ]
}

/// The specification: a queue, and the positions that determine where a loan ends.
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

    /// Sends the next consecutive numbers as items.
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

    /// Returns how many of the `count` slots from this position lie before the end of the ring.
    fn contiguous(&self, position: usize, count: usize) -> usize {
        count.min(self.capacity - position % self.capacity)
    }
}

/// A ring with its open handles and its specification.
struct Run<'a> {
    sender: Option<Sender<'a, Ring>>,
    receiver: Option<Receiver<'a, Ring>>,
    expected: Specification,
}

impl Run<'_> {
    fn perform(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::CloseSender => self.sender = None,
            Step::CloseReceiver => self.receiver = None,
            Step::Send | Step::SendSlice(_) | Step::Loan(..) => self.send(step)?,
            Step::Receive | Step::ReceiveInto(_) | Step::Borrow(..) => self.receive(step)?,
        }
        Ok(())
    }

    fn send(&mut self, step: Step) -> Result<(), String> {
        let Some(sender) = &mut self.sender else {
            return Ok(());
        };
        let (free, next) = (self.expected.free(), self.expected.next);
        let is_open = self.receiver.is_some();
        let error = match is_open {
            true => TrySendError::Full(()),
            false => TrySendError::Disconnected(()),
        };
        let free_slots = if is_open { free } else { 0 };
        match step {
            Step::Send => {
                let expected = match (is_open, free) {
                    (false, _) => Err(TrySendError::Disconnected(next)),
                    (true, 0) => Err(TrySendError::Full(next)),
                    (true, _) => Ok(()),
                };
                assert_same(sender.try_send(next), expected)?;
                self.expected.send(free_slots.min(1));
            }
            Step::SendSlice(count) => {
                let items: Vec<u64> = (next..).take(count).collect();
                let sent = count.min(free_slots);
                let fails = count > 0 && sent == 0;
                let expected = if fails { Err(error) } else { Ok(sent) };
                assert_same(sender.try_send_slice(&items), expected)?;
                self.expected.send(sent);
            }
            Step::Loan(max, sent) => {
                let (written, expected) = (self.expected.written, &mut self.expected);
                let lent = expected.contiguous(written, max.max(1).min(free_slots));
                let mut loan = match sender.try_loan(max) {
                    Ok(loan) => loan,
                    Err(found) => return assert_same((found, 0), (error, free_slots)),
                };
                assert_same(loan.len(), lent)?;
                for (slot, number) in loan.iter_mut().zip(next..) {
                    *slot = number;
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
        let available = self.expected.items.len();
        let error = match self.sender {
            Some(_) => TryRecvError::Empty,
            None => TryRecvError::Disconnected,
        };
        match step {
            Step::Receive => {
                let expected = self.expected.receive(available.min(1)).pop().ok_or(error);
                assert_same(receiver.try_recv(), expected)?;
            }
            Step::ReceiveInto(count) => {
                let mut items = vec![0; count];
                let received = receiver.try_recv_slice(&mut items);
                let expected = count.min(available);
                let fails = count > 0 && available == 0;
                let result = if fails { Err(error) } else { Ok(expected) };
                assert_same(received, result)?;
                items.truncate(expected);
                assert_same(items, self.expected.receive(expected))?;
            }
            Step::Borrow(max, received) => {
                let (read, expected) = (self.expected.read, &mut self.expected);
                let lent = expected.contiguous(read, max.max(1).min(available));
                let items = match receiver.try_borrow(max) {
                    Ok(items) => items,
                    Err(found) => return assert_same((found, 0), (error, available)),
                };
                let found: Vec<u64> = items.iter().copied().collect();
                let first: Vec<u64> = expected.items.iter().copied().take(lent).collect();
                assert_same(found, first)?;
                items.receive_first(received);
                expected.receive(received.min(lent));
            }
            _ => {}
        }
        Ok(())
    }
}

fn assert_same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?}, expected {expected:?}")),
    }
}

fn agrees_with_vec_deque((capacity, steps): (usize, Vec<Step>)) -> Result<(), String> {
    let ring = Ring::with_capacity(capacity).map_err(|error| error.to_string())?;
    let ring = ring.leak();
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
        run.perform(step)
            .map_err(|error| format!("step {number}, {step:?}: {error}"))?;
        assert_same(ring.len(), run.expected.items.len())?;
        let error = |is_open, direction| match is_open {
            true => Some(AttachError::SlotsInUse {
                direction,
                max: 1,
                parameter: None,
            }),
            false => Some(AttachError::Closed(direction)),
        };
        let found = error(run.sender.is_some(), Direction::Sending);
        assert_same(ring.sender().err(), found)?;
        let found = error(run.receiver.is_some(), Direction::Receiving);
        assert_same(ring.receiver().err(), found)?;
    }
    Ok(())
}

#[test]
fn ring_agrees_with_vec_deque() {
    let programs = (1_usize..5, vec(step(), 0..40));
    property::check(
        "ring_agrees_with_vec_deque",
        &programs,
        agrees_with_vec_deque,
    );
}

/// The number of items that pass between the two threads.
const COUNT: u64 = 300_000;

/// An item of three equal numbers.
type Triple = [u64; 3];
type Triples = RingBuffer<Triple, Box<[Slot<Triple>]>>;

fn send(sender: &mut Sender<'_, Triples>, mut random: fastrand::Rng) {
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
                let slots = loan.iter_mut().zip(&items);
                slots.for_each(|(slot, item)| *slot = *item);
                loan.send();
                lent as u64
            }
        };
    }
}

fn receive(receiver: &mut Receiver<'_, Triples>, mut random: fastrand::Rng) {
    let mut next = 0;
    let mut check = |item: Triple| {
        assert_eq!(item, [next; 3]);
        next += 1;
    };
    loop {
        let mut items = [[0; 3]; 9];
        let max = random.usize(1..=9);
        match random.u8(..3) {
            0 => match receiver.recv() {
                Ok(item) => check(item),
                Err(_) => break,
            },
            1 => match receiver.recv_slice(&mut items[..max]) {
                Ok(count) => items[..count].iter().copied().for_each(&mut check),
                Err(_) => break,
            },
            _ => match receiver.borrow(max) {
                Ok(items) => items.iter().copied().for_each(&mut check),
                Err(_) => break,
            },
        }
    }
    assert_eq!(next, COUNT);
}

#[test]
fn two_threads_pass_intact_items_in_order() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for (capacity, uses_exchange) in [(1, false), (7, false), (256, false), (7, true)] {
        let ring = RingBuffer::<Triple, _>::with_capacity(capacity).expect("the buffer has room");
        let ring = ring.leak();
        if uses_exchange {
            ring.avoid_membarrier();
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut sender = ring.sender().expect("the endpoint is free");
                send(&mut sender, fastrand::Rng::with_seed(seed));
            });
            let mut receiver = ring.receiver().expect("the endpoint is free");
            receive(&mut receiver, fastrand::Rng::with_seed(!seed));
        });
    }
}

#[test]
fn handle_of_dead_thread_is_replaced() {
    static RING: Static<RingBuffer<u64, [Slot<u64>; 4]>> =
        RingBuffer::from_slots([const { Slot::new() }; 4]);
    let receiver = RING.get().receiver().expect("the endpoint is free");
    let send_and_leak = || {
        let sender = RING.get().sender().expect("the endpoint is free");
        sender.send(1).expect("a receiver");
        std::mem::forget(sender);
    };
    for _ in 0..3 {
        in_dying_thread(send_and_leak);
        let items: Result<Vec<_>, _> = receiver.iter().collect();
        assert_eq!(items, Ok(vec![1]), "the item and the end");
    }
    drop(RING.get().sender().expect("the endpoint is free"));
    let closed = Err(AttachError::Closed(Direction::Sending));
    assert_eq!(
        RING.get().sender().map(drop),
        closed,
        "a dropped handle closes its side"
    );
}

/// A value whose destructor receives the remaining items.
struct DrainOnDrop<'a>(Receiver<'a, Ring>, &'a mut Vec<u64>);

impl Drop for DrainOnDrop<'_> {
    fn drop(&mut self) {
        while let Ok(items) = self.0.try_borrow(2) {
            assert!(self.1.len() < 3, "an item was received twice");
            self.1.extend(items.iter());
            items.receive();
        }
    }
}

#[test]
fn destructor_during_a_panic_can_receive() {
    let ring = Ring::with_capacity(4).expect("the buffer has room");
    let ring = ring.leak();
    let sender = ring.sender().expect("the endpoint is free");
    assert_eq!(sender.try_send_slice(&[1, 2, 3]), Ok(3));
    let mut drained = Vec::new();
    let drain = DrainOnDrop(ring.receiver().expect("the endpoint is free"), &mut drained);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let _drains = drain;
        resume_unwind(Box::new("without a message"));
    }));
    assert!(ended.is_err());
    assert_eq!(drained, [1, 2, 3]);
    assert!(ring.is_empty());
}
