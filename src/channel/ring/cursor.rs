//! What the handles of both ends have in common: places that are theirs, and waiting for more.
//!
//! To the sender a place is free, to the receiver it is filled; otherwise they do the same. Of the other side's count a
//! handle has only a private number made, which is never more than there are places: what a faulty
//! peer writes there may bring it items that nobody sent, but never beyond the ring.

use super::end::{Position, RingEnd};
use crate::channel::slot::Slot;
use crate::channel::{AttachError, ChannelError, Direction, OperationError};
use crate::platform::Ordering::{Acquire, Relaxed};
use crate::platform::{Deadline, Pod, asymmetric, spin};
use crate::sync::{OwnerToken, Timeout};

/// So many places at once are worth a look: a few cache lines are fetched in one go, and none of them is one that
/// the other side still works on. Of a small ring, an eighth.
const ENOUGH: usize = 128;

/// The longest head start, in pauses: 1 to 6 microseconds.
const LONGEST_HEAD_START: u32 = 128;

/// How many there are from one count to another.
#[inline]
pub(super) fn between(from: u64, to: u64, capacity: usize) -> usize {
    // A number that is too large was written by a faulty peer.
    to.wrapping_sub(from).min(capacity as u64) as usize
}

/// What the handle of the sender is made of.
pub(super) type SendCursor<'a, T> = Cursor<'a, T, true>;
/// What the handle of the receiver is made of.
pub(super) type RecvCursor<'a, T> = Cursor<'a, T, false>;

/// A handle of either end. Which one it is the compiler knows, so that no item has to ask.
pub(super) struct Cursor<'a, T, const SENDS: bool> {
    slots: &'a [Slot<T>],
    /// What `mine` holds. For an item only this is written, and that, and the place: while a processor waits for
    /// the cache line of a place it goes on, as far as it can remember what it has to write.
    count: u64,
    /// Up to which count the places are known to be this one's: never more of them than there are.
    limit: u64,
    /// The count at the first place, this time around.
    start: u64,
    mine: &'a Position,
    others: &'a Position,
    side: &'a RingEnd,
    other_side: &'a RingEnd,
    stamp: OwnerToken,
    /// Pauses before the next look for more.
    head_start: u32,
}

impl<'a, T: Pod, const SENDS: bool> Cursor<'a, T, SENDS> {
    /// A handle of this end. Of sides and counts the first one is its own. They are of one ring with these places.
    pub(super) fn new(
        [side, other_side]: [&'a RingEnd; 2],
        [mine, others]: [&'a Position; 2],
        slots: &'a [Slot<T>],
    ) -> Result<Self, AttachError> {
        let is_granted = asymmetric::is_granted();
        side.take(match SENDS {
            true => Direction::Sending,
            false => Direction::Receiving,
        })?;
        if !is_granted {
            side.demand_exchanges();
            other_side.demand_exchanges();
        }
        let count = mine.left_by_the_last();
        Ok(Self {
            slots,
            count,
            limit: count,
            // Of no places nobody gets this far: there is always one.
            start: count - count % slots.len().max(1) as u64,
            mine,
            others,
            side,
            other_side,
            stamp: OwnerToken::new(),
            head_start: 0,
        })
    }

    /// Waits for a place as long as timeout lasts.
    #[inline]
    pub(super) fn reserve(&mut self, timeout: &Timeout) -> Result<(), OperationError> {
        if self.is_inherited() {
            return Err(ChannelError::Inherited.into());
        }
        // What is there is received also when nobody sends any more; nothing is sent to nobody.
        if SENDS && self.other_side.is_gone() {
            return Err(OperationError::Disconnected);
        }
        match self.ready() {
            0 => self.look_for_more(timeout),
            _ => Ok(()),
        }
    }

    /// Whether this is the copy of a forked child: it has nothing here to send, to receive or to close.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        self.stamp.is_inherited()
    }

    /// How many of the next places are known to be this one's.
    #[inline]
    fn ready(&self) -> usize {
        self.limit.wrapping_sub(self.count) as usize
    }

    /// Where the next place is.
    #[inline]
    fn place(&self) -> usize {
        self.count.wrapping_sub(self.start) as usize
    }

    /// The same, and looks how many there are if fewer than that are known of. Returns the number, at most that.
    #[inline]
    pub(super) fn reserve_up_to(
        &mut self,
        most: usize,
        timeout: &Timeout,
    ) -> Result<usize, OperationError> {
        let known = self.ready();
        self.reserve(timeout)?;
        // It has looked just now, if none was known.
        if known > 0 && known < most {
            self.look();
        }
        Ok(self.ready().min(most))
    }

    /// The next so many places, which are known to be this one's: up to the last one, and the rest from the first one on.
    #[inline]
    pub(super) fn places(&self, count: usize) -> [&'a [Slot<T>]; 2] {
        let first = self.piece(count);
        [first, &self.slots[..count - first.len()]]
    }

    /// The next so many places, which are known to be this one's, or fewer: as many as come before the end of the ring.
    #[inline]
    pub(super) fn piece(&self, most: usize) -> &'a [Slot<T>] {
        let rest = &self.slots[self.place()..];
        &rest[..most.min(rest.len())]
    }

    /// The next place, which is known to be this one's.
    #[inline]
    pub(super) fn next(&self) -> &'a Slot<T> {
        &self.slots[self.place()]
    }

    /// Gives the next so many places to the other side. They are known to be this one's.
    #[inline]
    pub(super) fn advance(&mut self, places: usize) {
        debug_assert!(places <= self.ready());
        if self.place() + places >= self.slots.len() {
            self.start = self.start.wrapping_add(self.slots.len() as u64);
        }
        self.count = self.count.wrapping_add(places as u64);
        self.other_side.publish(self.mine, self.count);
    }

    /// Looks how many places there are. False, if there is none.
    #[inline]
    fn look(&mut self) -> bool {
        // Acquire pairs with the Release of `RingEnd::tell`.
        let others = self.others.word().load(Acquire);
        let ready = self.reach(others);
        self.limit = self.count.wrapping_add(ready as u64);
        ready > 0
    }

    /// How many places there are if the other count is this.
    #[inline]
    fn reach(&self, others: u64) -> usize {
        let capacity = self.slots.len();
        match SENDS {
            true => capacity - between(others, self.count, capacity),
            false => between(self.count, others, capacity),
        }
    }

    /// Looks for more, and waits for one as long as timeout lasts.
    ///
    /// Who comes back for each single item has both sides wait for the same cache lines all the time, at a
    /// tenth of the pace. So one that keeps finding a few leaves the other side a head start, and then finds many.
    #[cold]
    fn look_for_more(&mut self, timeout: &Timeout) -> Result<(), OperationError> {
        if *timeout != Timeout::NonBlocking {
            spin::back_off(self.head_start);
        }
        let finds_some = self.look();
        self.adapt();
        match finds_some {
            true => Ok(()),
            false => self.wait(timeout),
        }
    }

    /// The next head start, after a look that found what is ready now.
    fn adapt(&mut self) {
        let enough = (self.slots.len() / 8).min(ENOUGH);
        self.head_start = match self.ready() {
            // One that comes alone gains nothing by it.
            0 | 1 => self.head_start / 2,
            ready if ready < enough => (2 * self.head_start + 2).min(LONGEST_HEAD_START),
            ready if ready > 4 * enough => self.head_start - self.head_start / 4,
            _ => self.head_start,
        };
    }

    /// Waits for a place: there is none, as far as is known.
    #[cold]
    fn wait(&mut self, timeout: &Timeout) -> Result<(), OperationError> {
        let (side, deadline) = (self.side, timeout.deadline());
        let mut in_time = *timeout != Timeout::NonBlocking;
        let mut spin = None;
        loop {
            if self.other_side.is_gone() {
                // It may have sent something before it went.
                let is_drained = SENDS || !self.look();
                return match is_drained {
                    true => Err(OperationError::Disconnected),
                    false => Ok(()),
                };
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            let spin = spin.get_or_insert_with(|| side.spin(deadline));
            if !spin.sees(|_| self.sees_a_place()) {
                in_time = self.sleep(deadline);
            }
            if self.look() {
                spin.has_paid();
                return Ok(());
            }
        }
    }

    fn sees_a_place(&self) -> bool {
        // Relaxed: `look` finds out.
        self.reach(self.others.word().load(Relaxed)) > 0
    }

    /// Sleeps until the other side has done something, or for no reason. False, if the time was over.
    fn sleep(&self, deadline: Option<Deadline>) -> bool {
        let other_side = self.other_side;
        self.side.sleep_unless(self.others, deadline, |others| {
            self.reach(others) > 0 || other_side.is_gone()
        })
    }
}

impl<T, const SENDS: bool> Drop for Cursor<'_, T, SENDS> {
    fn drop(&mut self) {
        if self.side.is_of(&self.stamp) {
            self.side.close();
            self.other_side.wake();
        }
    }
}
