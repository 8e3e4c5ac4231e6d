//! The model world: the seam over loom.
//!
//! A simulated process is a loom thread. Every operation on shared memory goes through here, so
//! that the [`world`] can record it with its source line, weaken it, or let its process wait.
//!
//! loom explores the interleavings and the values that a load may return. What this folder adds:
//! a futex that promises nothing that the kernel does not ([`futex`]), nondeterministic choices
//! ([`choice`]), and a record of each execution ([`world`]).

pub mod asymmetric;
mod atomic;
mod cell;
pub mod choice;
mod clock;
pub mod death;
pub mod event;
pub mod futex;
mod load;
pub mod pipe;
pub mod process;
pub(super) mod robust;
pub mod spin;
pub mod stacks;
pub mod unwinding;
pub mod weakening;
pub mod world;

pub use atomic::{AtomicU32, AtomicU64, AtomicUsize, fence, new_tracked, new_tracked_u64};
pub use cell::UnsafeCell;
pub use clock::Deadline;
pub use load::{load_hint, load_latest, load_latest_acquire};

/// Writes a constructor: an ordinary function here, a `const fn` on the real machine.
macro_rules! constructor {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visibility fn $($rest)*
    };
}
pub(crate) use constructor;

/// An array of as many of these as its type says, in a constructor.
macro_rules! repeat {
    ($value:expr) => {
        core::array::from_fn(|_| $value)
    };
}
pub(crate) use repeat;
