//! A segment of a growing queue, and the trait of the storage of segments.

use super::GrowthLimit;
use crate::channel::SegmentState;
use crate::channel::slot::{Slot, Slots};
use crate::channel::state::fill_of;
use crate::platform::robust::commit;
use crate::platform::{
    ConfigError, HeaderAndSlots, MemoryReader, Parameter, Pod, ShmObject, ShmSafe, ShmType,
    TypeInfo, UnsafeCell,
};
use crate::sync::RobustMutexGuard;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;

/// The guard that proves that the caller holds a list's lock.
pub(super) type ListGuard<'a> = RobustMutexGuard<'a, ()>;

/// A ring of items. A segment receives new items only while it is the last segment of its list.
///
/// The methods take the guard of the list's lock as a proof that the caller holds the lock.
#[repr(C)]
pub struct Segment<T, S: Slots<T> + ?Sized> {
    /// The number of items ever put into this segment.
    sent: UnsafeCell<u64>,
    /// The number of items ever taken out of this segment.
    received: UnsafeCell<u64>,
    item: PhantomData<T>,
    slots: S,
}

// SAFETY: every access to the counters and slots is made by a holder of the list's lock. Items move
// between threads, which is sound because of `T: Send`.
unsafe impl<T: Send, S: Slots<T> + ?Sized> Sync for Segment<T, S> {}

// SAFETY: the type is `repr(C)`, its fields and items are valid for every bit pattern, the counters
// are clamped when they are read, and all changes are made under the list's lock.
unsafe impl<T: Pod, const N: usize> ShmSafe for Segment<T, [Slot<T>; N]> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The fields before the
        // slots have the same offsets for every number of slots.
        unsafe {
            Header::<T>::init(at.cast());
            Slot::init_array(&raw mut (*at).slots);
        }
    }
}

/// A segment without its slots, which follow it.
type Header<T> = Segment<T, [Slot<T>; 0]>;

impl<T> Header<T> {
    /// Initializes all fields before the slots.
    ///
    /// # Safety
    /// The safety conditions of [`ShmSafe::init_in_place`] apply.
    unsafe fn init(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe {
            (&raw mut (*at).sent).write(UnsafeCell::new(0));
            (&raw mut (*at).received).write(UnsafeCell::new(0));
        }
    }
}

impl<T: Pod, const N: usize> ShmType for Segment<T, [Slot<T>; N]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Segment")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("SLOTS", N as u64),
        ]);
}

impl<T: Pod> ShmType for Segment<T, [Slot<T>]> {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("Segment")
        .of_this_crate()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

type Memory<T> = HeaderAndSlots<Header<T>, Slot<T>>;

// SAFETY: the header is `repr(C)` and valid for every bit pattern. The slots follow the header at
// the offset that the unsized type requires, and items are valid for every bit pattern.
unsafe impl<T: Pod> ShmObject for Segment<T, [Slot<T>]> {
    /// The number of slots.
    type Config = usize;

    fn layout(items: usize) -> Result<Layout, ConfigError> {
        Memory::<T>::layout(items)
    }

    unsafe fn init(at: *mut u8, _items: usize) {
        // SAFETY: the caller guarantees memory of this layout, which begins with the header. The
        // slots need no initialization: the counters of a new segment mark every slot as empty.
        unsafe { Header::<T>::init(at.cast()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, items: usize) -> &'a Self {
        // SAFETY: the caller guarantees an aligned, valid object. The pointer cast preserves the
        // number of slots.
        unsafe { &*(Memory::<T>::slots(at, items) as *const Self) }
    }
}

/// Reads a number that only holders of the list's lock write.
pub(super) fn read(number: &UnsafeCell<u64>, _lock: &ListGuard<'_>) -> u64 {
    // SAFETY: the caller holds the list's lock, which excludes every writer. The read is volatile,
    // so it yields one value even while a faulty peer writes.
    number.with(|number| unsafe { number.read_volatile() })
}

impl<T: Pod, S: Slots<T> + ?Sized> Segment<T, S> {
    pub(super) fn length(&self, lock: &ListGuard<'_>) -> usize {
        let capacity = self.slots.slots().len();
        let length = read(&self.sent, lock).wrapping_sub(read(&self.received, lock));
        // Only a faulty peer makes the length exceed the capacity.
        usize::try_from(length).map_or(capacity, |length| length.min(capacity))
    }

    pub(super) fn is_full(&self, lock: &ListGuard<'_>) -> bool {
        self.length(lock) == self.slots.slots().len()
    }

    /// The slot of the item with this number. There is at least one slot.
    fn slot(&self, number: u64) -> &Slot<T> {
        let slots = self.slots.slots();
        &slots[(number % slots.len() as u64) as usize]
    }

    /// Empties a segment that was created but never linked.
    pub(super) fn clear(&self, _lock: &ListGuard<'_>) {
        // SAFETY: the caller holds the list's lock, which excludes every other access.
        unsafe {
            commit(&self.received, 0);
            commit(&self.sent, 0);
        }
    }

    /// Appends a copy of an item. Returns `false` if the segment is full.
    pub(super) fn push(&self, item: &T, lock: &ListGuard<'_>) -> bool {
        if self.is_full(lock) {
            return false;
        }
        let sent = read(&self.sent, lock);
        // SAFETY: the caller holds the list's lock, which excludes every other access. The slot is
        // free. An earlier item was copied out and is `Pod`.
        unsafe {
            self.slot(sent).put_from(item);
            commit(&self.sent, sent.wrapping_add(1));
        }
        true
    }

    /// Moves the oldest item to `destination`. Returns `false` if the segment is empty.
    pub(super) fn pop(&self, destination: &mut T, lock: &ListGuard<'_>) -> bool {
        if self.length(lock) == 0 {
            return false;
        }
        let received = read(&self.received, lock);
        // SAFETY: the caller holds the list's lock, which excludes every other access. The slot
        // holds an item. Even if a faulty peer wrote to the slot, the bytes are a valid `T`,
        // because every bit pattern is a valid `T`. If this process dies before it updates the
        // counter, the next process copies the same item again, which is harmless.
        unsafe {
            self.slot(received).take_into(destination);
            commit(&self.received, received.wrapping_add(1));
        }
        true
    }
}

impl Segment<u64, [Slot<u64>; 0]> {
    /// Reads the state of a segment with items of any type.
    pub fn read_state(reader: &dyn MemoryReader, capacity: Option<u64>) -> Option<SegmentState> {
        let received = reader.read_u64(offset_of!(Self, received) as u64)?;
        let sent = reader.read_u64(offset_of!(Self, sent) as u64)?;
        Some(SegmentState {
            fill: fill_of(sent, received, capacity),
            capacity,
        })
    }
}

/// The storage of the segments of a list. Each segment has a number.
///
/// Every method except [`limit`](Self::limit) and [`retain`](Self::retain) is called under the
/// list's lock.
///
/// # Safety
/// The implementor promises that
/// - only one list, and therefore only one lock, uses these segments, and this value is passed only
///   to the methods of that list;
/// - a segment number refers to the same memory for all users until the segment is removed.
///
/// A method may panic. The operation then ends like that of a process that dies.
pub unsafe trait Segments {
    /// The type of the items.
    type Item: Pod;
    /// The storage of the slots of a segment.
    type Slots: Slots<Self::Item> + ?Sized;
    /// Why a segment is not available.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the growth limit of the list. The value is the same on every call, even if a faulty
    /// peer writes to the memory.
    fn limit(&self) -> GrowthLimit;

    /// Creates the segment with this number, unless a process created it and then died.
    ///
    /// # Errors
    /// Fails if the segment cannot be created.
    fn create(&self, number: u64) -> Result<(), Self::Error>;

    /// Calls `use_segment` with an existing segment.
    ///
    /// # Errors
    /// Fails if the segment is missing or unusable.
    fn with<R>(
        &self,
        number: u64,
        use_segment: impl FnOnce(&Segment<Self::Item, Self::Slots>) -> R,
    ) -> Result<R, Self::Error>;

    /// Removes the segment if it exists. Returns `false` if the segment may still exist. The list
    /// then removes it again later.
    fn remove(&self, number: u64) -> bool;

    /// Releases the resources of all segments except the first and the last.
    fn retain(&self, first: u64, last: u64);
}

impl<T, S: Slots<T> + ?Sized> fmt::Debug for Segment<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Segment { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::RobustMutex;

    type Three = Segment<u64, [Slot<u64>; 3]>;

    /// Creates a segment in memory with other contents.
    fn new_segment(memory: &mut [u64; 5]) -> &Segment<u64, [Slot<u64>]> {
        assert_eq!(size_of_val(memory), size_of::<Three>());
        *memory = [u64::MAX; 5];
        let at = memory.as_mut_ptr().cast();
        // SAFETY: the memory has the size and the alignment of a segment of three slots.
        unsafe {
            <Segment<u64, [Slot<u64>]>>::init(at, 3);
            <Segment<u64, [Slot<u64>]>>::from_raw(at, 3)
        }
    }

    #[test]
    fn new_segment_is_empty() {
        let mut memory = [0; 5];
        let segment = new_segment(&mut memory);
        let lock = RobustMutex::new(()).leak();
        let guard = lock.lock().expect("a new lock");
        assert_eq!(segment.length(&guard), 0);
        assert_eq!(read(&segment.sent, &guard), 0);
    }

    #[test]
    fn corrupted_length_is_at_most_the_capacity() {
        let mut memory = [0; 5];
        let segment = new_segment(&mut memory);
        let lock = RobustMutex::new(()).leak();
        let guard = lock.lock().expect("a new lock");
        for (sent, length) in [(2, 2), (3, 3), (4, 3), (u64::MAX, 3)] {
            // SAFETY: no other thread accesses the segment.
            unsafe { commit(&segment.sent, sent) };
            assert_eq!(segment.length(&guard), length);
        }
    }
}
