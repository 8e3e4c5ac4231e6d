//! Scenarios with timeouts: an operation that times out must have had no effect.

use super::{
    BufferState, Scenario, distant_timeout, expired_timeouts, receive_as, send, send_one, sum_left,
    sum_received,
};
use crate::short_timeout;
use interlatch::channel::{RecvTimeoutError, SendTimeoutError, Unregistered};
use interlatch::sync::Timeout;
use std::time::Duration;

/// A receiver that times out takes no item, and consumes no wake-up that another receiver needs.
///
/// One of two receivers has a timeout, and one item is sent. If the timed-out receiver consumes the
/// item or the wake-up, the other receiver hangs.
pub fn timed_out_receiver_takes_no_item<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let with_timeout = |shared: &BufferState<B>| {
        let timeout = Timeout::after(Duration::from_micros(50));
        match shared.buffer.recv_unregistered(timeout) {
            Ok(item) => send(shared, item),
            Err(error) => assert_eq!(error, RecvTimeoutError::Timeout),
        }
    };
    let participants = vec![with_timeout, send_one, receive_as::<B, 0>];
    Scenario::new("timed_out_receiver_takes_no_item", participants)
        .verify(|shared| assert_eq!((sum_received(shared), sum_left(shared)), (1, 0)))
        .choices(8)
}

/// A receiver that cannot lock the buffer again before its timeout passes its notification on.
///
/// One of two receivers has a timeout. A process sends one item and then holds the internal lock
/// for another operation. If that receiver is woken for the item, and times out while it waits for
/// the lock, the other receiver must be woken instead.
pub fn refused_receiver_passes_its_notification_on<B: Unregistered<Item = u64>>()
-> Scenario<BufferState<B>> {
    let with_timeout = |shared: &BufferState<B>| {
        if let Ok(item) = shared.buffer.recv_unregistered(short_timeout()) {
            send(shared, item);
        }
    };
    let sender = |shared: &BufferState<B>| {
        send(shared, 1);
        assert!(shared.buffer.len() <= 1);
    };
    let participants = vec![with_timeout, receive_as::<B, 0>, sender];
    Scenario::new("refused_receiver_passes_its_notification_on", participants)
        .verify(|shared| assert_eq!((sum_received(shared), sum_left(shared)), (1, 0)))
        .choices(8)
}

/// A sender that times out gets its item back, and the buffer does not contain the item.
///
/// One of two senders has a timeout. The sum of the received items must equal the sum of the items
/// whose senders reported success.
pub fn timed_out_sender_keeps_its_item<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let with_timeout = |shared: &BufferState<B>| {
        let timeout = Timeout::after(Duration::from_micros(50));
        match shared.buffer.send_unregistered(4, timeout) {
            Ok(()) => shared.got[1][0].set(4),
            Err(error) => assert_eq!(error, SendTimeoutError::Timeout(4)),
        }
    };
    let participants = vec![with_timeout, receive_as::<B, 0>, send_one];
    Scenario::new("timed_out_sender_keeps_its_item", participants)
        .verify(|shared| {
            let sent = 1 + shared.got[1][0].get();
            let received = shared.got[0][0].get();
            assert_eq!(received + sum_left(shared), sent);
        })
        .choices(8)
}

/// Operations that time out lose no item and no slot, double no item and keep the order.
///
/// The sender has short timeouts, and the receiver has a short timeout and then does not block.
/// Each timeout may expire while the other process holds an internal lock.
pub fn timed_operations_lose_no_item<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    // The digits of a number are the items, in order.
    fn append(number: u64, item: u64) -> u64 {
        number * 10 + item
    }
    let sender = |shared: &BufferState<B>| {
        for item in [1, 2] {
            match shared.buffer.send_unregistered(item, short_timeout()) {
                Ok(()) => shared.got[0][0].set(append(shared.got[0][0].get(), item)),
                Err(error) => assert_eq!(error, SendTimeoutError::Timeout(item)),
            }
        }
    };
    let receiver = |shared: &BufferState<B>| {
        for timeout in [short_timeout(), Timeout::NonBlocking] {
            match shared.buffer.recv_unregistered(timeout) {
                Ok(item) => shared.got[1][0].set(append(shared.got[1][0].get(), item)),
                Err(error) => assert_eq!(error, RecvTimeoutError::Timeout),
            }
        }
    };
    let participants = vec![sender as fn(&BufferState<B>), receiver];
    Scenario::new("timed_operations_lose_no_item", participants)
        .verify(|shared| {
            let left = || shared.buffer.recv_unregistered(Timeout::NonBlocking).ok();
            let received = std::iter::from_fn(left).fold(shared.got[1][0].get(), append);
            assert_eq!(received, shared.got[0][0].get(), "received, sent");
            every_slot_is_free(&shared.buffer);
        })
        .choices(6)
}

/// Checks that an empty buffer accepts as many items as it has slots.
fn every_slot_is_free<B: Unregistered<Item = u64>>(buffer: &B) {
    // A kernel pipe holds thousands of items.
    let items = 0..buffer.capacity().min(8) as u64;
    for item in items.clone() {
        let sent = buffer.send_unregistered(item, Timeout::NonBlocking);
        assert_eq!(sent, Ok(()), "a slot is lost");
    }
    for item in items {
        assert_eq!(buffer.recv_unregistered(Timeout::NonBlocking), Ok(item));
    }
}

/// A call with an expired or the longest timeout passes an item without waiting if it can. A call
/// with an expired timeout otherwise fails.
pub fn handles_extreme_timeouts<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let alone = |shared: &BufferState<B>| {
        for timeout in expired_timeouts() {
            let nothing = shared.buffer.recv_unregistered(timeout);
            assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
        }
        for timeout in expired_timeouts() {
            assert_eq!(shared.buffer.send_unregistered(8, timeout), Ok(()));
            assert_eq!(shared.buffer.recv_unregistered(timeout), Ok(8));
        }
        for item in 0..shared.buffer.capacity() as u64 {
            assert_eq!(
                shared.buffer.send_unregistered(item, distant_timeout()),
                Ok(())
            );
        }
        for timeout in expired_timeouts() {
            let full = shared.buffer.send_unregistered(9, timeout);
            assert_eq!(full, Err(SendTimeoutError::Timeout(9)));
        }
        assert_eq!(shared.buffer.recv_unregistered(distant_timeout()), Ok(0));
    };
    Scenario::new("handles_extreme_timeouts", vec![alone])
}
