//! The real machine: core's atomics, the futex of the kernel, the monotonic clock.

pub mod asymmetric;
mod cell;
mod clock;
pub mod futex;
mod load;
pub mod pipe;
pub(super) mod robust;
pub mod spin;

pub use cell::UnsafeCell;
pub use clock::Deadline;
pub use core::sync::atomic::fence;
pub use load::{load_hint, load_latest, load_latest_acquire};

#[expect(clippy::disallowed_types, reason = "this is the seam")]
mod atomics {
    /// core's atomic word of 32 bits.
    pub type AtomicU32 = core::sync::atomic::AtomicU32;
    /// core's atomic word of 64 bits.
    pub type AtomicU64 = core::sync::atomic::AtomicU64;
    /// core's atomic word of the size of a pointer.
    pub type AtomicUsize = core::sync::atomic::AtomicUsize;
}
pub use atomics::{AtomicU32, AtomicU64, AtomicUsize};

/// A word that a process loads and then writes, with this value: an ordinary one here. The model
/// needs to know, see there.
pub const fn new_tracked(value: u32) -> AtomicU32 {
    AtomicU32::new(value)
}

/// The same of 64 bits.
pub const fn new_tracked_u64(value: u64) -> AtomicU64 {
    AtomicU64::new(value)
}

/// Writes a constructor that is `const` in this world and an ordinary function in the model,
/// whose atomics cannot be made in a `const`. A macro, because no function can be generic over
/// `const`.
macro_rules! constructor {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visibility const fn $($rest)*
    };
}
pub(crate) use constructor;

/// An array of as many of these as its type says, in a constructor.
macro_rules! repeat {
    ($value:expr) => {
        [const { $value }; _]
    };
}
pub(crate) use repeat;
