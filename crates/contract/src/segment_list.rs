//! What a queue that grows promises: whoever sends does not wait, and the chain of its segments is whole
//! wherever a process dies.

use super::{RaceCell, Scenario, Stage, short_timeout};
use interlatch::channel::{
    Direction, GrowError, GrowthLimit, Segment, SegmentList, Segments, Slot, TakeError,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;
use std::convert::Infallible;

/// A queue without end, but for a limit.
pub trait Unlimited: ShmSafe {
    /// Sends, and waits for no more than the lock; false at the limit.
    fn send(&self, item: u64) -> bool;

    /// Sends without waiting even for the lock; false also if it was not free.
    fn try_send(&self, item: u64) -> bool {
        self.send(item)
    }

    /// Receives; nothing, if there was none in time.
    ///
    /// # Errors
    /// There is none, and all senders are gone.
    fn take(&self, timeout: Timeout) -> Result<Option<u64>, Ended>;

    /// A sender comes and goes.
    fn close(&self);
}

/// The stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

const SEGMENTS: usize = 2;
const GROWTH: GrowthLimit = GrowthLimit {
    items: 1,
    segments: SEGMENTS as u32,
};

/// A segment of one item: a death is before it, in it or after it.
type One = Segment<u64, [Slot<u64>; 1]>;

/// A chain with a few segments beside it, each with the number that it has now.
#[repr(C)]
#[derive(Debug)]
pub struct PooledList {
    chain: SegmentList<u64, 2>,
    /// One more than may be linked: for one that a dead process has left.
    pool: [(RaceCell, One); SEGMENTS + 1],
}

// SAFETY: the models, threads and processes that use it run the same program, in which the pairs of the pool
// have one layout; all parts are valid for every bit pattern.
unsafe impl ShmSafe for PooledList {
    fn initial() -> Self {
        Self {
            chain: SegmentList::new(GROWTH),
            pool: core::array::from_fn(|_| (RaceCell::new(0), One::initial())),
        }
    }
}

impl PooledList {
    fn place(&self, number: u64) -> &(RaceCell, One) {
        &self.pool[number as usize % self.pool.len()]
    }
}

/// The segments of a queue, for its own chain.
struct Pool<'a>(&'a PooledList);

// SAFETY: the fields are private, and only the chain beside it is given the pool.
unsafe impl Segments for Pool<'_> {
    type Item = u64;
    type Slots = [Slot<u64>; 1];
    type Error = Infallible;

    fn growth(&self) -> GrowthLimit {
        GROWTH
    }

    fn make(&self, number: u64) -> Result<(), Infallible> {
        let (tag, _) = self.0.place(number);
        assert!([0, number].contains(&tag.get()), "it is another one still");
        tag.set(number);
        Ok(())
    }

    fn with<R>(&self, number: u64, act: impl FnOnce(&One) -> R) -> Result<R, Infallible> {
        let (tag, segment) = self.0.place(number);
        assert_eq!(tag.get(), number, "a segment that is not there");
        Ok(act(segment))
    }

    fn remove(&self, number: u64) {
        let (tag, _) = self.0.place(number);
        if tag.get() == number {
            tag.set(0);
        }
    }

    fn keep(&self, _first: u64, _last: u64) {}
}

/// What one sees who cannot use the segments: of another user, or without room for one more mapping.
struct Unseen;

/// It is not to be found.
#[derive(Debug, thiserror::Error)]
#[error("not to be found")]
struct NotFound;

// SAFETY: there are none.
unsafe impl Segments for Unseen {
    type Item = u64;
    type Slots = [Slot<u64>; 1];
    type Error = NotFound;

    fn growth(&self) -> GrowthLimit {
        GROWTH
    }

    fn make(&self, _number: u64) -> Result<(), NotFound> {
        Err(NotFound)
    }

    fn with<R>(&self, _number: u64, _act: impl FnOnce(&One) -> R) -> Result<R, NotFound> {
        Err(NotFound)
    }

    fn remove(&self, _number: u64) {}

    fn keep(&self, _first: u64, _last: u64) {}
}

/// Segments from which a faulty peer takes their room between one look and the next.
struct Shrinking;

// SAFETY: they are new ones each time, of no place.
unsafe impl Segments for Shrinking {
    type Item = u64;
    type Slots = [Slot<u64>; 0];
    type Error = Infallible;

    fn growth(&self) -> GrowthLimit {
        GROWTH
    }

    fn make(&self, _number: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn with<R>(
        &self,
        _number: u64,
        act: impl FnOnce(&Segment<u64, [Slot<u64>; 0]>) -> R,
    ) -> Result<R, Infallible> {
        Ok(act(&ShmSafe::initial()))
    }

    fn remove(&self, _number: u64) {}

    fn keep(&self, _first: u64, _last: u64) {}
}

impl Unlimited for PooledList {
    fn send(&self, item: u64) -> bool {
        let sent = self.chain.send_with(&Pool(self), &item, Timeout::Infinite);
        match sent {
            Ok(()) => true,
            Err(GrowError::AtLimit(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn try_send(&self, item: u64) -> bool {
        match self
            .chain
            .send_with(&Pool(self), &item, Timeout::NonBlocking)
        {
            Ok(()) => true,
            Err(GrowError::AtLimit(_) | GrowError::Timeout) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn take(&self, timeout: Timeout) -> Result<Option<u64>, Ended> {
        let mut item = 0;
        match self.chain.take(&Pool(self), &mut item, timeout) {
            Ok(()) => Ok(Some(item)),
            Err(TakeError::Timeout) => Ok(None),
            Err(TakeError::Disconnected) => Err(Ended),
            Err(error) => panic!("{error}"),
        }
    }

    fn close(&self) {
        let seat = self.chain.attach(Direction::Sending);
        drop(seat.unwrap_or_else(|error| panic!("nobody has closed it yet, but {error}")));
    }
}

/// A queue, what was sent by each of two, and what was received.
#[repr(C)]
#[derive(Debug)]
pub struct SegmentListState<Q> {
    queue: Q,
    sent: [RaceCell; 2],
    got: [RaceCell; 2],
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl<Q: Unlimited> ShmSafe for SegmentListState<Q> {
    fn initial() -> Self {
        let nothing = || [RaceCell::new(0), RaceCell::new(0)];
        Self {
            queue: Q::initial(),
            sent: nothing(),
            got: nothing(),
        }
    }
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    stage.run(keeps_order_across_segments::<PooledList>());
    stage.run(grows_to_its_limit_and_shrinks::<PooledList>());
    stage.run(concurrent_senders_grow_the_list::<PooledList>());
    stage.run(sender_death_keeps_the_list_consistent::<PooledList>());
    stage.run(receiver_death_keeps_the_list_consistent::<PooledList>());
    stage.run(last_sender_disconnects_receivers::<PooledList>());
    stage.run(failed_non_blocking_send_sends_nothing::<PooledList>());
    stage.run(failed_receiver_wakes_another_receiver());
    stage.run(send_into_a_damaged_segment_fails());
}

fn send<Q: Unlimited, const INDEX: usize>(shared: &SegmentListState<Q>, item: u64) {
    if shared.queue.send(item) {
        shared.sent[INDEX].set(shared.sent[INDEX].get() + item);
    }
}

fn take<Q: Unlimited, const INDEX: usize>(shared: &SegmentListState<Q>, timeout: Timeout) {
    if let Some(item) = shared.queue.take(timeout).expect("nobody has closed it") {
        assert!([1, 10, 100].contains(&item), "nobody has sent {item}");
        shared.got[INDEX].set(shared.got[INDEX].get() + item);
    }
}

/// All that is left; afterwards it takes as many items as ever, in order.
fn left_in<Q: Unlimited>(shared: &SegmentListState<Q>) -> u64 {
    let mut left = 0;
    while let Ok(Some(item)) = shared.queue.take(Timeout::NonBlocking) {
        left += item;
    }
    for _ in 0..2 {
        for item in 0..SEGMENTS as u64 {
            assert!(shared.queue.send(item), "a segment is lost");
        }
        assert!(!shared.queue.send(9), "over the limit");
        for item in 0..SEGMENTS as u64 {
            assert_eq!(shared.queue.take(Timeout::NonBlocking), Ok(Some(item)));
        }
    }
    left
}

fn sum(numbers: &[RaceCell; 2]) -> u64 {
    numbers.iter().map(|number| number.get()).sum()
}

/// Alone: it takes as many as its limit, gives them back in order, and can be filled again.
pub fn grows_to_its_limit_and_shrinks<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let alone = |shared: &SegmentListState<Q>| assert_eq!(left_in(shared), 0);
    Scenario::new("grows_to_its_limit_and_shrinks", vec![alone])
}

/// What one sends another receives in the same order, each in a segment of its own.
pub fn keeps_order_across_segments<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let sender = |shared: &SegmentListState<Q>| {
        assert!(shared.queue.send(1), "no limit of one");
        assert!(shared.queue.send(10), "no limit of two");
    };
    let receiver = |shared: &SegmentListState<Q>| {
        assert_eq!(shared.queue.take(Timeout::Infinite), Ok(Some(1)));
        assert_eq!(shared.queue.take(Timeout::Infinite), Ok(Some(10)));
    };
    Scenario::new("keeps_order_across_segments", vec![sender, receiver])
        .verify(|shared| assert_eq!(left_in(shared), 0))
        .choices(4)
}

/// Two make a segment, and one drains what they send.
pub fn concurrent_senders_grow_the_list<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> = vec![
        |shared| send::<Q, 0>(shared, 1),
        |shared| send::<Q, 1>(shared, 10),
        |shared| take::<Q, 0>(shared, Timeout::Infinite),
    ];
    Scenario::new("concurrent_senders_grow_the_list", participants)
        .verify(|shared| {
            assert_eq!(sum(&shared.got) + left_in(shared), 11);
            assert_eq!(sum(&shared.sent), 11);
        })
        .choices(8)
}

/// A sender is killed, also while it makes a segment: its item was sent or not, and others grow on.
pub fn sender_death_keeps_the_list_consistent<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| send::<Q, 0>(shared, 1), |shared| {
            send::<Q, 1>(shared, 10);
            take::<Q, 0>(shared, Timeout::NonBlocking);
        }];
    Scenario::new("sender_death_keeps_the_list_consistent", participants)
        .verify(|shared| {
            let there = sum(&shared.got) + left_in(shared);
            assert!([10, 11].contains(&there), "{there} is there");
            assert!(there >= sum(&shared.sent), "{there} is there");
        })
        .choices(8)
        .victims(&[0])
}

/// A receiver is killed, also while it removes a segment: it has taken the oldest item or not, and the rest is
/// there, for one that does not look twice.
pub fn receiver_death_keeps_the_list_consistent<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| take::<Q, 0>(shared, short_timeout()), |shared| {
            send::<Q, 0>(shared, 1);
            send::<Q, 0>(shared, 10);
            take::<Q, 1>(shared, Timeout::Infinite);
        }];
    Scenario::new("receiver_death_keeps_the_list_consistent", participants)
        .verify(|shared| {
            let there = sum(&shared.got) + left_in(shared);
            assert!([1, 10, 11].contains(&there), "{there} is there");
        })
        .choices(8)
        .victims(&[0])
        .without_rechecks()
}

/// The last sender goes, or is killed: who waits for an item hears of it.
pub fn last_sender_disconnects_receivers<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| shared.queue.close(), |shared| {
            assert_eq!(shared.queue.take(Timeout::Infinite), Err(Ended))
        }];
    Scenario::new("last_sender_disconnects_receivers", participants).choices(8)
}

/// Who does not wait for the lock has sent its item if it is told so, and else has not.
pub fn failed_non_blocking_send_sends_nothing<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| send::<Q, 0>(shared, 1), |shared| {
            if shared.queue.try_send(10) {
                shared.sent[1].set(10);
            }
        }];
    Scenario::new("failed_non_blocking_send_sends_nothing", participants)
        .verify(|shared| {
            assert_eq!(shared.sent[0].get(), 1, "it waits for the lock");
            assert_eq!(left_in(shared), sum(&shared.sent));
        })
        .choices(8)
}

/// One that is woken for an item, and cannot take it, wakes another one that can, which does not look twice.
pub fn failed_receiver_wakes_another_receiver() -> Scenario<SegmentListState<PooledList>> {
    let participants: Vec<fn(&SegmentListState<PooledList>)> = vec![
        |shared| {
            let taken = shared.queue.chain.take(&Unseen, &mut 0, short_timeout());
            assert!(taken.is_err(), "there is {taken:?} in no segment");
        },
        |shared| take::<PooledList, 0>(shared, Timeout::Infinite),
        |shared| send::<PooledList, 0>(shared, 1),
    ];
    Scenario::new("failed_receiver_wakes_another_receiver", participants)
        .verify(|shared| assert_eq!(shared.got[0].get(), 1))
        .choices(8)
        .without_rechecks()
}

/// A faulty peer has written into the segment between the look for room and the next step: the sender hears of it.
pub fn send_into_a_damaged_segment_fails() -> Scenario<SegmentListState<PooledList>> {
    let alone = |shared: &SegmentListState<PooledList>| {
        let sent = shared
            .queue
            .chain
            .send_with(&Shrinking, &1, Timeout::Infinite);
        assert!(matches!(sent, Err(GrowError::Damaged(1))), "{sent:?}");
    };
    Scenario::new("send_into_a_damaged_segment_fails", vec![alone])
}
