//! The promises of a bounded buffer, grouped by subject.
//!
//! The buffer on semaphores and the buffer on condition variables keep these promises. The robust
//! forms of both buffers keep them too.

mod batches;
mod closing;
mod items;
mod timeouts;

pub use batches::{
    batch_keeps_order, batch_receive_wakes_every_sender, batch_wakes_every_receiver,
    batches_keep_order_across_wraparounds, every_batch_method_passes_items,
    every_batch_receiver_sees_disconnection, failed_batch_send_keeps_its_items,
    single_items_and_batches_share_a_slot, timed_out_batch_loses_no_item,
};
pub use closing::{
    closed_buffer_can_be_drained, closed_buffer_stays_closed, closing_wakes_every_receiver,
    closing_wakes_every_sender, dropping_one_of_two_senders_keeps_the_buffer_open,
    every_receiver_sees_disconnection, every_sender_sees_disconnection,
};
pub use items::{
    delivers_each_once, every_send_and_receive_method_passes_items, items_of_both_senders_arrive,
    keeps_order, keeps_order_across_wraparounds, never_exceeds_capacity,
    rejects_invalid_capacities, two_receivers_share_the_items,
};
pub use timeouts::{
    handles_extreme_timeouts, refused_receiver_passes_its_notification_on,
    timed_operations_lose_no_item, timed_out_receiver_takes_no_item,
    timed_out_sender_keeps_its_item,
};

use super::{RaceCell, Scenario, Stage, distant_timeout, expired_timeouts};
use interlatch::channel::{
    BoundedBuffer, MonitorBuffer, RobustBoundedBuffer, RobustMonitorBuffer, Slot, TurnSlot,
    Unregistered,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// The buffer on semaphores, with its slots inline.
pub type Bounded<const N: usize> = BoundedBuffer<u64, [Slot<u64>; N]>;

/// The buffer on condition variables, with its slots inline.
pub type Monitor<const N: usize> = MonitorBuffer<u64, [Slot<u64>; N]>;

/// The robust form of [`Bounded`].
pub type RobustBounded<const N: usize> = RobustBoundedBuffer<u64, [TurnSlot<u64>; N], 2>;

/// The robust form of [`Monitor`].
pub type RobustMonitor<const N: usize> = RobustMonitorBuffer<u64, [Slot<u64>; N], 2>;

/// A buffer and the items that two receivers got, with up to two items for each receiver.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct BufferState<B> {
    buffer: B,
    got: [[RaceCell; 2]; 2],
}

/// Runs every scenario of every bounded buffer.
pub fn all(stage: &mut impl Stage) {
    all_of::<Bounded<1>>(stage);
    all_of::<Bounded<2>>(stage);
    all_of::<Monitor<1>>(stage);
    all_of::<Monitor<2>>(stage);
    all_of::<RobustBounded<1>>(stage);
    all_of::<RobustBounded<2>>(stage);
    all_of::<RobustMonitor<1>>(stage);
    all_of::<RobustMonitor<2>>(stage);
    wraparounds_of::<Bounded<3>>(stage);
    wraparounds_of::<Monitor<3>>(stage);
    wraparounds_of::<RobustBounded<3>>(stage);
    wraparounds_of::<RobustMonitor<3>>(stage);
    stage.run(rejects_invalid_capacities());
    stage.run(single_items_and_batches_share_a_slot::<Bounded<1>>());
    stage.run(single_items_and_batches_share_a_slot::<Monitor<1>>());
    stage.run(single_items_and_batches_share_a_slot::<RobustBounded<1>>());
    stage.run(single_items_and_batches_share_a_slot::<RobustMonitor<1>>());
    stage.run(refused_receiver_passes_its_notification_on::<Monitor<1>>());
    stage.run(refused_receiver_passes_its_notification_on::<
        RobustMonitor<1>,
    >());
}

/// Runs the scenarios of a bounded buffer that need three slots.
///
/// In a buffer of two slots, the next slot and the previous slot are the same, so two slots do not
/// reveal a step in the wrong direction.
pub fn wraparounds_of<B: Unregistered<Item = u64> + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(keeps_order_across_wraparounds::<B>());
    stage.run(batches_keep_order_across_wraparounds::<B>());
}

/// Runs every scenario of one bounded buffer.
pub fn all_of<B: Unregistered<Item = u64> + ShmSafe + 'static>(stage: &mut impl Stage) {
    stage.run(keeps_order::<B>());
    stage.run(keeps_order_across_wraparounds::<B>());
    stage.run(never_exceeds_capacity::<B>());
    stage.run(delivers_each_once::<B>());
    stage.run(items_of_both_senders_arrive::<B>());
    stage.run(two_receivers_share_the_items::<B>());
    stage.run(dropping_one_of_two_senders_keeps_the_buffer_open::<B>());
    stage.run(closed_buffer_can_be_drained::<B>());
    stage.run(closed_buffer_stays_closed::<B>());
    stage.run(closing_wakes_every_receiver::<B>());
    stage.run(closing_wakes_every_sender::<B>());
    stage.run(every_receiver_sees_disconnection::<B>());
    stage.run(every_sender_sees_disconnection::<B>());
    stage.run(timed_out_receiver_takes_no_item::<B>());
    stage.run(timed_out_sender_keeps_its_item::<B>());
    stage.run(timed_operations_lose_no_item::<B>());
    stage.run(handles_extreme_timeouts::<B>());
    stage.run(every_send_and_receive_method_passes_items::<B>());
    stage.run(batch_keeps_order::<B>());
    stage.run(batches_keep_order_across_wraparounds::<B>());
    stage.run(batch_wakes_every_receiver::<B>());
    stage.run(batch_receive_wakes_every_sender::<B>());
    stage.run(every_batch_receiver_sees_disconnection::<B>());
    stage.run(failed_batch_send_keeps_its_items::<B>());
    stage.run(timed_out_batch_loses_no_item::<B>());
    stage.run(every_batch_method_passes_items::<B>());
}

fn send<B: Unregistered<Item = u64>>(shared: &BufferState<B>, item: u64) {
    let sent = shared.buffer.send_unregistered(item, Timeout::Infinite);
    assert!(sent.is_ok(), "{sent:?}");
}

fn receive<B: Unregistered<Item = u64>>(shared: &BufferState<B>) -> u64 {
    shared
        .buffer
        .recv_unregistered(Timeout::Infinite)
        .expect("the buffer is open")
}

fn send_one<B: Unregistered<Item = u64>>(shared: &BufferState<B>) {
    send(shared, 1);
}

fn send_two<B: Unregistered<Item = u64>>(shared: &BufferState<B>) {
    send(shared, 2);
}

fn receive_as<B: Unregistered<Item = u64>, const INDEX: usize>(shared: &BufferState<B>) {
    shared.got[INDEX][0].set(receive(shared));
}

/// Returns the sum of the items that the receivers got.
fn sum_received<B>(shared: &BufferState<B>) -> u64 {
    shared.got.iter().flatten().map(|number| number.get()).sum()
}

/// Receives the items left in the buffer, and returns their sum.
fn sum_left<B: Unregistered<Item = u64>>(shared: &BufferState<B>) -> u64 {
    let mut sum = 0;
    while let Ok(item) = shared.buffer.recv_unregistered(Timeout::NonBlocking) {
        sum += item;
    }
    sum
}
