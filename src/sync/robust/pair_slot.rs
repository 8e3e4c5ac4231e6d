//! A slot of a robust semaphore pair, and the two sides of the pair.

use crate::platform::{MemoryReader, OffsetReader, ShmSafe, UnsafeCell, constructor};
use crate::sync::{RawRobustMutex, SlotState};
use core::mem::offset_of;

/// A slot of a [`RobustSemaphorePair`](super::RobustSemaphorePair).
///
/// # Example
/// See [`RobustSemaphorePair`](super::RobustSemaphorePair).
#[repr(C)]
#[derive(Debug)]
pub struct PairSlot<P = ()> {
    /// The lock of the slot. The thread that has a turn (the right to write or read the slot once)
    /// holds the lock.
    pub(super) holder: RawRobustMutex,
    /// 0 if the slot belongs to the writers. Otherwise, the number of the write after which the
    /// slot passed to the readers.
    ///
    /// The internal lock of the semaphore pair protects this field and `next`.
    pub(super) number: UnsafeCell<u64>,
    /// The link to the next slot in the list of the slot's side.
    pub(super) next: UnsafeCell<u64>,
    pub(super) payload: P,
}

impl PairSlot {
    /// Reads the state of a slot in foreign memory, regardless of its payload.
    pub(super) fn read_state(reader: &dyn MemoryReader) -> Option<SlotState> {
        let holder = OffsetReader(reader, offset_of!(Self, holder) as u64);
        Some(SlotState {
            readable: reader.read_u64(offset_of!(Self, number) as u64)? != 0,
            holder: RawRobustMutex::read_state(&holder)?,
        })
    }
}

impl<P> PairSlot<P> {
    constructor! {
        /// Creates a slot that belongs to the writers. A thread that has a turn with the slot
        /// accesses the payload.
        pub(crate) fn with_payload(payload: P) -> Self {
            Self {
                holder: RawRobustMutex::by_value(),
                number: UnsafeCell::new(0),
                next: UnsafeCell::new(0),
                payload,
            }
        }
    }

    /// Initializes a slot in place that belongs to the writers.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes, and no other access to these bytes happens during the
    /// call. `init_payload` initializes the payload at its argument.
    pub(super) unsafe fn init(at: *mut Self, init_payload: impl Fn(*mut P)) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RawRobustMutex::init_in_place(&raw mut (*at).holder);
            (&raw mut (*at).number).write(UnsafeCell::new(0));
            (&raw mut (*at).next).write(UnsafeCell::new(0));
            init_payload(&raw mut (*at).payload);
        }
    }

    /// Returns the slot's payload. Only the thread that has the slot's turn accesses the payload.
    pub(crate) fn payload(&self) -> &P {
        &self.payload
    }

    /// Returns whether a living thread currently has a turn with this slot.
    ///
    /// If this method returns false, the caller sees the last holder's accesses to the payload. So
    /// the holder of the pair's lock, which excludes new turns, may access the payload without a
    /// turn.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_locked()
    }
}

/// Storage of the slots of a [`RobustSemaphorePair`](super::RobustSemaphorePair).
///
/// # Safety
/// `slots` returns the same slots on every call, and at least one slot. The slots belong to this
/// value, so `slots` of another value never returns them. Several threads may call `slots` at the
/// same time. `slots` does not panic.
pub unsafe trait PairSlots {
    /// The data in a slot, which the thread that has a turn with the slot accesses.
    type Payload;

    /// Returns the slots.
    fn slots(&self) -> &[PairSlot<Self::Payload>];
}

// SAFETY: the slots are the elements of the array, which owns them. The constructors of
// `RobustSemaphorePair` refuse to compile for an empty array.
unsafe impl<P, const N: usize> PairSlots for [PairSlot<P>; N] {
    type Payload = P;

    fn slots(&self) -> &[PairSlot<P>] {
        self
    }
}

// SAFETY: the slots are the elements of the slice, which owns them. The layout of an object with a
// slice of slots refuses a length of 0.
unsafe impl<P> PairSlots for [PairSlot<P>] {
    type Payload = P;

    fn slots(&self) -> &[PairSlot<P>] {
        self
    }
}

/// One of the two sides of a semaphore pair: the writers or the readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairSide {
    Writers,
    Readers,
}

impl PairSide {
    /// Returns the side to which a slot with this number belongs.
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Writers,
            _ => Self::Readers,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Writers => Self::Readers,
            Self::Readers => Self::Writers,
        }
    }
}
