//! The promises of a segment list, the core of an unbounded buffer.
//!
//! A send does not wait for a receiver, and the list of segments is consistent after the death of
//! any process.

use super::{Destination, RaceCell, Scenario, Stage, expired_timeouts, initial, short_timeout};
use interlatch::channel::{
    ChannelError, Direction, GrowthLimit, RecvTimeoutError, Segment, SegmentList, Segments,
    SendTimeoutError, Slot,
};
use interlatch::platform::{ShmSafe, ShmType, TypeInfo};
use interlatch::sync::Timeout;
use std::convert::Infallible;

/// An unbounded queue with a growth limit.
pub trait Unlimited: ShmSafe {
    /// Sends, waiting only for the internal lock. Returns false if the queue has reached its growth
    /// limit.
    fn send(&self, item: u64) -> bool;

    /// Sends without waiting for the internal lock. Returns false if the queue has reached its
    /// growth limit or the lock is held.
    fn try_send(&self, item: u64) -> bool {
        self.send(item)
    }

    /// Receives an item into `destination`. Returns false if no item arrived in time.
    ///
    /// # Errors
    /// Fails if the queue is empty and all senders are disconnected.
    fn receive_into(&self, destination: &mut u64, timeout: Timeout) -> Result<bool, Ended>;

    /// Receives an item. Returns `None` if no item arrived in time.
    ///
    /// # Errors
    /// Fails like [`receive_into`](Self::receive_into).
    fn receive(&self, timeout: Timeout) -> Result<Option<u64>, Ended> {
        let mut item = 0;
        let is_received = self.receive_into(&mut item, timeout)?;
        Ok(is_received.then_some(item))
    }

    /// Attaches a sender and drops it.
    fn close(&self);
}

/// The error of a receive from an empty queue without senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

const SEGMENTS: usize = 2;
const GROWTH: GrowthLimit = GrowthLimit {
    items: 1,
    segments: SEGMENTS as u32,
};

/// A segment that holds one item, so each send crosses a segment boundary.
type One = Segment<u64, [Slot<u64>; 1]>;

/// A segment list and a pool of segments. The pool stores each segment with the number that the
/// list uses for it.
#[repr(C)]
#[derive(Debug)]
pub struct PooledList {
    list: SegmentList<u64, 2>,
    /// The pool has one segment more than the limit, for a segment that a killed process created
    /// but did not link.
    pool: [(RaceCell, One); SEGMENTS + 1],
}

// SAFETY: all users run the same program, so the pairs in the pool have the same layout everywhere.
// Every bit pattern is valid for all parts.
unsafe impl ShmSafe for PooledList {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too. A segment has no lock.
        unsafe {
            SegmentList::init_in_place(&raw mut (*at).list, GROWTH);
            let pool = core::array::from_fn(|_| (RaceCell::new(0), initial::<One>()));
            (&raw mut (*at).pool).write(pool);
        }
    }
}

impl ShmType for PooledList {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("PooledList");
}

impl PooledList {
    fn segment(&self, number: u64) -> &(RaceCell, One) {
        &self.pool[number as usize % self.pool.len()]
    }
}

/// Access to the segments of a pool.
struct Pool<'a>(&'a PooledList);

// SAFETY: the fields are private, and only the list of the same `PooledList` uses the pool.
unsafe impl Segments for Pool<'_> {
    type Item = u64;
    type Slots = [Slot<u64>; 1];
    type Error = Infallible;

    fn limit(&self) -> GrowthLimit {
        GROWTH
    }

    fn create(&self, number: u64) -> Result<(), Infallible> {
        let (tag, _) = self.0.segment(number);
        assert!(
            [0, number].contains(&tag.get()),
            "the segment is still in use"
        );
        tag.set(number);
        Ok(())
    }

    fn with<R>(&self, number: u64, act: impl FnOnce(&One) -> R) -> Result<R, Infallible> {
        let (tag, segment) = self.0.segment(number);
        assert_eq!(tag.get(), number, "the segment does not exist");
        Ok(act(segment))
    }

    fn remove(&self, number: u64) -> bool {
        let (tag, _) = self.0.segment(number);
        if tag.get() == number {
            tag.set(0);
        }
        true
    }

    fn retain(&self, _first: u64, _last: u64) {}
}

/// Segment access that always fails, as for another user or when no segment can be mapped.
struct Unseen;

/// The error that [`Unseen`] returns for every segment.
#[derive(Debug, thiserror::Error)]
#[error("the segment cannot be found")]
struct NotFound;

// SAFETY: `with` never calls its function, so no segment is accessed.
unsafe impl Segments for Unseen {
    type Item = u64;
    type Slots = [Slot<u64>; 1];
    type Error = NotFound;

    fn limit(&self) -> GrowthLimit {
        GROWTH
    }

    fn create(&self, _number: u64) -> Result<(), NotFound> {
        Err(NotFound)
    }

    fn with<R>(&self, _number: u64, _act: impl FnOnce(&One) -> R) -> Result<R, NotFound> {
        Err(NotFound)
    }

    fn remove(&self, _number: u64) -> bool {
        false
    }

    fn retain(&self, _first: u64, _last: u64) {}
}

/// Segments without slots, as if a faulty peer had overwritten them between two checks.
struct Shrinking;

// SAFETY: each call of `with` creates a new segment without slots, which no other process can
// access.
unsafe impl Segments for Shrinking {
    type Item = u64;
    type Slots = [Slot<u64>; 0];
    type Error = Infallible;

    fn limit(&self) -> GrowthLimit {
        GROWTH
    }

    fn create(&self, _number: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn with<R>(
        &self,
        _number: u64,
        act: impl FnOnce(&Segment<u64, [Slot<u64>; 0]>) -> R,
    ) -> Result<R, Infallible> {
        // SAFETY: a segment has no lock.
        Ok(act(&unsafe { initial() }))
    }

    fn remove(&self, _number: u64) -> bool {
        false
    }

    fn retain(&self, _first: u64, _last: u64) {}
}

impl Unlimited for PooledList {
    fn send(&self, item: u64) -> bool {
        let sent = self.list.send_with(&Pool(self), &item, Timeout::Infinite);
        match sent {
            Ok(()) => true,
            Err(SendTimeoutError::Failed((), ChannelError::LimitReached { .. })) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn try_send(&self, item: u64) -> bool {
        match self
            .list
            .send_with(&Pool(self), &item, Timeout::NonBlocking)
        {
            Ok(()) => true,
            Err(
                SendTimeoutError::Failed((), ChannelError::LimitReached { .. })
                | SendTimeoutError::Timeout(()),
            ) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn receive_into(&self, destination: &mut u64, timeout: Timeout) -> Result<bool, Ended> {
        match self.list.recv_into_with(&Pool(self), destination, timeout) {
            Ok(()) => Ok(true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
            Err(error) => panic!("{error}"),
        }
    }

    fn close(&self) {
        let seat = self.list.attach(Direction::Sending);
        drop(seat.unwrap_or_else(|error| panic!("the side is not closed yet: {error}")));
    }
}

/// A queue, the items whose sends succeeded, the items that two receivers got, and the memory into
/// which another receiver receives.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct SegmentListState<Q> {
    queue: Q,
    sent: [RaceCell; 2],
    got: [RaceCell; 2],
    destination: Destination<u64>,
}

/// Runs every scenario of a segment list.
pub fn all(stage: &mut impl Stage) {
    stage.run(keeps_order_across_segments::<PooledList>());
    stage.run(grows_to_its_limit_and_shrinks::<PooledList>());
    stage.run(concurrent_senders_grow_the_list::<PooledList>());
    stage.run(sender_death_keeps_the_list_consistent::<PooledList>());
    stage.run(receiver_death_keeps_the_list_consistent::<PooledList>());
    stage.run(item_of_killed_receiver_is_in_the_list_or_copied::<PooledList>());
    stage.run(last_sender_disconnects_receivers::<PooledList>());
    stage.run(closed_queue_can_be_drained::<PooledList>());
    stage.run(count_is_the_number_of_items());
    stage.run(failed_non_blocking_send_sends_nothing::<PooledList>());
    stage.run(failed_receiver_wakes_another_receiver());
    stage.run(send_into_a_damaged_segment_fails());
}

fn send<Q: Unlimited, const INDEX: usize>(shared: &SegmentListState<Q>, item: u64) {
    if shared.queue.send(item) {
        shared.sent[INDEX].set(shared.sent[INDEX].get() + item);
    }
}

fn receive<Q: Unlimited, const INDEX: usize>(shared: &SegmentListState<Q>, timeout: Timeout) {
    if let Some(item) = shared.queue.receive(timeout).expect("the queue is open") {
        assert!(
            [1, 10, 100].contains(&item),
            "received {item}, which was not sent"
        );
        shared.got[INDEX].set(shared.got[INDEX].get() + item);
    }
}

/// Receives the items left in the queue, returns their sum, and checks that no segment is lost.
///
/// The empty queue must then accept items up to its limit and return these items in order, twice.
/// Each received item makes room for another one.
fn drain_and_check<Q: Unlimited>(shared: &SegmentListState<Q>) -> u64 {
    let mut left = 0;
    while let Ok(Some(item)) = shared.queue.receive(Timeout::NonBlocking) {
        left += item;
    }
    for _ in 0..2 {
        for item in 0..SEGMENTS as u64 {
            assert!(shared.queue.send(item), "a segment is lost");
        }
        assert!(
            !shared.queue.send(9),
            "an item beyond the limit was accepted"
        );
        assert_eq!(shared.queue.receive(Timeout::NonBlocking), Ok(Some(0)));
        assert!(
            shared.queue.send(SEGMENTS as u64),
            "a drained segment still counts"
        );
        for item in 1..=SEGMENTS as u64 {
            assert_eq!(shared.queue.receive(Timeout::NonBlocking), Ok(Some(item)));
        }
    }
    left
}

fn sum(numbers: &[RaceCell; 2]) -> u64 {
    numbers.iter().map(|number| number.get()).sum()
}

/// A queue grows up to its limit, returns its items in order, and can be filled again.
///
/// A receiver with an expired timeout takes an item that it finds, and otherwise fails.
pub fn grows_to_its_limit_and_shrinks<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let alone = |shared: &SegmentListState<Q>| {
        for timeout in expired_timeouts() {
            assert_eq!(shared.queue.receive(timeout), Ok(None));
            assert!(shared.queue.send(1), "the queue is empty");
            assert_eq!(shared.queue.receive(timeout), Ok(Some(1)));
        }
        assert_eq!(drain_and_check(shared), 0);
    };
    Scenario::new("grows_to_its_limit_and_shrinks", vec![alone])
}

/// Items in different segments arrive in the order in which they were sent.
pub fn keeps_order_across_segments<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let sender = |shared: &SegmentListState<Q>| {
        assert!(shared.queue.send(1), "the limit is two");
        assert!(shared.queue.send(10), "the limit is two");
    };
    let receiver = |shared: &SegmentListState<Q>| {
        assert_eq!(shared.queue.receive(Timeout::Infinite), Ok(Some(1)));
        assert_eq!(shared.queue.receive(Timeout::Infinite), Ok(Some(10)));
    };
    Scenario::new("keeps_order_across_segments", vec![sender, receiver])
        .verify(|shared| assert_eq!(drain_and_check(shared), 0))
        .choices(4)
}

/// Two senders that create segments concurrently lose no item.
pub fn concurrent_senders_grow_the_list<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> = vec![
        |shared| send::<Q, 0>(shared, 1),
        |shared| send::<Q, 1>(shared, 10),
        |shared| receive::<Q, 0>(shared, Timeout::Infinite),
    ];
    Scenario::new("concurrent_senders_grow_the_list", participants)
        .verify(|shared| {
            assert_eq!(sum(&shared.got) + drain_and_check(shared), 11);
            assert_eq!(sum(&shared.sent), 11);
        })
        .choices(8)
}

/// If a sender is killed at any step, the list is consistent and other senders continue.
///
/// The sender may die between creating a segment and linking it. Either the whole item was sent or
/// nothing was sent.
pub fn sender_death_keeps_the_list_consistent<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| send::<Q, 0>(shared, 1), |shared| {
            send::<Q, 1>(shared, 10);
            receive::<Q, 0>(shared, Timeout::NonBlocking);
        }];
    Scenario::new("sender_death_keeps_the_list_consistent", participants)
        .verify(|shared| {
            let found = sum(&shared.got) + drain_and_check(shared);
            assert!([10, 11].contains(&found), "found {found}");
            assert!(found >= sum(&shared.sent), "found {found}");
        })
        .choices(8)
        .victims(&[0])
}

/// If a receiver is killed at any step, the list is consistent and other receivers continue.
///
/// The receiver may die between unlinking a segment and removing it. The killed receiver took the
/// oldest item or none. The other receiver does not recheck periodically, so it needs a wake-up.
pub fn receiver_death_keeps_the_list_consistent<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> = vec![
        |shared| receive::<Q, 0>(shared, short_timeout()),
        |shared| {
            send::<Q, 0>(shared, 1);
            send::<Q, 0>(shared, 10);
            receive::<Q, 1>(shared, Timeout::Infinite);
        },
    ];
    Scenario::new("receiver_death_keeps_the_list_consistent", participants)
        .verify(|shared| {
            let found = sum(&shared.got) + drain_and_check(shared);
            assert!([1, 10, 11].contains(&found), "found {found}");
        })
        .choices(8)
        .victims(&[0])
        .without_rechecks()
}

/// If a receiver is killed during a receive, its item is in the list or in the receiver's memory.
///
/// The receiver receives into shared memory and is killed at any step. A receiver that marks the
/// item as received before it has copied the item loses the item.
pub fn item_of_killed_receiver_is_in_the_list_or_copied<Q: Unlimited>()
-> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> = vec![
        |shared| {
            let receive = |item: &mut u64| shared.queue.receive_into(item, Timeout::NonBlocking);
            let _ = shared.destination.fill(receive);
        },
        |shared| send::<Q, 0>(shared, 1),
    ];
    Scenario::new(
        "item_of_killed_receiver_is_in_the_list_or_copied",
        participants,
    )
    .verify(|shared| {
        let (left, copied) = (drain_and_check(shared), shared.destination.get());
        assert!(left <= 1, "the item is doubled");
        assert!(left + copied >= 1, "the item is lost");
    })
    .choices(8)
    .victims(&[0])
}

/// Dropping the last sender disconnects a waiting receiver.
pub fn last_sender_disconnects_receivers<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| shared.queue.close(), |shared| {
            assert_eq!(shared.queue.receive(Timeout::Infinite), Err(Ended))
        }];
    Scenario::new("last_sender_disconnects_receivers", participants).choices(8)
}

/// Receivers get the items of the last sender before they are disconnected.
pub fn closed_queue_can_be_drained<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let sender = |shared: &SegmentListState<Q>| {
        send::<Q, 0>(shared, 1);
        send::<Q, 0>(shared, 10);
        shared.queue.close();
    };
    let receiver = |shared: &SegmentListState<Q>| {
        for item in [Ok(Some(1)), Ok(Some(10)), Err(Ended), Err(Ended)] {
            assert_eq!(shared.queue.receive(Timeout::Infinite), item);
        }
    };
    Scenario::new("closed_queue_can_be_drained", vec![sender, receiver]).choices(4)
}

/// The count of a list is the number of items in all its segments.
pub fn count_is_the_number_of_items() -> Scenario<SegmentListState<PooledList>> {
    let alone = |shared: &SegmentListState<PooledList>| {
        let queue = &shared.queue;
        for count in [0, 1, 2] {
            assert_eq!(queue.list.count(&Pool(queue)), Some(count));
            assert_eq!(queue.send(1), count < SEGMENTS);
        }
        assert_eq!(queue.receive(Timeout::NonBlocking), Ok(Some(1)));
        assert_eq!(queue.list.count(&Pool(queue)), Some(1));
    };
    Scenario::new("count_is_the_number_of_items", vec![alone])
}

/// A non-blocking send that fails has sent nothing.
///
/// The other sender may hold the lock. The queue contains exactly the items whose sends succeeded.
pub fn failed_non_blocking_send_sends_nothing<Q: Unlimited>() -> Scenario<SegmentListState<Q>> {
    let participants: Vec<fn(&SegmentListState<Q>)> =
        vec![|shared| send::<Q, 0>(shared, 1), |shared| {
            if shared.queue.try_send(10) {
                shared.sent[1].set(10);
            }
        }];
    Scenario::new("failed_non_blocking_send_sends_nothing", participants)
        .verify(|shared| {
            assert_eq!(
                shared.sent[0].get(),
                1,
                "a blocking send failed below the limit"
            );
            assert_eq!(drain_and_check(shared), sum(&shared.sent));
        })
        .choices(8)
}

/// If a woken receiver cannot access the segment, it wakes another receiver.
///
/// The other receiver does not recheck periodically. If the failed receiver keeps the wake-up, the
/// other receiver hangs.
pub fn failed_receiver_wakes_another_receiver() -> Scenario<SegmentListState<PooledList>> {
    let participants: Vec<fn(&SegmentListState<PooledList>)> = vec![
        |shared| {
            let taken = shared
                .queue
                .list
                .recv_into_with(&Unseen, &mut 0, short_timeout());
            assert!(
                taken.is_err(),
                "received from a segment that cannot be accessed"
            );
        },
        |shared| receive::<PooledList, 0>(shared, Timeout::Infinite),
        |shared| send::<PooledList, 0>(shared, 1),
    ];
    Scenario::new("failed_receiver_wakes_another_receiver", participants)
        .verify(|shared| assert_eq!(shared.got[0].get(), 1))
        .choices(8)
        .without_rechecks()
}

/// A send into a segment that a faulty peer damaged fails with an error.
///
/// The segment loses its slots between the check for a free slot and the next step.
pub fn send_into_a_damaged_segment_fails() -> Scenario<SegmentListState<PooledList>> {
    let alone = |shared: &SegmentListState<PooledList>| {
        let sent = shared
            .queue
            .list
            .send_with(&Shrinking, &1, Timeout::Infinite);
        let corrupted = SendTimeoutError::Failed((), ChannelError::Corrupted);
        assert_eq!(sent, Err(corrupted));
    };
    Scenario::new("send_into_a_damaged_segment_fails", vec![alone])
}
