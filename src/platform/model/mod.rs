//! The model platform, which implements the seam with loom.
//!
//! A simulated process is a loom thread. Every operation on shared memory passes through this
//! folder. The folder records the operation with its source line, can weaken the operation, and can
//! let the running process wait or die.
//!
//! loom explores the interleavings and the values that a load may return. This folder adds a futex
//! that promises no more than the kernel's ([`futex`]), a pipe, the robust list, deaths,
//! nondeterministic choices ([`choice`]), and a record of each execution ([`world`]).
//!
//! Modules import each other in one direction only. [`event`], `change` and `pipe_state` are plain
//! data.
//! [`world`] holds the state of an execution and imports only [`event`] and `change`. [`death`],
//! [`choice`] and [`weakening`] decide what happens at a step. The atomics, the cell and the clock
//! are built on [`death`], [`choice`] and [`weakening`]. The futex, the robust list, the pipe, the
//! spin and the contracts of parts ([`specified`]) form the next layer. [`process`] runs an
//! execution.

pub mod asymmetric;
mod atomic;
pub mod backend;
mod cell;
mod change;
pub mod choice;
mod clock;
mod config;
pub mod death;
pub mod event;
pub mod futex;
pub mod graphs;
pub mod identity;
mod load;
pub mod pipe;
mod pipe_state;
pub mod process;
pub(super) mod robust;
pub mod specified;
pub mod spin;
pub mod stacks;
pub mod unwinding;
pub mod weakening;
pub mod world;

pub use atomic::{AtomicU32, AtomicU64, AtomicUsize, fence, new_tracked, new_tracked_u64};
pub use cell::UnsafeCell;
pub use clock::Deadline;
pub use load::{load_hint, load_latest, load_latest_acquire};

/// Defines a constructor, which is an ordinary function here and a `const fn` on Linux.
macro_rules! constructor {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visibility fn $($rest)*
    };
}
pub(crate) use constructor;

/// Builds an array of the expected length in a constructor, with one call per element.
macro_rules! repeat {
    ($value:expr) => {
        core::array::from_fn(|_| $value)
    };
}
pub(crate) use repeat;
