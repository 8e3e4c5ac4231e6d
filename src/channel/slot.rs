//! Places for items.

use crate::platform::{Pod, UnsafeCell, constructor};
use core::mem::MaybeUninit;

/// A place for one item, empty at first. Which places are full is known from outside.
///
/// # Example
/// ```
/// use interlatch::channel::Slot;
/// use interlatch::{BoundedBuffer, Buffer};
///
/// static BUFFER: BoundedBuffer<u64, [Slot<u64>; 4]> =
///     BoundedBuffer::from_slots([const { Slot::new() }; 4]);
/// assert_eq!(BUFFER.capacity(), 4);
/// ```
#[repr(transparent)]
#[derive(Debug)]
pub struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Slot<T> {
    constructor! {
        /// An empty place: all zeros, since one of plain data may be looked at before it is filled.
        pub fn new() -> Self {
            Self(UnsafeCell::new(MaybeUninit::zeroed()))
        }
    }

    /// Fills the place.
    ///
    /// # Safety
    /// The place is empty, and nobody else accesses it meanwhile.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn put(&self, item: T) {
        // SAFETY: no one else accesses the place, by the caller's promise.
        self.0.with_mut(|place| unsafe { (*place).write(item) });
    }

    /// Fills the place with what `item` is made of, without moving that to the stack.
    ///
    /// # Safety
    /// As of [`put`](Self::put); and of the item and the one in the place, one is forgotten.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn put_from(&self, item: &T) {
        let from = core::ptr::from_ref(item);
        // SAFETY: no one else accesses the place, by the caller's promise, so that it is none that the
        // caller has a reference to.
        self.0
            .with_mut(|place| unsafe { place.cast::<T>().copy_from_nonoverlapping(from, 1) });
    }

    /// Empties the place.
    ///
    /// # Safety
    /// The place is full, and nobody else accesses it meanwhile.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn take(&self) -> T {
        // SAFETY: full, and accessed by no one else, by the caller's promise. `with_mut`, because
        // the item moves out: a concurrent reader would be a second owner.
        self.0
            .with_mut(|place| unsafe { (*place).assume_init_read() })
    }
}

impl<T: Pod> Slot<T> {
    /// Empties the place, into that of the caller's.
    ///
    /// # Safety
    /// As of [`take`](Self::take).
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn take_into(&self, into: &mut T) {
        let into = core::ptr::from_mut(into);
        // SAFETY: full, and accessed by no one else, by the caller's promise.
        self.0
            .with_mut(|place| unsafe { place.cast::<T>().copy_to_nonoverlapping(into, 1) });
    }

    /// What is in the place: an item, what is left of one, or zeros. Plain data is valid all the same.
    ///
    /// # Safety
    /// Nobody writes into the place meanwhile.
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn filled(&self) -> &T {
        // SAFETY: made of zeros, or filled, and valid for every bit pattern; nobody writes, by the
        // caller's promise.
        self.0.with(|place| unsafe { (*place).assume_init_ref() })
    }

    /// The same, to write.
    ///
    /// # Safety
    /// Nobody else accesses the place meanwhile.
    #[cfg_attr(debug_assertions, track_caller)]
    #[expect(clippy::mut_from_ref, reason = "a cell, whose one user is the caller")]
    pub(super) unsafe fn filled_mut(&self) -> &mut T {
        // SAFETY: as above, and nobody else is here, by the caller's promise.
        self.0
            .with_mut(|place| unsafe { (*place).assume_init_mut() })
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the places of a buffer are: an array inside it, a box, or the rest of a region.
///
/// # Safety
/// `slots` returns the same places every time, and never none. They belong to this value alone: no other
/// one returns any of them. Several threads may call it at the same time.
pub unsafe trait Slots<T> {
    /// The places.
    fn slots(&self) -> &[Slot<T>];
}

// SAFETY: the array's own places. Of an empty one nobody asks for a place: such a buffer is full and empty.
unsafe impl<T, const N: usize> Slots<T> for [Slot<T>; N] {
    fn slots(&self) -> &[Slot<T>] {
        self
    }
}

// SAFETY: the slice's own places.
unsafe impl<T> Slots<T> for [Slot<T>] {
    fn slots(&self) -> &[Slot<T>] {
        self
    }
}

// SAFETY: the box's own places.
unsafe impl<T> Slots<T> for Box<[Slot<T>]> {
    fn slots(&self) -> &[Slot<T>] {
        self
    }
}
