//! The list of the segments of a growing queue.

use super::segment::{ListGuard, Segments, read};
use crate::channel::OperationError;
use crate::channel::robust::{Endpoints, RobustEndpoint};
use crate::channel::{
    AttachError, ChannelError, Direction, RecvTimeoutError, SegmentListState, SendTimeoutError,
    StorageError,
};
use crate::platform::robust::commit;
use crate::platform::spin::SpinPolicy;
use crate::platform::{
    Config, ConfigError, MemoryReader, OffsetReader, Parameter, Pod, ShmObject, ShmSafe, ShmType,
    TypeInfo, UnsafeCell,
};
use crate::sync::{AcquireError, Condvar, RobustLockError, RobustMutex, Timeout};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ops::RangeInclusive;

/// The limits up to which a growing queue can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrowthLimit {
    /// The number of items of one segment.
    pub items: u32,
    /// The maximum number of segments at a time.
    pub segments: u32,
}

impl GrowthLimit {
    const fn unpack(word: u64) -> Self {
        Self {
            items: (word >> 32) as u32,
            segments: word as u32,
        }
    }

    const fn pack(self) -> u64 {
        (self.items as u64) << 32 | self.segments as u64
    }
}

impl Config for GrowthLimit {
    fn to_word(self) -> u64 {
        self.pack()
    }

    fn from_word(word: u64) -> Option<Self> {
        Some(Self::unpack(word))
    }
}

/// The current and the total number of segments of a growing queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The current number of segments.
    pub segments: u64,
    /// The number of segments ever created.
    pub created: u64,
}

/// The shared state of a growing queue, apart from its segments.
///
/// The queue has at most `MAX_ENDPOINTS` senders and `MAX_ENDPOINTS` receivers at a time. The list
/// type includes the item type, so a process that uses another item type cannot attach to the list.
/// The documentation of [`UnboundedBuffer`](crate::UnboundedBuffer) explains how the queue works.
///
/// # Process death
/// See [`UnboundedBuffer`](crate::UnboundedBuffer).
#[repr(C)]
pub struct SegmentList<T, const MAX_ENDPOINTS: usize = 8> {
    lock: RobustMutex<()>,
    not_empty: Condvar,
    /// The number of the oldest segment, or `last + 1` if there is no segment.
    first: UnsafeCell<u64>,
    /// The number of the newest segment.
    last: UnsafeCell<u64>,
    /// All segments with numbers smaller than this one have been removed.
    removed: UnsafeCell<u64>,
    /// A packed [`GrowthLimit`], which only the creator writes.
    limit: UnsafeCell<u64>,
    ends: Endpoints<MAX_ENDPOINTS>,
    item: PhantomData<T>,
}

// SAFETY: every access to the numbers is made by a holder of `lock`, and `limit` is never written
// after construction. Items move between threads, which is sound because of `T: Send`.
unsafe impl<T: Send, const MAX_ENDPOINTS: usize> Sync for SegmentList<T, MAX_ENDPOINTS> {}

impl<T: Pod, const MAX_ENDPOINTS: usize> ShmType for SegmentList<T, MAX_ENDPOINTS> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("SegmentList")
        .of_this_crate()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("MAX_ENDPOINTS", MAX_ENDPOINTS as u64),
        ]);
}

// SAFETY: the type is `repr(C)`, its fields are valid for every bit pattern, and the numbers are
// clamped when they are read.
unsafe impl<T: Pod, const MAX_ENDPOINTS: usize> ShmObject for SegmentList<T, MAX_ENDPOINTS> {
    type Config = GrowthLimit;

    fn layout(limit: GrowthLimit) -> Result<Layout, ConfigError> {
        match limit.items.min(limit.segments) {
            0 => Err(ConfigError::ZeroCapacity),
            _ => Ok(Layout::new::<Self>()),
        }
    }

    unsafe fn init(at: *mut u8, limit: GrowthLimit) {
        // SAFETY: the caller promises that `at` is valid for writes of the layout, and aligned to
        // it.
        unsafe { Self::init_in_place(at.cast(), limit) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, _limit: GrowthLimit) -> &'a Self {
        // SAFETY: the caller promises that `at` is valid and aligned. Every bit pattern is valid.
        unsafe { &*at.cast::<Self>() }
    }
}

/// Clamps the numbers of the first and the last segment to a range that the limit permits.
fn clamp(first: u64, last: u64, limit: GrowthLimit) -> (u64, u64) {
    let last = last.min(u64::MAX - 1);
    let oldest = last.saturating_sub(u64::from(limit.segments)) + 1;
    (first.clamp(oldest, last + 1), last)
}

impl SegmentList<u64, 1> {
    /// Reads the state of a list with items of any type, and with `ends` handles on each side.
    pub fn read_state(reader: &dyn MemoryReader, ends: Option<u64>) -> Option<SegmentListState> {
        let number = |offset: usize| reader.read_u64(offset as u64);
        let growth = GrowthLimit::unpack(number(offset_of!(Self, limit))?);
        let first = number(offset_of!(Self, first))?;
        let last = number(offset_of!(Self, last))?;
        let (first, last) = clamp(first, last, growth);
        let not_empty = OffsetReader(reader, offset_of!(Self, not_empty) as u64);
        let handles = OffsetReader(reader, offset_of!(Self, ends) as u64);
        let (senders, receivers) = Endpoints::states_of(&handles, ends);
        Some(SegmentListState {
            lock: RobustMutex::read_state(&OffsetReader(reader, offset_of!(Self, lock) as u64))?,
            segments: last + 1 - first,
            ever: last,
            growth,
            waiters: Condvar::read_state(&not_empty)?.waiters,
            senders,
            receivers,
        })
    }

    /// Reads the numbers of the segments that may exist. The first of them may be drained and not
    /// removed, and the last may be created and not linked. A faulty peer may have written any
    /// numbers.
    pub fn read_segments(reader: &dyn MemoryReader) -> Option<RangeInclusive<u64>> {
        let number = |offset: usize| reader.read_u64(offset as u64);
        let growth = GrowthLimit::unpack(number(offset_of!(Self, limit))?);
        let (first, last) = (
            number(offset_of!(Self, first))?,
            number(offset_of!(Self, last))?,
        );
        let (first, last) = clamp(first, last, growth);
        let removed = number(offset_of!(Self, removed))?;
        Some(removed.clamp(1, first)..=last + 1)
    }
}

impl<T, const MAX_ENDPOINTS: usize> SegmentList<T, MAX_ENDPOINTS> {
    /// Creates a list without segments, in place.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes of a list, and no other access to these bytes happens
    /// during the call.
    pub unsafe fn init_in_place(at: *mut Self, limit: GrowthLimit) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            Condvar::init_in_place(&raw mut (*at).not_empty);
            (&raw mut (*at).first).write(UnsafeCell::new(1));
            (&raw mut (*at).last).write(UnsafeCell::new(0));
            (&raw mut (*at).removed).write(UnsafeCell::new(1));
            (&raw mut (*at).limit).write(UnsafeCell::new(limit.pack()));
            Endpoints::init_in_place(&raw mut (*at).ends);
        }
    }
}

fn storage_error(
    segment: u64,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> ChannelError {
    ChannelError::Storage(StorageError::new(segment, cause))
}

impl<T: Pod, const MAX_ENDPOINTS: usize> SegmentList<T, MAX_ENDPOINTS> {
    /// Reads the growth limit from shared memory. Each user of the list reads this limit once.
    ///
    /// # Errors
    /// Fails if a faulty peer wrote an invalid limit.
    pub fn limit(&self) -> Result<GrowthLimit, ConfigError> {
        // SAFETY: only a faulty peer writes the limit after construction. The read is volatile, so
        // it yields one value even while a faulty peer writes.
        let word = self.limit.with(|limit| unsafe { limit.read_volatile() });
        let limit = GrowthLimit::unpack(word);
        <Self as ShmObject>::layout(limit).map(|_| limit)
    }

    /// The numbers of the first and the last segment.
    fn linked(&self, limit: GrowthLimit, lock: &ListGuard<'_>) -> (u64, u64) {
        clamp(read(&self.first, lock), read(&self.last, lock), limit)
    }

    fn has_closed(&self, direction: Direction, _guard: &ListGuard<'_>) -> bool {
        // SAFETY: the guard holds the channel's lock.
        unsafe { self.ends.has_closed(direction) }
    }

    fn lock_with(&self, timeout: Timeout) -> Result<ListGuard<'_>, AcquireError> {
        self.lock.lock_internal(timeout, SpinPolicy::Lock, |()| ())
    }

    /// Returns the number of the segment for the next item, which is the last segment or a new one.
    fn segment_with_room<G: Segments>(
        &self,
        segments: &G,
        lock: &ListGuard<'_>,
    ) -> Result<u64, ChannelError> {
        let limit = segments.limit();
        let (first, last) = self.linked(limit, lock);
        if first <= last {
            let is_full = segments
                .with(last, |segment| segment.is_full(lock))
                .map_err(|cause| storage_error(last, cause))?;
            if !is_full {
                return Ok(last);
            }
        }
        let number = last + 1;
        if number - first >= u64::from(limit.segments) {
            return Err(ChannelError::LimitReached {
                segments: limit.segments,
            });
        }
        segments
            .create(number)
            .and_then(|()| segments.with(number, |segment| segment.clear(lock)))
            .map_err(|cause| storage_error(number, cause))?;
        // SAFETY: this thread holds the lock, which excludes every other access.
        unsafe { commit(&self.last, number) };
        Ok(number)
    }

    /// Appends a copy of an item. The call waits only for the lock, and at most until the timeout
    /// expires.
    ///
    /// # Errors
    /// `Timeout` if another thread held the lock until the timeout. `Disconnected` if all receivers
    /// are gone. `Failed` if the list is at its limit, a segment is not available, or, without a
    /// timeout, a stopped process holds the lock. After an error, the item was not sent.
    pub fn send_with<G: Segments<Item = T>>(
        &self,
        segments: &G,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), SendTimeoutError<()>> {
        Ok(self.send(segments, item, timeout)?)
    }

    fn send<G: Segments<Item = T>>(
        &self,
        segments: &G,
        item: &T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        let guard = self.lock_with(timeout)?;
        if self.has_closed(Direction::Receiving, &guard) {
            return Err(OperationError::Disconnected);
        }
        let number = self.segment_with_room(segments, &guard)?;
        let is_sent = segments
            .with(number, |segment| segment.push(item, &guard))
            .map_err(|cause| storage_error(number, cause))?;
        let (first, last) = self.linked(segments.limit(), &guard);
        drop(guard);
        segments.retain(first, last);
        if !is_sent {
            // The segment had a free slot just before, under the same lock, so only a faulty peer
            // causes this error.
            return Err(ChannelError::Corrupted.into());
        }
        self.not_empty.notify_one();
        Ok(())
    }

    /// Receives the oldest item into `destination`, waiting for an item until the timeout expires.
    ///
    /// # Errors
    /// `Timeout` if there was no item in time. `Disconnected` if the list is empty and all senders
    /// are gone. `Failed` if a segment is not available. After an error, nothing was received.
    pub fn recv_into_with<G: Segments<Item = T>>(
        &self,
        segments: &G,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), RecvTimeoutError> {
        Ok(self.recv_into(segments, destination, timeout)?)
    }

    fn recv_into<G: Segments<Item = T>>(
        &self,
        segments: &G,
        destination: &mut T,
        timeout: Timeout,
    ) -> Result<(), OperationError> {
        let mut guard = self.lock_with(timeout)?;
        let mut in_time = true;
        loop {
            match self.pop_oldest(segments, destination, &guard) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(cause) => {
                    drop(guard);
                    // The item for which this thread consumed a notification is still there. Notify
                    // another receiver, which may be able to use the segment.
                    self.not_empty.notify_one();
                    return Err(cause.into());
                }
            }
            if self.has_closed(Direction::Sending, &guard) {
                return Err(OperationError::Disconnected);
            }
            if !in_time {
                return Err(OperationError::Timeout);
            }
            let locked;
            (locked, in_time) = self.not_empty.wait_robust_or_recheck(guard, timeout);
            guard = locked.or_else(RobustLockError::mark_consistent)?;
        }
    }

    /// Moves the oldest item to `destination` and removes drained segments. Returns `false` if
    /// there is no item.
    fn pop_oldest<G: Segments<Item = T>>(
        &self,
        segments: &G,
        destination: &mut T,
        lock: &ListGuard<'_>,
    ) -> Result<bool, ChannelError> {
        let limit = segments.limit();
        // At most one segment is already drained, because a process died after draining the segment
        // and before removing it. A faulty peer may make all segments appear drained.
        for _ in 0..=limit.segments {
            let (first, last) = self.linked(limit, lock);
            self.remove_before(segments, first, lock);
            if first > last {
                return Ok(false);
            }
            let (is_popped, is_empty) = segments
                .with(first, |segment| {
                    (segment.pop(destination, lock), segment.length(lock) == 0)
                })
                .map_err(|cause| storage_error(first, cause))?;
            // Only the last segment receives new items.
            let is_drained = is_empty && first < last;
            if is_drained {
                // SAFETY: this thread holds the lock, which excludes every other access.
                unsafe { commit(&self.first, first + 1) };
                self.remove_before(segments, first + 1, lock);
            }
            if is_popped || !is_drained {
                return Ok(is_popped);
            }
        }
        Ok(false)
    }

    /// Removes the segments before `first`. There is at most one such segment, since each drained
    /// segment is removed before its successor is drained, unless a segment could not be removed.
    fn remove_before<G: Segments>(&self, segments: &G, first: u64, lock: &ListGuard<'_>) {
        /// The maximum number of segments that this function removes. The bound keeps a faulty peer
        /// from making the loop long.
        const MAX: u64 = 16;
        let removed = read(&self.removed, lock);
        for number in removed.max(first.saturating_sub(MAX))..first {
            if !segments.remove(number) {
                break;
            }
            // SAFETY: this thread holds the lock, which excludes every other access.
            unsafe { commit(&self.removed, number + 1) };
        }
        segments.retain(first, self.linked(segments.limit(), lock).1);
    }

    /// Returns the number of segments, or `None` if the calling thread cannot take the lock.
    pub fn usage(&self, limit: GrowthLimit) -> Option<Usage> {
        let guard = self.lock_with(Timeout::NonBlocking).ok()?;
        let (first, last) = self.linked(limit, &guard);
        Some(Usage {
            segments: last + 1 - first,
            created: last,
        })
    }

    /// Returns the number of items, or `None` if the lock or a segment is not available.
    pub fn count<G: Segments<Item = T>>(&self, segments: &G) -> Option<usize> {
        let guard = self.lock_with(Timeout::NonBlocking).ok()?;
        let limit = segments.limit();
        let (first, last) = self.linked(limit, &guard);
        let length = |number| segments.with(number, |segment| segment.length(&guard)).ok();
        let count = match last - (first - 1) {
            0 => 0,
            1 => length(last)?,
            // All segments between the first and the last are full.
            more => {
                let full = (more as usize - 2).saturating_mul(limit.items as usize);
                (length(first)? + length(last)?).saturating_add(full)
            }
        };
        segments.retain(first, last);
        Some(count)
    }

    /// Registers a handle on one side.
    ///
    /// # Errors
    /// Fails if that side has closed, or if no registration is available.
    pub fn attach(&self, direction: Direction) -> Result<RobustEndpoint<'_>, AttachError> {
        // Receivers wait for items on `not_empty`. No sender waits for receivers.
        self.ends.attach(direction, &self.lock, &self.not_empty)
    }
}

impl<T, const MAX_ENDPOINTS: usize> fmt::Debug for SegmentList<T, MAX_ENDPOINTS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentList { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    type List = SegmentList<u64, 1>;

    const LIMIT: GrowthLimit = GrowthLimit {
        items: 4,
        segments: 3,
    };

    #[test]
    fn numbers_are_clamped_to_the_growth_limit() {
        assert_eq!(clamp(1, 0, LIMIT), (1, 0));
        assert_eq!(clamp(8, 10, LIMIT), (8, 10));
        assert_eq!(clamp(7, 10, LIMIT), (8, 10));
        assert_eq!(clamp(12, 10, LIMIT), (11, 10));
        assert_eq!(clamp(0, 2, LIMIT), (1, 2));
        let last = u64::MAX - 1;
        assert_eq!(clamp(0, u64::MAX, LIMIT), (last - 2, last));
        assert_eq!(clamp(u64::MAX, u64::MAX, LIMIT), (u64::MAX, last));
    }

    #[test]
    fn layout_needs_items_and_segments() {
        for (items, segments) in [(0, 1), (1, 0)] {
            let layout = List::layout(GrowthLimit { items, segments });
            assert_eq!(layout, Err(ConfigError::ZeroCapacity));
        }
    }

    /// The memory of a list, as the inspector reads it.
    struct Memory<'a>(&'a List);

    impl Memory<'_> {
        fn read<T: Copy>(&self, offset: u64) -> Option<T> {
            let memory = core::ptr::from_ref(self.0);
            let is_inside = offset as usize + size_of::<T>() <= size_of::<List>();
            // SAFETY: the bytes are inside the list, and no other thread accesses it.
            is_inside.then(|| unsafe { memory.byte_add(offset as usize).cast::<T>().read() })
        }
    }

    impl MemoryReader for Memory<'_> {
        fn read_u32(&self, offset: u64) -> Option<u32> {
            self.read(offset)
        }

        fn read_u64(&self, offset: u64) -> Option<u64> {
            self.read(offset)
        }
    }

    /// Memory for a list.
    type ListMemory = core::mem::MaybeUninit<List>;

    /// Creates a list in memory with other contents.
    fn new_list(memory: &mut ListMemory) -> &List {
        let at: *mut u8 = memory.as_mut_ptr().cast();
        // SAFETY: the memory is valid for writes of a list, and no process locks it.
        unsafe {
            at.write_bytes(0xA5, size_of::<List>());
            List::init(at, LIMIT);
            List::from_raw(at, LIMIT)
        }
    }

    /// Sets the numbers of the first and the last segment, and the number of the first segment that
    /// is not removed.
    fn set_numbers(list: &List, first: u64, last: u64, removed: u64) {
        // SAFETY: no other thread accesses the list.
        unsafe {
            commit(&list.first, first);
            commit(&list.last, last);
            commit(&list.removed, removed);
        }
    }

    type One = super::super::Segment<u64, [crate::channel::Slot<u64>; 1]>;

    /// Storage with empty segments, which records the removed segments.
    struct Storage {
        removed: RefCell<Vec<u64>>,
        can_remove: Cell<bool>,
    }

    // SAFETY: each call of `with` creates a new segment, which no other thread can access.
    unsafe impl Segments for Storage {
        type Item = u64;
        type Slots = [crate::channel::Slot<u64>; 1];
        type Error = core::convert::Infallible;

        fn limit(&self) -> GrowthLimit {
            LIMIT
        }

        fn create(&self, _number: u64) -> Result<(), Self::Error> {
            Ok(())
        }

        fn with<R>(&self, _: u64, use_segment: impl FnOnce(&One) -> R) -> Result<R, Self::Error> {
            let mut memory = core::mem::MaybeUninit::<One>::uninit();
            // SAFETY: the memory is valid for writes of a segment.
            unsafe { One::init_in_place(memory.as_mut_ptr()) };
            // SAFETY: the segment is initialized.
            Ok(use_segment(unsafe { memory.assume_init_ref() }))
        }

        fn remove(&self, number: u64) -> bool {
            if self.can_remove.get() {
                self.removed.borrow_mut().push(number);
            }
            self.can_remove.get()
        }

        fn retain(&self, _first: u64, _last: u64) {}
    }

    #[test]
    fn next_receiver_removes_the_drained_segments() {
        let mut memory = ListMemory::uninit();
        let list = new_list(&mut memory);
        set_numbers(list, 3, 3, 1);
        let storage = Storage {
            removed: RefCell::default(),
            can_remove: Cell::new(false),
        };
        let receive = || {
            let received = list.recv_into_with(&storage, &mut 0, Timeout::NonBlocking);
            assert_eq!(received, Err(RecvTimeoutError::Timeout));
            core::mem::take(&mut *storage.removed.borrow_mut())
        };
        assert_eq!(receive(), []);
        storage.can_remove.set(true);
        assert_eq!(receive(), [1, 2]);
        assert_eq!(receive(), []);
    }

    #[test]
    fn inspector_reads_the_numbers_of_segments() {
        let mut memory = ListMemory::uninit();
        let list = new_list(&mut memory);
        let state = || List::read_state(&Memory(list), Some(1)).expect("a list");
        let segments = || List::read_segments(&Memory(list)).expect("a list");
        assert_eq!((state().segments, state().ever), (0, 0));
        assert_eq!(state().growth, LIMIT);
        assert_eq!(segments(), 1..=1);
        set_numbers(list, 5, 6, 4);
        assert_eq!((state().segments, state().ever), (2, 6));
        assert_eq!(segments(), 4..=7);
        set_numbers(list, 5, 6, 0);
        assert_eq!(segments(), 1..=7);
    }
}
