//! The Linux platform: core's atomics and the kernel's futex, pipe, robust list and monotonic
//! clock.

pub mod asymmetric;
mod cell;
mod clock;
pub mod futex;
pub mod identity;
mod load;
mod pin;
pub mod pipe;
pub(super) mod robust;
pub(crate) mod specified;
pub mod spin;
mod thread;
mod watcher;
mod wiped;

pub use cell::UnsafeCell;
pub use clock::Deadline;
pub use core::sync::atomic::fence;
pub use load::{load_hint, load_latest, load_latest_acquire};
#[cfg(test)]
pub(crate) use wiped::map_sparse;

#[expect(clippy::disallowed_types, reason = "this is the seam")]
mod atomics {
    /// core's 32-bit atomic word.
    pub type AtomicU32 = core::sync::atomic::AtomicU32;
    /// core's 64-bit atomic word.
    pub type AtomicU64 = core::sync::atomic::AtomicU64;
    /// core's pointer-sized atomic word.
    pub type AtomicUsize = core::sync::atomic::AtomicUsize;
    /// core's atomic flag, for the memory of one process.
    pub type AtomicBool = core::sync::atomic::AtomicBool;
    /// core's atomic pointer, for the memory of one process.
    pub type AtomicPtr<T> = core::sync::atomic::AtomicPtr<T>;
}
use atomics::AtomicBool;
pub use atomics::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

/// Creates a word that a process loads and later writes. On Linux, it is an ordinary word.
///
/// loom would miss executions that involve such a word, so the model's version of this function
/// creates a special word.
pub const fn new_tracked(value: u32) -> AtomicU32 {
    AtomicU32::new(value)
}

/// Creates a word like [`new_tracked`], but with 64 bits.
pub const fn new_tracked_u64(value: u64) -> AtomicU64 {
    AtomicU64::new(value)
}

/// Defines a constructor, which is a `const fn` here and an ordinary function in the model.
///
/// loom's atomics cannot be created in a `const`, and a function cannot be generic over whether it
/// is `const`. A macro can define both kinds.
macro_rules! constructor {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visibility const fn $($rest)*
    };
}
pub(crate) use constructor;

/// Builds an array of the expected length in a constructor, from a constant.
macro_rules! repeat {
    ($value:expr) => {
        [const { $value }; _]
    };
}
pub(crate) use repeat;
