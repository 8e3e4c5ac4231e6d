//! An error names the cause of a failure: `Disconnected` means only that the other side has
//! disconnected.

use interlatch::channel::{
    AttachError, ChannelError, Direction, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
    Slot, TryRecvError, TrySendError, TurnSlot,
};
use interlatch::platform::robust::{OWNER, RobustListError};
use interlatch::platform::{AtomicU32, Ordering};
use interlatch::sync::{Static, Timeout};
use interlatch::{
    Buffer, Channel, Region, Rendezvous, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex,
    ShmSafe,
};

type Monitor = RobustMonitorBuffer<u64, [Slot<u64>; 1], 2>;
type Bounded = RobustBoundedBuffer<u64, [TurnSlot<u64>; 1], 2>;
type Large = RobustBoundedBuffer<[u8; 2000], [TurnSlot<[u8; 2000]>; 1], 2>;

/// The maximum number of robust locks that a thread can hold.
const MAX_LOCKS: usize = 128;

const FULL: ChannelError = ChannelError::RobustList(RobustListError::TooManyLocks(MAX_LOCKS));

/// Runs an operation while this thread holds `count` additional robust locks.
fn with_locks<R>(count: usize, operation: impl FnOnce() -> R) -> R {
    let locks: Vec<_> = (0..count).map(|_| RobustMutex::new(()).leak()).collect();
    let guards: Vec<_> = locks
        .iter()
        .map(|lock| lock.lock().expect("the lock is free"))
        .collect();
    let result = operation();
    drop(guards);
    result
}

/// Checks the errors that a thread gets while it holds the maximum number of robust locks.
fn thread_at_its_limit<B: Buffer<Item = u64>>(buffer: &B) {
    let (sender, receiver) = (
        buffer.sender().expect("the channel is open"),
        buffer.receiver(),
    );
    let receiver = receiver.expect("the channel is open");
    with_locks(MAX_LOCKS - 2, || {
        assert_eq!(sender.send(7), Err(SendError::Failed(7, FULL)));
        assert_eq!(sender.try_send(7), Err(TrySendError::Failed(7, FULL)));
        let sent = sender.send_with(7, Timeout::Infinite);
        assert_eq!(sent, Err(SendTimeoutError::Failed(7, FULL)));
        assert_eq!(receiver.recv(), Err(RecvError::Failed(FULL)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Failed(FULL)));
        let received = receiver.recv_with(Timeout::Infinite);
        assert_eq!(received, Err(RecvTimeoutError::Failed(FULL)));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [Err(FULL)]);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Err(FULL)]);
        assert_eq!(buffer.sender().err(), Some(AttachError::Failed(FULL)));
    });
    if buffer.capacity() > 0 {
        assert_eq!(sender.try_send(8), Ok(()), "both sides are connected");
        assert_eq!(receiver.recv(), Ok(8));
    }
    drop(sender);
    assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
}

#[test]
fn thread_at_its_robust_lock_limit_gets_the_cause() {
    static MONITOR: Static<Monitor> = Monitor::from_slots([Slot::new()]);
    static BOUNDED: Static<Bounded> = Bounded::new();
    static RENDEZVOUS: Static<Rendezvous<u64, 2>> = Rendezvous::new();
    thread_at_its_limit(MONITOR.get());
    thread_at_its_limit(BOUNDED.get());
    thread_at_its_limit(RENDEZVOUS.get());
}

#[test]
fn loan_fails_at_the_maximum_of_robust_locks() {
    let buffer = Large::new_leaked();
    let (sender, receiver) = (
        buffer.sender().expect("the channel is open"),
        buffer.receiver(),
    );
    let receiver = receiver.expect("the channel is open");
    // The thread can acquire one more lock, which is enough for the internal lock but not for the
    // lock of the slot.
    with_locks(MAX_LOCKS - 3, || {
        assert_eq!(sender.loan().err(), Some(SendError::Failed((), FULL)));
        let sent = sender.send_ref(&[1; 2000]);
        assert_eq!(sent, Err(SendError::Failed((), FULL)));
    });
    sender.send([1; 2000]).expect("the buffer has room");
    with_locks(MAX_LOCKS - 3, || {
        assert_eq!(receiver.borrow().err(), Some(RecvError::Failed(FULL)));
    });
    assert_eq!(receiver.borrow().expect("an item")[0], 1);
}

/// Corrupts the lock word as a faulty process could. The lock word is the first word of the object.
fn corrupt_lock<T>(object: &T) {
    let word = std::ptr::from_ref(object).cast::<u32>().cast_mut();
    // SAFETY: the object begins with its lock word, which all users access atomically.
    unsafe { AtomicU32::from_ptr(word) }.store(OWNER, Ordering::Relaxed);
}

fn corrupt<B: Buffer<Item = u64>>(buffer: &B) {
    const CORRUPTED: ChannelError = ChannelError::Corrupted;
    let (sender, receiver) = (
        buffer.sender().expect("the channel is open"),
        buffer.receiver(),
    );
    let receiver = receiver.expect("the channel is open");
    corrupt_lock(buffer);
    assert_eq!(sender.send(7), Err(SendError::Failed(7, CORRUPTED)));
    assert_eq!(sender.try_send(7), Err(TrySendError::Failed(7, CORRUPTED)));
    assert_eq!(receiver.recv(), Err(RecvError::Failed(CORRUPTED)));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [Err(CORRUPTED)]);
    let attached = buffer.receiver().err();
    assert_eq!(attached, Some(AttachError::Failed(CORRUPTED)));
}

#[test]
fn corrupted_lock_is_not_a_disconnection() {
    let region = Region::memfd("causes", 1 << 14).expect("a region");
    corrupt(
        region
            .create::<Monitor>("monitor", ())
            .expect("the region has room"),
    );
    corrupt(
        region
            .create::<Rendezvous<u64, 2>>("rendezvous", ())
            .expect("the region has room"),
    );
}

#[test]
fn attach_error_says_what_to_do() {
    let buffer = Monitor::from_slots([Slot::new()]).leak();
    let senders = [buffer.sender(), buffer.sender()];
    let in_use = buffer.sender().expect_err("both slots are in use");
    assert_eq!(
        in_use.to_string(),
        "all 2 sender slots are in use; raise the MAX_ENDPOINTS parameter or drop a sender"
    );
    drop(senders);
    let closed = buffer.sender().err();
    assert_eq!(closed, Some(AttachError::Closed(Direction::Sending)));
}
