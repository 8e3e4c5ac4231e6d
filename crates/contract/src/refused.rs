//! What a process promises the others if an operation fails because its thread holds the maximum
//! number of robust locks.
//!
//! Such an operation may have consumed a notification. It cannot use the notification, so it must
//! notify another waiter. Dropping a handle, a delivery, a turn or a permit never fails, and wakes
//! the waiters.

use super::{RaceCell, Scenario, Stage, short_timeout};
use interlatch::channel::{
    Channel, ChannelError, RecvTimeoutError, Rendezvous, RobustBoundedBuffer, SendTimeoutError,
    TurnSlot, Unregistered,
};
use interlatch::platform::ShmSafe;
use interlatch::platform::robust::{MAX_HELD, RobustListError};
use interlatch::sync::Timeout;
use interlatch::sync::{
    AcquireError, Acquired, PairSlot, RawRobustMutex, RobustSemaphore, RobustSemaphorePair,
};

/// An object, the locks that one process holds, and the sum of the items that a receiver got.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct RefusedState<O> {
    object: O,
    locks: [RawRobustMutex; MAX_HELD],
    received: RaceCell,
}

type OneTurn = RobustSemaphorePair<[PairSlot; 1]>;
type OnePermit = RobustSemaphore<1>;
type SmallRendezvous = Rendezvous<u64, 2>;

/// Runs every scenario of refused operations.
pub fn all(stage: &mut impl Stage) {
    stage.run(refused_writer_wakes_another_writer());
    stage.run(refused_sender_wakes_another_sender());
    stage.run(refused_acceptor_wakes_a_receiver());
    stage.run(last_handle_of_a_full_thread_wakes_a_receiver());
    stage.run(dropped_delivery_of_a_full_thread_wakes_a_receiver());
    stage.run(dropped_turn_of_a_full_thread_wakes_a_writer());
    stage.run(refused_turn_of_a_full_thread_wakes_a_writer());
    stage.run(dropped_permit_of_a_full_thread_wakes_an_acquirer());
    stage.run(only_a_large_item_needs_two_locks());
    stage.run(non_blocking_receive_needs_one_lock());
    stage.run(timed_out_operations_hold_no_lock());
}

impl<O> RefusedState<O> {
    /// Runs `action` while the calling thread can hold only the internal lock of an object.
    fn with_room_for_one(&self, action: impl FnOnce()) {
        self.with_locks(MAX_HELD - 1, action);
    }

    /// Runs `action` while the calling thread holds this number of additional locks.
    fn with_locks(&self, count: usize, action: impl FnOnce()) {
        let held = &self.locks[..count];
        for lock in held {
            assert_eq!(lock.lock_with(Timeout::NonBlocking), Ok(Acquired::Clean));
        }
        action();
        // SAFETY: this thread locked each of these locks above.
        held.iter().for_each(|lock| unsafe { lock.unlock() });
    }
}

fn is_refused<T>(result: Result<T, AcquireError>) -> bool {
    matches!(result.err(), Some(AcquireError::RobustList(_)))
}

fn granted<T>(acquired: Result<T, AcquireError>) -> T {
    acquired.unwrap_or_else(|error| panic!("{error}"))
}

fn write(shared: &RefusedState<OneTurn>) {
    drop(granted(shared.object.write()));
}

/// A writer of a pair that cannot hold its turn wakes another writer.
///
/// A turn returns unfinished while both writers wait. If the refused writer keeps the notification,
/// the other writer hangs.
pub fn refused_writer_wakes_another_writer() -> Scenario<RefusedState<OneTurn>> {
    let refused = |shared: &RefusedState<OneTurn>| {
        shared.with_room_for_one(|| assert!(is_refused(shared.object.write())));
    };
    Scenario::new(
        "refused_writer_wakes_another_writer",
        vec![refused, write, write],
    )
    .choices(8)
}

fn send(shared: &RefusedState<SmallRendezvous>) {
    let sent = shared.object.send_unregistered(1, Timeout::Infinite);
    assert_eq!(sent, Ok(()));
}

fn receive(shared: &RefusedState<SmallRendezvous>) {
    let item = shared.object.recv_unregistered(Timeout::Infinite);
    let item = item.expect("a sender sends");
    shared.received.set(shared.received.get() + item);
}

/// A sender of a rendezvous that cannot own its offer wakes another sender.
///
/// Two other senders wait for the end of each other's send. If the refused sender keeps the
/// notification, the last sender and the receiver hang.
pub fn refused_sender_wakes_another_sender() -> Scenario<RefusedState<SmallRendezvous>> {
    let refused = |shared: &RefusedState<SmallRendezvous>| {
        shared.with_room_for_one(|| {
            let sent = shared.object.send_unregistered(9, Timeout::Infinite);
            let cause = ChannelError::RobustList(RobustListError::TooManyLocks(MAX_HELD));
            assert_eq!(sent, Err(SendTimeoutError::Failed(9, cause)));
        });
    };
    let receive_both = |shared: &RefusedState<SmallRendezvous>| {
        receive(shared);
        receive(shared);
    };
    Scenario::new(
        "refused_sender_wakes_another_sender",
        vec![send, send, refused, receive_both],
    )
    .verify(|shared| assert_eq!(shared.received.get(), 2))
    .choices(12)
}

/// A receiver of a rendezvous that cannot hold an accepted item wakes another receiver.
///
/// Both receivers wait for the only item. If the refused receiver keeps the notification, the other
/// receiver and the sender hang.
pub fn refused_acceptor_wakes_a_receiver() -> Scenario<RefusedState<SmallRendezvous>> {
    let participants: Vec<fn(&RefusedState<SmallRendezvous>)> = vec![send, receive, |shared| {
        shared.with_room_for_one(|| {
            let accepted = shared.object.accept_unregistered(short_timeout());
            assert!(accepted.is_err(), "an item without an owner was accepted");
        });
    }];
    Scenario::new("refused_acceptor_wakes_a_receiver", participants)
        .verify(|shared| assert_eq!(shared.received.get(), 1))
        .choices(8)
}

/// Dropping the last handle of a side wakes a waiter of the other side, even if the thread holds
/// the maximum number of robust locks.
///
/// The handle is one of these locks. If the drop cannot take the internal lock and wakes no waiter,
/// the receiver hangs.
pub fn last_handle_of_a_full_thread_wakes_a_receiver() -> Scenario<RefusedState<SmallRendezvous>> {
    let full = |shared: &RefusedState<SmallRendezvous>| {
        let sender = shared.object.sender().expect("the side is open");
        shared.with_locks(MAX_HELD - 1, || drop(sender));
    };
    let receiver = |shared: &RefusedState<SmallRendezvous>| {
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.object.recv_unregistered(Timeout::Infinite), end);
    };
    Scenario::new(
        "last_handle_of_a_full_thread_wakes_a_receiver",
        vec![full, receiver],
    )
}

/// Dropping a delivery wakes another receiver, even if the thread holds the maximum number of
/// robust locks.
///
/// The delivery is one of these locks. If the drop does not take the internal lock, its
/// notification may come before the other receiver sleeps, and that receiver hangs.
pub fn dropped_delivery_of_a_full_thread_wakes_a_receiver()
-> Scenario<RefusedState<SmallRendezvous>> {
    let participants: Vec<fn(&RefusedState<SmallRendezvous>)> = vec![send, receive, |shared| {
        let accepted = shared.object.accept_unregistered(short_timeout());
        shared.with_locks(MAX_HELD - 1, || drop(accepted));
    }];
    Scenario::new(
        "dropped_delivery_of_a_full_thread_wakes_a_receiver",
        participants,
    )
    .verify(|shared| assert_eq!(shared.received.get(), 1))
    .choices(8)
}

type Inner<const WORDS: usize> = RobustBoundedBuffer<[u64; WORDS], [TurnSlot<[u64; WORDS]>; 1], 2>;

/// A buffer of items of 1024 bytes, and a buffer of larger items.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct SmallAndLarge {
    small: Inner<128>,
    large: Inner<129>,
}

/// A send of an item of at most 1024 bytes needs only the internal lock. A send of a larger item
/// also needs the lock of its slot.
pub fn only_a_large_item_needs_two_locks() -> Scenario<RefusedState<SmallAndLarge>> {
    let alone = |shared: &RefusedState<SmallAndLarge>| {
        let SmallAndLarge { small, large } = &shared.object;
        shared.with_room_for_one(|| {
            let sent = small.send_unregistered([1; 128], Timeout::NonBlocking);
            assert_eq!(sent, Ok(()));
            let sent = large.send_unregistered([1; 129], Timeout::NonBlocking);
            let cause = ChannelError::RobustList(RobustListError::TooManyLocks(MAX_HELD));
            assert_eq!(sent, Err(SendTimeoutError::Failed([1; 129], cause)));
        });
        let sent = large.send_unregistered([1; 129], Timeout::NonBlocking);
        assert_eq!(sent, Ok(()));
    };
    Scenario::new("only_a_large_item_needs_two_locks", vec![alone])
}

/// A non-blocking receive through a rendezvous needs only the internal lock, because it never waits
/// in a slot.
pub fn non_blocking_receive_needs_one_lock() -> Scenario<RefusedState<SmallRendezvous>> {
    let alone = |shared: &RefusedState<SmallRendezvous>| {
        shared.with_room_for_one(|| {
            let received = shared.object.recv_unregistered(Timeout::NonBlocking);
            assert_eq!(received, Err(RecvTimeoutError::Timeout));
        });
    };
    Scenario::new("non_blocking_receive_needs_one_lock", vec![alone])
}

/// A send or a receive through a rendezvous leaves no lock that its thread holds, even if it
/// withdraws without the internal lock.
///
/// Afterwards, each thread acquires the maximum number of robust locks.
pub fn timed_out_operations_hold_no_lock() -> Scenario<PairOfThreads> {
    let sender = |shared: &PairOfThreads| {
        let PairOfThreads(state, locks) = shared;
        let _ = state.object.send_unregistered(1, Timeout::NonBlocking);
        let _ = state.object.send_unregistered(1, short_timeout());
        hold_all(locks);
    };
    let receiver = |shared: &PairOfThreads| {
        let PairOfThreads(state, _) = shared;
        let _ = state.object.recv_unregistered(short_timeout());
        hold_all(&state.locks);
    };
    Scenario::new("timed_out_operations_hold_no_lock", vec![sender, receiver]).choices(8)
}

/// A rendezvous, and as many locks for each of two threads as a thread can hold.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct PairOfThreads(RefusedState<SmallRendezvous>, [RawRobustMutex; MAX_HELD]);

fn hold_all(locks: &[RawRobustMutex; MAX_HELD]) {
    for lock in locks {
        let locked = lock.lock_with(Timeout::NonBlocking);
        assert_eq!(locked, Ok(Acquired::Clean), "a lock is still held");
    }
    // SAFETY: this thread locked each of these locks above.
    locks.iter().for_each(|lock| unsafe { lock.unlock() });
}

/// Dropping a turn of a pair wakes another writer, even if the thread holds the maximum number of
/// robust locks.
///
/// The turn is one of these locks. If the drop does not take the internal lock, its notification
/// may come before the other writer sleeps, and that writer hangs.
pub fn dropped_turn_of_a_full_thread_wakes_a_writer() -> Scenario<RefusedState<OneTurn>> {
    let full = |shared: &RefusedState<OneTurn>| {
        let turn = granted(shared.object.write());
        shared.with_locks(MAX_HELD - 1, || drop(turn));
    };
    let participants = vec![full, write];
    Scenario::new("dropped_turn_of_a_full_thread_wakes_a_writer", participants)
}

/// A turn that its thread cannot finish returns to its side and wakes another writer.
///
/// The thread holds the maximum number of robust locks, and the turn is one of them, so the thread
/// cannot take the internal lock.
pub fn refused_turn_of_a_full_thread_wakes_a_writer() -> Scenario<RefusedState<OneTurn>> {
    let full = |shared: &RefusedState<OneTurn>| {
        let turn = granted(shared.object.write());
        shared.with_locks(MAX_HELD - 1, || assert!(is_refused(turn.finish())));
    };
    let participants = vec![full, write];
    Scenario::new("refused_turn_of_a_full_thread_wakes_a_writer", participants)
}

/// Dropping a permit wakes an acquirer, even if the thread holds the maximum number of robust
/// locks.
///
/// The permit is one of these locks. If the drop does not take the internal lock, its notification
/// may come before the acquirer sleeps, and the acquirer hangs.
pub fn dropped_permit_of_a_full_thread_wakes_an_acquirer() -> Scenario<RefusedState<OnePermit>> {
    let full = |shared: &RefusedState<OnePermit>| {
        let permit = granted(shared.object.acquire());
        shared.with_locks(MAX_HELD - 1, || drop(permit));
    };
    let acquire = |shared: &RefusedState<OnePermit>| drop(granted(shared.object.acquire()));
    Scenario::new(
        "dropped_permit_of_a_full_thread_wakes_an_acquirer",
        vec![full as fn(&RefusedState<OnePermit>), acquire],
    )
}
