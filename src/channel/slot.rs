//! The slot of one item.

use crate::platform::{Pod, UnsafeCell, constructor};
use core::mem::MaybeUninit;

/// Storage for one item, initially empty.
///
/// A buffer tracks which of its slots are full. A slot itself does not record whether it is full.
/// Programs use `Slot` in a buffer's type to select where the buffer stores its items. A buffer in
/// a `static` needs an array of slots. In a region, the buffer creates its slots:
/// ```
/// use interlatch::channel::Slot;
/// use interlatch::{BoundedBuffer, Buffer, Region};
///
/// let region = Region::memfd("orders", 1 << 16)?;
/// let buffer = region.create::<BoundedBuffer<u64, [Slot<u64>]>>("numbers", 100)?;
/// assert_eq!(buffer.capacity(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
        /// Creates an empty slot.
        ///
        /// The bytes of an empty slot are zeros, because a loan gives access to the bytes of a slot
        /// before an item is written.
        pub fn new() -> Self {
            Self(UnsafeCell::new(MaybeUninit::zeroed()))
        }
    }

    /// Creates an empty slot in place, like [`new`](Self::new).
    ///
    /// # Safety
    /// `at` is aligned and valid for writes of a slot, and no other access to these bytes happens
    /// during the call.
    pub(super) unsafe fn init(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. A slot has the layout
        // of its cell, and zero bytes are valid for `MaybeUninit`.
        unsafe { UnsafeCell::init_zeroed(at.cast::<UnsafeCell<MaybeUninit<T>>>()) }
    }

    /// Creates empty slots in place.
    ///
    /// # Safety
    /// The safety conditions of [`init`](Self::init) apply to each slot of the array.
    pub(super) unsafe fn init_array<const N: usize>(at: *mut [Self; N]) {
        let first = at.cast::<Self>();
        // SAFETY: the caller passes an array that is valid for writes.
        (0..N).for_each(|index| unsafe { Self::init(first.add(index)) });
    }

    /// Writes an item into the empty slot.
    ///
    /// # Safety
    /// The slot is empty, and no other access to it happens during the call.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn put(&self, item: T) {
        // SAFETY: the caller excludes every other access.
        self.0.with_mut(|slot| unsafe { (*slot).write(item) });
    }

    /// Fills the slot with a bitwise copy of `item`, without a copy on the stack.
    ///
    /// # Safety
    /// The slot is empty, and no other access to it happens during the call. After the call, the
    /// program uses and drops either `item` or the copy, not both.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn put_from(&self, item: &T) {
        let from = core::ptr::from_ref(item);
        // SAFETY: the caller excludes every other access to the slot, so `item` does not overlap
        // the slot.
        self.0
            .with_mut(|slot| unsafe { slot.cast::<T>().copy_from_nonoverlapping(from, 1) });
    }

    /// Moves the item out of the full slot.
    ///
    /// # Safety
    /// The slot is full, and no other access to it happens during the call.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn take(&self) -> T {
        // SAFETY: the caller guarantees a full slot and excludes every other access. The model
        // treats this as a write access, because a concurrent reader would become a second owner of
        // the item.
        self.0
            .with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }
}

impl<T> Slot<T> {
    /// Moves the item of the full slot to uninitialized memory.
    ///
    /// # Safety
    /// The slot is full, and no other access to it happens during the call. `destination` is
    /// aligned and valid for writes.
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn take_to(&self, destination: *mut T) {
        // SAFETY: the caller guarantees a full slot and excludes every other access. The caller
        // passes memory outside of the slot that is valid for writes.
        self.0
            .with_mut(|slot| unsafe { slot.cast::<T>().copy_to_nonoverlapping(destination, 1) });
    }

    /// Drops the item of the full slot in place.
    ///
    /// # Safety
    /// The slot is full, no other access to it happens during the call, and the item is not used
    /// afterwards.
    pub(super) unsafe fn drop_item(&self) {
        // SAFETY: the caller guarantees a full slot and excludes every other access.
        self.0
            .with_mut(|slot| unsafe { (*slot).assume_init_drop() });
    }
}

impl<T: Pod> Slot<T> {
    /// Moves the item of the full slot to `destination`.
    ///
    /// # Safety
    /// The slot is full, and no other access to it happens during the call.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn take_into(&self, destination: &mut T) {
        let destination = core::ptr::from_mut(destination);
        // SAFETY: the caller guarantees a full slot and excludes every other access, so
        // `destination` does not overlap the slot.
        self.0
            .with_mut(|slot| unsafe { slot.cast::<T>().copy_to_nonoverlapping(destination, 1) });
    }

    /// The contents of the slot: an item, a partly written item, or zeros.
    ///
    /// All of these contents are valid for plain data.
    ///
    /// # Safety
    /// No write to the slot happens while the reference lives.
    #[cfg_attr(debug_assertions, track_caller)]
    pub(super) unsafe fn filled(&self) -> &T {
        // SAFETY: the slot holds zeros or written bytes, which are valid for every bit pattern, and
        // the caller excludes writes.
        self.0.with(|slot| unsafe { (*slot).assume_init_ref() })
    }

    /// The contents of the slot, for writing.
    ///
    /// # Safety
    /// No other access to the slot happens while the reference lives.
    #[cfg_attr(debug_assertions, track_caller)]
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller excludes every other access to the cell"
    )]
    pub(super) unsafe fn filled_mut(&self) -> &mut T {
        // SAFETY: the slot holds zeros or written bytes, which are valid for every bit pattern, and
        // the caller excludes every other access.
        self.0.with_mut(|slot| unsafe { (*slot).assume_init_mut() })
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Storage of a buffer's slots: an array, a box, or memory of a region behind the header of the
/// buffer.
///
/// # Safety
/// `slots` returns the same slots on every call, and at least one slot. The slots belong to this
/// value alone. Several threads may call `slots` at the same time. `slots` does not panic, because
/// a buffer calls it after it has moved an item and before it has counted the item.
pub unsafe trait Slots<T> {
    /// Returns the slots of the buffer.
    fn slots(&self) -> &[Slot<T>];
}

// SAFETY: `slots` returns the slots of the array. A buffer of an empty array is both full and
// empty, so it never accesses a slot.
unsafe impl<T, const N: usize> Slots<T> for [Slot<T>; N] {
    fn slots(&self) -> &[Slot<T>] {
        self
    }
}

// SAFETY: `slots` returns the slots of the slice.
unsafe impl<T> Slots<T> for [Slot<T>] {
    fn slots(&self) -> &[Slot<T>] {
        self
    }
}

// SAFETY: `slots` returns the slots of the box.
unsafe impl<T> Slots<T> for Box<[Slot<T>]> {
    fn slots(&self) -> &[Slot<T>] {
        self
    }
}
