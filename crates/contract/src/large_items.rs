//! A robust buffer whose items are too large to be copied under the lock.
//!
//! Each send holds a slot while it copies the item without the lock, and then locks again to pass
//! the slot on. [`LargeItems`] runs the scenarios of [`buffer`] and [`robust_buffer`].

use super::{Stage, buffer, robust_buffer};
use interlatch::channel::{
    AttachError, Buffer, Channel, RecvTimeoutError, RobustBoundedBuffer, SendTimeoutError,
    TurnSlot, Unregistered,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// Number of copies of a number in one item, which has more than 1024 bytes.
const COPIES: usize = 129;

type Item = [u64; COPIES];
type Inner<const N: usize> = RobustBoundedBuffer<Item, [TurnSlot<Item>; N], 2>;

/// A buffer of numbers, each of which is sent as an item of 1032 bytes.
#[repr(transparent)]
#[derive(Debug, ShmSafe)]
pub struct LargeItems<const N: usize>(Inner<N>);

/// Runs the scenarios in which the end of a send may fail, or its sender may die.
pub fn all(stage: &mut impl Stage) {
    stage.run(buffer::keeps_order::<LargeItems<1>>());
    stage.run(buffer::closing_wakes_every_sender::<LargeItems<1>>());
    stage.run(buffer::timed_operations_lose_no_item::<LargeItems<1>>());
    stage.run(robust_buffer::killed_send_completes_or_has_no_effect::<
        LargeItems<1>,
    >(2));
    stage.run(robust_buffer::killed_send_completes_or_has_no_effect::<
        LargeItems<1>,
    >(3));
    stage.run(robust_buffer::item_of_killed_sender_is_not_overtaken::<
        LargeItems<2>,
    >());
}

fn number_of(item: Item) -> u64 {
    assert_eq!(item, [item[0]; COPIES], "the item is torn");
    item[0]
}

impl<const N: usize> Channel for LargeItems<N> {
    type SendEndpoint<'a> = <Inner<N> as Channel>::SendEndpoint<'a>;
    type RecvEndpoint<'a> = <Inner<N> as Channel>::RecvEndpoint<'a>;

    fn attach_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError> {
        self.0.attach_sender()
    }

    fn attach_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError> {
        self.0.attach_receiver()
    }
}

impl<const N: usize> Unregistered for LargeItems<N> {
    fn unregistered_sender(&self) -> Result<Self::SendEndpoint<'_>, AttachError> {
        self.0.unregistered_sender()
    }

    fn unregistered_receiver(&self) -> Result<Self::RecvEndpoint<'_>, AttachError> {
        self.0.unregistered_receiver()
    }
}

impl<const N: usize> Buffer for LargeItems<N> {
    type Item = u64;

    fn send_with(
        &self,
        endpoint: &Self::SendEndpoint<'_>,
        item: u64,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<u64>> {
        let sent = self.0.send_with(endpoint, [item; COPIES], timeout);
        sent.map_err(|error| error.map(number_of))
    }

    fn recv_with(
        &self,
        endpoint: &Self::RecvEndpoint<'_>,
        timeout: Timeout,
    ) -> Result<u64, RecvTimeoutError> {
        self.0.recv_with(endpoint, timeout).map(number_of)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}
