//! Closing a buffer, and the results of calls after all senders or all receivers are dropped.

use super::{BufferState, Scenario, receive, send};
use interlatch::channel::{
    AttachError, Direction, RecvTimeoutError, SendTimeoutError, Unregistered,
};
use interlatch::sync::Timeout;

/// Attaches a handle and drops it. If no other handle of this side exists, the drop closes the
/// side.
pub(super) fn close<B: Unregistered<Item = u64>>(shared: &BufferState<B>, direction: Direction) {
    let closed = match direction {
        Direction::Sending => shared.buffer.attach_sender().map(drop),
        Direction::Receiving => shared.buffer.attach_receiver().map(drop),
    };
    closed.unwrap_or_else(|error| panic!("the side is open, but {error}"));
}

/// Dropping a sender while another one exists does not disconnect the receivers.
///
/// If every drop closed the side, the receiver would get an error although a sender exists.
pub fn dropping_one_of_two_senders_keeps_the_buffer_open<B: Unregistered<Item = u64>>()
-> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| {
        let sender = shared.buffer.sender().expect("the buffer is open");
        close(shared, Direction::Sending);
        sender.send(1).expect("the receivers are connected");
    };
    let receiver = |shared: &BufferState<B>| assert_eq!(receive(shared), 1);
    Scenario::new(
        "dropping_one_of_two_senders_keeps_the_buffer_open",
        vec![sender, receiver],
    )
}

/// After the last sender is dropped, receivers get the remaining items and then `Disconnected`.
///
/// If closing discards items or hides them, the receiver gets the error too early.
pub fn closed_buffer_can_be_drained<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| {
        send(shared, 1);
        close(shared, Direction::Sending);
    };
    let receiver = |shared: &BufferState<B>| {
        assert_eq!(receive(shared), 1);
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::Infinite), end);
        assert_eq!(
            shared.buffer.recv_unregistered(Timeout::NonBlocking),
            end,
            "the end is not permanent"
        );
    };
    Scenario::new("closed_buffer_can_be_drained", vec![sender, receiver])
}

/// After one side of a buffer is closed, every call of the other side fails with `Disconnected`,
/// whether the call blocks or not.
///
/// Only the last handle closes its side. An endpoint without a handle closes nothing. A closed side
/// cannot be opened again, and the error names the side.
pub fn closed_buffer_stays_closed<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let close_and_check = |shared: &BufferState<B>| {
        let last = shared.buffer.attach_sender();
        drop(shared.buffer.unregistered_sender());
        close(shared, Direction::Sending);
        close(shared, Direction::Sending);
        drop(last);
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::NonBlocking), end);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::Infinite), end);
        let closed = AttachError::Closed(Direction::Sending);
        assert_eq!(shared.buffer.attach_sender().err(), Some(closed.clone()));
        // The kernel closes the end of a pipe, which is then not available without a handle either.
        if let Err(error) = shared.buffer.unregistered_sender() {
            assert_eq!(error, closed);
        }
        close(shared, Direction::Receiving);
        let closed = AttachError::Closed(Direction::Receiving);
        assert_eq!(shared.buffer.attach_receiver().err(), Some(closed.clone()));
        if let Err(error) = shared.buffer.unregistered_receiver() {
            assert_eq!(error, closed);
        }
        let broken = Err(SendTimeoutError::Disconnected(1));
        assert_eq!(
            shared.buffer.send_unregistered(1, Timeout::NonBlocking),
            broken
        );
        assert_eq!(
            shared.buffer.send_unregistered(1, Timeout::Infinite),
            broken
        );
    };
    Scenario::new("closed_buffer_stays_closed", vec![close_and_check])
}

/// Dropping the last sender wakes every waiting receiver.
///
/// Two receivers wait. If the drop wakes only one receiver, the other receiver hangs.
pub fn closing_wakes_every_receiver<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let receiver = |shared: &BufferState<B>| {
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::Infinite), end);
    };
    let closer = |shared: &BufferState<B>| close(shared, Direction::Sending);
    Scenario::new(
        "closing_wakes_every_receiver",
        vec![receiver, receiver, closer],
    )
    .choices(8)
}

/// Dropping the last receiver wakes every waiting sender and returns their items.
///
/// Two senders fill the buffer and wait. If the drop wakes only one sender, the other sender hangs.
pub fn closing_wakes_every_sender<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    fn fill_and_wait<B: Unregistered<Item = u64>>(shared: &BufferState<B>) {
        for item in 0..=shared.buffer.capacity() as u64 {
            if let Err(error) = shared.buffer.send_unregistered(item, Timeout::Infinite) {
                assert_eq!(error, SendTimeoutError::Disconnected(item));
                return;
            }
        }
        panic!("more items were sent than the capacity");
    }
    let closer = |shared: &BufferState<B>| close(shared, Direction::Receiving);
    let participants = vec![fill_and_wait as fn(&BufferState<B>), fill_and_wait, closer];
    Scenario::new("closing_wakes_every_sender", participants).choices(8)
}

/// Every receiver gets `Disconnected` after the last sender is dropped, even if two receivers call
/// at the same time.
///
/// A buffer may signal the disconnection with a permit that each receiver acquires and releases
/// again. A non-blocking receive between these two steps must report the disconnection, not an
/// empty buffer.
pub fn every_receiver_sees_disconnection<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>>
{
    let receiver = |shared: &BufferState<B>| {
        let end = Err(RecvTimeoutError::Disconnected);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::Infinite), end);
        assert_eq!(shared.buffer.recv_unregistered(Timeout::NonBlocking), end);
    };
    let closer = |shared: &BufferState<B>| close(shared, Direction::Sending);
    let participants = vec![receiver as fn(&BufferState<B>), receiver, closer];
    Scenario::new("every_receiver_sees_disconnection", participants).choices(8)
}

/// Every sender gets `Disconnected` and its item back after the last receiver is dropped.
///
/// This scenario mirrors [`every_receiver_sees_disconnection`], with senders and receivers
/// exchanged.
pub fn every_sender_sees_disconnection<B: Unregistered<Item = u64>>() -> Scenario<BufferState<B>> {
    let sender = |shared: &BufferState<B>| {
        let end = Err(SendTimeoutError::Disconnected(1));
        while shared.buffer.send_unregistered(1, Timeout::Infinite) != end {}
        assert_eq!(
            shared.buffer.send_unregistered(1, Timeout::NonBlocking),
            end
        );
    };
    let closer = |shared: &BufferState<B>| close(shared, Direction::Receiving);
    let participants = vec![sender as fn(&BufferState<B>), sender, closer];
    Scenario::new("every_sender_sees_disconnection", participants).choices(8)
}
