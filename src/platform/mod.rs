//! The seam: the only folder that knows Linux or loom, or names core's atomics.
//!
//! Everything above is written once on the names that this module exports. Two worlds stand behind
//! them, chosen here and nowhere else:
//!
//! | name | `linux` | `model` (`--cfg loom`) |
//! | --- | --- | --- |
//! | [`AtomicU32`], [`AtomicU64`], [`AtomicUsize`], [`fence`] | core's | loom's, each call recorded with its source line |
//! | [`new_tracked`], [`new_tracked_u64`] | an [`AtomicU32`], [`AtomicU64`] | one that loom misses nothing of, at a price |
//! | [`UnsafeCell`] | core's | loom's: an unsynchronized access is an error |
//! | [`futex`] | `FUTEX_WAIT_BITSET` and `FUTEX_WAKE`, never `PRIVATE` | a queue in plain memory beside loom |
//! | [`load_hint`] | a plain load | a constant: what is only compared need not be loaded |
//! | [`pipe`] | `pipe2`, `read`, `write`, `poll` | a queue of bytes: short reads and writes, end of stream, broken |
//! | [`robust`] | the kernel's robust futex list | the same, played at a simulated death |
//! | [`load_latest`], [`load_latest_acquire`] | a load: an older value, seen for a while, must do no harm | the newest value, in a step that loom sees |
//! | [`asymmetric`] | `membarrier(2)` | both loads read the newest value, and order nothing else |
//! | [`Deadline`] | absolute `CLOCK_MONOTONIC` | may pass at any step |
//! | [`spin`] | looks at the word for some microseconds, where that has paid | one look, which sees what it is to see |
//! | `repeat` | an array of constants | one of calls |
//! | `constructor` | emits a `const fn` | emits a `fn`: loom's atomics cannot be made in a `const` |
//!
//! A name that one world lacks does not compile in the other's build, and CI builds both.

pub use core::sync::atomic::Ordering;

mod cache_padded;
mod header_and_slots;
mod memory_reader;
pub mod robust;
mod shm;
mod type_info;
pub use cache_padded::CachePadded;
pub(crate) use header_and_slots::HeaderAndSlots;
pub use interlatch_derive::{ShmSafe, ShmType};
pub use memory_reader::{MemoryReader, OffsetReader};
pub use shm::{Config, ConfigError, Pod, ShmObject, ShmSafe};
pub use type_info::{FieldInfo, Parameter, ParameterValue, ShmType, TypeInfo};

#[cfg(not(loom))]
mod linux;
#[cfg(not(loom))]
pub use linux::{
    AtomicU32, AtomicU64, AtomicUsize, Deadline, UnsafeCell, asymmetric, fence, futex, load_hint,
    load_latest, load_latest_acquire, new_tracked, new_tracked_u64, pipe, spin,
};
#[cfg(not(loom))]
pub(crate) use linux::{constructor, repeat};

#[cfg(loom)]
pub mod model;
#[cfg(loom)]
pub use model::{
    AtomicU32, AtomicU64, AtomicUsize, Deadline, UnsafeCell, asymmetric, fence, futex, load_hint,
    load_latest, load_latest_acquire, new_tracked, new_tracked_u64, pipe, spin,
};
#[cfg(loom)]
pub(crate) use model::{constructor, repeat};

/// Why a call on a pipe did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeStop {
    /// There is nothing to read now, or no room to write.
    WouldBlock,
    /// Nobody reads any more.
    Broken,
    /// The kernel refused, with this error number.
    Failed(i32),
}

/// Why a [`futex::wait`] returned.
///
/// None of these says that the awaited condition holds: a futex may wake spuriously, so callers
/// look at the word again in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Another process called `wake` and this waiter was chosen.
    Woken,
    /// The word did not hold the expected value, so the caller never slept.
    Changed,
    /// The deadline passed, and no `wake` had chosen this waiter.
    TimedOut,
    /// A signal handler ran, the recheck interval was over, or the wait ended for no reason at all.
    Interrupted,
}
