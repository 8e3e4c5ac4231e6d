//! Slots of a ring that are written and read in place.

use super::cursor::{RecvCursor, SendCursor};
use crate::channel::slot::Slot;
use crate::platform::Pod;
use core::fmt;
use core::ops::{Index, IndexMut};
use std::thread::panicking;

/// Free slots of a [`RingBuffer`](super::RingBuffer) that the sender fills in place.
///
/// [`send`](Self::send) sends the slots as items. Dropping the loan sends nothing. Each slot
/// initially holds an old item, or zeros.
///
/// The loan borrows its sender exclusively, and the receiver does not access free slots, so no
/// other code accesses these slots while the loan exists.
///
/// # Panics
/// Indexing beyond the length of the loan panics.
///
/// # Process death
/// If the process dies, the loan sends nothing, just as when the loan is dropped.
///
/// # Example
/// ```
/// use interlatch::{Channel, Region, RingBuffer};
///
/// let region = Region::memfd("frames", 1 << 16)?;
/// let ring = region.create::<RingBuffer<u64>>("frames", 8)?;
/// let (mut sender, mut receiver) = (ring.sender()?, ring.receiver()?);
/// let mut loan = sender.loan(3)?;
/// for (slot, number) in loan.iter_mut().zip(1..) {
///     *slot = number;
/// }
/// loan[2] = 7;
/// loan.send();
/// let items = receiver.borrow(8)?;
/// assert_eq!((items.len(), items.iter().sum()), (3, 10_u64), "read in place");
/// items.receive_first(2);
/// assert_eq!(receiver.recv(), Ok(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a loan sends nothing"]
pub struct RingLoan<'r, 'a, T: Pod> {
    cursor: &'r mut SendCursor<'a, T>,
    slots: &'a [Slot<T>],
}

impl<'r, 'a, T: Pod> RingLoan<'r, 'a, T> {
    /// Lends up to `max` slots. The caller ensures that this many are available.
    #[inline]
    pub(super) fn new(cursor: &'r mut SendCursor<'a, T>, max: usize) -> Self {
        let slots = cursor.next_contiguous(max);
        Self { cursor, slots }
    }

    /// Returns the number of slots, which is at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a loan is never empty")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns an iterator over the slots.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        // SAFETY: the slots belong to this loan, and `&mut self` ensures that the iterator lends
        // each slot only once.
        self.slots.iter().map(|slot| unsafe { slot.filled_mut() })
    }

    /// Sends all slots as items. In a forked child, a copy of the loan sends nothing.
    #[inline]
    pub fn send(self) {
        let count = self.slots.len();
        self.send_first(count);
    }

    /// Sends the first `count` slots as items. If `count` exceeds the number of slots, sends all
    /// slots.
    #[inline]
    pub fn send_first(self, count: usize) {
        let count = count.min(self.slots.len());
        if count > 0 && !self.cursor.is_inherited() {
            self.cursor.advance(count);
        }
    }
}

impl<T: Pod> Index<usize> for RingLoan<'_, '_, T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        // SAFETY: the slots belong to this loan, and `&self` excludes writers.
        unsafe { self.slots[index].filled() }
    }
}

impl<T: Pod> IndexMut<usize> for RingLoan<'_, '_, T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        // SAFETY: the slots belong to this loan, and `&mut self` excludes every other access.
        unsafe { self.slots[index].filled_mut() }
    }
}

/// Items of a [`RingBuffer`](super::RingBuffer), read in place.
///
/// Dropping the borrow receives all its items and frees their slots. The borrow borrows its
/// receiver exclusively, and the sender does not access filled slots, so no other code accesses
/// these items while the borrow exists.
///
/// # Panics
/// Indexing beyond the length of the borrow panics.
///
/// # Process death
/// If the process dies, the items remain in the ring for the next receiver. The items also remain
/// if a panic drops the borrow and the receiver survives the panic. If the panic drops the receiver
/// too, its side closes and the items are lost.
///
/// # Example
/// See [`RingLoan`].
#[must_use = "dropping a borrow receives its items"]
pub struct RingBorrow<'r, 'a, T: Pod> {
    cursor: &'r mut RecvCursor<'a, T>,
    slots: &'a [Slot<T>],
    /// The number of items that are received when the borrow is dropped.
    to_receive: usize,
    was_panicking: bool,
}

impl<'r, 'a, T: Pod> RingBorrow<'r, 'a, T> {
    /// Borrows up to `max` items. The caller ensures that this many are available.
    #[inline]
    pub(super) fn new(cursor: &'r mut RecvCursor<'a, T>, max: usize) -> Self {
        let slots = cursor.next_contiguous(max);
        Self {
            cursor,
            slots,
            to_receive: slots.len(),
            was_panicking: panicking(),
        }
    }

    /// Returns the number of items, which is at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a borrow is never empty")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns an iterator over the items.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        // SAFETY: the slots belong to this borrow, which never writes them.
        self.slots.iter().map(|slot| unsafe { slot.filled() })
    }

    /// Receives all borrowed items. Dropping the borrow has the same effect.
    #[inline]
    pub fn receive(self) {}

    /// Receives the first `count` items. If `count` exceeds the number of items, receives all
    /// items. The remaining items stay in the ring.
    #[inline]
    pub fn receive_first(mut self, count: usize) {
        self.to_receive = count.min(self.slots.len());
    }

    /// Receives none of the items.
    pub fn leave(self) {
        self.receive_first(0);
    }
}

impl<T: Pod> Drop for RingBorrow<'_, '_, T> {
    #[inline]
    fn drop(&mut self) {
        // A borrow that was created during a panic, in a destructor, receives its items as usual.
        let panics = panicking() && !self.was_panicking;
        if self.to_receive > 0 && !panics && !self.cursor.is_inherited() {
            self.cursor.advance(self.to_receive);
        }
    }
}

impl<T: Pod> Index<usize> for RingBorrow<'_, '_, T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        // SAFETY: the slots belong to this borrow, which never writes them.
        unsafe { self.slots[index].filled() }
    }
}

impl<T: Pod> fmt::Debug for RingLoan<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingLoan")
            .field("len", &self.len())
            .finish()
    }
}

impl<T: Pod> fmt::Debug for RingBorrow<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingBorrow")
            .field("len", &self.len())
            .finish()
    }
}
