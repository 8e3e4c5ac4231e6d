//! The interface between the primitives and the machine, called the seam.
//!
//! Each primitive is written once and uses only the names that this module exports. Each name has
//! two implementations: `linux` for programs, and `model` for the checker. `--cfg loom` selects the
//! model, in which loom explores every execution. Only this file chooses between them, and only
//! this folder names loom, core's atomics or the futex.
//!
//! # Writing a primitive
//!
//! - Keep the state in [`AtomicU32`] or [`AtomicU64`] words, and the data that they protect in an
//!   [`UnsafeCell`]. The type is `#[repr(C)]` and implements [`ShmSafe`].
//! - If a process loads a word and later writes it, create the word with [`new_tracked`]. Use
//!   [`load_hint`] to get the expected value for the first try of a compare-exchange.
//! - Sleep with [`futex::wait`] and wake with [`futex::wake`]. A wait may return spuriously and
//!   orders no memory, so read the word again after it. If a death may change the awaited condition
//!   without a change of the word, use [`futex::wait_watching`] or [`futex::wait_or_recheck`]. Spin
//!   before a wait with [`spin::Spin`].
//! - If a lock must survive the death of its holder, keep its word in a [`robust::RobustWord`] and
//!   follow the order of steps in [`robust`].
//! - Do not use a lock of std, a thread-local or a static for shared state, because the model does
//!   not see accesses to them.
//! - Mark each function that wraps an operation on shared memory with `#[track_caller]`, so that
//!   the record of an execution names the caller. Outside of this folder, mark each function that
//!   notifies or releases for its caller with `#[cfg_attr(loom, track_caller)]`, so that
//!   `ci/weaken` changes each of its calls.
//!
//! Both implementations export the same names. CI builds both, so a missing name fails a build.
//!
//! | name | `linux` | `model` (`--cfg loom`) |
//! | --- | --- | --- |
//! | [`AtomicU32`], [`AtomicU64`], [`AtomicUsize`] | core's | loom's; each call is recorded |
//! | [`fence`] | core's | loom's; the model is not reported as exhaustive |
//! | [`new_tracked`], [`new_tracked_u64`] | an atomic | loom misses no execution, at a price |
//! | [`UnsafeCell`] | core's | loom's; a data race fails the model |
//! | [`futex`] | `FUTEX_WAIT_BITSET`, `FUTEX_WAKE`, a thread that rechecks | a queue in plain memory outside loom |
//! | [`identity`] | a generation that a forked child does not share | no process is a copy |
//! | [`load_hint`] | a plain load | a constant, since the value is only compared |
//! | [`load_latest`] | a load, perhaps of an older value | the newest value, in a step of its own |
//! | [`pipe`] | `pipe2`, `read`, `write`, `poll` | a queue of bytes; short reads and writes occur |
//! | [`robust`] | the kernel's robust list | the same, applied at a simulated death |
//! | [`asymmetric`] | `membarrier(2)` | a light load may return values older than the last heavy one |
//! | [`Deadline`] | absolute `CLOCK_MONOTONIC` | may pass at any step |
//! | [`spin`] | adaptive spinning | reports once that the condition may hold |
//! | `repeat` | an array of constants | an array of calls |
//! | `specified` | nothing | the contract of a part, in models that have it in place of the code |
//! | `constructor` | a `const fn` | a `fn`: no `const` can create loom's atomics |

pub use core::sync::atomic::Ordering;

mod cache_padded;
mod header_and_slots;
mod memory_reader;
pub mod robust;
mod shm;
mod static_object;
mod type_info;
pub use cache_padded::CachePadded;
pub(crate) use header_and_slots::HeaderAndSlots;
pub use interlatch_derive::{ShmSafe, ShmType};
pub use memory_reader::{MemoryReader, OffsetReader};
pub use shm::{Config, ConfigError, InitialValue, Pod, ShmObject, ShmSafe};
pub use static_object::Static;
pub use type_info::{FieldInfo, Parameter, ParameterValue, ShmType, TypeInfo};

#[cfg(not(loom))]
mod linux;
#[cfg(all(test, not(loom)))]
pub(crate) use linux::map_sparse;
#[cfg(not(loom))]
pub(crate) use linux::{AtomicPtr, constructor, repeat, specified};
#[cfg(not(loom))]
pub use linux::{
    AtomicU32, AtomicU64, AtomicUsize, Deadline, UnsafeCell, asymmetric, fence, futex, identity,
    load_hint, load_latest, load_latest_acquire, new_tracked, new_tracked_u64, pipe, spin,
};

#[cfg(loom)]
pub mod model;
#[cfg(loom)]
pub use model::{
    AtomicU32, AtomicU64, AtomicUsize, Deadline, UnsafeCell, asymmetric, fence, futex, identity,
    load_hint, load_latest, load_latest_acquire, new_tracked, new_tracked_u64, pipe, spin,
};
#[cfg(loom)]
pub(crate) use model::{constructor, repeat, specified};

/// The reason why a call on a pipe transferred nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeStop {
    /// The pipe has no bytes to read, or no free space to write.
    WouldBlock,
    /// Every reader is closed.
    Broken,
    /// The kernel reported this error number.
    Failed(i32),
}

/// The reason why a [`futex::wait`] returned.
///
/// No variant says that the awaited condition holds. A futex may wake spuriously, so callers read
/// the word again in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Another process called `wake`, which chose this waiter.
    Woken,
    /// The word did not hold the expected value, so the caller never slept.
    Changed,
    /// The deadline passed before a `wake` chose this waiter.
    TimedOut,
    /// The recheck interval ended. A wake-up may have been lost with a dead process.
    Recheck,
    /// The wait ended spuriously: there was no notification, or the word is unchanged after it.
    Interrupted,
}
