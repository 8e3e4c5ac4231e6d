//! A slot of a robust semaphore pair, and the two sides of the pair.

use crate::platform::{MemoryReader, OffsetReader, UnsafeCell, constructor};
use crate::sync::{RawRobustMutex, SlotState};
use core::mem::offset_of;

/// A slot of a [`RobustSemaphorePair`](super::RobustSemaphorePair).
///
/// # Example
/// See [`RobustSemaphorePair`](super::RobustSemaphorePair).
#[repr(C)]
#[derive(Debug)]
pub struct PairSlot<P = ()> {
    /// Held by the thread that has a turn with this slot.
    pub(super) holder: RawRobustMutex,
    /// 0 if the slot is the writers', otherwise the number of the write that made it the readers'.
    ///
    /// Protected by the lock of the pair, as is `next`.
    pub(super) number: UnsafeCell<u64>,
    /// The link to the next slot of the same side.
    pub(super) next: UnsafeCell<u64>,
    pub(super) payload: P,
}

impl PairSlot {
    constructor! {
        /// Creates a slot that is the writers'.
        pub fn new() -> Self {
            Self::with_payload(())
        }
    }

    /// Reads the state of a slot in foreign memory, whatever its payload.
    pub(super) fn read_state(reader: &dyn MemoryReader) -> Option<SlotState> {
        let holder = OffsetReader(reader, offset_of!(Self, holder) as u64);
        Some(SlotState {
            readable: reader.read_u64(offset_of!(Self, number) as u64)? != 0,
            holder: RawRobustMutex::read_state(&holder)?,
        })
    }
}

impl Default for PairSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> PairSlot<P> {
    constructor! {
        /// Creates a slot that is the writers', with a payload that the turns are about.
        pub(crate) fn with_payload(payload: P) -> Self {
            Self {
                holder: RawRobustMutex::new(),
                number: UnsafeCell::new(0),
                next: UnsafeCell::new(0),
                payload,
            }
        }
    }

    /// The payload that the turns are about.
    pub(crate) fn payload(&self) -> &P {
        &self.payload
    }

    /// Returns whether a living thread has a turn with this slot.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_locked()
    }
}

/// Storage of the slots of a [`RobustSemaphorePair`](super::RobustSemaphorePair).
///
/// # Safety
/// `slots` returns the same slots in every call, and at least one. They belong to this value: no
/// other value returns any of them. Several threads may call `slots` at the same time.
pub unsafe trait PairSlots {
    /// The data that the turns of a slot are about.
    type Payload;

    /// The slots.
    fn slots(&self) -> &[PairSlot<Self::Payload>];
}

// SAFETY: the slots are the elements of the array, which owns them. `RobustSemaphorePair::new`
// refuses to compile for an empty array.
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

/// One of the two sides of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairSide {
    Writers,
    Readers,
}

impl PairSide {
    /// The side to which a slot of this number belongs.
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
