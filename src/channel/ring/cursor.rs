//! The position of a handle in a ring, and how the handle waits for slots.

use super::end::{Position, RingEnd};
use crate::channel::OperationError;
use crate::channel::slot::Slot;
use crate::channel::{AttachError, Direction, Endpoint};
use crate::platform::Ordering::{Acquire, Relaxed};
use crate::platform::{Deadline, Pod, asymmetric, spin};
use crate::sync::{OwnerToken, Timeout};
use core::cell::Cell;
use core::fmt;

/// The number of available slots that a waiting side tries to accumulate before it continues. In a
/// small ring, an eighth of the capacity is used instead.
///
/// A batch of this size spans a few cache lines. The processor fetches these lines together, and
/// the peer no longer accesses them.
const TARGET_BATCH: usize = 128;

/// The maximum back-off in pauses: 1 to 6 microseconds.
const MAX_BACK_OFF: u32 = 128;

/// Returns the distance between two positions.
#[inline]
pub(super) fn distance(from: u64, to: u64, capacity: usize) -> usize {
    // Only a faulty peer makes the distance exceed the capacity.
    to.wrapping_sub(from).min(capacity as u64) as usize
}

/// The cursor of the sender.
pub(super) type SendCursor<'a, T> = RingCursor<'a, T, true>;
/// The cursor of the receiver.
pub(super) type RecvCursor<'a, T> = RingCursor<'a, T, false>;

/// A handle's registration with its side of a ring, and its position in the ring.
///
/// Programs use this type through [`Sender`](crate::Sender) and [`Receiver`](crate::Receiver). A
/// slot is *available* to the sender when it is free, and to the receiver when it is filled. Apart
/// from that, both sides run the same code. The constant `SENDS` selects the side at compile time,
/// so an operation does not check at run time which side it runs on.
///
/// The cursor converts the peer's position into a number of available slots that never exceeds the
/// capacity. A faulty peer can therefore make a receiver receive items that were never sent, but
/// cannot make the cursor access memory outside of the ring.
pub struct RingCursor<'a, T, const SENDS: bool> {
    slots: &'a [Slot<T>],
    /// A copy of the value of `own_position`. An operation writes only this copy, `own_position`
    /// and the slot. The processor can therefore continue before the slot's cache line arrives,
    /// until its store buffer is full.
    position: Cell<u64>,
    /// The position up to which slots are known to be available. The limit is at most `position`
    /// plus the capacity.
    limit: Cell<u64>,
    /// The position of the first slot in the current lap.
    lap_start: Cell<u64>,
    own_position: &'a Position,
    peer_position: &'a Position,
    own_end: &'a RingEnd,
    peer_end: &'a RingEnd,
    token: OwnerToken,
    /// The number of pauses before the next load of `peer_position`.
    back_off: Cell<u32>,
}

impl<'a, T: Pod, const SENDS: bool> RingCursor<'a, T, SENDS> {
    /// Claims one end of the ring. In each pair, the first element belongs to this side and the
    /// second to the peer. All arguments must belong to the same ring.
    pub(super) fn new(
        [own_end, peer_end]: [&'a RingEnd; 2],
        [own_position, peer_position]: [&'a Position; 2],
        slots: &'a [Slot<T>],
    ) -> Result<Self, AttachError> {
        let has_membarrier = asymmetric::register();
        let direction = match SENDS {
            true => Direction::Sending,
            false => Direction::Receiving,
        };
        own_end.claim(direction, has_membarrier)?;
        if !has_membarrier {
            // The barrier of the peer does not reach this process.
            peer_end.require_exchanges();
        }
        let position = own_position.load_last();
        Ok(Self {
            slots,
            position: Cell::new(position),
            limit: Cell::new(position),
            // The capacity is never 0; `max` keeps the compiler from emitting a panic.
            lap_start: Cell::new(position - position % slots.len().max(1) as u64),
            own_position,
            peer_position,
            own_end,
            peer_end,
            token: OwnerToken::new(),
            back_off: Cell::new(0),
        })
    }

    /// Whether this cursor is a copy in a forked child. Such a copy must not access the ring.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        self.token.is_inherited()
    }

    /// The number of slots known to be available.
    #[inline]
    fn available(&self) -> usize {
        self.limit.get().wrapping_sub(self.position.get()) as usize
    }

    /// The index of the next slot.
    #[inline]
    fn index(&self) -> usize {
        self.position.get().wrapping_sub(self.lap_start.get()) as usize
    }

    /// Waits for an available slot.
    #[inline]
    pub(super) fn wait_for_slot(&self, timeout: Timeout) -> Result<(), OperationError> {
        // A receiver first drains the ring, so it checks for disconnection only when the ring is
        // empty.
        if SENDS && self.peer_end.is_disconnected() {
            return Err(OperationError::Disconnected);
        }
        match self.available() {
            0 => self.refresh_or_wait(timeout),
            _ => Ok(()),
        }
    }

    /// Waits for an available slot, and returns the number of available slots, but at most `max`.
    #[inline]
    pub(super) fn wait_for_slots(
        &self,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, OperationError> {
        let known = self.available();
        self.wait_for_slot(timeout)?;
        // If no available slot was known, `wait_for_slot` has just loaded the peer's position.
        if known > 0 && known < max {
            self.refresh();
        }
        Ok(self.available().min(max))
    }

    /// The next `count` available slots, in two parts: the slots up to the end of the ring, and the
    /// remaining slots from the start of the ring.
    #[inline]
    pub(super) fn next_slots(&self, count: usize) -> [&'a [Slot<T>]; 2] {
        let first = self.next_contiguous(count);
        [first, &self.slots[..count - first.len()]]
    }

    /// The next available slots up to the end of the ring, but at most `max` slots.
    #[inline]
    pub(super) fn next_contiguous(&self, max: usize) -> &'a [Slot<T>] {
        let rest = &self.slots[self.index()..];
        &rest[..max.min(rest.len())]
    }

    /// The next available slot.
    #[inline]
    pub(super) fn next_slot(&self) -> &'a Slot<T> {
        &self.slots[self.index()]
    }

    /// Passes the next `count` available slots to the other side.
    #[inline]
    pub(super) fn advance(&self, count: usize) {
        debug_assert!(count <= self.available());
        if self.index() + count >= self.slots.len() {
            let lap_start = self.lap_start.get();
            self.lap_start
                .set(lap_start.wrapping_add(self.slots.len() as u64));
        }
        let position = self.position.get().wrapping_add(count as u64);
        self.position.set(position);
        self.peer_end.publish(self.own_position, position);
    }

    /// Loads the peer's position. Returns whether a slot is available.
    #[inline]
    fn refresh(&self) -> bool {
        // Acquire pairs with the Release in `RingEnd::publish`.
        let peer = self.peer_position.word().load(Acquire);
        let available = self.available_at(peer);
        self.limit
            .set(self.position.get().wrapping_add(available as u64));
        available > 0
    }

    /// The number of available slots if the peer is at position `peer`.
    #[inline]
    fn available_at(&self, peer: u64) -> usize {
        let capacity = self.slots.len();
        match SENDS {
            true => capacity - distance(peer, self.position.get(), capacity),
            false => distance(self.position.get(), peer, capacity),
        }
    }

    /// Loads the peer's position, and waits until a slot is available.
    ///
    /// If a side loads the peer's position for every item, both sides constantly wait for the same
    /// cache lines. The throughput then falls to a tenth. A side that keeps finding small batches
    /// therefore backs off before it loads the position, and then finds a larger batch.
    #[cold]
    fn refresh_or_wait(&self, timeout: Timeout) -> Result<(), OperationError> {
        if timeout != Timeout::NonBlocking {
            spin::back_off(self.back_off.get());
        }
        let finds_slots = self.refresh();
        self.adapt_back_off();
        match finds_slots {
            true => Ok(()),
            false => self.wait(timeout),
        }
    }

    /// Sets the length of the next back-off, according to the number of slots that have just become
    /// available.
    fn adapt_back_off(&self) {
        let target = (self.slots.len() / 8).min(TARGET_BATCH);
        let back_off = self.back_off.get();
        self.back_off.set(match self.available() {
            // A back-off does not help if items arrive one at a time.
            0 | 1 => back_off / 2,
            found if found < target => (2 * back_off + 2).min(MAX_BACK_OFF),
            found if found > 4 * target => back_off - back_off / 4,
            _ => back_off,
        });
    }

    /// Waits for an available slot. On entry, no slot is known to be available.
    #[cold]
    fn wait(&self, timeout: Timeout) -> Result<(), OperationError> {
        let (own_end, deadline) = (self.own_end, timeout.deadline());
        let mut in_time = timeout != Timeout::NonBlocking;
        let mut spin = None;
        loop {
            if self.peer_end.is_disconnected() {
                // A sender may have sent items before it disconnected.
                let is_drained = SENDS || !self.refresh();
                return match is_drained {
                    true => Err(OperationError::Disconnected),
                    false => Ok(()),
                };
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            let spin = spin.get_or_insert_with(|| own_end.spin(deadline));
            if !spin.wait_until(|_| self.sees_slot()) {
                in_time = self.sleep(deadline);
            }
            if self.refresh() {
                spin.record_success();
                return Ok(());
            }
        }
    }

    fn sees_slot(&self) -> bool {
        // Relaxed: before a slot is accessed, `refresh` loads the position again with Acquire.
        self.available_at(self.peer_position.word().load(Relaxed)) > 0
    }

    /// Sleeps until the peer moves its position or closes its end. Spurious returns are possible.
    /// Returns `false` after the deadline.
    fn sleep(&self, deadline: Option<Deadline>) -> bool {
        let peer = (self.peer_end, self.peer_position);
        let has_slot = |position| self.available_at(position) > 0;
        self.own_end.sleep_unless(peer, deadline, has_slot)
    }
}

impl<T, const SENDS: bool> Endpoint for RingCursor<'_, T, SENDS> {
    #[inline]
    fn is_owned(&self) -> bool {
        !self.token.is_inherited()
    }
}

impl<T, const SENDS: bool> Drop for RingCursor<'_, T, SENDS> {
    fn drop(&mut self) {
        if self.own_end.is_held_by(&self.token) {
            // SAFETY: this thread owns the end, and the cursor is not used after this.
            unsafe { self.own_end.close() };
            self.peer_end.wake();
        }
    }
}

impl<T, const SENDS: bool> fmt::Debug for RingCursor<'_, T, SENDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingCursor { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Channel, RingBuffer};

    #[test]
    fn position_of_a_faulty_peer_gives_at_most_the_capacity() {
        assert_eq!(distance(7, 9, 4), 2);
        assert_eq!(distance(u64::MAX, 1, 4), 2);
        assert_eq!(distance(0, 5, 4), 4);
        assert_eq!(distance(1, 0, 4), 4);
    }

    /// Returns the back-offs of a receiver after it has found batches of these sizes in turn.
    fn back_offs<const N: usize>(capacity: usize, batches: [usize; N]) -> [u32; N] {
        let ring = RingBuffer::<u64, _>::with_capacity(capacity).expect("the capacity is valid");
        let ring = ring.leak();
        let sender = ring.attach_sender().expect("the side is free");
        let receiver = ring.attach_receiver().expect("the side is free");
        batches.map(|batch| {
            let free = sender.wait_for_slots(batch, Timeout::Infinite);
            assert_eq!(free, Ok(batch));
            sender.advance(batch);
            let found = receiver.wait_for_slots(capacity, Timeout::Infinite);
            assert_eq!(found, Ok(batch));
            receiver.advance(batch);
            receiver.back_off.get()
        })
    }

    #[test]
    fn back_off_grows_with_small_batches_up_to_its_limit() {
        assert_eq!(
            back_offs(64, [1, 2, 7, 2, 1, 8, 32]),
            [0, 2, 6, 14, 7, 7, 7]
        );
        let small = [2, 6, 14, 30, 62, 126, 128, 128];
        assert_eq!(back_offs(64, [2; 8]), small);
        let shrinking = [2, 6, 14, 30, 23, 18, 9, 4];
        assert_eq!(back_offs(64, [2, 2, 2, 2, 33, 64, 1, 1]), shrinking);
        assert_eq!(back_offs(2048, [2, 127, 128, 512, 513]), [2, 6, 6, 6, 5]);
    }
}
