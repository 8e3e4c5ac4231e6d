//! Places of a ring that are written and read where they are: explicit buffering, without a copy.
//!
//! **Why it is correct.** A run is of places that are this side's, and lends its handle: so nobody else, not even its own
//! thread, gets at them before it is gone.

use super::cursor::{RecvCursor, SendCursor};
use crate::channel::slot::Slot;
use crate::platform::Pod;
use core::fmt;
use core::ops::{Index, IndexMut};
use std::thread::panicking;

/// Places of a [`RingBuffer`](super::RingBuffer) to fill where they are. [`send`](Self::send) makes them items; dropping
/// this gives them back unsent.
///
/// They hold whatever was last in them.
///
/// # Panics
/// Indexing beyond the end of the run does.
///
/// # Process death
/// As dropping it: nothing is sent.
///
/// # Example
/// ```
/// use interlatch::RingBuffer;
///
/// let ring = RingBuffer::<u64, _>::with_capacity(8)?;
/// let (mut sender, mut receiver) = (ring.sender()?, ring.receiver()?);
/// let mut loan = sender.loan(3)?;
/// for (place, number) in loan.iter_mut().zip(1..) {
///     *place = number;
/// }
/// loan[2] = 7;
/// loan.send();
/// let items = receiver.borrow(8)?;
/// assert_eq!((items.len(), items.iter().sum()), (3, 10_u64), "read where they are");
/// items.receive_first(2);
/// assert_eq!(receiver.recv(), Ok(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping this gives the places back unsent"]
pub struct RingLoan<'r, 'a, T: Pod> {
    hand: &'r mut SendCursor<'a, T>,
    places: &'a [Slot<T>],
}

impl<'r, 'a, T: Pod> RingLoan<'r, 'a, T> {
    /// Of so many places at most, which are ready.
    #[inline]
    pub(super) fn new(hand: &'r mut SendCursor<'a, T>, most: usize) -> Self {
        let places = hand.piece(most);
        Self { hand, places }
    }

    /// How many places: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The places one by one.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        // SAFETY: the places are this one's, and `&mut self` lends each to one.
        self.places
            .iter()
            .map(|place| unsafe { place.filled_mut() })
    }

    /// Makes all of them items. Of a copy that a forked child has, it makes none.
    #[inline]
    pub fn send(self) {
        let count = self.places.len();
        self.send_first(count);
    }

    /// Makes the first so many of them items: all, if it is more.
    #[inline]
    pub fn send_first(self, count: usize) {
        let count = count.min(self.places.len());
        if count > 0 && !self.hand.is_inherited() {
            self.hand.advance(count);
        }
    }
}

impl<T: Pod> Index<usize> for RingLoan<'_, '_, T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        // SAFETY: the places are this one's: nobody writes there.
        unsafe { self.places[index].filled() }
    }
}

impl<T: Pod> IndexMut<usize> for RingLoan<'_, '_, T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        // SAFETY: the places are this one's, and `&mut self` lends it to one.
        unsafe { self.places[index].filled_mut() }
    }
}

/// Items of a [`RingBuffer`](super::RingBuffer), read where they are. Dropping this receives them all: their places are
/// free.
///
/// # Panics
/// Indexing beyond the end of the run does.
///
/// # Process death
/// The items are there again, for the next receiver. So they are for this one if a panic drops this, and the receiver
/// survives that; if the panic drops the receiver too, nobody comes after it.
///
/// # Example
/// See [`RingLoan`].
#[must_use = "dropping this receives the items"]
pub struct RingBorrow<'r, 'a, T: Pod> {
    hand: &'r mut RecvCursor<'a, T>,
    places: &'a [Slot<T>],
    /// How many are received when it is dropped.
    received: usize,
    panicked_before: bool,
}

impl<'r, 'a, T: Pod> RingBorrow<'r, 'a, T> {
    /// Of so many items at most, which are ready.
    #[inline]
    pub(super) fn new(hand: &'r mut RecvCursor<'a, T>, most: usize) -> Self {
        let places = hand.piece(most);
        Self {
            hand,
            places,
            received: places.len(),
            panicked_before: panicking(),
        }
    }

    /// How many items: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The items one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        // SAFETY: the places are this one's: nobody writes there.
        self.places.iter().map(|place| unsafe { place.filled() })
    }

    /// Receives all of them, as dropping this does.
    #[inline]
    pub fn receive(self) {}

    /// Receives the first so many of them (all, if it is more), and leaves the others.
    #[inline]
    pub fn receive_first(mut self, count: usize) {
        self.received = count.min(self.places.len());
    }

    /// Leaves them all.
    pub fn leave(self) {
        self.receive_first(0);
    }
}

impl<T: Pod> Drop for RingBorrow<'_, '_, T> {
    #[inline]
    fn drop(&mut self) {
        // In a destructor that a panic runs, items are received as ever.
        let panics = panicking() && !self.panicked_before;
        if self.received > 0 && !panics && !self.hand.is_inherited() {
            self.hand.advance(self.received);
        }
    }
}

impl<T: Pod> Index<usize> for RingBorrow<'_, '_, T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        // SAFETY: the places are this one's: nobody writes there.
        unsafe { self.places[index].filled() }
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
